"""What callers hand to pictures: arrays, voxel edges and places, looked at first."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np
from jaxtyping import Float, Num


def image(field: Any, most: int = 3) -> Num[np.ndarray, "..."]:
    """Numbers on one to ``most`` axes; true and false are 1 and 0.

    Raises
    ------
    ValueError
        No numbers, none at all, or another number of axes.
    """
    values = np.asarray(field)
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if values.dtype.kind not in "iufc":
        raise ValueError(f"a field must hold numbers, got {values.dtype}")
    if not 1 <= values.ndim <= most or values.size == 0:
        axes = "1 axis" if most == 1 else f"1 to {most} axes"
        raise ValueError(
            f"a field to be shown has {axes} and at least one voxel, got the shape "
            f"{values.shape}; choose sample and component first"
        )
    return values


def real_image(field: Any, name: str) -> Float[np.ndarray, "..."]:
    """The same of a field that must be real, on 2 or 3 axes.

    Raises
    ------
    ValueError
        As :func:`image`, or it is complex or a line.
    """
    values = image(field)
    if np.iscomplexobj(values):
        raise ValueError(f"{name} is complex; show its .real, .imag or abs()")
    if values.ndim == 1:
        raise ValueError(f"{name} has one axis only; maps need 2 or 3")
    return values.astype(float)


def one_shape(fields: Sequence[Num[np.ndarray, "..."]]) -> tuple[int, ...]:
    """The shape that all of them have.

    Raises
    ------
    ValueError
        They have several.
    """
    shapes = list(dict.fromkeys(field.shape for field in fields))
    if len(shapes) > 1:
        raise ValueError(f"fields beside each other have one shape, got {shapes}")
    return shapes[0]


def edges(spacing: Sequence[float], ndim: int) -> tuple[float, ...]:
    """Voxel edges, one for each axis.

    Raises
    ------
    ValueError
        Another number of them, or one that is not positive.
    """
    found = tuple(float(h) for h in spacing)
    if len(found) != ndim or not all(isfinite(h) and h > 0 for h in found):
        raise ValueError(
            f"spacing = {found} must be {ndim} positive lengths, one for each axis"
        )
    return found


def place(at: Sequence[int] | None, shape: Sequence[int]) -> tuple[int, ...]:
    """Voxel that planes go through, the middle one if none is given.

    Raises
    ------
    ValueError
        It is not in the image.
    """
    if at is None:
        return tuple(n // 2 for n in shape)
    found = tuple(int(k) for k in at)
    inside = all(0 <= k < n for k, n in zip(found, shape, strict=False))
    if len(found) != len(shape) or not inside:
        raise ValueError(
            f"at = {found} is no voxel of an image of {tuple(shape)} voxels, which are "
            "counted from 0"
        )
    return found
