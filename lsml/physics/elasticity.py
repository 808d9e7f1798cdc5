"""Small-strain elasticity: ε = ε̄ − Γ⁰ ((C − C⁰) ε), 3-D or 2-D plane strain."""

from collections.abc import Sequence
from numbers import Real
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lsml.grid import Grid
from lsml.law import PhaseLaw
from lsml.mandel import DIMENSION, components, projectors, symmetric_gradient
from lsml.physics.assemble import assemble, fit, on_device
from lsml.physics.discretization import discretization as scheme_named
from lsml.physics.labels import as_labels, check_range
from lsml.physics.loads import Load
from lsml.physics.loads import load as make_load
from lsml.physics.moduli import Stiffness, isotropic
from lsml.physics.phases import Phase, Phases, phase_table
from lsml.strain_form import StrainForm

Spacing: TypeAlias = Sequence[float] | np.ndarray | Tensor

FLOATS = (torch.float32, torch.float64)


def elasticity(  # noqa: PLR0913 (the public builder)
    labels: object,
    phases: Phases,
    load: Load,
    discretization: str = "rotated",
    spacing: Spacing | None = None,
    *,
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
        ``"hex8-bbar"``.
    spacing : voxel edges, any unit; 1 by default.
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
    ndim = _dimension(load)
    image = as_labels(labels, ndim, device)
    coefficients, entries = phase_table(phases, ndim)
    check_range(image, coefficients.shape[1])
    grid = Grid(tuple(image.shape[1:]), _spacing(spacing, ndim))
    scheme = scheme_named(discretization, grid, symmetric_gradient(ndim))
    eigen = _eigenstrain(eigenstrain, coefficients.shape[1], components(ndim))
    law = PhaseLaw(image, coefficients, entries, eigen)
    given, law = law, on_device(law, _dtype(dtype, coefficients))
    _check_pores(law, discretization, scheme.takes_pores)
    law, macro = fit(load, law)
    double = None
    if law.coefficients.dtype == torch.float32:
        double = fit(load, on_device(given, torch.float64))
    medium = None if reference is None else _medium(reference, ndim, law)
    return assemble(law, macro, scheme, projectors(components(ndim)), medium, double)


def two_phase(  # noqa: PLR0913 (the options of lsml.solve)
    labels: object,
    *,
    contrast: float | None = None,
    phases: Phases | None = None,
    load: Load | None = None,
    discretization: str = "rotated",
    spacing: Spacing | None = None,
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
        ndim = None if spacing is None else len(_spacing(spacing, 3))
        known = ndim if ndim in (2, 3) else None
        image = as_labels(labels, known, device)
        load = make_load(strain=[1e-3] + [0.0] * (components(image.ndim - 1) - 1))
        labels = image
    if phases is None:
        phases = _soft_and_stiff(10.0 if contrast is None else contrast)
    elif contrast is not None:
        raise ValueError(f"contrast = {contrast} and phases are both given: give one")
    return elasticity(
        labels,
        phases,
        load,
        discretization,
        spacing=spacing,
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


def _spacing(spacing: Spacing | None, ndim: int) -> tuple[float, ...]:
    if spacing is None:
        return (1.0,) * ndim
    try:
        return tuple(float(h) for h in spacing)
    except (TypeError, ValueError):
        raise ValueError(
            f"spacing {spacing!r} must be {ndim} numbers, one for each axis"
        ) from None


def _dtype(dtype: torch.dtype | None, coefficients: Tensor) -> torch.dtype:
    chosen = coefficients.dtype if dtype is None else dtype
    if chosen not in FLOATS:
        raise ValueError(f"dtype {chosen} must be torch.float32 or torch.float64")
    return chosen


def _eigenstrain(
    given: Sequence[object] | Tensor | None, phases: int, c: int
) -> Float[Tensor, "t p c"] | None:
    if given is None:
        return None
    if not isinstance(given, Tensor):
        try:
            rows = [[0.0] * c if row is None else row for row in given]
            given = torch.stack([torch.as_tensor(r, dtype=torch.float64) for r in rows])
        except (TypeError, ValueError, RuntimeError):
            raise ValueError(
                f"eigenstrain must hold {phases} rows of {c} numbers, or None: one "
                "Mandel vector for each phase"
            ) from None
    table = given[None] if given.ndim == 2 else given
    if table.ndim != 3 or tuple(table.shape[1:]) != (phases, c):
        raise ValueError(
            f"eigenstrain of shape {tuple(given.shape)} must be ({phases}, {c}): "
            "one Mandel vector, or None, for each phase"
        )
    if not bool(table.isfinite().all()):
        raise ValueError("eigenstrain is not finite")
    return table


def _medium(given: Phase, ndim: int, law: PhaseLaw) -> Float[Tensor, "t c c"]:
    """The reference medium asked for, as a constant."""
    medium = Stiffness(*phase_table([given], ndim)).matrix()[:, 0].detach()
    if bool((medium == 0).flatten(1).all(1).any()):
        raise ValueError("reference has zero stiffness; it must be positive definite")
    if len(medium) not in (1, len(law.labels)):
        raise ValueError(
            f"reference holds {len(medium)} stiffnesses but there are "
            f"{len(law.labels)} samples: give as many, or one"
        )
    return medium.to(law.coefficients)


def _check_pores(law: PhaseLaw, name: str, allowed: bool) -> None:
    empty = (law.coefficients.detach() == 0).all(-1)
    if not allowed and bool(empty.any()):
        phase = int(empty.any(0).nonzero()[0])
        raise ValueError(
            f"phase {phase} has zero stiffness, which discretization {name!r} cannot "
            "resolve; use 'rotated' or 'hex8'"
        )
    if bool(empty.all(-1).any()):
        raise ValueError("every phase has zero stiffness: there is nothing to solve")
