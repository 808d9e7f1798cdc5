"""One picture each: the phases and a field on the middle slice of an image.

The first axis of the array is horizontal, the second vertical, and the slice is the
middle one of the third. Colours are perceptually uniform and survive colour blindness.
"""

from collections.abc import Sequence
from math import floor, log10
from typing import Any

import numpy as np
from jaxtyping import Float, Integer, Num

from lsml.plot.figure import Axes

FIELD_COLOURS = {"strain": "viridis", "stress": "inferno"}
FEW = 8  # phases that have a name of their own below the picture
OUTLIERS = 0.5  # percent at either end that the colours do not resolve
SMALL, MEDIUM = 8, 10  # points


def middle(field: Num[np.ndarray, "..."]) -> Num[np.ndarray, "x y"]:
    """The plane of the first two axes, halfway along the third."""
    return field if field.ndim == 2 else field[:, :, field.shape[2] // 2]


def draw_phases(
    axes: Axes, labels: Integer[np.ndarray, "..."], spacing: Sequence[float]
) -> None:
    """Microstructure in greys, named below it; a colour bar if the phases are many."""
    from matplotlib import colormaps
    from matplotlib.colors import Normalize
    from matplotlib.patches import Patch

    low, high = int(labels.min()), int(labels.max())
    span, greys = max(high - low, 1), colormaps["Greys"]
    norm = Normalize(low - 0.35 * span, high + 0.2 * span)
    shown = _show(axes, middle(labels), spacing, cmap=greys, norm=norm)
    if high - low < FEW:
        names = {h: f"phase {h}" for h in range(low, high + 1)}
        keys = [
            Patch(facecolor=greys(norm(h)), edgecolor="0.3", label=name)
            for h, name in names.items()
        ]
        legend = axes.legend(handles=keys, ncols=4, fontsize=SMALL, frameon=False)
        legend.set_loc("upper center")
        legend.set_bbox_to_anchor((0.5, -0.14))
    else:
        _bar(axes, shown)
    where = ""
    if labels.ndim == 3:
        where = f", slice $x_3$ = {(labels.shape[2] // 2 + 0.5) * spacing[2]:g}"
    axes.set_title(f"microstructure{where}", fontsize=MEDIUM)


def draw_field(
    axes: Axes,
    field: Float[np.ndarray, "..."],
    spacing: Sequence[float],
    title: str,
    colours: str,
) -> None:
    """One component; the colour bar counts in the power of ten named above it."""
    from matplotlib.ticker import FuncFormatter

    plane = middle(field)
    low, high = np.nanpercentile(plane, [OUTLIERS, 100 - OUTLIERS])
    if not high - low > 1e-9 * abs(high):
        low, high = low - 0.1 * abs(low), high + 0.1 * abs(high)
    power = _power(max(abs(low), abs(high)))
    shown = _show(axes, plane, spacing, cmap=colours, vmin=low, vmax=high)
    bar = _bar(axes, shown, _extend(plane, low, high))
    bar.formatter = FuncFormatter(lambda value, _: f"{value / 10**power:.4g}")
    if power:
        bar.ax.set_title(f"×$10^{{{power}}}$", fontsize=SMALL, loc="left")
    axes.set_title(title, fontsize=MEDIUM)


def draw_line(
    axes: Axes, field: Float[np.ndarray, " n"], spacing: float, title: str
) -> None:
    """One component on a line, at the centres of its voxels."""
    axes.plot((np.arange(len(field)) + 0.5) * spacing, field)
    axes.set_xlabel("$x_1$", fontsize=SMALL, labelpad=1)
    axes.tick_params(labelsize=SMALL)
    axes.set_title(title, fontsize=MEDIUM)


def _bar(axes: Axes, shown: Any, extend: str = "neither") -> Any:
    bar = axes.figure.colorbar(
        shown, ax=axes, extend=extend, shrink=0.8, pad=0.02, aspect=22
    )
    bar.ax.tick_params(labelsize=SMALL)
    return bar


def _show(
    axes: Axes, plane: Num[np.ndarray, "x y"], spacing: Sequence[float], **options: Any
) -> Any:
    """Voxels as squares of their size, with the origin in the lower left corner."""
    extent = (0, plane.shape[0] * spacing[0], 0, plane.shape[1] * spacing[1])
    shown = axes.imshow(
        plane.T, origin="lower", extent=extent, interpolation="nearest", **options
    )
    axes.set_xlabel("$x_1$", fontsize=SMALL, labelpad=1)
    axes.set_ylabel("$x_2$", fontsize=SMALL, labelpad=1)
    axes.tick_params(labelsize=SMALL)
    return shown


def _extend(plane: Float[np.ndarray, "x y"], low: float, high: float) -> str:
    below, above = bool((plane < low).any()), bool((plane > high).any())
    return {
        (False, False): "neither",
        (True, False): "min",
        (False, True): "max",
        (True, True): "both",
    }[below, above]


def _power(size: float) -> int:
    """Of ten, a multiple of three, by which numbers of this size are divided."""
    if not np.isfinite(size) or size == 0 or 0.1 <= size < 1e4:
        return 0
    return 3 * floor(log10(size) / 3)
