"""Images in rows: planes beside each other that share their colours and one bar."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Integer, Num

from lsml.plot.figure import Axes, Figure, new_figure
from lsml.plot.panels import MEDIUM, OUTLIERS, SMALL

DIFFERENCE = "coolwarm"  # the colours that are centred at 0
LEAST, MOST = 0.4, 2.5  # height over width of an image that figures adapt to
GREYS = 0.25, 0.95  # of the softest and the stiffest phase


def images(
    columns: int, rows: int, shape: Sequence[int], width: float, beside: float
) -> Figure:
    """A figure for rows of images, as close as their decorations let them.

    Parameters
    ----------
    shape : voxels of an image.
    width, beside : of an image and of what stands on the right, in inches.
    """
    height = width * min(max(shape[1] / shape[0], LEAST), MOST)
    figure = new_figure(columns * width + beside, rows * (height + 0.35) + 0.6)
    figure.set_layout_engine("compressed")
    return figure


def draw_phases(axes: Axes, plane: Integer[np.ndarray, "x y"], stiffest: int) -> Any:
    """Greys that mean the same in all panels, and the keys of a legend."""
    from matplotlib import colormaps
    from matplotlib.patches import Patch

    greys = colormaps["Greys"]
    soft, stiff = GREYS
    shades = soft + (stiff - soft) * plane / max(stiffest, 1)
    _show(axes, shades, cmap=greys, vmin=0.0, vmax=1.0)
    named = {"soft": soft, "stiff": stiff}
    return [Patch(facecolor=greys(v), edgecolor="0.3", label=n)
            for n, v in named.items()]  # fmt: skip


def draw_row(
    panels: Iterable[Axes], planes: Mapping[str, Float[np.ndarray, "x y"]], colours: str
) -> None:
    """Fields beside each other, with the same colours and one bar for them.

    Half a percent of the voxels at either end is not resolved.
    """
    row, values = list(panels), np.stack(list(planes.values()))
    finite = values[np.isfinite(values)] if np.isfinite(values).any() else np.ones(1)
    low, high = np.percentile(finite, [OUTLIERS, 100 - OUTLIERS])
    if colours == DIFFERENCE:
        high = max(abs(low), abs(high))
        low = -high
    if not high - low > 1e-9 * max(abs(low), abs(high)):
        low, high = low - 0.1, high + 0.1
    below, above = bool((values < low).any()), bool((values > high).any())
    extend = ("neither", "min", "max", "both")[below + 2 * above]
    for axes, (title, plane) in zip(row, planes.items(), strict=True):
        shown = _show(axes, plane, cmap=colours, vmin=low, vmax=high)
        axes.set_title(title, fontsize=MEDIUM if len(planes) < 3 else SMALL + 1)
    bar = row[0].figure.colorbar(
        shown, ax=row, extend=extend, shrink=0.8, pad=0.02, aspect=22
    )
    bar.ax.tick_params(labelsize=SMALL)


def _show(axes: Axes, plane: Num[np.ndarray, "x y"], **options: Any) -> Any:
    """Voxels as squares, the first axis horizontal; ticks at the outside only."""
    from matplotlib.ticker import MaxNLocator

    extent = (0, plane.shape[0], 0, plane.shape[1])
    shown = axes.imshow(
        plane.T, origin="lower", extent=extent, interpolation="nearest", **options
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xlabel("$x_1$", fontsize=SMALL, labelpad=2)
    axes.set_ylabel("$x_2$", fontsize=SMALL, labelpad=2)
    axes.tick_params(labelsize=SMALL)
    axes.label_outer()
    return shown
