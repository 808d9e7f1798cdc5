"""Pictures of learned rules: figures 4 to 10 of Kelly & Kalidindi (2021).

Strains are those of the component of the load, over its mean. What stands in one row
has one colour bar, that of a difference is centred at 0, and of a 3-D image the slice
with the greatest error is shown.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Integer, Num

from lsml.learned.evaluation import Evaluation
from lsml.learned.journal import Row
from lsml.plot.colours import DIFFERENCE, MEDIUM, SMALL
from lsml.plot.convergence import COLOURS, DASHES
from lsml.plot.figure import Axes, Figure, kept, new_figure, plain
from lsml.plot.panels import FIELD_COLOURS
from lsml.plot.planes import middle
from lsml.plot.rows import draw_phases, draw_row, images

STRAIN = r"$\varepsilon / \bar\varepsilon$"
COLUMNS, PASSES, BINS = 4, 8, 40  # at most
LEGEND = {"ncols": 2, "fontsize": SMALL, "frameon": False}


def plot_learning(
    curves: Mapping[str, Sequence[Row]], path: str | Path | None = None
) -> Figure:
    """Loss and validation error per epoch, a curve for each run (figure 5)."""
    tested = {
        name: [row for row in rows if row.validation is not None]
        for name, rows in curves.items()
    }
    shown = [("training loss", curves, "loss")]
    if any(tested.values()):
        shown.append(("validation MASE, %", tested, "validation"))
    figure = new_figure(4.5 * len(shown), 3.4)
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, (label, runs, quantity) in zip(panels, shown, strict=True):
        for i, (name, rows) in enumerate(runs.items()):
            axes.plot(
                [row.epoch + 1 for row in rows],
                [getattr(row, quantity) for row in rows],
                color=COLOURS[i % len(COLOURS)],
                linestyle=DASHES[i % len(DASHES)],
                marker="o" if len(rows) < 4 else None,
                markersize=3,
                label=_plain(name),
            )
        _axes_of_epochs(axes, label)
    panels[-1].legend(fontsize=SMALL, frameon=False)
    return kept(figure, path)


def plot_errors(
    evaluations: Mapping[str, Evaluation], path: str | Path | None = None
) -> Figure:
    """Histogram of the MASE over the microstructures, per rule (figure 6)."""
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(6.0, 3.4)
    axes = figure.subplots()
    errors = [each.mase.numpy() for each in evaluations.values()]
    finite = [e[np.isfinite(e)] for e in errors]
    largest = max([float(e.max()) for e in finite if len(e)] or [0.0]) or 1.0
    count = min(BINS, 8 + len(errors[0]) // 2)
    bins = np.linspace(0, 1.02 * largest, count + 1).tolist()
    for i, (name, evaluation) in enumerate(evaluations.items()):
        axes.hist(
            finite[i],
            bins,
            histtype="step",
            color=COLOURS[i % len(COLOURS)],
            linestyle=DASHES[i % len(DASHES)],
            linewidth=1.5,
            label=f"{_plain(name)}: {evaluation.mean:.2f} ± {evaluation.std:.2f} %",
        )
    axes.set_xlim(0, 1.02 * bins[-1])
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("MASE, %", fontsize=SMALL)
    axes.set_ylabel("microstructures", fontsize=SMALL)
    axes.tick_params(labelsize=SMALL)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", **LEGEND)
    return kept(figure, path)


def plot_prediction(
    labels: Integer[np.ndarray, "*n"],
    predicted: Float[np.ndarray, "*n"],
    true: Float[np.ndarray, "*n"],
    path: str | Path | None = None,
) -> Figure:
    """Microstructure, truth, prediction and error of one sample (figure 7)."""
    figure = images(4, 1, labels.shape, 2.6, 2.0)
    phases, *panels = figure.subplots(1, 4)
    where, k = _worst(predicted - true)
    handles = draw_phases(phases, _slice(labels, k), int(labels.max()))
    figure.legend(handles=handles, loc="outside lower left", **LEGEND)
    phases.set_title(f"microstructure{where}", fontsize=MEDIUM)
    fields = {f"{STRAIN}, solved": true, f"{STRAIN}, predicted": predicted}
    error = {"difference": predicted - true}
    draw_row(panels[:2], _slices(fields, k), FIELD_COLOURS["strain"])
    draw_row(panels[2:], _slices(error, k), DIFFERENCE)
    return kept(figure, path)


def plot_iterates(
    labels: Integer[np.ndarray, "*n"],
    iterates: Float[np.ndarray, "k *n"],
    true: Float[np.ndarray, "*n"],
    path: str | Path | None = None,
) -> Figure:
    """Iterates, their increments and their errors, pass by pass (figures 8 to 10).

    The first iterate is an increment to the uniform field. Of many passes some are
    left out; means are those of magnitudes over all voxels.
    """
    count = len(iterates)
    passes = np.linspace(0, count - 1, min(count, PASSES)).round().astype(int)
    before = np.concatenate([np.ones_like(true)[None], iterates[:-1]])
    where, k = _worst(iterates[-1] - true)
    figure = images(len(passes) + 1, 3, labels.shape, 2.2, 0.8)
    panels = figure.subplots(3, len(passes) + 1, squeeze=False)
    fields = {"solved": true} | {f"pass {p + 1}": iterates[p] for p in passes}
    steps = {p: iterates[p] - before[p] for p in passes}
    errors = {p: iterates[p] - true for p in passes}
    increments = {f"increment {p + 1}: {_percent(v)}": v for p, v in steps.items()}
    differences = {f"error {p + 1}: {_percent(v)}": v for p, v in errors.items()}
    draw_row(panels[0], _slices(fields, k), FIELD_COLOURS["strain"])
    handles = draw_phases(panels[1, 0], _slice(labels, k), int(labels.max()))
    panels[1, 0].set_title(f"microstructure{where}", fontsize=SMALL + 1)
    panels[2, 0].legend(handles=handles, loc="upper center", **LEGEND)
    panels[2, 0].set_axis_off()
    draw_row(panels[1, 1:], _slices(increments, k), DIFFERENCE)
    draw_row(panels[2, 1:], _slices(differences, k), DIFFERENCE)
    return kept(figure, path)


def plot_microstructures(
    labels: Integer[np.ndarray, "s *n"], path: str | Path | None = None
) -> Figure:
    """The middle slice of several microstructures (figure 4)."""
    columns = min(COLUMNS, len(labels))
    rows = -(-len(labels) // columns)
    figure = images(columns, rows, labels.shape[1:], 2.4, 0.0)
    panels = figure.subplots(rows, columns, squeeze=False)
    stiffest = max(int(labels.max()), 1)
    for axes, image in zip(panels.flat, labels, strict=False):
        handles = draw_phases(axes, middle(image), stiffest)
        share = float((image == stiffest).mean())
        axes.set_title(f"{100 * share:.0f} % stiff", fontsize=MEDIUM)
        axes.set(xticks=[], yticks=[], xlabel="", ylabel="")
    for axes in panels.flat[len(labels) :]:
        axes.set_axis_off()
    figure.legend(handles=handles, loc="outside lower center", **LEGEND)
    return kept(figure, path)


def _axes_of_epochs(axes: Axes, label: str) -> None:
    """Whole epochs; logarithmic where the values span a power of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    values = np.concatenate([line.get_ydata() for line in axes.lines])
    if values.min() > 0 and values.max() > 10 * values.min():
        axes.set_yscale("log")
        narrow = values.max() < 1e3 * values.min()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch", fontsize=SMALL)
    axes.set_ylabel(label, fontsize=SMALL)
    axes.tick_params(labelsize=SMALL)
    axes.grid(color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _worst(error: Float[np.ndarray, "*n"]) -> tuple[str, int]:
    """The slice with the greatest error, in words and by number."""
    if error.ndim == 2:
        return "", 0
    k = int(np.abs(error).mean((0, 1)).argmax())
    return f"\n$x_3$ = {k + 0.5:g}", k


def _slice(field: Num[np.ndarray, "*n"], k: int) -> Num[np.ndarray, "x y"]:
    return field if field.ndim == 2 else field[:, :, k]


def _slices(
    fields: Mapping[str, Float[np.ndarray, "*n"]], k: int
) -> dict[str, Float[np.ndarray, "x y"]]:
    return {title: _slice(field, k) for title, field in fields.items()}


def _percent(difference: Float[np.ndarray, "*n"]) -> str:
    return f"{100 * float(np.abs(difference).mean()):.2g} %"


def _plain(name: str) -> str:
    """Shown as it is: no formula, and not hidden from the legend."""
    return plain(name).lstrip("_") or "run"
