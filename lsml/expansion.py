"""Effective thermal expansion, from one solve without mean stress."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.api import solve
from lsml.mandel import from_mandel, to_mandel
from lsml.physics.cell import Spacing
from lsml.physics.elasticity import elasticity
from lsml.physics.loads import load
from lsml.physics.moduli import numbers
from lsml.physics.phases import Phase, Phases
from lsml.rule import UpdateRule
from lsml.solution import Solution


@dataclass(frozen=True)
class EffectiveExpansion:
    """Mean strain per degree, or whatever the expansions of the phases are per.

    Attributes
    ----------
    strain : α* as a Mandel vector, (b, 6); differentiable.
    solution : the cell at a rise of temperature of 1, free of mean stress.
    """

    strain: Float[Tensor, "b 6"]
    solution: Solution

    @property
    def tensor(self) -> Float[Tensor, "b 3 3"]:
        """α*_ij."""
        return from_mandel(self.strain)


def thermal_expansion(  # noqa: PLR0913 (the public entry)
    labels: object,
    phases: Phases,
    expansion: Sequence[object] | Tensor,
    rule: UpdateRule[Any] | str = "cg",
    *,
    tol: float = 1e-8,
    max_iter: int = 1000,
    discretization: str = "rotated",
    spacing: Spacing | None = None,
    reference: Phase | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> EffectiveExpansion:
    """Expansion α* of a cell that is free to expand, <σ> = 0 at a rise of 1.

    Parameters
    ----------
    labels, phases : as in :func:`lsml.elasticity`, 3-D: in plane strain what is
        hindered along the third axis would count.
    expansion : of each phase: a number α for α I, a symmetric (3, 3) tensor, or a
        Mandel vector (6,).
    tol, max_iter, rule : as in :func:`lsml.solve`.
    discretization, spacing, reference, dtype, device : as in :func:`lsml.elasticity`.

    Raises
    ------
    ValueError, ConvergenceError
        As :func:`lsml.solve`.
    """
    problem = elasticity(
        labels,
        phases,
        load(stress=[0.0] * 6),
        discretization,
        spacing,
        eigenstrain=torch.stack([free_strain(each) for each in expansion]),
        reference=reference,
        dtype=dtype,
        device=device,
    )
    solution = solve(problem, rule, tol=tol, max_iter=max_iter)
    return EffectiveExpansion(solution.mean_strain, solution)


def free_strain(expansion: object) -> Float[Tensor, "6"]:
    """Mandel vector of an expansion per degree.

    Raises
    ------
    ValueError
        Neither a number, nor (3, 3), nor (6,).
    """
    value = numbers("expansion", expansion)
    if value.ndim == 0:
        return value * to_mandel(torch.eye(3, dtype=value.dtype))
    if tuple(value.shape) == (3, 3) and bool((value == value.mT).all()):
        return to_mandel(value)
    if tuple(value.shape) == (6,):
        return value
    raise ValueError(
        f"expansion of shape {tuple(value.shape)} must be a number, a symmetric (3, 3) "
        "tensor or a Mandel vector (6,)"
    )
