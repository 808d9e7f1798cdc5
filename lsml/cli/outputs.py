"""Results that a command is told to write: what is refused, and where they go."""

from pathlib import Path
from typing import Annotated

import typer

from lsml.cli.outcome import check_free
from lsml.cli.team import team
from lsml.io.xdmf import write_xdmf
from lsml.saving import CONTENTS, WRITERS, check_extension, writer_of
from lsml.solution import Solution

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
    check_extension(out, [name for name in WRITERS if name in team().formats])
    writer_of(out)
    for path in written(out):
        check_free(path, overwrite)


def check_tensor_out(out: Path | None, overwrite: bool) -> None:
    """The same for an effective tensor."""
    if out is not None:
        check_extension(out, [name for name in CONTENTS if name in team().formats])
        check_free(out, overwrite)


def written(out: Path) -> tuple[Path, ...]:
    """Every file that ``save_solution`` writes."""
    beside = team().beside.get(out.suffix.lower())
    return (out,) if beside is None else (out, out.with_suffix(beside))


def save_solution(solution: Solution, out: Path) -> None:
    """In the format of the extension; an HDF5 file with the `.xdmf` beside it.

    Of several processes it is the HDF5 file alone.
    """
    if out.suffix.lower() in team().beside:
        write_xdmf(solution, out)
    else:
        solution.save(out)
