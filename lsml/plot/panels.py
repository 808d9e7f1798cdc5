"""One picture each: the phases and a field on the middle slice of an image."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Integer

from lsml.plot.colours import FIELD, MEDIUM, SMALL, Scale, draw_bar, scale_of
from lsml.plot.figure import Axes
from lsml.plot.planes import draw_plane, middle

FIELD_COLOURS = {"strain": FIELD, "stress": "inferno"}
FEW = 8  # phases that have a name of their own below the picture
OUTLIERS = 0.5  # percent at either end that the colours do not resolve


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
    drawn = draw_plane(
        axes, middle(labels), spacing, colours={"cmap": greys, "norm": norm}
    )
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
        draw_bar([axes], drawn, Scale(low, high, "neither"))
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
    """One component; the colour bar counts in the power of ten named beside it."""
    plane = middle(field)
    scale = scale_of(plane, OUTLIERS)
    drawn = draw_plane(axes, plane, spacing, colours=scale.of(colours))
    draw_bar([axes], drawn, scale)
    axes.set_title(title, fontsize=MEDIUM)


def draw_line(
    axes: Axes,
    field: Float[np.ndarray, " n"],
    spacing: float,
    title: str,
    along: int = 0,
) -> None:
    """One component on a line, at the centres of its voxels."""
    axes.plot((np.arange(len(field)) + 0.5) * spacing, field)
    axes.set_xlabel(f"$x_{along + 1}$", fontsize=SMALL, labelpad=1)
    axes.tick_params(labelsize=SMALL)
    axes.set_title(title, fontsize=MEDIUM)
