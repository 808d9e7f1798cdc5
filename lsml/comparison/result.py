"""What a comparison found."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf, nan
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lsml.comparison.trials import Quantity, Trial

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Cost(NamedTuple):
    """What it takes a rule to get all samples to a goal; NaN if it does not get there.

    Attributes
    ----------
    reached, samples : how many get there, of how many.
    iterations, flops : mean over the samples.
    seconds : per sample; a batch is there when its last sample is.
    """

    reached: int
    samples: int
    iterations: float
    seconds: float
    flops: float

    @property
    def whole(self) -> bool:
        """Whether all samples get there."""
        return 0 < self.samples == self.reached


@dataclass(frozen=True)
class Comparison:
    """Rules on the same problems, see :func:`lsml.compare`.

    Attributes
    ----------
    trials : one for every rule and problem.
    goals : errors for which costs are told.
    reference : rule that made the solutions, and that training is paid against.
    tol : certified residual to which it made them.
    components : names of the components of the strain.
    training : seconds it took to train each learned rule, None if that is not known.
    setting : what the problems and the machine were, in words and numbers.
    """

    trials: tuple[Trial, ...]
    goals: tuple[float, ...]
    reference: str
    tol: float
    components: tuple[str, ...]
    training: Mapping[str, float | None]
    setting: Mapping[str, str | int | float]

    @property
    def rules(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(dict.fromkeys(trial.rule for trial in self.trials))

    @property
    def problems(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(dict.fromkeys(trial.problem for trial in self.trials))

    def only(self, problem: str) -> "Comparison":
        """The same on one problem.

        Raises
        ------
        ValueError
            No such problem.
        """
        found = tuple(trial for trial in self.trials if trial.problem == problem)
        if not found:
            known = ", ".join(self.problems)
            raise ValueError(f"problem {problem!r} is unknown; there are {known}")
        return replace(self, trials=found)

    def of(self, rule: str) -> tuple[Trial, ...]:
        """Its trials.

        Raises
        ------
        ValueError
            No such rule.
        """
        found = tuple(trial for trial in self.trials if trial.rule == rule)
        if not found:
            known = ", ".join(self.rules)
            raise ValueError(f"rule {rule!r} was not compared; there are {known}")
        return found

    def cost(self, rule: str, goal: float, quantity: Quantity = "energy") -> Cost:
        """To a goal, over all samples of all problems."""
        return combined([cost(trial, goal, quantity) for trial in self.of(rule)])

    def payback(self, rule: str, goal: float, quantity: Quantity = "energy") -> float:
        """Solves after which a rule's training is paid, against the reference rule.

        Infinite where it does not save time; NaN where the cost of training, or one of
        the two times, is not known.
        """
        spent = self.training.get(rule)
        if spent is None or self.reference not in self.rules:
            return nan
        mine = self.cost(rule, goal, quantity)
        theirs = self.cost(self.reference, goal, quantity)
        return payback(spent, mine.seconds, theirs.seconds)

    def table(self, quantity: Quantity | None = None) -> str:
        """Costs to every goal as plain text, of the field and of the mean stress."""
        from lsml.comparison.report import text

        return text(self, quantity)

    def plot(
        self, path: str | Path | None = None, quantity: Quantity = "energy"
    ) -> "Figure":
        """Error against iterations, seconds and operations; saved if path is given."""
        from lsml.comparison.report import figure

        return figure(self, path, quantity)

    def _repr_html_(self) -> str:
        """What notebooks show: the tables, and the picture if it can be made."""
        from lsml.comparison.report import html

        return html(self)

    def to_json(self, path: str | Path | None = None) -> str:
        """Everything, in the layout of :mod:`lsml.comparison.layout`."""
        from lsml.comparison.layout import dump

        return dump(self, path)

    @staticmethod
    def from_json(text: str) -> "Comparison":
        """What ``to_json`` made.

        Raises
        ------
        ValueError
            It is something else.
        """
        from lsml.comparison.layout import load

        return load(text)


def cost(trial: Trial, goal: float, quantity: Quantity) -> Cost:
    """Of one rule on one problem."""
    if trial.refusal:
        return Cost(0, 0, nan, nan, nan)
    steps = trial.steps_to(quantity, goal)
    reached, samples = int(np.isfinite(steps).sum()), trial.samples
    if reached < samples:
        return Cost(reached, samples, nan, nan, nan)
    last = np.array([steps.max()])
    seconds = float(trial.at(trial.seconds, last)[0]) / samples
    flops = float(trial.at(trial.flops, steps).mean())
    return Cost(reached, samples, float(steps.mean()), seconds, flops)


def combined(costs: list[Cost]) -> Cost:
    """Over several problems, every sample counting once."""
    samples = sum(each.samples for each in costs)
    reached = sum(each.reached for each in costs)
    if not all(each.whole for each in costs):
        return Cost(reached, samples, nan, nan, nan)
    shares = [each.samples / samples for each in costs]
    means = [
        sum(share * value for share, value in zip(shares, column, strict=True))
        for column in zip(*(each[2:] for each in costs), strict=True)
    ]
    return Cost(reached, samples, *means)


def payback(training: float, mine: float, theirs: float) -> float:
    """Solves that pay seconds of training; infinite where none is saved."""
    if np.isnan(mine) or np.isnan(theirs):
        return nan
    return training / (theirs - mine) if mine < theirs else inf
