"""Conjugate gradients (Zeman et al. 2010; Brisard & Dormieux 2010; Schneider 2020)."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch

from lsml.numerics import safe_div
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, Rule
from lsml.typing import PerSample, Tags, Vector


class Krylov(NamedTuple):
    """Residual by recurrence, last direction, squared norms now and before that."""

    force: Vector
    step: Vector
    d: Vector
    norm2: PerSample
    before: PerSample


@dataclass(frozen=True)
class ConjugateGradient(Rule):
    """Preconditioned by the reference medium, from an admissible field.

    The residual is carried by recurrence, so that an iteration costs one law and one
    Green operator; the driver's certificate evaluates it anew. Where nothing can be
    recorded, every vector is updated in place.
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
        norm2 = problem.pairing(force, step)
        return x, Krylov(force, step, torch.zeros_like(step), norm2, nothing)

    def residual(self, problem: Problem, x: Vector, memory: Krylov, k: int) -> Residual:
        """Carried; equilibrium alone, since x stays admissible."""
        return Residual(memory.force, memory.step, memory.norm2)

    def step(
        self, problem: Problem, it: Iterate, memory: Krylov
    ) -> tuple[Vector, Krylov]:
        """Exact line search along the conjugate direction."""
        norm2 = memory.norm2
        beta = safe_div(norm2, memory.before)
        d = problem.combine(memory.step, beta, memory.d, memory.d)
        image = problem.hessian(it.x, d, memory.step)
        length = safe_div(norm2, problem.pairing(image, d))
        force = problem.combine(memory.force, -length, image, memory.force)
        step = problem.precondition(force, image)
        x = problem.combine(it.x, length, d, it.x)
        return x, Krylov(force, step, d, problem.pairing(force, step), norm2)
