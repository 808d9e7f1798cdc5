"""Pictures of learned rules: figures 4 to 10 of Kelly & Kalidindi (2021).

Fields are those of the component of the load, over its mean; slices are the middle
ones of the third axis.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Integer

from lsml.learned.evaluation import Evaluation
from lsml.learned.journal import Row
from lsml.plot.convergence import COLOURS, DASHES
from lsml.plot.figure import Figure, new_figure, save_figure
from lsml.plot.panels import MEDIUM, SMALL, draw_field, draw_phases

Fields = Float[np.ndarray, "k *n"]
STRAIN = r"$\varepsilon / \bar\varepsilon$"


def plot_learning(
    curves: Mapping[str, Sequence[Row]], path: str | Path | None = None
) -> Figure:
    """Loss and validation error per epoch, a curve for each run (figure 5)."""
    figure = new_figure(9.0, 3.4)
    loss, error = figure.subplots(1, 2)
    for i, (name, rows) in enumerate(curves.items()):
        style = {
            "color": COLOURS[i % len(COLOURS)],
            "linestyle": DASHES[i % len(DASHES)],
        }
        epochs = [row.epoch + 1 for row in rows]
        loss.semilogy(epochs, [row.loss for row in rows], label=name, **style)
        tested = [(r.epoch + 1, r.validation) for r in rows if r.validation is not None]
        if tested:
            error.semilogy(*zip(*tested, strict=True), label=name, **style)
    for axes, label in ((loss, "training loss"), (error, "validation MASE, %")):
        axes.set_xlabel("epoch", fontsize=SMALL)
        axes.set_ylabel(label, fontsize=SMALL)
        axes.tick_params(labelsize=SMALL)
        axes.grid(alpha=0.3)
    loss.legend(fontsize=SMALL, frameon=False)
    return _kept(figure, path)


def plot_errors(
    evaluations: Mapping[str, Evaluation], path: str | Path | None = None
) -> Figure:
    """Histogram of the MASE over the microstructures, per rule (figure 6)."""
    figure = new_figure(6.0, 3.4)
    axes = figure.subplots()
    largest = max(float(e.mase.max()) for e in evaluations.values())
    bins = np.linspace(0, 1.02 * largest, 41)
    for i, (name, evaluation) in enumerate(evaluations.items()):
        axes.hist(
            evaluation.mase.numpy(),
            bins.tolist(),
            histtype="step",
            color=COLOURS[i % len(COLOURS)],
            linestyle=DASHES[i % len(DASHES)],
            linewidth=1.5,
            label=f"{name}: {evaluation.mean:.2f} ± {evaluation.std:.2f} %",
        )
    axes.set_xlabel("MASE, %", fontsize=SMALL)
    axes.set_ylabel("microstructures", fontsize=SMALL)
    axes.tick_params(labelsize=SMALL)
    axes.legend(fontsize=SMALL, frameon=False)
    return _kept(figure, path)


def plot_prediction(
    labels: Integer[np.ndarray, "*n"],
    predicted: Float[np.ndarray, "*n"],
    true: Float[np.ndarray, "*n"],
    path: str | Path | None = None,
) -> Figure:
    """Microstructure, truth, prediction and error of one sample (figure 7)."""
    figure = new_figure(14.0, 3.2)
    phases, first, second, third = figure.subplots(1, 4)
    unit = (1.0,) * labels.ndim
    draw_phases(phases, labels, unit)
    draw_field(first, true, unit, f"{STRAIN}, solved", "viridis")
    draw_field(second, predicted, unit, f"{STRAIN}, predicted", "viridis")
    draw_field(third, predicted - true, unit, "difference", "coolwarm")
    return _kept(figure, path)


def plot_iterates(
    iterates: Fields,
    true: Float[np.ndarray, "*n"],
    path: str | Path | None = None,
) -> Figure:
    """Iterates, their increments and their errors, pass by pass (figures 8 to 10)."""
    passes = len(iterates)
    figure = new_figure(2.9 * passes, 8.0)
    panels = figure.subplots(3, passes, squeeze=False)
    unit, last = (1.0,) * true.ndim, np.ones_like(true)
    for k, field in enumerate(iterates):
        draw_field(panels[0, k], field, unit, f"pass {k + 1}", "viridis")
        draw_field(panels[1, k], field - last, unit, "increment", "coolwarm")
        draw_field(panels[2, k], field - true, unit, "error", "coolwarm")
        last = field
    return _kept(figure, path)


def plot_microstructures(
    labels: Integer[np.ndarray, "s *n"], path: str | Path | None = None
) -> Figure:
    """The middle slice of several microstructures (figure 4)."""
    columns = min(4, len(labels))
    rows = -(-len(labels) // columns)
    figure = new_figure(3.0 * columns, 3.2 * rows)
    panels = figure.subplots(rows, columns, squeeze=False)
    for i, axes in enumerate(panels.flat):
        if i < len(labels):
            draw_phases(axes, labels[i], (1.0,) * (labels.ndim - 1))
            stiff = float((labels[i] == labels[i].max()).mean())
            axes.set_title(f"{100 * stiff:.0f} % stiff", fontsize=MEDIUM)
        else:
            axes.set_axis_off()
    return _kept(figure, path)


def _kept(figure: Figure, path: str | Path | None) -> Figure:
    if path is not None:
        save_figure(figure, path)
    return figure
