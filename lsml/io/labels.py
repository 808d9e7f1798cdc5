"""Label images from `.npy`, `.npz` and HDF5 files."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import h5py
import numpy as np
from jaxtyping import Bool, Integer

Labels: TypeAlias = Integer[np.ndarray, "..."] | Bool[np.ndarray, "..."]
Kinds: TypeAlias = Mapping[str, tuple[np.dtype, tuple[int, ...]]]

UNREADABLE = (ValueError, OSError, EOFError, MemoryError, zipfile.BadZipFile, KeyError)


def read_labels(path: str | Path, dataset: str | None = None) -> Labels:
    """Phase of each voxel, (*n) or (b, *n), as stored: axes are neither moved nor cut.

    Parameters
    ----------
    path : `.npy`, `.npz`, `.h5` or `.hdf5`. Nothing in it is executed or unpickled.
    dataset : name of the array inside `.npz` or HDF5; None takes the only integer array
        with 2 to 4 axes.

    Raises
    ------
    ValueError
        Unknown extension, a file that is not what its extension says, no or several
        label images, or numbers that are not integers.
    FileNotFoundError
        No such file.
    """
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(f"{file} does not exist")
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        raise ValueError(
            f"{file} has the extension {file.suffix!r}; expected one of "
            f"{', '.join(READERS)}"
        )
    if file.is_dir():
        raise ValueError(f"{file} is a folder; expected a file")
    labels = reader(file, dataset)
    if labels.dtype.kind not in "iub":
        raise ValueError(
            f"{file} holds {labels.dtype} numbers; expected integer or bool labels"
        )
    return labels


def _npy(file: Path, dataset: str | None) -> np.ndarray:
    if dataset is not None:
        raise ValueError(
            f"{file} is a single array; dataset={dataset!r} is for .npz and .h5 files"
        )
    try:
        with file.open("rb") as stream:
            labels: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
    except UNREADABLE as error:
        raise _unreadable(file, "NumPy array", error) from None
    return labels


def _npz(file: Path, dataset: str | None) -> np.ndarray:
    with file.open("rb") as stream:  # NumPy leaves it open where the file is broken
        try:
            archive = np.load(stream, allow_pickle=False)
        except UNREADABLE as error:
            raise _unreadable(file, "NumPy archive", error) from None
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError(f"{file} is not a readable NumPy archive (a bare array)")
        kinds = {name: _kind(archive, name) for name in archive.files}
        name = _choose(file, kinds, dataset)
        try:
            labels: np.ndarray = archive[name]
        except UNREADABLE as error:
            raise _unreadable(file, "NumPy archive", error) from None
    return labels


def _kind(
    archive: "np.lib.npyio.NpzFile", name: str
) -> tuple[np.dtype, tuple[int, ...]]:
    """Of one array; an object array is listed but not read."""
    try:
        array = archive[name]
    except UNREADABLE:
        return np.dtype(object), ()
    return array.dtype, array.shape


def _hdf5(file: Path, dataset: str | None) -> np.ndarray:
    kinds: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}

    def note(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            kinds[name] = (item.dtype, item.shape)

    try:
        opened = h5py.File(file, "r")
    except UNREADABLE as error:
        raise _unreadable(file, "HDF5 file", error) from None
    with opened as archive:
        archive.visititems(note)
        if dataset is not None:
            dataset = dataset.strip("/")
        name = _choose(file, kinds, dataset)
        try:
            labels: np.ndarray = archive[name][()]
        except UNREADABLE as error:
            raise _unreadable(file, "HDF5 file", error) from None
    return labels


def _choose(file: Path, kinds: Kinds, dataset: str | None) -> str:
    """The array asked for, or the only one that can be a label image."""
    if dataset is not None:
        if dataset not in kinds:
            raise ValueError(
                f"{file} has no dataset {dataset!r}; it has {_listed(kinds)}"
            )
        return dataset
    images = [
        name
        for name, (dtype, shape) in kinds.items()
        if dtype.kind in "iub" and 2 <= len(shape) <= 4
    ]
    if not images:
        raise ValueError(
            f"{file} has no integer dataset with 2 to 4 axes; it has {_listed(kinds)}"
        )
    if len(images) > 1:
        several = {name: kinds[name] for name in images}
        raise ValueError(
            f"{file} has {len(images)} integer datasets, name one of them as dataset: "
            f"{_listed(several)}"
        )
    return images[0]


def _listed(kinds: Kinds) -> str:
    """Names, types and shapes; at most ten."""
    shown = [f"{name} ({t} {shape})" for name, (t, shape) in list(kinds.items())[:10]]
    more = [f"{len(kinds) - 10} more"] if len(kinds) > 10 else []
    return ", ".join(shown + more) or "none at all"


def _unreadable(file: Path, what: str, error: BaseException) -> ValueError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ValueError(f"{file} is not a readable {what} ({reason})")


READERS: Mapping[str, Callable[[Path, str | None], np.ndarray]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
}
