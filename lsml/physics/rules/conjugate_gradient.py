"""Conjugate gradients (Zeman et al. 2010; Brisard & Dormieux 2010; Schneider 2020)."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch

from lsml.numerics import per_sample, safe_div
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, Rule
from lsml.typing import PerSample, Tags, Vector


class Krylov(NamedTuple):
    """Residual by recurrence, last direction, and its squared residual norm."""

    force: Vector
    step: Vector
    d: Vector
    norm2: PerSample


@dataclass(frozen=True)
class ConjugateGradient(Rule):
    """Preconditioned by the reference medium, from an admissible field.

    The residual is carried by recurrence, so that an iteration costs one law and one
    Green operator; the driver's certificate evaluates it anew.
    """

    requires: ClassVar[Tags] = frozenset(
        {"linear", "compatible", "symmetric", "positive"}
    )

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Krylov]:
        """Start with no direction."""
        x = problem.admit(x)
        force = problem.force(x)
        nothing = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        step = problem.precondition(force)
        return x, Krylov(force, step, torch.zeros_like(step), nothing)

    def residual(self, problem: Problem, x: Vector, memory: Krylov, k: int) -> Residual:
        """Carried; equilibrium alone, since x stays admissible."""
        return Residual(memory.force, memory.step)

    def step(
        self, problem: Problem, it: Iterate, memory: Krylov
    ) -> tuple[Vector, Krylov]:
        """Exact line search along the conjugate direction."""
        norm2 = problem.pairing(memory.force, memory.step)
        beta = per_sample(safe_div(norm2, memory.norm2), it.x)
        d = memory.step + beta * memory.d
        hd = problem.hessian(it.x, d)
        length = per_sample(safe_div(norm2, problem.pairing(hd, d)), it.x)
        force = memory.force - length * hd
        step = problem.precondition(force)
        return it.x + length * d, Krylov(force, step, d, norm2)
