"""Fields beside each other, in rows and columns that share their colours."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Num
from numpy.typing import NDArray

from lsml.plot.colours import FIELD, MEDIUM, Scale, draw_bar, scale_of
from lsml.plot.figure import Axes, Figure, kept, plain
from lsml.plot.given import edges, one_shape, place, real_image
from lsml.plot.planes import draw_plane
from lsml.plot.rows import images, outside

BAR = 1.0  # inches
WIDTH = 2.6  # of a panel

Planes = Mapping[str, Mapping[str, Float[np.ndarray, "x y"]]]


def plot_grid(
    fields: Mapping[str, Mapping[str, Num[np.ndarray, "..."]]],
    spacing: Sequence[float],
    path: str | Path | None = None,
    *,
    unit: str = "",
    at: Sequence[int] | None = None,
    shared: str = "row",
) -> Figure:
    """Fields in rows and columns, on the plane normal to the third axis.

    Parameters
    ----------
    fields : by row and column, real fields (*n) of one shape.
    spacing, path, unit : as in :func:`lsml.plot.plot_slices`.
    at : voxel that the plane goes through, the middle one if None.
    shared : what has the same colours and one bar: each ``"row"``, or the whole
        ``"grid"``.

    Raises
    ------
    ValueError, OSError, ImportError
        As `plot_slices`; also fields that are complex or of several shapes, rows with
        other columns than the first one.
    """
    found = {
        row: {name: real_image(field, f"{row}, {name}") for name, field in each.items()}
        for row, each in fields.items()
    }
    columns = _columns(found)
    shape = one_shape([field for each in found.values() for field in each.values()])
    lengths, voxel = edges(spacing, len(shape)), place(at, shape)
    planes = {
        row: {name: plane_at(each[name], voxel) for name in columns}
        for row, each in found.items()
    }
    size = [n * h for n, h in zip(shape, lengths, strict=True)]
    figure = images(len(columns), len(planes), size, WIDTH, BAR)
    panels = figure.subplots(len(planes), len(columns), squeeze=False)
    try:
        drawing = SHARED[shared]
    except KeyError:
        known = " or ".join(repr(name) for name in SHARED)
        raise ValueError(f"shared = {shared!r} must be {known}") from None
    drawing(panels, planes, lengths, unit)
    _name(panels, planes, where(voxel, lengths))
    return kept(figure, path)


def plane_at(
    field: Float[np.ndarray, "..."], voxel: Sequence[int]
) -> Float[np.ndarray, "x y"]:
    """The plane of the first two axes through a voxel."""
    return field if field.ndim == 2 else field[:, :, voxel[2]]


def where(voxel: Sequence[int], spacing: Sequence[float]) -> str:
    """The place of that plane, in words; none of a 2-D image."""
    if len(voxel) == 2:
        return ""
    return f"$x_3$ = {(voxel[2] + 0.5) * spacing[2]:.4g}"


def draw_shared(
    panels: Sequence[Axes],
    planes: Sequence[Float[np.ndarray, "x y"]],
    spacing: Sequence[float],
    scale: Scale,
    colours: str = FIELD,
) -> Any:
    """Planes with the same colours; the last one's image, for a bar."""
    for axes, plane in zip(panels, planes, strict=True):
        drawn = draw_plane(axes, plane, spacing, colours=scale.of(colours))
        outside(axes)
    return drawn


def _by_row(
    panels: NDArray[Any], planes: Planes, spacing: tuple[float, ...], unit: str
) -> None:
    for line, each in zip(panels, planes.values(), strict=True):
        _by_grid(line[None], {"": each}, spacing, unit)


def _by_grid(
    panels: NDArray[Any], planes: Planes, spacing: tuple[float, ...], unit: str
) -> None:
    row = [plane for each in planes.values() for plane in each.values()]
    scale, places = scale_of(np.stack(row)), list(panels.flat)
    draw_bar(places, draw_shared(places, row, spacing, scale), scale, unit)


SHARED: dict[str, Callable[..., None]] = {"row": _by_row, "grid": _by_grid}


def _name(panels: NDArray[Any], planes: Planes, place: str) -> None:
    """Columns above the first row, rows on the left."""
    columns = next(iter(planes.values()))
    for axes, name in zip(panels[0], columns, strict=True):
        axes.set_title(plain(name), fontsize=MEDIUM)
    for axes, name in zip(panels[:, 0], planes, strict=True):
        axes.set_ylabel(f"{plain(name)}\n{axes.get_ylabel()}", fontsize=MEDIUM)
    if place:
        panels[0, 0].figure.suptitle(place, fontsize=MEDIUM)


def _columns(fields: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Names of the columns, which all rows have."""
    names = [list(each) for each in fields.values()]
    if not names or not names[0]:
        raise ValueError("a grid needs at least one row with at least one field")
    for row, each in zip(fields, names, strict=True):
        if set(each) != set(names[0]):
            raise ValueError(
                f"row {row!r} has the fields {each}, the first row {names[0]}"
            )
    return names[0]
