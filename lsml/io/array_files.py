"""Arrays without a geometry: NumPy's `.npy` and `.npz`, and raw bytes."""

import zipfile
from math import prod
from pathlib import Path

import numpy as np

from lsml.io.image import Found, Kind, Raw, Wanted, choose, image_like, unreadable

UNREADABLE = (ValueError, OSError, EOFError, MemoryError, zipfile.BadZipFile, KeyError)


def read_npy(wanted: Wanted) -> Found:
    """The rows wanted of the array, axes as they are.

    Raises
    ------
    ValueError
        Not a NumPy array, or a dataset is named.
    """
    file = wanted.file
    check_single(wanted)
    try:
        whole = np.lib.format.open_memmap(file, mode="r")
    except UNREADABLE as error:
        raise unreadable(file, "NumPy array", error) from None
    index, n = wanted.part(whole.shape)
    return Found(np.array(whole[index]), n=n)


def check_single(wanted: Wanted) -> None:
    """Refuse a dataset's name where there is only one array.

    Raises
    ------
    ValueError
        There is one.
    """
    if wanted.dataset is not None:
        raise ValueError(
            f"{wanted.file} is a single array; dataset={wanted.dataset!r} is for files "
            "that hold several"
        )


def read_npz(wanted: Wanted) -> Found:
    """The array asked for, or the only label image.

    Raises
    ------
    ValueError
        Not a NumPy archive, no or several images.
    """
    file = wanted.file
    with file.open("rb") as stream:  # NumPy leaves it open where the file is broken
        try:
            archive = np.load(stream, allow_pickle=False)
        except UNREADABLE as error:
            raise unreadable(file, "NumPy archive", error) from None
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError(f"{file} is not a readable NumPy archive (a bare array)")
        kinds = {name: _kind(archive, name) for name in archive.files}
        images = [name for name, kind in kinds.items() if image_like(kind)]
        name = choose(file, kinds, wanted.dataset, images)
        try:
            labels: np.ndarray = archive[name]
        except UNREADABLE as error:
            raise unreadable(file, "NumPy archive", error) from None
        spacing, origin = (_edges(archive, n) for n in ("spacing", "origin"))
    return Found(labels, spacing, origin, name, batch=_is_batch(labels, spacing))


def _edges(archive: "np.lib.npyio.NpzFile", name: str) -> tuple[float, ...] | None:
    """Numbers beside the labels, as lsml writes them."""
    if name not in archive.files or len(_kind(archive, name)[1]) != 1:
        return None
    return tuple(float(h) for h in archive[name])


def _is_batch(labels: np.ndarray, spacing: tuple[float, ...] | None) -> bool:
    return spacing is not None and labels.ndim == len(spacing) + 1


def _kind(archive: "np.lib.npyio.NpzFile", name: str) -> Kind:
    """Of one array; an object array is listed but not read."""
    try:
        array = archive[name]
    except UNREADABLE:
        return np.dtype(object), ()
    return array.dtype, array.shape


def raw_layout(text: str) -> Raw:
    """Shape, type and order written as ``64,64,32,uint8`` or ``64,64,32,<u2,F``.

    Types are NumPy's names; ``<`` and ``>`` are little and big endian.

    Raises
    ------
    ValueError
        Something else.
    """
    fields = [field.strip() for field in text.split(",")]
    first_fastest = fields[-1] == "F"
    fields = fields[:-1] if fields[-1] in ("C", "F") else fields
    try:
        shape, dtype = tuple(int(n) for n in fields[:-1]), np.dtype(fields[-1])
        raw = Raw(shape, dtype, "F" if first_fastest else "C")
    except (TypeError, ValueError, IndexError):
        raw = Raw((), np.dtype(object))
    if (
        len(raw.shape) not in (2, 3)
        or min(raw.shape) < 1
        or raw.dtype.kind not in "iub"
    ):
        raise ValueError(
            f"the raw layout {text!r} must be 2 or 3 numbers of voxels and an integer "
            "type between commas, then F if x runs fastest, such as 64,64,32,uint8,F"
        )
    return raw


def read_raw(wanted: Wanted) -> Found:
    """Bytes without a header.

    Raises
    ------
    ValueError
        Shape and type are not given, or do not make the size of the file.
    """
    file, raw = wanted.file, wanted.raw
    check_single(wanted)
    if raw is None:
        raise ValueError(
            f"{file} has no header: give shape and type, such as --raw "
            "64,64,32,uint8,F where x runs fastest"
        )
    expected, size = prod(raw.shape) * raw.dtype.itemsize, Path(file).stat().st_size
    if expected != size:
        voxels = " × ".join(map(str, raw.shape))
        raise ValueError(
            f"{file} has {size} bytes; {voxels} voxels of {raw.dtype} take {expected}"
        )
    labels = np.fromfile(file, raw.dtype).reshape(raw.shape, order=raw.order)
    return Found(labels, layout="raw bytes")
