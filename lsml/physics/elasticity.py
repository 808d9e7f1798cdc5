"""Small-strain elasticity: ε = ε̄ − Γ⁰ ((C − C⁰) ε), 3-D or 2-D plane strain."""

from collections.abc import Sequence
from functools import partial
from numbers import Real

import torch
from torch import Tensor

from lsml.mandel import DIMENSION, components, projectors, symmetric_gradient
from lsml.physics.cell import Faces, Options, Physics, Spacing, cell, edges
from lsml.physics.labels import as_labels
from lsml.physics.loads import NAMES, Load
from lsml.physics.loads import load as make_load
from lsml.physics.moduli import Stiffness, isotropic
from lsml.physics.phases import Phase, Phases, fitted, phase_table
from lsml.strain_form import StrainForm

__all__ = ["CONTRAST", "Spacing", "elasticity", "small_strain", "two_phase"]

CONTRAST = 10.0  # stiff over soft, of labels alone


def elasticity(  # noqa: PLR0913 (the public builder)
    labels: object,
    phases: Phases,
    load: Load,
    discretization: str = "rotated",
    spacing: Spacing | None = None,
    *,
    faces: Faces = "periodic",
    eigenstrain: Sequence[object] | Tensor | None = None,
    reference: Phase | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> StrainForm:
    """Elastic equilibrium of a periodic voxel image.

    Parameters
    ----------
    labels : phase of each voxel, integer or bool, (*n) or a batch (b, *n), 2-D (plane
        strain) or 3-D. Three axes are one 3-D image unless the load has 3 components.
    phases : one stiffness per label: :func:`isotropic`, :func:`cubic`, a Mandel matrix
        (6, 6), (3, 3) in 2-D, or one such list (or array) per sample. Stress unit.
    load : from :func:`load`. Without eigenstrain all fields scale with it.
    discretization : ``"fourier"``, ``"rotated"``, ``"hex8"`` (= ``"quad4"`` in 2-D),
        ``"hex8-bbar"``, ``"staggered"``, ``"forward"``, ``"backward"``.
    spacing : voxel edges, any unit; 1 by default.
    faces : ``"periodic"``, ``"dirichlet"`` (affine displacement on both faces) or
        ``"neumann"`` (uniform traction through both), one for all axes or one for each;
        see :mod:`lsml.physics.discretization.faces`. With ``rotated`` and ``hex8``.
    eigenstrain : stress-free strain of each phase, Mandel, None where there is none;
        (p, c) or (b, p, c).
    reference : stiffness of the reference medium; None leaves the choice to the rule.
    dtype : float32 or float64; by default float32 if all moduli are float32 tensors.
    device : of the whole problem; by default that of the labels.

    Raises
    ------
    ValueError
        One sentence naming the argument, what was given and what was expected.
    """
    if not isinstance(load, Load):
        raise ValueError(f"load must be made by lsml.load, got {type(load).__name__}")
    if load.names != NAMES[0]:
        raise ValueError(f"load has a mean {load.names[0]}; elasticity takes strain=")
    ndim = _dimension(load)
    table = phase_table(phases, ndim)
    options = Options(
        discretization, spacing, eigenstrain, reference, dtype, device, faces
    )
    return cell(small_strain(ndim), ndim, labels, table, load, options)


def small_strain(ndim: int) -> Physics:
    """Strain from displacement; two isotropic moduli; phases in Mandel notation."""
    parts = projectors(components(ndim))
    return Physics(symmetric_gradient(ndim), parts, partial(fitted, ndim=ndim))


def two_phase(  # noqa: PLR0913 (the options of lsml.solve)
    labels: object,
    *,
    contrast: float | None = None,
    phases: Phases | None = None,
    load: Load | None = None,
    discretization: str = "rotated",
    spacing: Spacing | None = None,
    faces: Faces = "periodic",
    eigenstrain: Sequence[object] | Tensor | None = None,
    reference: Phase | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> StrainForm:
    """The problem of Kelly & Kalidindi (2021), any part of which can be replaced.

    Two isotropic phases, E = 1 and ``contrast`` (10), ν = 0.3, under the mean strain
    ε_11 = 10⁻³; the other parameters are those of :func:`elasticity`. Three axes are a
    batch of 2-D images if load or spacing have two dimensions, else one 3-D image.
    """
    if load is None:
        ndim = None if spacing is None else len(edges(spacing, 3))
        known = ndim if ndim in (2, 3) else None
        image = as_labels(labels, known, device)
        load = make_load(strain=[1e-3] + [0.0] * (components(image.ndim - 1) - 1))
        labels = image
    if phases is None:
        phases = _soft_and_stiff(CONTRAST if contrast is None else contrast)
    elif contrast is not None:
        raise ValueError(f"contrast = {contrast} and phases are both given: give one")
    return elasticity(
        labels,
        phases,
        load,
        discretization,
        spacing=spacing,
        faces=faces,
        eigenstrain=eigenstrain,
        reference=reference,
        dtype=dtype,
        device=device,
    )


def _soft_and_stiff(contrast: float) -> list[Stiffness]:
    if not isinstance(contrast, Real) or not 0 <= contrast < float("inf"):
        raise ValueError(
            f"contrast = {contrast!r} must be a number, finite and not negative"
        )
    return [isotropic(E=1.0, nu=0.3), isotropic(E=float(contrast), nu=0.3)]


def _dimension(load: Load) -> int:
    c = load.field.shape[-1]
    if c not in DIMENSION:
        raise ValueError(
            f"load has {c} components, must have 6 (3-D: 11 22 33 23 13 12) "
            "or 3 (2-D: 11 22 12)"
        )
    return DIMENSION[c]
