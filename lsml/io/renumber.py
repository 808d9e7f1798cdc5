"""Labels of any numbers as phases 0, 1, … in the order of the numbers."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Integer
from numpy.typing import NDArray

from lsml.io.image import Labels

Pool: TypeAlias = Callable[[NDArray[Any]], NDArray[Any]]
DENSE = 2**24  # numbers between the extreme labels up to which counting beats sorting


def alone(numbers: NDArray[Any]) -> NDArray[Any]:
    """What occurs, where nobody has more."""
    return numbers


class Phases(NamedTuple):
    """Phase k of the labels was ``values[k]`` in the file and has ``counts[k]`` voxels.

    Attributes
    ----------
    labels : 0 to p − 1, of the shape given.
    values : in rising order.
    counts : voxels, in all samples, of these labels.
    """

    labels: Integer[np.ndarray, "..."]
    values: Integer[np.ndarray, " p"]
    counts: Integer[np.ndarray, " p"]


def renumbered(labels: Labels) -> Phases:
    """Numbers 0 to p − 1 instead of those that occur, and how often each does."""
    plain = labels.astype(np.uint8) if labels.dtype.kind == "b" else labels
    low, high = int(plain.min()), int(plain.max())
    if high - low >= DENSE:
        values, place, counts = np.unique(
            plain, return_inverse=True, return_counts=True
        )
        numbers = place.reshape(labels.shape).astype(_smallest(len(values)))
        return Phases(numbers, values, counts)
    shifted = np.subtract(plain, low, dtype=_wide(plain), casting="unsafe")
    shifted = shifted.astype(np.intp)
    voxels = np.bincount(shifted.ravel())
    present = np.flatnonzero(voxels)
    table = np.zeros(len(voxels), _smallest(len(present)))
    table[present] = np.arange(len(present))
    values = np.array([low + int(k) for k in present], plain.dtype)
    return Phases(table[shifted], values, voxels[present])


def _wide(labels: Labels) -> type[np.integer[Any]]:
    return np.uint64 if labels.dtype.kind == "u" else np.int64


def _smallest(phases: int) -> type[np.integer[Any]]:
    return np.uint8 if phases <= 256 else np.int32


def fitting(labels: Labels, phases: int, pool: Pool = alone) -> Phases:
    """Labels for that many phases: as they are if they fit, else renumbered.

    Parameters
    ----------
    pool : of numbers that occur here, all that occur anywhere, in rising order.

    Raises
    ------
    ValueError
        More labels than phases.
    """
    ends = pool(np.array([labels.min(), labels.max()]))
    low, high = int(ends[0]), int(ends[-1])
    if low >= 0 and high < phases:
        counts = np.bincount(labels.ravel().astype(np.intp), minlength=phases)
        return Phases(labels.astype(_smallest(phases)), np.arange(phases), counts)
    here = renumbered(labels)
    values = pool(here.values)
    place, counts = np.searchsorted(values, here.values), np.zeros(len(values), int)
    counts[place] = here.counts
    if len(values) > phases:
        raise ValueError(
            f"labels contain {high} but only {phases} phases are given, for labels 0 "
            f"to {phases - 1}: the image has {len(values)} different labels"
        )
    return Phases(place.astype(_smallest(len(values)))[here.labels], values, counts)
