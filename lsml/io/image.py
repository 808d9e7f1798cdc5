"""What a file of labels holds, and which of its arrays is meant."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Integer
from numpy.typing import NDArray

from lsml.brief import brief

Labels: TypeAlias = Integer[np.ndarray, "..."] | Bool[np.ndarray, "..."]
Kind: TypeAlias = tuple[np.dtype, tuple[int, ...]]
Kinds: TypeAlias = Mapping[str, Kind]

ROOM = 170  # characters for the arrays that an error names
NAMED = 24  # characters of a type or shape


@dataclass(frozen=True)
class Image:
    """Labels with what the file says of the cell they fill.

    Attributes
    ----------
    labels : (*n), or (b, *n) in a batch; the first spatial axis is x, along which
        component 1 acts.
    spacing : voxel edges along x, y(, z) in the file's unit; None if it has none.
    origin : corner of the first voxel in that unit; None if the file has none.
    dataset : name of the array inside the file, "" where there is only one.
    layout : whose layout it is, in words.
    batch : whether the first axis of the labels counts samples.
    n : voxels of the whole cell along its first axis, of which these may be some.
    """

    labels: Labels
    spacing: tuple[float, ...] | None = None
    origin: tuple[float, ...] | None = None
    dataset: str = ""
    layout: str = ""
    batch: bool = False
    n: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return self.labels.shape[1:] if self.batch else self.labels.shape


class Found(NamedTuple):
    """What a reader takes from a file, before anybody looks at the numbers.

    Attributes are those of :class:`Image`.
    """

    labels: NDArray[Any]
    spacing: tuple[float, ...] | None = None
    origin: tuple[float, ...] | None = None
    dataset: str = ""
    layout: str = ""
    batch: bool = False
    n: int = 0

    def image(self, wanted: "Wanted") -> Image:
        """The same as labels; only the rows wanted, if the reader read all of them.

        Raises
        ------
        ValueError
            No integers, or no voxels.
        """
        file, labels = wanted.file, self.labels
        if labels.dtype.kind not in "iub":
            raise ValueError(
                f"{file} holds {labels.dtype} numbers; expected integer or bool labels"
            )
        if not self.n and 0 not in labels.shape:
            return self._cut(wanted).image(wanted)
        if 0 in labels.shape:
            raise ValueError(
                f"{file} holds an image of shape {labels.shape}: no voxels"
            )
        # VTK and TIFF say long long where NumPy has int64: the same by another name.
        return Image(*self._replace(labels=labels.view(labels.dtype.str)))

    def _cut(self, wanted: "Wanted") -> "Found":
        axes = self.labels.ndim - 1 if self.batch else wanted.axes
        index, n = wanted.part(self.labels.shape, axes)
        return self._replace(labels=self.labels[index], n=n)


class Raw(NamedTuple):
    """How the bytes of a file without a header are to be read.

    Attributes
    ----------
    shape : voxels along x, y(, z).
    dtype : of one label.
    order : ``"C"`` if the last axis runs fastest, ``"F"`` if the first, x, does.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    order: Literal["C", "F"] = "C"


def every(cell: tuple[int, ...]) -> slice:
    """All rows of a cell."""
    return slice(0, cell[0])


class Wanted(NamedTuple):
    """A file, what the user says of it, and the rows of the first axis to be read.

    Attributes
    ----------
    axes : of the cell, if they are known; else all, but 3 of 4.
    rows : of a cell of so many voxels.
    """

    file: Path
    dataset: str | None = None
    raw: Raw | None = None
    axes: int | None = None
    rows: Callable[[tuple[int, ...]], slice] = every

    def part(
        self, shape: tuple[int, ...], axes: int | None = None
    ) -> tuple[tuple[slice, ...], int]:
        """The rows in an array (*n) or (b, *n), and how many there are in all."""
        if not shape:
            return (), 1
        lead = len(shape) - min(axes or self.axes or 3, len(shape))
        rows = self.rows(shape[lead:])
        whole = [slice(None)] * len(shape)
        whole[lead] = rows
        return tuple(whole), shape[lead]


def choose(
    file: Path,
    kinds: Kinds,
    dataset: str | None,
    images: Sequence[str],
    preferred: Sequence[str] = (),
) -> str:
    """The array asked for, or the only one that can be a label image.

    Parameters
    ----------
    kinds : type and shape of every array of the file, by name.
    dataset : the name asked for, or its last part where that is unique.
    images : names of those that can be label images.
    preferred : names that are taken before others.

    Raises
    ------
    ValueError
        No such array, none that is an image, or several.
    """
    if dataset is not None:
        return _named(file, kinds, dataset, images)
    for name in preferred:
        if name in images:
            return name
    if not images:
        raise ValueError(
            f"{file} has no integer dataset with 2 to 4 axes; it has {listed(kinds)}"
        )
    if len(images) > 1:
        several = {name: kinds[name] for name in images}
        raise ValueError(
            f"{file} has {len(images)} integer datasets, name one of them as dataset: "
            f"{listed(several)}"
        )
    return images[0]


def _named(file: Path, kinds: Kinds, dataset: str, images: Sequence[str]) -> str:
    """By its whole name, its last part, or the group that has one image."""
    name = dataset.strip("/")
    if name in kinds:
        return name
    ends = [known for known in kinds if known.rpartition("/")[2] == name]
    inside = [known for known in images if known.startswith(f"{name}/")]
    for found in (ends, inside):
        if len(found) == 1:
            return found[0]
    wanted = brief(repr(dataset))
    raise ValueError(f"{file} has no dataset {wanted}; it has {listed(kinds)}")


def image_like(kind: Kind) -> bool:
    """Whether an array may be a label image or a batch of them."""
    dtype, shape = kind
    return dtype.kind in "iub" and 2 <= len(shape) <= 4


def listed(kinds: Kinds) -> str:
    """Names, types and shapes: the first, and more while there is room."""
    shown: list[str] = []
    for name, kind in kinds.items():
        dtype, shape = (brief(word, NAMED) for word in kind)
        text = f"{brief(name)} ({dtype} {shape})"
        if shown and len(", ".join([*shown, text])) > ROOM:
            return ", ".join([*shown, f"{len(kinds) - len(shown)} more"])
        shown.append(text)
    return ", ".join(shown) or "none at all"


def unreadable(file: Path, what: str, error: object) -> ValueError:
    """A file that is not what it says, in one sentence."""
    return ValueError(f"{file} is not a readable {what} ({brief(error)})")
