"""What a command says in the end: tables or JSON, and a status if it is not solved."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lsml.cli.errors import BAD_INPUT as BAD_INPUT
from lsml.cli.errors import INTERRUPTED, NOT_CONVERGED, leave
from lsml.cli.errors import bad_input_exits as bad_input_exits
from lsml.cli.errors import check_free as check_free
from lsml.cli.screen import say
from lsml.solution import Solution
from lsml.state import Status

SHOWN, WIDE = 20, 200  # rows of a table, columns of a file


def exit_unless_solved(solutions: Mapping[str, Solution]) -> None:
    """A line with advice for the first sample that failed, if any did.

    Status 130 if one was interrupted, else 1.
    """
    failed = [
        (name, solution, sample)
        for name, solution in solutions.items()
        for sample, code in enumerate(solution.status.tolist())
        if Status(code).failed
    ]
    failed.sort(key=lambda each: each[1].status[each[2]] != Status.INTERRUPTED)
    if failed:
        _not_converged(*failed[0])


def _not_converged(name: str, solution: Solution, sample: int) -> NoReturn:
    status = Status(int(solution.status[sample]))
    leave(
        f"{name}sample {sample}: {status.name} after "
        f"{int(solution.iterations[sample])} iterations at error "
        f"{float(solution.error[sample]):.1e}: {status.advice}",
        INTERRUPTED if status is Status.INTERRUPTED else NOT_CONVERGED,
    )


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
    say(json.dumps(values, indent=2))


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
