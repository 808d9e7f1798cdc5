"""Rules one after the other."""

from dataclasses import dataclass
from math import isnan
from typing import Any

from lsml.bundle import pack, split
from lsml.crew import blend
from lsml.numerics import keep
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, Mixed, UpdateRule, renewed
from lsml.trial import LIMIT, parts_of, sound
from lsml.typing import Mean, Memory, PerSample, Vector


@dataclass(frozen=True)
class Schedule(Mixed):
    """``first`` for a fixed number of steps, then another rule to the end.

    A step of ``first`` to a point that is not finite, or whose residual norm is more
    than ``limit`` times that at the start, is not taken: that sample stays where it
    was, and ``first`` begins anew there. So a network that fails costs its passes.

    Attributes
    ----------
    steps : of ``first``; at most its passes.
    limit : infinite for no limit but that of finite numbers.
    """

    first: UpdateRule[Any]
    steps: int
    then: UpdateRule[Any]
    limit: float = LIMIT

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ValueError(f"Schedule steps = {self.steps} must be 0 or more")
        first = self.first.passes
        if first is not None and self.steps > first:
            raise ValueError(
                f"Schedule asks for {self.steps} steps of a rule that has {first}"
            )
        if isnan(self.limit) or self.limit < 1:
            raise ValueError(f"Schedule limit = {self.limit} must be 1 or more")

    @property
    def ingredients(self) -> tuple[UpdateRule[Any], ...]:
        """Both."""
        return self.first, self.then

    @property
    def reference(self) -> Mean:
        """Of the rule that ends."""
        return self.then.reference

    @property
    def passes(self) -> int | None:
        """Of both together."""
        return None if self.then.passes is None else self.steps + self.then.passes

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Memory]:
        """Of the rule in charge; the residual of the start is what ``limit`` counts."""
        if k >= self.steps:
            return self.then.init(problem, x, k - self.steps)
        x, inner = self.first.init(problem, x, k)
        residual = self.first.residual(problem, x, inner, k)
        return x, self._watched(problem.norm(residual), residual, inner)

    def renew(
        self, problem: Problem, x: Vector, memory: Memory, k: int
    ) -> tuple[Vector, Memory]:
        """Of the rule in charge, without another start to count from."""
        if k >= self.steps:
            return renewed(self.then, problem, x, memory, k - self.steps)
        (start,), _, inner = split(memory)
        x, inner = renewed(self.first, problem, x, inner, k)
        residual = self.first.residual(problem, x, inner, k)
        return x, self._watched(start, residual, inner)

    def residual(self, problem: Problem, x: Vector, memory: Memory, k: int) -> Residual:
        """Of the rule in charge."""
        if k >= self.steps:
            return self.then.residual(problem, x, memory, k - self.steps)
        return Residual(*split(memory)[1])

    def step(
        self, problem: Problem, it: Iterate, memory: Memory
    ) -> tuple[Vector, Memory]:
        """Of the rule in charge; hand over by initialising the next at the seam."""
        if it.k >= self.steps:
            return self.then.step(problem, it._replace(k=it.k - self.steps), memory)
        k, ((start,), _, inner) = it.k + 1, split(memory)
        new = self.first.step(problem, it._replace(x=it.x.clone()), inner)
        residual = self.first.residual(problem, *new, k)
        good = sound(problem, new[0], residual, self.limit * start)
        if k == self.steps:
            return self.then.init(problem, keep(good, new[0], it.x), 0)
        if not bool(good.all()):
            new = blend(good, new, self.first.init(problem, it.x, k))
            residual = self.first.residual(problem, *new, k)
        return new[0], self._watched(start, residual, new[1])

    @staticmethod
    def _watched(start: PerSample, residual: Residual, inner: Memory) -> Memory:
        """What the first rule remembers, beside what it is watched by."""
        return pack((start,), parts_of(residual), inner)
