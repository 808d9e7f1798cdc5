"""Results as HDF5 files that any HDF5 tool reads.

Layout, attributes and provenance are those of :mod:`lsml.io.content`, one dataset for
each array, at the root or in a group for each of several solutions.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from math import prod
from pathlib import Path

import h5py
import numpy as np

from lsml.atomic import replacing
from lsml.grid import Grid
from lsml.io.content import CONVENTIONS as CONVENTIONS
from lsml.io.content import Content, content
from lsml.io.content import called as called
from lsml.io.cut import Cut, Stored
from lsml.io.new_file import new_file
from lsml.io.saved import PROVENANCE
from lsml.io.solved import Answer
from lsml.state import Status

SMALL = 4096  # numbers below which compression does not pay
ALONE = Grid((1,), (1.0,))  # of results that one process has


def write_solution(solution: Answer, path: str | Path, job: str | None = None) -> Path:
    """Write one solution to the root of a new file, in the documented layout.

    Parameters
    ----------
    job : name of the run file that reproduces it, kept as the attribute ``job``.

    Raises
    ------
    ValueError, OSError
        The file cannot be written; what was there before is untouched.
    """
    return write_contents({"": content(solution)}, path, job)


def write_solutions(
    solutions: Mapping[str, Answer], path: str | Path, job: str | None = None
) -> Path:
    """Write several solutions, each in the group of its name.

    Raises
    ------
    ValueError, OSError
        As :func:`write_solution`.
    """
    made = {name: content(solution) for name, solution in solutions.items()}
    return write_contents(made, path, job)


def write_contents(
    contents: Mapping[str, Content], path: str | Path, job: str | None = None
) -> Path:
    """Write results, each in the group of its name; "" is the root.

    Of a cell that several processes have, all of them call it, and the first writes.

    Raises
    ------
    ValueError, OSError
        As :func:`write_solution`.
    """
    arrays = [a for each in contents.values() for a in each.arrays.values()]
    cuts = [each for each in arrays if isinstance(each, Cut)]
    grid = cuts[0].grid if cuts else ALONE
    with ExitStack() as files:
        with grid.agreed():
            file = files.enter_context(_started(path)) if grid.first else None
        if file is None:
            for each in cuts:
                deque(each.blocks(), 0)  # sends them to the first process
        else:
            _put_all(file, contents, job)
        with grid.agreed():
            files.close()
    return Path(path)


@contextmanager
def _started(path: str | Path) -> Iterator[h5py.File]:
    """A file that takes its name when it is complete."""
    with replacing(path) as temporary, new_file(temporary) as (file, _):
        yield file


def _put_all(file: h5py.File, contents: Mapping[str, Content], job: str | None) -> None:
    if job is not None:
        file.attrs["job"] = job
    for name, each in contents.items():
        _put(file.require_group(name) if name else file, each)


def _put(group: h5py.Group, held: Content) -> None:
    for name, value in held.attributes.items():
        group.attrs[name] = list(value) if isinstance(value, tuple) else value
    for name, values in held.arrays.items():
        create(group, name, values)
    for name, components in held.components.items():
        group[name].attrs["components"] = list(components)
    if "status" in group:
        group["status"].attrs["codes"] = [f"{s.value} {s.name}" for s in Status]
    for name, text in held.provenance.items():
        group[f"{PROVENANCE}/{name}"] = np.array(text, h5py.string_dtype())


def create(group: h5py.Group, name: str, values: Stored) -> None:
    """A dataset, packed if it is large."""
    packing = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    options = packing if prod(values.shape) > SMALL else {}
    if not isinstance(values, Cut):
        group.create_dataset(name, data=values, **options)
        return
    shape, dtype = values.shape, values.dtype
    made = group.create_dataset(name, shape, dtype, chunks=values.chunks, **options)
    for where, rows in values.blocks():
        made[where] = rows
