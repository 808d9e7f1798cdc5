"""How the values of a field are spread, phase by phase."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Integer

from lsml.plot.colours import MEDIUM, SMALL
from lsml.plot.convergence import COLOURS, DASHES
from lsml.plot.figure import Figure, new_figure, save_figure

BINS = 60
EQUAL = 1e-9  # of the largest value, up to which all count as one
MOST = len(COLOURS)  # phases that can be told apart


def plot_distribution(
    field: Float[np.ndarray, "..."],
    labels: Integer[np.ndarray, "..."],
    path: str | Path | None = None,
    *,
    title: str = "",
    unit: str = "",
) -> Figure:
    """A step curve for each phase: the share of its volume per bin of the values.

    Parameters
    ----------
    field : real numbers, one per voxel.
    labels : phase of each voxel; the seven largest are drawn.
    path : where to write the picture, in the format of its extension.
    title, unit : of the values.

    Raises
    ------
    ValueError, OSError
        Another number of voxels, no finite value, or the file cannot be written.
    ImportError
        matplotlib is missing; the message names the extra.
    """
    finite = np.isfinite(field)
    if field.shape != labels.shape or not finite.any():
        raise ValueError(
            f"values {field.shape} and labels {labels.shape} must be of the same "
            "voxels, with a finite value"
        )
    figure = new_figure(5.0, 3.2)
    axes = figure.subplots()
    bins = np.linspace(*_ends(field[finite]), BINS + 1)
    for i, phase in enumerate(_largest(labels)):
        inside = field[finite & (labels == phase)]
        share = np.histogram(inside, bins)[0] / max(1, len(inside))
        axes.stairs(
            share,
            bins,
            color=COLOURS[i],
            linestyle=DASHES[i % len(DASHES)],
            linewidth=1.4,
            label=f"phase {phase}",
        )
    axes.set_title(f"{title} ({unit})" if unit else title, fontsize=MEDIUM)
    axes.set_ylabel("share of the phase", fontsize=SMALL)
    axes.ticklabel_format(axis="x", scilimits=(-2, 4), useMathText=True)
    axes.tick_params(labelsize=SMALL)
    axes.xaxis.get_offset_text().set_fontsize(SMALL)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=SMALL, frameon=False)
    if path is not None:
        save_figure(figure, path)
    return figure


def _ends(values: Float[np.ndarray, " k"]) -> tuple[float, float]:
    """Of the bins; apart from each other if the values differ by rounding only."""
    low, high = float(values.min()), float(values.max())
    apart = EQUAL * max(abs(low), abs(high)) or 1.0
    return (low, high) if high - low > apart else (low - apart, high + apart)


def _largest(labels: Integer[np.ndarray, "..."]) -> Sequence[int]:
    """Phases by their number, those with most voxels."""
    phases, counts = np.unique(labels, return_counts=True)
    kept = phases[np.argsort(-counts, kind="stable")[:MOST]]
    return [int(phase) for phase in np.sort(kept)]
