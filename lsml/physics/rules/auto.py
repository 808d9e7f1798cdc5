"""The rule that a problem's properties ask for."""

import logging
from dataclasses import dataclass
from typing import Any, NamedTuple

from lsml.physics.rules.anderson import Anderson
from lsml.physics.rules.barzilai_borwein import BarzilaiBorwein
from lsml.physics.rules.bicgstab import BiCGStab
from lsml.physics.rules.conjugate_gradient import ConjugateGradient
from lsml.physics.rules.minres import MinimalResidual
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, Rule, UpdateRule
from lsml.typing import Memory, Vector

log = logging.getLogger("lsml")


class Choice(NamedTuple):
    """A rule, and why it comes before those after it."""

    rule: UpdateRule[Any]
    reason: str


CHOICES = (
    Choice(ConjugateGradient(), "the fastest where the energy is quadratic and convex"),
    Choice(MinimalResidual(), "symmetry is enough for a short recurrence"),
    Choice(BiCGStab(), "a Krylov method that needs no symmetry"),
    Choice(BarzilaiBorwein(), "adapts its step to a convex energy, without tangents"),
    Choice(Anderson(), "asks nothing of the problem"),
)


@dataclass(frozen=True)
class Auto(Rule):
    """The first of :data:`CHOICES` that the tags of the problem admit."""

    def choice(self, problem: Problem) -> Choice:
        """What is taken for a problem, and why."""
        return next(c for c in CHOICES if c.rule.requires <= problem.tags)

    def picked(self, problem: Problem) -> UpdateRule[Any]:
        """What is taken for a problem."""
        return self.choice(problem).rule

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Memory]:
        """Of the rule taken; says which."""
        rule, reason = self.choice(problem)
        tags = ", ".join(sorted(problem.tags)) or "without any known property"
        log.info("auto takes %s: %s (%s)", type(rule).__name__, reason, tags)
        return rule.init(problem, x, k)

    def residual(self, problem: Problem, x: Vector, memory: Memory, k: int) -> Residual:
        """Of the rule taken."""
        return self.picked(problem).residual(problem, x, memory, k)

    def step(
        self, problem: Problem, it: Iterate, memory: Memory
    ) -> tuple[Vector, Memory]:
        """Of the rule taken."""
        return self.picked(problem).step(problem, it, memory)
