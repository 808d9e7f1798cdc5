"""``lsml solve``: strain and stress inside a label image."""

from pathlib import Path
from typing import Annotated

import typer

import lsml.api
from lsml.cli import complete
from lsml.cli.images import RawBytes, labelled
from lsml.cli.interrupt import interrupts
from lsml.cli.options import (
    Contrast,
    Dataset,
    Device,
    File,
    Files,
    Json,
    MaxIter,
    Overwrite,
    Rule,
    Spacing,
    problem_options,
    weights_by_name,
)
from lsml.cli.outcome import (
    exit_unless_solved,
    numbers,
    print_json,
    print_table,
)
from lsml.cli.outputs import Out, check_solution_out, save_solution, written
from lsml.cli.screen import say
from lsml.cli.start import start_from
from lsml.cli.team import team
from lsml.inputs import as_problem
from lsml.mandel import names
from lsml.solution import Solution
from lsml.state import Status


def solve(  # noqa: PLR0913 (the command's options)
    file: File,
    rule: Rule = "cg",
    contrast: Contrast = 10.0,
    discretization: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="fourier, rotated, hex8 (quad4 in 2-D), hex8-bbar, …",
            show_default="rotated; hex8-bbar for learned rules",
            autocompletion=complete.discretization,
        ),
    ] = None,
    weights: Files = None,
    tol: Annotated[float, typer.Option(help="Certified relative residual.")] = 1e-6,
    max_iter: MaxIter = 1000,
    dataset: Dataset = None,
    out: Out = None,
    start: Annotated[
        Path | None, typer.Option(help="Go on from this result of lsml solve.")
    ] = None,
    spacing: Spacing = None,
    raw: RawBytes = None,
    device: Device = None,
    as_json: Json = False,
    overwrite: Overwrite = False,
) -> None:
    """Strain and stress in FILE under the mean strain ε11 = 1e-3.

    Exit status 0 solved, 1 not converged, 2 bad input, 130 stopped by Ctrl-C, with
    what is done saved.
    """
    with team().agreed():
        check_solution_out(out, overwrite)
    given = weights_by_name(weights)
    options = problem_options(contrast, discretization, spacing, device)
    labels, options = labelled(file, dataset, raw, options)
    x0 = None
    if start is not None:
        x0 = start_from(start, as_problem(labels, options, rule))
    with interrupts() as interrupt:
        solution = lsml.api.solve(
            labels,
            rule,
            weights=given,
            tol=tol,
            max_iter=max_iter,
            x0=x0,
            progress=True,
            observe=interrupt,
            throw=False,
            **options,
        )
        if out is not None:
            save_solution(solution, out)
    if as_json:
        print_json(summary(solution, out))
    else:
        _tell(solution, out)
    exit_unless_solved({"": solution})


def summary(solution: Solution, out: Path | None) -> dict[str, object]:
    """What a program wants to know."""
    return {
        "status": [Status(code).name for code in solution.status.tolist()],
        "iterations": numbers(solution.iterations),
        "error": numbers(solution.error),
        "error_bound": numbers(solution.error_bound),
        "components": names(solution.form.grid.ndim),
        "mean_strain": numbers(solution.mean_strain),
        "mean_stress": numbers(solution.mean_stress),
        "energy": numbers(solution.energy),
        "seconds": dict(solution.timings),
        "out": None if out is None else str(out),
    }


def _tell(solution: Solution, out: Path | None) -> None:
    samples = range(len(solution.status))
    columns = (solution.error, solution.error_bound, solution.energy)
    seconds = solution.timings["setup"] + solution.timings["solve"]
    print_table(
        f"{solution.rule}, {seconds:.2f} s",
        ["sample", "status", "iterations", "certified error", "error bound", "energy"],
        [
            [
                str(i),
                Status(int(solution.status[i])).name,
                str(int(solution.iterations[i])),
                *(f"{float(column[i]):.3g}" for column in columns),
            ]
            for i in samples
        ],
    )
    print_table(
        "Mean stress (Mandel) of each sample",
        ["#", *names(solution.form.grid.ndim)],
        [
            [str(i), *(f"{s:.4g}" for s in solution.mean_stress[i].tolist())]
            for i in samples
        ],
    )
    kept = "fields not kept; --out result.h5 keeps them"
    say(kept if out is None else f"{', '.join(map(str, written(out)))}: the result")
