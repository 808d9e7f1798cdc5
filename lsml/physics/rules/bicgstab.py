"""Stabilized bi-conjugate gradients (van der Vorst 1992, SIAM J. Sci. Stat. Comp.)."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Inexact
from torch import Tensor

from lsml.numerics import keep
from lsml.physics.rules.products import image, moved, product, ratio, shifted
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, Rule
from lsml.typing import Tags, Vector

LOST = 1e-12  # cosine of residual and shadow under which the shadow is worth nothing


class Shadowed(NamedTuple):
    """Residual by recurrence, the first residual, direction, and its image.

    ``rho`` is the product of residual and first residual.
    """

    force: Vector
    step: Vector
    shadow_force: Vector
    shadow: Vector
    d: Vector
    rho: Inexact[Tensor, " b"]


@dataclass(frozen=True)
class BiCGStab(Rule):
    """For linear problems without symmetry, real or complex; two operators a step.

    Preconditioned by the reference medium, in whose inner product all products are
    taken. Begins anew with the present residual as shadow where the two have become
    orthogonal.
    """

    requires: ClassVar[Tags] = frozenset({"linear"})

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Shadowed]:
        """The residual is its own shadow."""
        x = problem.admit(x)
        force = problem.force(x)
        step = problem.precondition(force)
        rho = product(problem, Residual(force, step), step)
        return x, Shadowed(force, step, force.clone(), step.clone(), step.clone(), rho)

    def residual(
        self, problem: Problem, x: Vector, memory: Shadowed, k: int
    ) -> Residual:
        """Carried."""
        return Residual(memory.force, memory.step)

    def step(
        self, problem: Problem, it: Iterate, memory: Shadowed
    ) -> tuple[Vector, Shadowed]:
        """A bi-conjugate step, and the best one along what it leaves."""
        r = Residual(memory.force, memory.step)
        shadow = Residual(memory.shadow_force, memory.shadow)
        v = image(problem, it.x, memory.d)
        alpha = ratio(memory.rho, product(problem, shadow, v.step))
        s = shifted(r, -alpha, v)
        t = image(problem, it.x, s.step)
        omega = ratio(product(problem, t, s.step), product(problem, t, t.step))
        x = moved(moved(it.x, alpha, memory.d), omega, s.step)
        r = shifted(s, -omega, t)
        rho = product(problem, shadow, r.step)
        beta = ratio(rho, memory.rho) * ratio(alpha, omega)
        d = moved(r.step, beta, moved(memory.d, -omega, v.step))
        new = Shadowed(r.force, r.step, shadow.force, shadow.step, d, rho)
        return x, self._with_shadow(problem, new)

    @staticmethod
    def _with_shadow(problem: Problem, new: Shadowed) -> Shadowed:
        """A new shadow where the old one has lost the residual."""
        r = Residual(new.force, new.step)
        sizes = problem.square(Residual(new.shadow_force, new.shadow))
        lost = new.rho.abs().square() <= LOST**2 * problem.square(r) * sizes
        if not bool(lost.any()):
            return new
        return new._replace(
            shadow_force=keep(lost, r.force, new.shadow_force),
            shadow=keep(lost, r.step, new.shadow),
            d=keep(lost, r.step, new.d),
            rho=torch.where(lost, product(problem, r, r.step), new.rho),
        )
