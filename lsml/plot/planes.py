"""Planes of an image: which are cut out of it, and voxels as rectangles in true shape.

Of the two axes of a plane the first is horizontal, the second vertical, and the origin
is in the lower left corner.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Num

from lsml.plot.colours import NOTHING, SMALL
from lsml.plot.figure import Axes

Colouring: TypeAlias = Mapping[str, Any]

CUTS = {2: ((0, 1),), 3: ((0, 1), (0, 2), (1, 2))}  # axes in the planes shown


class Cut(NamedTuple):
    """One plane of an image.

    Attributes
    ----------
    axes : the two in the plane, from 0.
    normal : the third, None in 2-D.
    plane : the numbers (m, n).
    spacing : of the two axes.
    lines : where the other two planes cross it, along either axis.
    where : its own position along the normal.
    """

    axes: tuple[int, int]
    normal: int | None
    plane: Num[np.ndarray, "m n"]
    spacing: tuple[float, float]
    lines: tuple[float, float]
    where: float

    @property
    def size(self) -> tuple[float, float]:
        """Length of its edges."""
        (m, n), (a, b) = self.plane.shape, self.spacing
        return m * a, n * b

    @property
    def title(self) -> str:
        """Where it is."""
        if self.normal is None:
            return ""
        return f"$x_{self.normal + 1}$ = {self.where:.4g}"


def middle(field: Num[np.ndarray, "..."]) -> Num[np.ndarray, "x y"]:
    """The plane of the first two axes, halfway along the third."""
    return field if field.ndim == 2 else field[:, :, field.shape[2] // 2]


def cuts(
    field: Num[np.ndarray, "..."], spacing: Sequence[float], at: Sequence[int]
) -> list[Cut]:
    """The orthogonal planes through a voxel, of 2-D and 3-D images.

    Planes that are one voxel thin are left out if others are not.
    """
    centre = [(k + 0.5) * h for k, h in zip(at, spacing, strict=True)]
    found = []
    for a, b in CUTS[field.ndim]:
        rest = [k for k in range(field.ndim) if k not in (a, b)]
        normal = rest[0] if rest else None
        plane = field if normal is None else field.take(at[normal], normal)
        lines = (centre[a], centre[b])
        where = 0.0 if normal is None else centre[normal]
        found.append(Cut((a, b), normal, plane, (spacing[a], spacing[b]), lines, where))
    return [cut for cut in found if min(cut.plane.shape) > 1] or found[:1]


def draw_plane(
    axes: Axes,
    plane: Num[np.ndarray, "m n"],
    spacing: Sequence[float] = (1.0, 1.0),
    names: Sequence[int] = (0, 1),
    *,
    colours: Colouring,
) -> Any:
    """Voxels in their shape; those without a finite number are grey.

    ``colours`` are a colour map and its ends, as Matplotlib takes them.
    """
    extent = (0, plane.shape[0] * spacing[0], 0, plane.shape[1] * spacing[1])
    masked = plane if np.isfinite(plane).all() else np.ma.masked_invalid(plane)
    axes.set_facecolor(NOTHING)
    shown = axes.imshow(
        masked.T, origin="lower", extent=extent, interpolation="nearest", **colours
    )
    axes.set_xlabel(f"$x_{names[0] + 1}$", fontsize=SMALL, labelpad=1)
    axes.set_ylabel(f"$x_{names[1] + 1}$", fontsize=SMALL, labelpad=1)
    axes.tick_params(labelsize=SMALL)
    return shown
