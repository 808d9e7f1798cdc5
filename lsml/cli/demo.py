"""``lsml demo``: three rules on one microstructure at several contrasts."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from jaxtyping import Shaped

import lsml.api
from lsml.cli.options import Dataset, Json, Overwrite
from lsml.cli.outcome import (
    check_free,
    exit_unless_solved,
    print_json,
    print_table,
)
from lsml.cli.screen import say
from lsml.data import microstructures
from lsml.io.hdf5 import write_solutions
from lsml.io.labels import read_labels
from lsml.plot.comparison import plot_comparison
from lsml.plot.figure import figure_type
from lsml.solution import Solution
from lsml.state import Status

RULES = {
    "moulinec": "Moulinec",
    "steepest_descent": "steepest descent",
    "cg": "CG",
}
TOL = 1e-6


def demo(  # noqa: PLR0913 (the command's options)
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="Label image instead of a random one."),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for demo.png and demo.h5.")
    ] = Path(),
    size: Annotated[int, typer.Option(help="Voxels along each axis.")] = 31,
    seed: Annotated[int, typer.Option(help="Of the random microstructure.")] = 0,
    contrast: Annotated[
        list[float], typer.Option(help="Stiff over soft; may be given several times.")
    ] = [10.0, 50.0],  # noqa: B006 (typer copies it)
    dataset: Dataset = None,
    as_json: Json = False,
    overwrite: Overwrite = False,
) -> None:
    """Three rules on one microstructure, as demo.png and demo.h5.

    Exit status 0 solved, 1 not converged, 2 bad input.
    """
    picture, fields = out / "demo.png", out / "demo.h5"
    out.mkdir(parents=True, exist_ok=True)
    for path in (picture, fields):
        check_free(path, overwrite)
    figure_type()
    labels = _labels(file, dataset, size, seed)
    solutions = {
        (value, rule): lsml.api.solve(
            labels, rule, tol=TOL, contrast=value, progress=True, throw=False
        )
        for value, rule in product(contrast, RULES)
    }
    rows = {
        f"contrast {value:g}": {
            name: solutions[value, rule] for rule, name in RULES.items()
        }
        for value in contrast
    }
    plot_comparison(rows, picture, tol=TOL)
    best = {f"contrast_{value:g}": solutions[value, "cg"] for value in contrast}
    write_solutions(best, fields)
    if as_json:
        files = {"picture": str(picture), "fields": str(fields)}
        print_json(files | {"solutions": summary(solutions)})
    else:
        _tell(labels.shape, solutions)
        say(f"{picture}: microstructure, fields and convergence")
        say(f"{fields}: the cg solution of each contrast, in a group of its name")
    exit_unless_solved(
        {f"contrast {v:g}, {RULES[r]}, ": s for (v, r), s in solutions.items()}
    )


def _labels(
    file: Path | None, dataset: str | None, size: int, seed: int
) -> Shaped[np.ndarray, "..."]:
    """Of the file, or drawn with grains a quarter of the cell wide."""
    if file is None:
        return microstructures(1, (size,) * 3, max(1, size // 4), seed=seed)[0]
    labels = read_labels(file, dataset)
    if labels.ndim not in (2, 3):
        raise ValueError(
            f"{file} holds labels of shape {labels.shape}; the demo takes one 2-D or "
            "3-D image"
        )
    return labels


def summary(
    solutions: Mapping[tuple[float, str], Solution],
) -> list[dict[str, float | int | str]]:
    """One entry for each contrast and rule."""
    return [
        {
            "contrast": contrast,
            "rule": rule,
            "status": Status(int(solution.status[0])).name,
            "iterations": int(solution.iterations[0]),
            "seconds": solution.timings["setup"] + solution.timings["solve"],
            "error": float(solution.error[0]),
            "modulus": float(solution.mean_stress[0, 0] / solution.mean_strain[0, 0]),
        }
        for (contrast, rule), solution in solutions.items()
    ]


def _tell(
    shape: Sequence[int], solutions: Mapping[tuple[float, str], Solution]
) -> None:
    """One row for each contrast and rule."""
    rows = [
        [
            f"{each['contrast']:g}",
            RULES[str(each["rule"])],
            str(each["iterations"]),
            f"{each['seconds']:.2f}",
            f"{each['error']:.1e}",
            f"{each['modulus']:.6g}",
        ]
        for each in summary(solutions)
    ]
    print_table(
        f"{' × '.join(map(str, shape))} voxels, certified error to {TOL:.0e}, "
        "modulus <σ11>/<ε11>",
        ["contrast", "rule", "iterations", "seconds", "error", "modulus"],
        rows,
    )
