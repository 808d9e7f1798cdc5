"""All rules on one problem."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from lsml.comparison.entrants import Entrant
from lsml.comparison.measure import Truth
from lsml.comparison.passes import Build, Limits, clocked, recorded
from lsml.comparison.trials import Trial, refused, trial_of
from lsml.rule import UpdateRule

Clocks: TypeAlias = dict[str, list[list[float]]]

WARM_UP = 3  # iterations
SLOW = 10.0  # seconds of a solve that needs no repeating


class Stage(NamedTuple):
    """One of the problems: name, number, how to make it, and its solutions."""

    name: str
    number: int
    build: Build
    truths: list[Truth]


def contest(
    stage: Stage, entrants: Sequence[Entrant], limits: Limits, repeats: int
) -> list[Trial]:
    """All rules on one problem: recorded, then timed in turn."""
    problem, records, refusals = stage.build(), {}, {}
    rules = {each.name: each.rules[stage.number] for each in entrants}
    for name, rule in rules.items():
        try:
            records[name] = recorded(problem, rule, stage.truths, limits)
        except (ValueError, RuntimeError) as refusal:
            refusals[name] = " ".join(str(refusal).split())
    timed = {name: rules[name] for name in records}
    clocks = in_turn(stage.build, timed, limits, repeats)
    return [
        refused(name, stage.name, refusals[name])
        if name in refusals
        else trial_of(name, stage.name, records[name], clocks[name])
        for name in rules
    ]


def in_turn(
    build: Build, rules: Mapping[str, UpdateRule[Any]], limits: Limits, repeats: int
) -> Clocks:
    """Clocks of the timed solves of each rule, after a short one that is not timed."""
    clocks: Clocks = {name: [] for name in rules}
    few = limits._replace(max_iter=min(WARM_UP, limits.max_iter))
    for round_ in range(repeats):
        for name, rule in rules.items():
            if round_ == 0:
                clocked(build, rule, few)
            if round_ == 0 or clocks[name][-1][-1] < SLOW:
                clocks[name].append(clocked(build, rule, limits))
    return clocks
