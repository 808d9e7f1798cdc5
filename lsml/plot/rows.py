"""Images in rows: planes beside each other that share their colours and one bar."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Integer

from lsml.plot.colours import (
    DIFFERENCE,
    MEDIUM,
    SMALL,
    Scale,
    centred_scale,
    draw_bar,
    scale_of,
)
from lsml.plot.figure import Axes, Figure, new_figure
from lsml.plot.panels import OUTLIERS
from lsml.plot.planes import draw_plane

SCALES = {DIFFERENCE: centred_scale}
LEAST, MOST = 0.4, 2.5  # height over width of an image that figures adapt to
GREYS = 0.25, 0.95  # of the softest and the stiffest phase


def images(
    columns: int, rows: int, shape: Sequence[float], width: float, beside: float
) -> Figure:
    """A figure for rows of images, as close as their decorations let them.

    Parameters
    ----------
    shape : voxels of an image, or lengths of its edges.
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
    draw_plane(axes, shades, colours=Scale(0.0, 1.0, "neither").of("Greys"))
    outside(axes)
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
    scale = SCALES.get(colours, scale_of)(values, OUTLIERS)
    for axes, (title, plane) in zip(row, planes.items(), strict=True):
        drawn = draw_plane(axes, plane, colours=scale.of(colours))
        outside(axes)
        axes.set_title(title, fontsize=MEDIUM if len(planes) < 3 else SMALL + 1)
    draw_bar(row, drawn, scale)


def outside(axes: Axes) -> None:
    """Few ticks, whole numbers, and only at the outside of a grid of panels."""
    from matplotlib.ticker import MaxNLocator

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4, integer=True))
    axes.label_outer()
