"""Conjugate gradients (Zeman et al. 2010; Brisard & Dormieux 2010; Schneider 2020)."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.gauss_radau import advanced, opened
from lsml.numerics import safe_div
from lsml.physics.reference import ends_of_spectrum
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, Rule
from lsml.typing import PerSample, Tags, Vector


class Krylov(NamedTuple):
    """Residual by recurrence, last direction, squared norms now and before that.

    ``gauge`` is what the scalars say of the energy that is still to be gained.
    """

    force: Vector
    step: Vector
    d: Vector
    norm2: PerSample
    before: PerSample
    gauge: Float[Tensor, "b s"]


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
    gauged: ClassVar[bool] = True

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Krylov]:
        """Start with no direction."""
        x = problem.admit(x)
        force = problem.force(x)
        nothing = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        step = problem.precondition(force)
        norm2 = problem.pairing(force, step)
        unit = torch.finfo(force.dtype).eps
        gauge = opened(*ends_of_spectrum(problem), unit).packed()
        return x, Krylov(force, step, torch.zeros_like(step), norm2, nothing, gauge)

    def residual(self, problem: Problem, x: Vector, memory: Krylov, k: int) -> Residual:
        """Carried; equilibrium alone, since x stays admissible."""
        return Residual(memory.force, memory.step, memory.norm2, memory.gauge)

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
        after = problem.pairing(force, step)
        gauge = advanced(memory.gauge, length, norm2, after)
        return x, Krylov(force, step, d, after, norm2, gauge)
