"""Orthogonal slices of a field."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Num

from lsml.io.solved import real_parts
from lsml.plot.colours import FIELD, MEDIUM, Scale, draw_bar, scale_of
from lsml.plot.figure import Axes, Figure, kept, new_figure
from lsml.plot.given import edges, image, place
from lsml.plot.panels import draw_line
from lsml.plot.planes import Cut, cuts, draw_plane

HEIGHT, NARROWEST, WIDEST = 3.0, 0.4, 2.5  # of a panel: inches, width over height
BAR = 1.3  # inches
LINE: Mapping[str, Any] = {"color": "white", "linewidth": 0.9, "linestyle": (0, (4, 3))}
UNDER: Mapping[str, Any] = {"color": "black", "linewidth": 0.9, "alpha": 0.7}


def plot_slices(
    field: Num[np.ndarray, "..."],
    spacing: Sequence[float],
    path: str | Path | None = None,
    *,
    title: str = "",
    unit: str = "",
    at: Sequence[int] | None = None,
) -> Figure:
    """The planes through a voxel, normal to each axis; dashes mark the other planes.

    All have the same colours, from the least to the greatest number on them. Voxels
    have their proportions. A 2-D field is one plane, one with a single axis longer than
    a voxel a curve; a complex one has a row for its real part and one for its imaginary
    part. Voxels without a finite number are grey.

    Parameters
    ----------
    field : (*n), one number per voxel.
    spacing : voxel edges, one for each axis.
    path : where to write the picture, in the format of its extension.
    title : what is shown.
    unit : of the numbers, written beside the colour bar.
    at : voxel that the planes go through, counted from 0; the middle one if None.

    Raises
    ------
    ValueError, OSError
        No such voxel, not one to three axes, a spacing that is not positive, or the
        file cannot be written.
    ImportError
        matplotlib is missing; the message names the extra.
    """
    values = image(field)
    lengths, voxel = edges(spacing, values.ndim), place(at, values.shape)
    parts = real_parts("", values)
    if sum(n > 1 for n in values.shape) == 1:
        return kept(_lines(parts, lengths, title, unit), path)
    if values.ndim == 1:
        parts = {name: part[:, None] for name, part in parts.items()}
        lengths, voxel = (*lengths, lengths[0]), (*voxel, 0)
    rows = {name: cuts(part, lengths, voxel) for name, part in parts.items()}
    widths = [_width(cut) for cut in next(iter(rows.values()))]
    figure = new_figure(sum(widths) + BAR, (HEIGHT + 0.6) * len(rows))
    figure.set_layout_engine("compressed")
    panels = figure.subplots(len(rows), len(widths), squeeze=False, width_ratios=widths)
    for row, (part, planes) in zip(panels, rows.items(), strict=True):
        scale = scale_of(np.concatenate([cut.plane.ravel() for cut in planes]))
        _draw_row(list(row), planes, scale, unit)
        if part:
            row[0].set_ylabel(f"{part.strip()}\n{row[0].get_ylabel()}", fontsize=MEDIUM)
    if title:
        figure.suptitle(title, fontsize=MEDIUM)
    return kept(figure, path)


def _draw_row(panels: list[Axes], planes: list[Cut], scale: Scale, unit: str) -> None:
    for axes, cut in zip(panels, planes, strict=True):
        drawn = draw_plane(
            axes, cut.plane, cut.spacing, cut.axes, colours=scale.of(FIELD)
        )
        axes.set_title(cut.title, fontsize=MEDIUM)
        if len(planes) > 1:
            for style in (UNDER, LINE):
                axes.axvline(cut.lines[0], **style)
                axes.axhline(cut.lines[1], **style)
    draw_bar(panels, drawn, scale, unit)


def _lines(
    parts: dict[str, Num[np.ndarray, "..."]],
    spacing: tuple[float, ...],
    title: str,
    unit: str,
) -> Figure:
    """A curve along the one axis that is longer than a voxel."""
    figure = new_figure(5.0, 2.8 * len(parts))
    panels = figure.subplots(len(parts), 1, squeeze=False)[:, 0]
    for axes, (part, values) in zip(panels, parts.items(), strict=True):
        (along,) = (k for k, n in enumerate(values.shape) if n > 1)
        draw_line(axes, values.ravel(), spacing[along], f"{part}{title}", along)
        axes.set_ylabel(unit)
    return figure


def _width(cut: Cut) -> float:
    m, n = cut.size
    return HEIGHT * min(max(m / n, NARROWEST), WIDEST)
