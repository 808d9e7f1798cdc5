"""All rules on one problem."""

from collections.abc import Mapping, Sequence
from itertools import product
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
        own = limits._replace(doing=f"recording {name}")
        if own.stopped():
            refusals[name] = "interrupted before its turn"
            continue
        try:
            records[name] = recorded(problem, rule, stage.truths, own)
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
    for round_, (name, rule) in product(range(repeats), rules.items()):
        own = limits._replace(doing=f"timing {name}")
        if round_ == 0:
            clocked(build, rule, few._replace(doing=own.doing))
        if round_ == 0 or clocks[name][-1][-1] < SLOW:
            clock = clocked(build, rule, own)
            if own.stopped():
                break  # and not a clock that was cut short
            clocks[name].append(clock)
    return clocks
