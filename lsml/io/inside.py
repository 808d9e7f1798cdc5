"""HDF5 as far as a file holds it itself, and one sentence for all that is wrong in it.

A file can name others: by an external link, by a soft link through one, by an array
that is put together from them, or by one whose numbers are their bytes. A file from
elsewhere would then say which files of this machine are read. None of it is followed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from lsml.brief import brief
from lsml.io.chunks import check_chunks
from lsml.io.heaps import check_heaps
from lsml.memory import demand

Item: TypeAlias = h5py.Group | h5py.Dataset
Part: TypeAlias = tuple[slice, ...]  # of the first axes

# What h5py makes of damaged files, and what unexpected types make of the code after it.
BROKEN = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    StopIteration,
    TypeError,
    ValueError,
)

REFUSALS = (ValueError, MemoryError)
REASON = 180  # characters


@contextmanager
def opened(path: str | Path) -> Iterator[h5py.File]:
    """The file, to be read; a refusal that begins with its path stays what it is.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        A folder, no HDF5 file, or one that turns out to be damaged.
    """
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(f"{file} does not exist")
    if file.is_dir():
        raise ValueError(f"{file} is a folder; expected a file")
    try:
        check_heaps(file)
        with h5py.File(file, "r") as archive:
            yield archive
    except BROKEN as error:
        if isinstance(error, REFUSALS) and str(error).startswith(str(file)):
            raise
        reason = brief(error, REASON)
        raise ValueError(f"{file} is not a readable HDF5 file ({reason})") from None


def item(group: h5py.Group, name: str) -> Item | None:
    """What has that name, or path, in the file itself; None if nothing has.

    Raises
    ------
    ValueError
        It is a link that may lead elsewhere.
    """
    here: Any = group
    for part in name.split("/"):
        link = here.get(part, getlink=True) if isinstance(here, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise ValueError(
                f"{group.file.filename} has a link to {brief(link.path)} in the place "
                f"of {brief(name)}; links are not followed"
            )
        here = here[part]
    return here if isinstance(here, Item) else None


def numbers(group: h5py.Group, name: str, part: Part = ()) -> NDArray[Any]:
    """Of the array of that name, or of a part of it.

    Raises
    ------
    ValueError
        There is none, or none that the file holds itself.
    """
    found = item(group, name)
    if not isinstance(found, h5py.Dataset):
        raise ValueError(f"{group.file.filename} has no array {brief(name)}")
    return values_of(found, part)


def values_of(dataset: h5py.Dataset, part: Part = ()) -> NDArray[Any]:
    """The numbers of an array, or of a part of it, which is all that is looked at.

    Raises
    ------
    ValueError
        They lie in other files, or some are missing.
    MemoryError
        More than there is room for: a file of a few bytes can hold any number of zeros.
    """
    check_own(dataset)
    what = f"{dataset.file.filename}: {brief(dataset.name)} of shape {dataset.shape}"
    rows = [range(*s.indices(n)) for s, n in zip(part, dataset.shape, strict=False)]
    count = prod([*map(len, rows), *dataset.shape[len(rows) :]])
    demand(count * dataset.dtype.itemsize, torch.device("cpu"), what)
    check_chunks(dataset, rows)
    return np.asarray(dataset[part])


def check_own(dataset: h5py.Dataset) -> None:
    """Refuse an array whose numbers lie in other files.

    Raises
    ------
    ValueError
        They do.
    """
    if dataset.is_virtual or dataset.external:
        raise ValueError(
            f"{dataset.file.filename} keeps the numbers of {brief(dataset.name)} in "
            "other files, which are not read"
        )
