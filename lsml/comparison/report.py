"""A comparison to be read: tables, and the picture with three axes."""

from collections import Counter
from math import ceil, isinf, isnan
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float

from lsml.comparison.result import Comparison, Cost
from lsml.comparison.trials import QUANTITIES, Quantity, Trial
from lsml.plot.costs import Curves, plot_costs
from lsml.rich_repr import picture, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NONE = "-"
UNITS = {"iterations": 1.0, "ms": 1e3, "Mflop": 1e-6}


class Section(NamedTuple):
    """One table."""

    title: str
    heads: list[str]
    rows: list[list[str]]


def sections(comparison: Comparison, quantity: Quantity | None = None) -> list[Section]:
    """Costs to the goals, how the rules ended, and what training costs if any is.

    For each problem, whose name is in the titles.
    """
    shown: list[Quantity] = [quantity] if quantity else ["energy", "effective"]
    found = []
    for problem in comparison.problems:
        here = comparison.only(problem)
        tables = [costs(here, each) for each in shown] + [endings(here)]
        if comparison.training:
            tables += [paybacks(here, each) for each in shown]
        prefix = f"{problem}: " if problem else ""
        found += [table._replace(title=prefix + table.title) for table in tables]
    return found


def costs(comparison: Comparison, quantity: Quantity) -> Section:
    """Iterations, milliseconds and operations of each rule to each goal."""
    goals = comparison.goals
    rows = [
        [rule, *(told(comparison.cost(rule, goal, quantity)) for goal in goals)]
        for rule in comparison.rules
    ]
    title = f"{QUANTITIES[quantity]}: {' / '.join(UNITS)} per sample"
    return Section(title, ["rule", *(f"to {goal:g}" for goal in goals)], rows)


def told(cost: Cost) -> str:
    """Three numbers; how many samples get there if not all do."""
    if not cost.whole:
        return f"{cost.reached} of {cost.samples}" if cost.reached else NONE
    values = (cost.iterations, cost.seconds, cost.flops)
    pairs = zip(UNITS.values(), values, strict=True)
    return " / ".join(number(factor * value) for factor, value in pairs)


def endings(comparison: Comparison) -> Section:
    """How each rule ended, and what its whole solve took per sample."""
    heads = ["rule", "ended", "iterations", "certified", "ms", "Mflop", "laws", "FFTs"]
    rows = [[rule, *ending(comparison.of(rule))] for rule in comparison.rules]
    title = f"Whole solves, tolerance {comparison.tol:g}"
    return Section(title, heads, rows)


def ending(trials: tuple[Trial, ...]) -> list[str]:
    """One row of that table."""
    refusals = [trial.refusal for trial in trials if trial.refusal]
    run = [trial for trial in trials if not trial.refusal]
    ended = Counter(status for trial in run for status in trial.status)
    words = [f"{count} {status}" for status, count in ended.items()]
    words += [f"refused: {refusal}" for refusal in dict.fromkeys(refusals)]
    if not run:
        return [", ".join(words), *[NONE] * 6]
    samples = sum(trial.samples for trial in run)
    seconds = sum(float(trial.seconds[-1]) for trial in run) / samples
    weights = [trial.samples / samples for trial in run]

    def mean(name: str) -> float:
        values = [trial.operations[name] for trial in run]
        return float(np.dot(weights, values))

    return [
        ", ".join(words),
        str(max(max(trial.iterations) for trial in run)),
        number(max(float(trial.error.max()) for trial in run)),
        number(1e3 * seconds),
        number(1e-6 * mean("flops")),
        number(mean("laws")),
        number(mean("transforms")),
    ]


def paybacks(comparison: Comparison, quantity: Quantity) -> Section:
    """Solves that pay each learned rule's training, by goal."""
    goals = comparison.goals
    heads = ["rule", "training, s", *(f"solves, {goal:g}" for goal in goals)]
    rows = []
    for rule, spent in comparison.training.items():
        cost = "not known" if spent is None else number(spent)
        saved = [comparison.payback(rule, goal, quantity) for goal in goals]
        rows.append([rule, cost, *map(solves, saved)])
    title = (
        f"Solves that pay for training, against {comparison.reference}: "
        f"{QUANTITIES[quantity]}"
    )
    return Section(title, heads, rows)


def number(value: float) -> str:
    """Three digits."""
    return NONE if isnan(value) else f"{value:.3g}"


def solves(value: float) -> str:
    """A whole number, or a word."""
    if isnan(value):
        return NONE
    return "never" if isinf(value) else f"{ceil(value):,}"


def text(comparison: Comparison, quantity: Quantity | None) -> str:
    """All tables in columns of plain text."""
    parts = []
    for title, heads, rows in sections(comparison, quantity):
        lines = [heads, *rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        plain = [
            "  ".join(
                [line[0].ljust(widths[0])]
                + [c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True)]
            ).rstrip()
            for line in lines
        ]
        parts.append("\n".join([title, *plain]))
    return "\n\n".join(parts)


def html(comparison: Comparison) -> str:
    """The same tables for a notebook, and the picture."""
    tables = "".join(table(*section) for section in sections(comparison))
    return tables + picture(comparison.plot, "errors against costs")


def figure(
    comparison: Comparison, path: str | Path | None, quantity: Quantity
) -> "Figure":
    """A row of three panels for each problem."""
    rows = {
        problem: {
            trial.rule: curves(trial, quantity)
            for trial in comparison.only(problem).trials
            if not trial.refusal
        }
        for problem in comparison.problems
    }
    return plot_costs(rows, path, quantity=QUANTITIES[quantity])


def curves(trial: Trial, quantity: Quantity) -> Curves:
    """Median, least and greatest error over the samples, and what they cost."""
    errors = held(trial.curve(quantity))
    return Curves(
        np.median(errors, 0),
        errors.min(0),
        errors.max(0),
        trial.seconds / trial.samples,
        held(trial.flops).mean(0),
    )


def held(rows: Float[np.ndarray, "b k"]) -> Float[np.ndarray, "b k"]:
    """A sample that has ended keeps its last value."""
    last = np.isfinite(rows).cumsum(1).argmax(1)
    steps = np.minimum(np.arange(rows.shape[1]), last[:, None])
    return np.take_along_axis(rows, steps, 1)
