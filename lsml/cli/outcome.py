"""What a command says in the end: tables or JSON, one line for an error, a status."""

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import torch
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lsml.atomic import check_target
from lsml.solution import Solution
from lsml.state import Status

NOT_CONVERGED, BAD_INPUT = 1, 2
SHOWN, WIDE = 20, 200  # rows of a table, columns of a file


@contextmanager
def bad_input_exits() -> Iterator[None]:
    """An error that the user can mend becomes one line on stderr and status 2."""
    try:
        yield
    except (ValueError, OSError, ImportError, MemoryError) as error:
        text = str(error)
        if isinstance(error, OSError) and error.strerror:
            text = f"{error.filename}: {error.strerror}"
        line = " ".join(text.split()) or type(error).__name__
        typer.echo(f"lsml: {line}", err=True)
        raise typer.Exit(BAD_INPUT) from None


def check_free(path: Path, overwrite: bool) -> None:
    """Refuse, before any work, an output that exists or cannot be written.

    Raises
    ------
    ValueError
        Which, and the remedy.
    """
    if path.exists() and not overwrite:
        raise ValueError(f"{path} exists already; --overwrite replaces it")
    check_target(path)


def exit_unless_solved(solutions: Mapping[str, Solution]) -> None:
    """Status 1 and a line with advice for the first sample that failed, if any did."""
    for name, solution in solutions.items():
        for sample, code in enumerate(solution.status.tolist()):
            if Status(code).failed:
                _not_converged(f"{name}sample {sample}", solution, sample)


def _not_converged(name: str, solution: Solution, sample: int) -> NoReturn:
    status = Status(int(solution.status[sample]))
    typer.echo(
        f"lsml: {name}: {status.name} after {int(solution.iterations[sample])} "
        f"iterations at error {float(solution.error[sample]):.1e}: {status.advice}",
        err=True,
    )
    raise typer.Exit(NOT_CONVERGED)


def numbers(tensor: torch.Tensor) -> object:
    """Nested lists; what JSON has no number for becomes null."""

    def finite(value: object) -> object:
        if isinstance(value, list):
            return [finite(v) for v in value]
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return value

    return finite(tensor.detach().cpu().tolist())


def print_json(values: Mapping[str, object]) -> None:
    """One object on stdout."""
    typer.echo(json.dumps(values, indent=2))


def print_table(
    title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """A table on stdout; as wide as it needs to be where that is not a terminal."""
    console = Console() if sys.stdout.isatty() else Console(width=WIDE)
    table = Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD
    )
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows[:SHOWN]:
        table.add_row(*row)
    if len(rows) > SHOWN:
        table.caption = f"and {len(rows) - SHOWN} more"
    console.print(table)
