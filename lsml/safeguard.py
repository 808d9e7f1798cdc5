"""A guarantee for rules that have none."""

from dataclasses import dataclass
from typing import Any

from lsml.crew import blend
from lsml.numerics import keep, memory_like
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, UpdateRule
from lsml.typing import Mean, Memory, Tags, Vector


@dataclass(frozen=True)
class Safeguarded:
    """A rule's step where it pays, a convergent memoryless one elsewhere.

    A step counts for a sample if the total residual norm falls at least by
    ``factor``; where it does not, ``fallback`` takes the step and the rule starts
    anew from there. After the passes of a rule that has them, ``fallback`` goes on.
    """

    rule: UpdateRule[Any]
    fallback: UpdateRule[Any]
    factor: float = 0.9

    @property
    def requires(self) -> Tags:
        """Those of both."""
        return self.rule.requires | self.fallback.requires

    @property
    def reference(self) -> Mean:
        """Of the fallback, whose convergence depends on it."""
        return self.fallback.reference

    @property
    def passes(self) -> None:
        """Without end: the fallback goes on."""
        return

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Memory]:
        """Of the guarded rule."""
        if self.fallback.init(problem, x, k)[1] != ():
            raise ValueError(
                f"Safeguarded needs a fallback without memory, such as Moulinec; "
                f"{type(self.fallback).__name__} remembers its past"
            )
        return self.rule.init(problem, x, k)

    def residual(self, problem: Problem, x: Vector, memory: Memory, k: int) -> Residual:
        """Total, for both rules."""
        return problem.residual(x)

    def step(
        self, problem: Problem, it: Iterate, memory: Memory
    ) -> tuple[Vector, Memory]:
        """Accept per sample if the residual norm falls by ``factor``."""
        if self.rule.passes is not None and it.k >= self.rule.passes:
            return self.fallback.step(problem, it, ())[0], memory
        trial = self.rule.step(problem, *copies(it, memory))
        after = problem.norm(problem.residual(trial[0]))
        good = after <= self.factor * problem.norm(it.residual)
        if bool(good.all()):
            return trial
        safe, _ = self.fallback.step(problem, it, ())
        x = keep(good, trial[0], safe)
        return blend(good, (x, trial[1]), self.rule.init(problem, x, it.k + 1))


def copies(it: Iterate, memory: Memory) -> tuple[Iterate, Memory]:
    """What a step may overwrite, so that the originals outlive it."""
    copied = memory_like(memory, [t.clone() for t in memory])
    return it._replace(x=it.x.clone()), copied
