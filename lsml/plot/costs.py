"""Errors against what they cost: iterations, seconds and operations."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from lsml.plot.colours import MEDIUM, SMALL
from lsml.plot.convergence import COLOURS, DASHES
from lsml.plot.figure import Axes, Figure, kept, new_figure, plain

FEW = 8  # points of a curve that are marked
NARROW = 60.0  # ratio of the ends of an axis
COSTS = ("iterations", "seconds per sample, set-up included", "operations per sample")


class Curves(NamedTuple):
    """Of one rule: median, least and greatest error of each iterate, and its costs."""

    middle: Float[np.ndarray, " k"]
    least: Float[np.ndarray, " k"]
    most: Float[np.ndarray, " k"]
    seconds: Float[np.ndarray, " k"]
    flops: Float[np.ndarray, " k"]


def plot_costs(
    problems: Mapping[str, Mapping[str, Curves]],
    path: str | Path | None = None,
    *,
    quantity: str,
) -> Figure:
    """A row of three panels for each problem, by name; a curve for each rule, by name.

    Lines are medians over samples, shades reach from the least to the greatest error.

    Raises
    ------
    ImportError, ValueError, OSError
        matplotlib is missing, or the file cannot be written.
    """
    figure = new_figure(12.0, 3.5 * len(problems) + 0.4)
    panels = figure.subplots(len(problems), 3, squeeze=False, sharey="row")
    names = list(dict.fromkeys(rule for rules in problems.values() for rule in rules))
    for row, (problem, rules) in zip(panels, problems.items(), strict=True):
        for axes, label in zip(row, COSTS, strict=True):
            axes.set_xlabel(label, fontsize=SMALL)
        for rule, curves in rules.items():
            steps = np.arange(len(curves.middle), dtype=float)
            for axes, cost in zip(
                row, (steps, curves.seconds, curves.flops), strict=True
            ):
                draw(axes, cost, curves, names.index(rule), rule)
        for axes in row:
            finish(axes)
            few_ticks(axes)
        row[0].set_xscale("symlog", linthresh=1)
        row[0].set_xlim(left=0)
        row[0].set_ylabel(f"{problem}\n{quantity}".strip(), fontsize=SMALL)
    lines = {line.get_label(): line for axes in panels.flat for line in axes.lines}
    figure.legend(
        [lines[name] for name in names if name in lines],
        [name for name in names if name in lines],
        loc="outside upper center",
        ncols=min(6, max(1, len(lines))),
        fontsize=MEDIUM,
        frameon=False,
    )
    return kept(figure, path)


def draw(
    axes: Axes, cost: Float[np.ndarray, " k"], curves: Curves, i: int, name: str
) -> None:
    """One curve; what is exactly 0 is not drawn."""
    count = min(len(cost), len(curves.middle))
    middle, least, most = (
        np.where(values[:count] > 0, values[:count], np.nan) for values in curves[:3]
    )
    colour = COLOURS[i % len(COLOURS)]
    axes.plot(
        cost[:count],
        middle,
        color=colour,
        linestyle=DASHES[i // len(COLOURS) % len(DASHES)],
        linewidth=1.6,
        marker="o" if count <= FEW else None,
        markersize=4,
        label=plain(name).lstrip("_"),
    )
    axes.fill_between(cost[:count], least, most, color=colour, alpha=0.12, linewidth=0)


def few_ticks(axes: Axes) -> None:
    """Powers of ten, and 2 and 5 times them where there would be one at most."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axes.get_xlim()
    if axes.get_xscale() == "log":
        axes.xaxis.set_minor_formatter(NullFormatter())
        if high < NARROW * low:
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))


def finish(axes: Axes) -> None:
    """Logarithmic axes, and no more ink than numbers."""
    for scale, values in (
        (axes.set_xscale, [line.get_xdata() for line in axes.lines]),
        (axes.set_yscale, [line.get_ydata() for line in axes.lines]),
    ):
        if any(bool((np.asarray(each) > 0).any()) for each in values):
            scale("log")
    axes.tick_params(labelsize=SMALL)
    axes.grid(color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
