"""Solutions as files: the format is that of the extension."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from lsml.atomic import check_target
from lsml.io.archive import write_json, write_npz
from lsml.io.content import Content, content
from lsml.io.hdf5 import write_contents, write_solution
from lsml.io.solved import Answer
from lsml.io.vtk import import_pyvista, write_vti
from lsml.io.xdmf import write_xdmf
from lsml.plot.figure import figure_type
from lsml.plot.solution import plot_solution


class Writer(NamedTuple):
    """How a format is written, and what it needs.

    Attributes
    ----------
    ready : raises an ImportError if a package is missing.
    """

    write: Callable[[Answer, Path], object]
    ready: Callable[[], object] = lambda: None


WRITERS: Mapping[str, Writer] = {
    ".h5": Writer(write_solution),
    ".hdf5": Writer(write_solution),
    ".xdmf": Writer(write_xdmf),
    ".vti": Writer(write_vti, import_pyvista),
    ".npz": Writer(lambda solution, path: write_npz(content(solution), path)),
    ".json": Writer(lambda solution, path: write_json(content(solution), path)),
    ".png": Writer(plot_solution, figure_type),
}
CONTENTS: Mapping[str, Callable[[Content, Path], object]] = {
    ".h5": lambda held, path: write_contents({"": held}, path),
    ".hdf5": lambda held, path: write_contents({"": held}, path),
    ".npz": write_npz,
    ".json": write_json,
}


def check_extension(path: str | Path, known: Iterable[str]) -> str:
    """The extension of a path that can be written, if it is one of the known.

    Raises
    ------
    ValueError
        It is not, or no file can be put there.
    """
    target, names = check_target(path), list(known)
    suffix = target.suffix.lower()
    if suffix not in names:
        raise ValueError(
            f"{target} has the extension {target.suffix!r}; expected one of "
            f"{', '.join(names)}"
        )
    return suffix


def writer_of(path: str | Path) -> Writer:
    """The writer for the extension of a path, once it is known to be able to write.

    Raises
    ------
    ValueError
        Another extension, or no file can be put there.
    ImportError
        A package is missing; the message names the extra.
    """
    writer = WRITERS[check_extension(path, WRITERS)]
    writer.ready()
    return writer


def save_content(held: Content, path: str | Path) -> Path:
    """Write what is no solution, in the format of the extension.

    Raises
    ------
    ValueError, OSError
        As :func:`save`.
    """
    CONTENTS[check_extension(path, CONTENTS)](held, Path(path))
    return Path(path)


def save(solution: Answer, path: str | Path) -> Path:
    """Write a solution in the format of the extension.

    ===============  ================================================================
    .h5, .hdf5       everything, as :mod:`lsml.io.content` says
    .xdmf            the same in an .h5 beside it, with what ParaView reads
    .vti             fields of the first sample, an image of VTK
    .npz             the arrays of the HDF5 file
    .json            its numbers, without fields
    .png             slices of the first sample
    ===============  ================================================================

    Raises
    ------
    ValueError, OSError
        Another extension, or the file cannot be written; what was there before is
        untouched.
    ImportError
        A package is missing; the message names the extra.
    """
    writer_of(path).write(solution, Path(path))
    return Path(path)
