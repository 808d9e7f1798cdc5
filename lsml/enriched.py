"""Conjugate gradients with learned directions among theirs.

At chosen steps the way to where a network would go, q = y(x) − x, is made conjugate to
the direction d of conjugate gradients and to those before, and the energy is minimised
along it too. Since q and d are conjugate, x is then the Galerkin solution on their
span: never worse than the step along d alone. Later directions are made conjugate to d
and q, as in flexible conjugate gradients (Notay 2000, SIAM J. Sci. Comput. 22) with the
learned directions as deflation space (Saad, Yeung, Erhel & Guyomarc'h 2000, ibid. 21).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from lsml.bundle import pack, split
from lsml.guess import QUADRATIC, increment
from lsml.numerics import keep, safe_div
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, Mixed, UpdateRule
from lsml.typing import Mean, Memory, PerSample, Tags, Vector


class Carried(NamedTuple):
    """Residual by recurrence, and its squared norm."""

    force: Vector
    step: Vector
    norm2: PerSample


class Direction(NamedTuple):
    """d, H d and <d, H d>."""

    d: Vector
    image: Vector
    curvature: PerSample


@dataclass(frozen=True)
class Enriched(Mixed):
    """Conjugate gradients, every ``every``-th step with a direction of ``rule``.

    From the first step on, and as often as the rule has passes; each is its next pass,
    begun anew at the present iterate. The energy after a step is at most that after the
    step of conjugate gradients from the same state, whatever the rule answers; an
    answer that is not finite, or adds nothing but rounding, is left out.

    Attributes
    ----------
    kept : learned directions, the last ones, to which all later ones are conjugate.
    """

    rule: UpdateRule[Any]
    every: int = 1
    kept: int = 2

    def __post_init__(self) -> None:
        for name, value in (("every", self.every), ("kept", self.kept)):
            if value < 1:
                raise ValueError(f"Enriched {name} = {value} must be 1 or more")

    @property
    def ingredients(self) -> tuple[UpdateRule[Any], ...]:
        """The rule."""
        return (self.rule,)

    @property
    def requires(self) -> Tags:
        """An energy that is quadratic, and what the rule needs."""
        return self.rule.requires | QUADRATIC

    @property
    def reference(self) -> Mean:
        """Of the rule."""
        return self.rule.reference

    @property
    def passes(self) -> None:
        """Without end: conjugate gradients go on."""
        return

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Memory]:
        """Start with no direction."""
        x = problem.admit(x)
        force = problem.force(x)
        step = problem.precondition(force)
        norm2 = problem.pairing(force, step)
        directions = (empty(step, norm2) for _ in range(1 + self.kept))
        return x, pack(Carried(force, step, norm2), *directions)

    def residual(self, problem: Problem, x: Vector, memory: Memory, k: int) -> Residual:
        """Carried; equilibrium alone, since x stays admissible."""
        return Residual(*split(memory)[0])

    def step(
        self, problem: Problem, it: Iterate, memory: Memory
    ) -> tuple[Vector, Memory]:
        """Along the conjugate direction, and along the learned one in its turn."""
        first, *rest = split(memory)
        carried, known = Carried(*first), [Direction(*part) for part in rest]
        x, force, turn = it.x, carried.force, self._turn(it.k)
        q = self._learned(problem, it, carried) if turn else None
        d, _ = bent(problem, x, carried.step, known)
        x, force = descended(problem, x, force, d)
        learned = known[1:]
        if q is not None:
            new = distinct(*bent(problem, x, q, [d, *learned]))
            x, force = descended(problem, x, force, new)
            learned = [new, *learned[:-1]]
        step = problem.precondition(force)
        norm2 = problem.pairing(force, step)
        return x, pack(Carried(force, step, norm2), d, *learned)

    def _turn(self, k: int) -> bool:
        passes, (count, offset) = self.rule.passes, divmod(k, self.every)
        return offset == 0 and (passes is None or count < passes)

    def _learned(self, problem: Problem, it: Iterate, carried: Carried) -> Vector:
        """Where the next pass would go from here."""
        count = it.k // self.every
        x, memory = self.rule.init(problem, it.x.clone(), count)
        residual = Residual(*carried)
        y, _ = self.rule.step(problem, Iterate(x, residual, count), memory)
        return increment(problem, it.x, y).to(carried.step.dtype)


def empty(step: Vector, norm2: PerSample) -> Direction:
    """No direction, to which every other one is conjugate."""
    d, image = torch.zeros_like(step), torch.zeros_like(step)
    return Direction(d, image, torch.zeros_like(norm2))


def bent(
    problem: Problem, x: Vector, d: Vector, known: list[Direction]
) -> tuple[Direction, PerSample]:
    """d made conjugate to directions that are so to each other; the curvature lost."""
    lost = torch.zeros_like(known[0].curvature)
    for other in known:
        share = safe_div(problem.pairing(other.image, d), other.curvature)
        d = problem.combine(d, -share, other.d, d)
        lost = lost + share.square() * other.curvature
    image = problem.hessian(x, d)
    return Direction(d, image, problem.pairing(image, d)), lost


def distinct(direction: Direction, lost: PerSample) -> Direction:
    """The direction, or none where what is left of it is mostly rounding."""
    least = torch.finfo(direction.d.dtype).eps ** 0.5
    good = direction.curvature > least * lost
    return Direction(*(keep(good, t, torch.zeros_like(t)) for t in direction))


def descended(
    problem: Problem, x: Vector, force: Vector, along: Direction
) -> tuple[Vector, Vector]:
    """Unknown and force at the least energy along a direction."""
    length = safe_div(problem.pairing(force, along.d), along.curvature)
    x = problem.combine(x, length, along.d, x)
    return x, problem.combine(force, -length, along.image, force)
