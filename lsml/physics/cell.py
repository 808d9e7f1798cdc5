"""A periodic cell of phases as a problem: what all its physics have in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Inexact
from torch import Tensor

from lsml.discretization import Differential
from lsml.grid import Grid, Piece
from lsml.law import PhaseLaw
from lsml.physics.assemble import assemble, fit, on_device
from lsml.physics.discretization import discretization as scheme_named
from lsml.physics.discretization.faces import with_faces
from lsml.physics.labels import as_labels, check_range, voxels_of
from lsml.physics.loads import Load
from lsml.physics.moduli import Stiffness
from lsml.physics.percolation import check_load
from lsml.physics.phases import Table, table_of
from lsml.strain_form import StrainForm

Spacing: TypeAlias = Sequence[float] | np.ndarray | Tensor
Faces: TypeAlias = str | Sequence[str]

FLOATS = (torch.float32, torch.float64)


@dataclass(frozen=True)
class Physics:
    """What a builder fills in, in one dimension of space.

    Attributes
    ----------
    differential : the gradient that fields derive from, and what they are called.
    projectors : parts of an isotropic tensor; each has one modulus.
    read : makes coefficients of a phase, as a user gives it.
    """

    differential: Differential
    projectors: Float[Tensor, "k c c"]
    read: Callable[[Any], Stiffness]


class Options(NamedTuple):
    """Of every builder."""

    discretization: str = "rotated"
    spacing: Spacing | None = None
    eigenfield: Sequence[object] | Tensor | None = None
    reference: Any = None
    dtype: torch.dtype | None = None
    device: torch.device | str | None = None
    faces: Faces = "periodic"


def cell(
    physics: Physics,
    ndim: int,
    labels: object,
    table: Table,
    load: Load,
    options: Options,
) -> StrainForm:
    """The problem of a voxel image of phases under a macroscopic load.

    Raises
    ------
    ValueError
        One sentence naming the argument, what was given and what was expected.
    """
    words, differential = physics.differential.words, physics.differential
    image = as_labels(voxels_of(labels), ndim, options.device)
    coefficients, entries = table
    check_range(image, coefficients.shape[1])
    maker = labels.grid if isinstance(labels, Piece) else Grid
    grid = maker(tuple(image.shape[1:]), edges(options.spacing, ndim))
    coefficients = grid.shared(coefficients)
    scheme = scheme_named(options.discretization, grid, differential)
    scheme = with_faces(scheme, options.faces, options.discretization)
    sizes = coefficients.shape[1], differential.components
    eigen = _eigenfield(options.eigenfield, *sizes, f"eigen{words.field}")
    law = scheme.located(PhaseLaw(image, coefficients, entries, eigen))
    given, law = law, on_device(law, _precision(options.dtype, coefficients))
    _check_pores(law, options.discretization, scheme.takes_pores, words.coefficient)
    law, macro = fit(load, law)
    check_load(law, macro, scheme)
    double = None
    if law.coefficients.real.dtype == torch.float32:
        double = fit(load, on_device(given, torch.float64))
    medium = None
    if options.reference is not None:
        medium = _medium(physics, options.reference, law)
    return assemble(law, macro, scheme, physics.projectors, medium, double)


def edges(spacing: Spacing | None, ndim: int) -> tuple[float, ...]:
    """Of a voxel; 1 if none are given.

    Raises
    ------
    ValueError
        They are not numbers.
    """
    if spacing is None:
        return (1.0,) * ndim
    try:
        return tuple(float(h) for h in spacing)
    except (TypeError, ValueError):
        raise ValueError(
            f"spacing {spacing!r} must be {ndim} numbers, one for each axis"
        ) from None


def _precision(dtype: torch.dtype | None, coefficients: Tensor) -> torch.dtype:
    chosen = coefficients.real.dtype if dtype is None else dtype
    if chosen not in FLOATS:
        raise ValueError(f"dtype {chosen} must be torch.float32 or torch.float64")
    return chosen


def _eigenfield(
    given: Sequence[object] | Tensor | None, phases: int, c: int, name: str
) -> Inexact[Tensor, "t p c"] | None:
    if given is None:
        return None
    if not isinstance(given, Tensor):
        try:
            rows = [[0.0] * c if row is None else row for row in given]
            given = torch.stack([torch.as_tensor(r, dtype=torch.float64) for r in rows])
        except (TypeError, ValueError, RuntimeError):
            raise ValueError(
                f"{name} must hold {phases} rows of {c} numbers, or None: one "
                "vector of components for each phase"
            ) from None
    table = given[None] if given.ndim == 2 else given
    if table.ndim != 3 or tuple(table.shape[1:]) != (phases, c):
        raise ValueError(
            f"{name} of shape {tuple(given.shape)} must be ({phases}, {c}): "
            "one vector of components, or None, for each phase"
        )
    if not bool(table.isfinite().all()):
        raise ValueError(f"{name} is not finite")
    return table


def _medium(physics: Physics, given: object, law: PhaseLaw) -> Inexact[Tensor, "t c c"]:
    """The reference medium asked for, as a constant."""
    name = physics.differential.words.coefficient
    coefficients, entries = table_of([given], physics.read, name)
    medium = Stiffness(coefficients, entries).matrix()[:, 0].detach()
    if medium.is_complex():
        raise ValueError("reference must be real, as it measures errors")
    if bool((medium == 0).flatten(1).all(1).any()):
        raise ValueError(f"reference has zero {name}; it must be positive definite")
    if len(medium) not in (1, len(law.labels)):
        raise ValueError(
            f"reference holds {len(medium)} media but there are "
            f"{len(law.labels)} samples: give as many, or one"
        )
    return medium.to(law.coefficients)


def _check_pores(law: PhaseLaw, scheme: str, allowed: bool, name: str) -> None:
    empty = (law.coefficients.detach() == 0).all(-1)
    if not allowed and bool(empty.any()):
        phase = int(empty.any(0).nonzero()[0])
        raise ValueError(
            f"phase {phase} has zero {name}, which discretization {scheme!r} cannot "
            "resolve; use 'rotated' or 'hex8'"
        )
    if bool(empty.all(-1).any()):
        raise ValueError(f"every phase has zero {name}: there is nothing to solve")
