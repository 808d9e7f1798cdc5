"""``lsml compare``: rules on a label image, by error, seconds and operations."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.markup import escape

import lsml.comparison
from lsml.cli.images import RawBytes, labelled
from lsml.cli.learned_checks import plain_errors
from lsml.cli.options import (
    Contrast,
    Dataset,
    Discretization,
    File,
    Json,
    MaxIter,
    Overwrite,
    Spacing,
    problem_options,
)
from lsml.cli.outcome import (
    bad_input_exits,
    check_free,
    exit_unless_solved,
    print_json,
    print_table,
)
from lsml.comparison import Comparison
from lsml.comparison.compare import LabelOptions
from lsml.comparison.report import sections
from lsml.inputs import LABELLED
from lsml.plot.figure import figure_type
from lsml.solution import ConvergenceError


def compare(  # noqa: PLR0913 (the command's options)
    file: File,
    rules: Annotated[
        str, typer.Option(help="Names between commas, such as moulinec,cg,rln-t.")
    ] = "moulinec,cg",
    weights: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="Of a learned rule; repeatable."),
    ] = None,
    reference: Annotated[
        str, typer.Option(help="Rule that makes the converged solution.")
    ] = "cg",
    contrast: Contrast = 10.0,
    discretization: Discretization = LABELLED,
    tol: Annotated[float, typer.Option(help="Certified residual of all.")] = 1e-8,
    max_iter: MaxIter = 1000,
    goals: Annotated[
        str, typer.Option(help="Errors for which costs are told.")
    ] = "1e-1,1e-2,1e-3,1e-6",
    repeats: Annotated[int, typer.Option(help="Timed solves of each rule.")] = 3,
    dataset: Dataset = None,
    spacing: Spacing = None,
    raw: RawBytes = None,
    out: Annotated[
        Path | None, typer.Option(help="Write everything to this .json.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw errors against what they cost.")
    ] = None,
    as_json: Json = False,
    overwrite: Overwrite = False,
) -> None:
    """What it takes each rule to solve FILE under the mean strain ε11 = 1e-3.

    Exit status 0 compared, 1 the reference did not converge, 2 bad input.
    """
    with bad_input_exits(), plain_errors(), unsolved_exits(reference):
        check_outputs(out, plot, overwrite)
        options = problem_options(contrast, discretization, spacing)
        labels, options = labelled(file, dataset, raw, options)
        found = lsml.comparison.compare(
            labels,
            listed(rules),
            weights=paths(weights or []),
            reference=reference,
            tol=tol,
            max_iter=max_iter,
            goals=errors(goals),
            repeats=repeats,
            **cast(LabelOptions, options),
        )
        text = found.to_json(out)
        if plot is not None:
            found.plot(plot)
    if as_json:
        print_json(json.loads(text))
    else:
        tell(found, [path for path in (out, plot) if path is not None])


@contextmanager
def unsolved_exits(reference: str) -> Iterator[None]:
    """Status 1 and a line with advice if there is nothing to compare with."""
    try:
        yield
    except ConvergenceError as error:
        exit_unless_solved({f"reference {reference}, ": error.solution})


def check_outputs(out: Path | None, plot: Path | None, overwrite: bool) -> None:
    """Refuse files that cannot be written, before any work."""
    for path in (out, plot):
        if path is not None:
            check_free(path, overwrite)
    if plot is not None:
        figure_type()


def tell(found: Comparison, written: Sequence[Path]) -> None:
    """Tables, and the files that have more."""
    for title, heads, rows in sections(found):
        print_table(title, heads, [[escape(cell) for cell in row] for row in rows])
    for path in written:
        typer.echo(str(path))


def listed(rules: str) -> Sequence[str]:
    """Names between commas."""
    return [name.strip() for name in rules.split(",") if name.strip()]


def paths(weights: Sequence[str]) -> Mapping[str, str]:
    """NAME=FILE, by name.

    Raises
    ------
    ValueError
        Something else.
    """
    found = {}
    for each in weights:
        name, equals, path = each.partition("=")
        if not (name and equals and path):
            raise ValueError(f"--weights {each!r} must be NAME=FILE")
        found[name] = path
    return found


def errors(goals: str) -> Sequence[float]:
    """Numbers between commas.

    Raises
    ------
    ValueError
        Something else.
    """
    try:
        return [float(goal) for goal in goals.split(",")]
    except ValueError:
        raise ValueError(
            f"--goals {goals!r} must be numbers between commas, such as 1e-1,1e-3"
        ) from None
