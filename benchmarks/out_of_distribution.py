"""Learned rules on problems that they were not trained for. Run with ``--help``.

For each shipped rule and each kind of problem: its MASE, that of the uniform strain,
and the iterations of CG to the rule's error. A rule that refuses says why.
"""

import argparse
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from machine import description, now, slug, write, write_json
from numpy.typing import NDArray
from pages import table
from shapes import SHAPES, drawn

import lsml
from lsml.data import latin_hypercube, microstructures
from lsml.learned import LearnedRule
from lsml.learned.loading import SHIPPED, load_file, shipped

RESULTS = Path(__file__).parent / "results"
SEED, ITERATIONS, TIGHT = 11, 60, 1e-7
COLUMNS = ("weights", "problem", "MASE %", "uniform strain %", "CG iterations")


class Trial(NamedTuple):
    """Labels, contrast and load of some problems."""

    labels: NDArray[np.uint8]
    contrast: float
    load: tuple[float, ...] = (1e-3, 0, 0, 0, 0, 0)


def options() -> argparse.Namespace:
    """What to run, from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--size", type=int, default=31, help="edge of the cell, in voxels")
    add("--samples", type=int, default=16, help="of each kind of problem")
    add("--weights", nargs="+", type=Path, help="by default those that are shipped")
    add("--quick", action="store_true", help="a smoke run: small cells")
    add("--output", type=Path, help="file to write, less its suffix")
    given = parser.parse_args()
    if given.quick:
        given.size, given.samples = 9, 2
    return given


def recipe(n: int, edge: int) -> NDArray[np.uint8]:
    """What the rules were trained for, of other seeds."""
    shape = (edge,) * 3
    design = latin_hypercube(n, shape, seed=SEED)
    return microstructures(
        n, shape, design.grain_size, design.volume_fraction, seed=SEED
    )


def trials(given: argparse.Namespace, contrast: float) -> dict[str, Trial]:
    """Every kind of problem, by name."""
    n, edge = given.samples, given.size
    shape, grain = (edge,) * 3, max(2, edge // 4)
    usual = recipe(n, edge)
    found = {"as trained": Trial(usual, contrast)}
    for factor in (0.2, 0.5, 2.0, 5.0):
        found[f"contrast × {factor:g}"] = Trial(usual, contrast * factor)
    for other in (edge // 2, edge + 1, 3 * edge // 2):
        found[f"{other}³ voxels"] = Trial(recipe(n, other), contrast)
    for fraction in (0.05, 0.95):
        labels = microstructures(n, shape, grain, fraction, seed=SEED)
        found[f"{fraction:.0%} stiff"] = Trial(labels, contrast)
    for name in SHAPES:
        found[name] = Trial(drawn(name, n, shape, SEED), contrast)
    shear = 0, 0, 0, 0, 0, 1e-3
    return found | {"shear": Trial(usual, contrast, shear)}


def measured(rule: LearnedRule, trial: Trial) -> dict[str, Any]:
    """Errors in the component of the load, and what CG needs for the same."""
    place = int(np.argmax(np.abs(trial.load)))
    phases = [lsml.isotropic(E=e, nu=0.3) for e in (1.0, trial.contrast)]
    problem = lsml.elasticity(
        trial.labels, phases, lsml.load(strain=trial.load), "hex8-bbar"
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of another contrast
            predicted = lsml.solve(problem, rule).predicted
    except ValueError as error:
        return {"refused": str(error)}
    assert predicted is not None
    true = lsml.solve(problem, tol=TIGHT).strain[:, place]
    error = lsml.mase(predicted[:, 0].double(), true)
    flat = lsml.mase(torch.full_like(true, trial.load[place]), true)
    return {
        "mase": float(error.mean()),
        "mase_std": float(error.std()),
        "mase_worst": float(error.max()),
        "uniform": float(flat.mean()),
        "cg_iterations": cg_iterations(problem, true, place, float(error.mean())),
    }


def cg_iterations(
    problem: lsml.Problem, true: torch.Tensor, place: int, goal: float
) -> int | None:
    """Until the mean MASE of CG is no more than that of the rule."""
    found: list[float] = []
    sol = lsml.solve(
        problem, tol=1e-12, max_iter=ITERATIONS, throw=False, record=True
    ).iterates
    assert sol is not None
    for k in range(sol.shape[1]):
        found.append(float(lsml.mase(sol[:, k, place], true).mean()))
        if found[-1] <= goal:
            return k
    return None


def row(name: str, problem: str, found: dict[str, Any]) -> list[str]:
    """Cells of a line of the table."""
    if "refused" in found:
        return [name, problem, "refused", "", ""]
    return [
        name,
        problem,
        f"{found['mase']:.2f} ± {found['mase_std']:.2f}",
        f"{found['uniform']:.1f}",
        str(found["cg_iterations"]),
    ]


def main() -> None:
    """Measure, print, and write."""
    given = options()
    machine, started = description("cpu") | {"edge": given.size}, now()
    paths = given.weights or [SHIPPED / f"{name}.safetensors" for name in shipped()]
    rows, results = [], {}
    for path in paths:
        rule = load_file(path)
        assert rule.contrast is not None, f"{path} does not tell its contrast"
        results[path.stem] = found = {
            name: measured(rule, trial)
            for name, trial in trials(given, rule.contrast).items()
        }
        rows += [row(path.stem, name, each) for name, each in found.items()]
        print(table(COLUMNS, rows), flush=True)
    stem = given.output
    if stem is None and not given.quick and given.weights is None:
        stem = RESULTS / f"out-of-distribution-{slug(machine)}"
    if stem is not None:
        whole = {"machine": machine, **started, "results": results}
        write_json(stem.with_suffix(".json"), whole)
        write(stem.with_suffix(".md"), table(COLUMNS, rows))


if __name__ == "__main__":
    main()
