"""Results as HDF5 files that any HDF5 tool reads.

Layout, attributes and provenance are those of :mod:`lsml.io.content`, one dataset for
each array, at the root or in a group for each of several solutions.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from lsml.atomic import replacing
from lsml.io.content import CONVENTIONS as CONVENTIONS
from lsml.io.content import Content, content
from lsml.io.new_file import new_file
from lsml.io.saved import PROVENANCE
from lsml.io.solved import Answer
from lsml.state import Status

SMALL = 4096  # numbers below which compression does not pay


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

    Raises
    ------
    ValueError, OSError
        As :func:`write_solution`.
    """
    with replacing(path) as temporary, new_file(temporary) as (file, _):
        if job is not None:
            file.attrs["job"] = job
        for name, each in contents.items():
            _put(file.require_group(name) if name else file, each)
    return Path(path)


def _put(group: h5py.Group, held: Content) -> None:
    for name, value in held.attributes.items():
        group.attrs[name] = list(value) if isinstance(value, tuple) else value
    for name, values in held.arrays.items():
        create(group, name, values)
    for name, components in held.components.items():
        group[name].attrs["components"] = list(components)
    group["status"].attrs["codes"] = [f"{s.value} {s.name}" for s in Status]
    for name, text in held.provenance.items():
        group[f"{PROVENANCE}/{name}"] = np.array(text, h5py.string_dtype())


def create(group: h5py.Group, name: str, values: NDArray[Any]) -> None:
    """A dataset, packed if it is large."""
    packing = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    options = packing if values.size > SMALL else {}
    group.create_dataset(name, data=values, **options)
