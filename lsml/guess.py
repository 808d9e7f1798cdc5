"""A learned initial guess that is never worse than no guess.

The prediction y of a rule is entered by the exact minimiser of the energy on the line
from the start x̄ through y:  x = x̄ + t (y − x̄),  t = <f(x̄), y − x̄> / <y − x̄, H (y − x̄)>,
so that E(x) = E(x̄) − ½ <f, y − x̄>² / <y − x̄, H (y − x̄)> ≤ E(x̄).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from lsml.bundle import pack, split
from lsml.numerics import keep, per_sample, safe_div
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, Mixed, UpdateRule
from lsml.typing import Mean, Memory, Tags, Vector

QUADRATIC: Tags = frozenset({"linear", "compatible", "symmetric", "positive"})


class Line(NamedTuple):
    """Where the line begins, the force there, and where the rule is by itself."""

    start: Vector
    force: Vector
    reached: Vector


@dataclass(frozen=True)
class Guess(Mixed):
    """The iterates of ``rule``, moved to the least energy on their line from x̄ or x0.

    A prediction that is not finite is no guess: that sample stays at the start. Meant
    to be first in a :class:`lsml.Schedule`.
    """

    rule: UpdateRule[Any]

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
    def passes(self) -> int | None:
        """Of the rule."""
        return self.rule.passes

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Memory]:
        """The line begins here."""
        start = problem.admit(x)
        reached, memory = self.rule.init(problem, start.clone(), k)
        return start, pack(Line(start.clone(), problem.force(start), reached), memory)

    def residual(self, problem: Problem, x: Vector, memory: Memory, k: int) -> Residual:
        """Evaluated."""
        return problem.residual(x)

    def step(
        self, problem: Problem, it: Iterate, memory: Memory
    ) -> tuple[Vector, Memory]:
        """A step of the rule along its own way, and the best point towards it."""
        drawn, inner = split(memory)
        line = Line(*drawn)
        residual = self.rule.residual(problem, line.reached, inner, it.k)
        own = Iterate(line.reached, residual, it.k)
        reached, inner = self.rule.step(problem, own, inner)
        d = increment(problem, line.start, reached).to(line.force.dtype)
        length = safe_div(
            problem.pairing(line.force, d),
            problem.pairing(problem.hessian(line.start, d), d),
        )
        x = line.start.clone()
        x = problem.combine(x, length, d, x)
        return x, pack(line._replace(reached=reached), inner)


def increment(problem: Problem, start: Vector, end: Vector) -> Vector:
    """Direction from one unknown to another, its largest entry 1; 0 if not finite.

    What is to be scaled by a line search may have any length, such as one whose square
    is no number.
    """
    d = problem.project(end - start)
    longest = d.abs().flatten(1).amax(1)
    usable = longest.isfinite() & (longest > 0)
    unit = d / per_sample(torch.where(usable, longest, 1.0), d)
    return keep(usable, unit, torch.zeros_like(d))
