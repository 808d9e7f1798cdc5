"""Results that a command is told to write: what is refused, and where they go."""

from pathlib import Path
from typing import Annotated

import typer

from lsml.cli.outcome import check_free
from lsml.io.xdmf import write_xdmf
from lsml.saving import CONTENTS, WRITERS, check_extension, writer_of
from lsml.solution import Solution

BESIDE = {".h5": ".xdmf", ".hdf5": ".xdmf", ".xdmf": ".h5"}  # written with another

Out = Annotated[
    Path | None,
    typer.Option(help=f"Write the result: {' '.join(WRITERS)}. An .h5 with its .xdmf."),
]
TensorOut = Annotated[
    Path | None, typer.Option(help=f"Write the result: {' '.join(CONTENTS)}.")
]


def check_solution_out(out: Path | None, overwrite: bool) -> None:
    """Refuse, before any work, files that exist or cannot be written.

    Raises
    ------
    ValueError, ImportError
        Which, and the remedy.
    """
    if out is None:
        return
    writer_of(out)
    for path in written(out):
        check_free(path, overwrite)


def check_tensor_out(out: Path | None, overwrite: bool) -> None:
    """The same for an effective tensor."""
    if out is not None:
        check_extension(out, CONTENTS)
        check_free(out, overwrite)


def written(out: Path) -> tuple[Path, ...]:
    """Every file that ``save_solution`` writes."""
    beside = BESIDE.get(out.suffix.lower())
    return (out,) if beside is None else (out, out.with_suffix(beside))


def save_solution(solution: Solution, out: Path) -> None:
    """In the format of the extension; an HDF5 file with the `.xdmf` beside it."""
    if out.suffix.lower() in BESIDE:
        write_xdmf(solution, out)
    else:
        solution.save(out)
