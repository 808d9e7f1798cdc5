"""How errors fall with the iterations, a curve for each rule."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from lsml.io.solved import Answer, array
from lsml.plot.colours import MEDIUM, SMALL
from lsml.plot.figure import Axes, Figure, kept, new_figure

# Okabe & Ito (2008): distinct for all kinds of colour vision; dashes serve print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
RESIDUAL = "certified residual, relative"

Curve = Float[np.ndarray, " k"]


def plot_convergence(
    curves: Mapping[str, Curve],
    path: str | Path | None = None,
    *,
    quantity: str = RESIDUAL,
    tol: float | None = None,
) -> Figure:
    """One panel with a named curve for each rule, iteration 0 first.

    Parameters
    ----------
    tol : marked by a line.
    """
    figure = new_figure(5.0, 3.6)
    axes = figure.subplots()
    draw_convergence(axes, curves, quantity, tol)
    return kept(figure, path)


def curve(solution: Answer, sample: int) -> Curve:
    """Residual of one sample, from the start to where it ended."""
    last = int(solution.iterations[sample])
    values: Curve = array(solution.history[sample, : last + 1])
    return values


def draw_convergence(
    axes: Axes,
    curves: Mapping[str, Curve],
    quantity: str = RESIDUAL,
    tol: float | None = None,
) -> None:
    """Curves on a logarithmic axis; what is exactly 0 is not drawn."""
    from matplotlib.ticker import MaxNLocator

    for i, (name, values) in enumerate(curves.items()):
        axes.plot(
            np.where(values > 0, values, np.nan),
            color=COLOURS[i % len(COLOURS)],
            linestyle=DASHES[i % len(DASHES)],
            linewidth=1.6,
            marker="o" if len(values) < 4 else None,
            markersize=3,
            label=name,
        )
    if any(bool((values > 0).any()) for values in curves.values()):
        axes.set_yscale("log")
    else:
        note = axes.text(0.5, 0.5, "exact from the start", transform=axes.transAxes)
        note.set(horizontalalignment="center", fontsize=MEDIUM)
        axes.set_yticks([])
    if tol is not None:
        axes.axhline(tol, color="0.5", linewidth=0.8, zorder=0, label="tolerance")
    axes.set_xlim(0, max([1, *(len(values) - 1 for values in curves.values())]))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("iteration", fontsize=SMALL)
    axes.set_title(quantity, fontsize=MEDIUM)
    axes.tick_params(labelsize=SMALL)
    axes.grid(color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if any(curves):  # a curve without a name needs no legend
        axes.legend(fontsize=SMALL, frameon=False)
