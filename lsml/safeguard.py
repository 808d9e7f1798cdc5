"""A guarantee for rules that have none."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from lsml.bundle import pack, split
from lsml.crew import blend
from lsml.numerics import keep, keep_memory
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, Mixed, UpdateRule
from lsml.trial import attempt, parts_of, sound
from lsml.typing import Codes, Mask, Mean, Memory, Vector

NEVER = -1  # spent nothing, for it has never followed the rule


class Watch(NamedTuple):
    """What decides who takes the next step.

    Attributes
    ----------
    own : where the fallback would have begun.
    spent : iterations of the fallback since a sample first followed the rule; NEVER if
        it has not, and more than the budget once it is back on the fallback's own run.
    stale : 1 if the rule has moved the sample, so that the fallback must begin anew.
    """

    own: Vector
    spent: Codes
    stale: Codes


@dataclass(frozen=True)
class Safeguarded(Mixed):
    """A rule's step where it pays, a convergent one's elsewhere.

    A step counts for a sample if it is finite and the total residual norm falls to
    ``factor`` of what it was; where it does not, ``fallback`` takes the step, and the
    rule begins anew from there. After the passes of a rule that has them, ``fallback``
    goes on. Its memory lasts as long as it alone moves the sample.

    Once ``fallback`` has spent ``budget`` iterations on a sample that has followed the
    rule, the sample returns to the fallback's own start, x̄ or x0, and the rule is asked
    no more. So a solve takes at most the rule's passes, the budget, and the iterations
    that the fallback takes by itself, whatever the rule answers; and if no step ever
    counts, exactly the latter.

    Attributes
    ----------
    factor : above 1 it lets the residual grow, and the rule have its way for longer.
    """

    rule: UpdateRule[Any]
    fallback: UpdateRule[Any]
    factor: float = 0.9
    budget: int = 100

    def __post_init__(self) -> None:
        if not 0 < self.factor < float("inf"):
            raise ValueError(
                f"Safeguarded factor = {self.factor} must be positive and finite"
            )
        if self.budget < 0:
            raise ValueError(f"Safeguarded budget = {self.budget} must be 0 or more")
        if self.fallback.passes is not None:
            raise ValueError(
                f"Safeguarded needs a fallback that goes on to the end; "
                f"{type(self.fallback).__name__} has {self.fallback.passes} passes"
            )

    @property
    def ingredients(self) -> tuple[UpdateRule[Any], ...]:
        """Both."""
        return self.rule, self.fallback

    @property
    def reference(self) -> Mean:
        """Of the fallback, whose convergence depends on it."""
        return self.fallback.reference

    @property
    def passes(self) -> None:
        """Without end: the fallback goes on."""
        return

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Memory]:
        """Of the rule, or of the fallback if the rule is over."""
        spent = torch.full((len(x),), NEVER, device=x.device)
        watch = Watch(x.clone(), spent, torch.ones_like(spent))
        return self._begin(problem, x, k, watch, ())

    def renew(
        self, problem: Problem, x: Vector, memory: Memory, k: int
    ) -> tuple[Vector, Memory]:
        """Both anew; the fallback's own start and what is spent are kept."""
        watch, _, inner, _ = split(memory)
        watch = Watch(*watch)
        stale = torch.ones_like(watch.stale)
        return self._begin(problem, x, k, watch._replace(stale=stale), inner)

    def residual(self, problem: Problem, x: Vector, memory: Memory, k: int) -> Residual:
        """Total while the rule is asked, then as the fallback carries it."""
        _, _, inner, seen = split(memory)
        if self._asked(k):
            return Residual(*seen)
        return self.fallback.residual(problem, x, inner, k)

    def step(
        self, problem: Problem, it: Iterate, memory: Memory
    ) -> tuple[Vector, Memory]:
        """Accept per sample if the residual norm falls by ``factor``."""
        start, mine, inner, _ = split(memory)
        watch = Watch(*start)
        if not self._asked(it.k):
            x, watch, inner = self._fall_back(problem, it, watch, inner)
            return x, pack(watch, (), inner, ())
        x, trial = attempt(problem, self.rule, it, mine)
        seen = problem.residual(x)
        good = sound(problem, x, seen, self.factor * problem.norm(it.residual))
        good = good & (watch.spent <= self.budget)
        followed = Watch(
            watch.own, watch.spent.clamp_min(0), torch.ones_like(watch.stale)
        )
        if bool(good.all()):
            return self._end(problem, it.k + 1, (x, trial), followed, inner, seen)
        safe, watch, inner = self._fall_back(problem, it, watch, inner)
        watch = Watch(*keep_memory(good, followed, watch))
        anew = self.rule.init(problem, keep(good, x, safe), it.k + 1)
        new = blend(good, (x, trial), anew)
        return self._end(problem, it.k + 1, new, watch, inner, None)

    def _asked(self, k: int) -> bool:
        """Whether the rule has a word in step k."""
        return self.rule.passes is None or k < self.rule.passes

    def _begin(
        self, problem: Problem, x: Vector, k: int, watch: Watch, inner: Memory
    ) -> tuple[Vector, Memory]:
        """Both rules anew from iterate k."""
        new = self.rule.init(problem, x, k) if self._asked(k) else (x, ())
        return self._end(problem, k, new, watch, inner, None)

    def _end(
        self,
        problem: Problem,
        k: int,
        new: tuple[Vector, Memory],
        watch: Watch,
        inner: Memory,
        seen: Residual | None,
    ) -> tuple[Vector, Memory]:
        """Memory at iterate k; after the rule's passes, the fallback's alone."""
        x, mine = new
        if self._asked(k):
            found = problem.residual(x) if seen is None else seen
            return x, pack(watch, mine, inner, parts_of(found))
        x, inner = self._ready(problem, x, k, watch.stale == 1, inner)
        fresh = watch._replace(stale=torch.zeros_like(watch.stale))
        return x, pack(fresh, (), inner, ())

    def _fall_back(
        self, problem: Problem, it: Iterate, watch: Watch, inner: Memory
    ) -> tuple[Vector, Watch, Memory]:
        """A step of the fallback for every sample, from its own start if need be."""
        lost = watch.spent == self.budget
        x, residual, anew = it.x, it.residual, lost | (watch.stale == 1)
        if bool(anew.any()):
            x = keep(lost, watch.own, x)
            x, inner = self._ready(problem, x, it.k, anew, inner)
            residual = self.fallback.residual(problem, x, inner, it.k)
        x, inner = self.fallback.step(problem, Iterate(x, residual, it.k), inner)
        away = (watch.spent >= 0) & (watch.spent <= self.budget)
        spent = watch.spent + away.to(watch.spent)
        return x, Watch(watch.own, spent, torch.zeros_like(watch.stale)), inner

    def _ready(
        self, problem: Problem, x: Vector, k: int, anew: Mask, inner: Memory
    ) -> tuple[Vector, Memory]:
        """The fallback anew from iterate k of some of the samples."""
        if not bool(anew.any()):
            return x, inner
        return blend(anew, self.fallback.init(problem, x, k), (x, inner))
