"""Arrays without a geometry: NumPy's `.npy` and `.npz`, and raw bytes."""

from math import prod
from pathlib import Path

import numpy as np

from lsml.brief import brief
from lsml.io.image import Found, Kind, Raw, Wanted, choose, image_like, unreadable

EDGES = ("spacing", "origin")  # of lsml's archives


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
    except Exception as error:  # of the parser of Python too
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
        except Exception as error:  # of zip and of the parser of Python too
            raise unreadable(file, "NumPy archive", error) from None
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError(f"{file} is not a readable NumPy archive (a bare array)")
        kinds = {name: _kind(file, archive, name) for name in archive.files}
        images = [name for name, kind in kinds.items() if image_like(kind)]
        name = choose(file, kinds, wanted.dataset, images)
        labels = _array(file, archive, name)
        known = [n for n in EDGES if n in kinds and len(kinds[n][1]) == 1]
        edges = {n: _edges(file, _array(file, archive, n)) for n in known}
    spacing, origin = edges.get("spacing"), edges.get("origin")
    return Found(labels, spacing, origin, name, batch=_is_batch(labels, spacing))


def _edges(file: Path, values: np.ndarray) -> tuple[float, ...]:
    """Numbers beside the labels, as lsml writes them."""
    if values.dtype.kind not in "iuf":
        raise ValueError(
            f"{file} has a spacing or origin of type {brief(values.dtype)}; expected "
            "numbers"
        )
    return tuple(values.astype(float).tolist())


def _is_batch(labels: np.ndarray, spacing: tuple[float, ...] | None) -> bool:
    return spacing is not None and labels.ndim == len(spacing) + 1


def _kind(file: Path, archive: "np.lib.npyio.NpzFile", name: str) -> Kind:
    """Of one array; what cannot be read is listed as an object."""
    try:
        array = _array(file, archive, name)
    except ValueError:
        return np.dtype(object), ()
    return array.dtype, array.shape


def _array(file: Path, archive: "np.lib.npyio.NpzFile", name: str) -> np.ndarray:
    """A member that is an array.

    Raises
    ------
    ValueError
        It is not, or cannot be decoded.
    """
    try:
        array = archive[name]
    except Exception as error:  # decoders and parsers raise more than can be counted
        raise unreadable(file, "NumPy archive", error) from None
    if not isinstance(array, np.ndarray):
        raise unreadable(file, "NumPy archive", f"{name} is no array")
    return array


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
            f"the raw layout {brief(repr(text), 40)} must be 2 or 3 numbers of voxels "
            "and an integer type between commas, then F if x runs fastest, such as "
            "64,64,32,uint8,F"
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
