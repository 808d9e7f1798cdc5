"""Conduction, diffusion, dielectrics: e = ē − Γ⁰ ((κ − κ⁰) e), 2-D or 3-D."""

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lsml.discretization import Differential, Words
from lsml.law import Entry
from lsml.physics.cell import Faces, Options, Physics, Spacing, cell
from lsml.physics.loads import NAMES, Load
from lsml.physics.loads import load as make_load
from lsml.physics.moduli import Stiffness, checked, numbers, symmetric
from lsml.physics.phases import table_of
from lsml.strain_form import StrainForm

Conductivity: TypeAlias = float | complex | Tensor | np.ndarray | Sequence[Any]
Conductivities: TypeAlias = (
    Sequence[Conductivity] | Sequence[Sequence[Conductivity]] | Tensor | np.ndarray
)


def conductivity(  # noqa: PLR0913 (the public builder)
    labels: object,
    phases: Conductivities,
    load: Load | Sequence[float | complex] | Tensor | np.ndarray,
    discretization: str = "rotated",
    spacing: Spacing | None = None,
    *,
    faces: Faces = "periodic",
    reference: Conductivity | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> StrainForm:
    """Steady conduction in a periodic voxel image, div(κ e) = 0 with e = ē + ∇u.

    The same equation is that of diffusion, electrostatics (κ: permittivity), magneto-
    statics and flow in porous rock. The flux is κ e, without a minus sign.

    Parameters
    ----------
    labels : phase of each voxel, integer or bool, (*n) or a batch (b, *n); 2-D or 3-D
        by the length of the load.
    phases : one conductivity per label: a number, or a symmetric (d, d) matrix. An
        array is (p,) or (p, d, d), with one table per sample (b, p) or (b, p, d, d).
        Complex ones are symmetric, not Hermitian, and their real part is positive;
        if it is not, multiply all of them by one factor exp(iφ) that makes it so.
    load : mean gradient, d numbers or rows of them; or, made by :func:`lsml.load`,
        ``gradient=`` and ``flux=`` in any mix.
    discretization : ``"fourier"``, ``"rotated"``, ``"hex8"`` (= ``"quad4"`` in 2-D),
        ``"staggered"`` (finite volumes), ``"forward"``, ``"backward"``.
    spacing : voxel edges, any unit; 1 by default.
    faces : ``"periodic"``, ``"dirichlet"`` (affine potential on both faces) or
        ``"neumann"`` (uniform flux through both), one for all axes or one for each;
        see :mod:`lsml.physics.discretization.faces`. With ``rotated`` and ``hex8``.
    reference : conductivity of the reference medium, real; None leaves the choice to
        the rule.
    dtype : float32 or float64, of real and imaginary parts; by default float32 if all
        conductivities are tensors of that precision.
    device : of the whole problem; by default that of the labels.

    Returns
    -------
    StrainForm
        Its solution has ``gradient``, ``flux`` and ``potential``. With complex phases
        it is linear but neither symmetric nor positive, which conjugate gradients
        need; ``"moulinec"`` converges.

    Raises
    ------
    ValueError
        One sentence naming the argument, what was given and what was expected.
    """
    if not isinstance(load, Load):
        load = make_load(gradient=load)
    if load.names != NAMES[1]:
        raise ValueError(f"load has a mean {load.names[0]}; conduction takes gradient=")
    ndim = load.field.shape[-1]
    if ndim not in (2, 3):
        raise ValueError(f"load has {ndim} components, must have 3 (3-D) or 2 (2-D)")
    physics = conduction(ndim)
    table = table_of(phases, physics.read, "conductivity")
    options = Options(discretization, spacing, None, reference, dtype, device, faces)
    return cell(physics, ndim, labels, table, load, options)


def conduction(ndim: int) -> Physics:
    """Gradient of one potential; one isotropic modulus."""
    unit = torch.eye(ndim, dtype=torch.float64)[None]
    return Physics(gradient(ndim), unit, partial(tensor, ndim=ndim))


def gradient(ndim: int) -> Differential:
    """The plain one, e_i = ∂_i u."""
    terms = tuple((i, 0, i, 1.0) for i in range(ndim))
    names = tuple(str(i + 1) for i in range(ndim))
    words = Words("gradient", "flux", "potential", "conductivity", names)
    return Differential(ndim, 1, terms, words)


def tensor(given: Conductivity, ndim: int) -> Stiffness:
    """Coefficients of one phase: a number, a (d, d) matrix, or one per sample.

    Raises
    ------
    ValueError
        Wrong shape, not finite, not symmetric, or no positive real part.
    """
    value = numbers("conductivity", given)
    if value.ndim < 2:
        return checked(Stiffness(value[..., None], diagonal(ndim)), "conductivity")
    if tuple(value.shape[-2:]) != (ndim, ndim) or value.ndim > 3:
        raise ValueError(
            f"conductivity of shape {tuple(value.shape)} must be a number or a matrix "
            f"({ndim}, {ndim}) in {ndim}-D"
        )
    return symmetric(value, "conductivity")


def diagonal(ndim: int) -> tuple[Entry, ...]:
    """Where the one coefficient of an isotropic phase stands."""
    return tuple((i, i, 0) for i in range(ndim))
