"""Rules one after the other."""

from dataclasses import dataclass
from typing import Any

from lsml.problem import Problem, Residual
from lsml.rule import Iterate, UpdateRule
from lsml.typing import Mean, Memory, Tags, Vector


@dataclass(frozen=True)
class Schedule:
    """``first`` for a fixed number of steps, then another rule to the end."""

    first: UpdateRule[Any]
    steps: int
    then: UpdateRule[Any]

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ValueError(f"Schedule steps = {self.steps} must be 0 or more")
        first = self.first.passes
        if first is not None and self.steps > first:
            raise ValueError(
                f"Schedule asks for {self.steps} steps of a rule that has {first}"
            )

    @property
    def requires(self) -> Tags:
        """Those of both."""
        return self.first.requires | self.then.requires

    @property
    def reference(self) -> Mean:
        """Of the rule that ends."""
        return self.then.reference

    @property
    def passes(self) -> int | None:
        """Of both together."""
        return None if self.then.passes is None else self.steps + self.then.passes

    def at(self, k: int) -> tuple[UpdateRule[Any], int]:
        """Rule in charge of step k, and its own count."""
        return (self.first, k) if k < self.steps else (self.then, k - self.steps)

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Memory]:
        """Of the rule in charge."""
        rule, local = self.at(k)
        return rule.init(problem, x, local)

    def residual(self, problem: Problem, x: Vector, memory: Memory, k: int) -> Residual:
        """Of the rule in charge."""
        rule, local = self.at(k)
        return rule.residual(problem, x, memory, local)

    def step(
        self, problem: Problem, it: Iterate, memory: Memory
    ) -> tuple[Vector, Memory]:
        """Of the rule in charge; hand over by re-initialising at the seam."""
        rule, local = self.at(it.k)
        x, memory = rule.step(problem, it._replace(k=local), memory)
        if it.k + 1 == self.steps:
            return self.then.init(problem, x, 0)
        return x, memory
