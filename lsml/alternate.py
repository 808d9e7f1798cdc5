"""Two rules in turn: now and then a learned step among physical ones.

After the hybrid iterations of Zhang, Kahana, Kopaničáková, Turkel, Ranade, Pathak &
Karniadakis (2024, Nature Machine Intelligence 6), which alternate a network with
relaxation.
"""

from dataclasses import dataclass
from math import isnan
from typing import Any

from lsml.bundle import pack, split
from lsml.crew import blend
from lsml.numerics import keep
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, Mixed, UpdateRule, renewed
from lsml.trial import LIMIT, sound
from lsml.typing import Mask, Mean, Memory, PerSample, Vector


@dataclass(frozen=True)
class Alternate(Mixed):
    """Every ``every``-th step by ``rule``, from the first on; the rest by ``other``.

    Each step of ``rule`` is its next pass, begun anew at the present iterate; it is not
    taken where it leads nowhere (see :class:`lsml.Schedule`), and there ``other`` goes
    on undisturbed. After a step that is taken ``other`` begins anew. When ``rule`` has
    taken all its passes, ``other`` goes on to the end.
    """

    rule: UpdateRule[Any]
    other: UpdateRule[Any]
    every: int
    limit: float = LIMIT

    def __post_init__(self) -> None:
        if self.every < 2:
            raise ValueError(
                f"Alternate every = {self.every} must be 2 or more, so that the other "
                "rule has a turn"
            )
        if isnan(self.limit) or self.limit < 1:
            raise ValueError(f"Alternate limit = {self.limit} must be 1 or more")

    @property
    def ingredients(self) -> tuple[UpdateRule[Any], ...]:
        """Both."""
        return self.rule, self.other

    @property
    def reference(self) -> Mean:
        """Of the other rule, which ends."""
        return self.other.reference

    @property
    def passes(self) -> int | None:
        """As the other rule."""
        return self.other.passes

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Memory]:
        """Of the other rule; the residual of the start is what ``limit`` counts."""
        x, inner = self.other.init(problem, x, k)
        start = problem.norm(self.other.residual(problem, x, inner, k))
        return x, pack((start,), inner)

    def renew(
        self, problem: Problem, x: Vector, memory: Memory, k: int
    ) -> tuple[Vector, Memory]:
        """The same, without another start to count from."""
        start, inner = split(memory)
        x, inner = renewed(self.other, problem, x, inner, k)
        return x, pack(start, inner)

    def residual(self, problem: Problem, x: Vector, memory: Memory, k: int) -> Residual:
        """Of the other rule, which knows every iterate."""
        return self.other.residual(problem, x, split(memory)[1], k)

    def step(
        self, problem: Problem, it: Iterate, memory: Memory
    ) -> tuple[Vector, Memory]:
        """By the rule whose turn it is."""
        start, inner = split(memory)
        if not self._turn(it.k):
            x, inner = self.other.step(problem, it, inner)
            return x, pack(start, inner)
        x, good = self._trial(problem, it, start[0])
        new = self.other.init(problem, keep(good, x, it.x), it.k + 1)
        if not bool(good.all()):
            new = blend(good, new, self.other.step(problem, it, inner))
        return new[0], pack(start, new[1])

    def _turn(self, k: int) -> bool:
        """Whether step k is one of ``rule``."""
        passes, (count, offset) = self.rule.passes, divmod(k, self.every)
        return offset == 0 and (passes is None or count < passes)

    def _trial(
        self, problem: Problem, it: Iterate, start: PerSample
    ) -> tuple[Vector, Mask]:
        """Where the next pass leads, and whose step is to be taken."""
        count, rule = it.k // self.every, self.rule
        x, memory = rule.init(problem, it.x.clone(), count)
        residual = rule.residual(problem, x, memory, count)
        x, memory = rule.step(problem, Iterate(x, residual, count), memory)
        after = rule.residual(problem, x, memory, count + 1)
        return x, sound(problem, x, after, self.limit * start)
