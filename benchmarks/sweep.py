"""Sweeps over the contrast: reduced basis against conjugate gradients alone.

    LSML_REFERENCE_DATA=... python benchmarks/sweep.py [--quick]

``LSML_REFERENCE_DATA`` names the folder with ``data/rln_structures_31.npz``, 64
two-phase microstructures of 31³ voxels by the authors of the RLN. Every other one is
taken; nothing is fitted to them. For each: a basis of five snapshots, chosen greedily
from contrasts 2 to 150 and, for comparison, given; fields, effective stiffness,
certificates and iterations at contrasts 10, 30 and 100, which are no snapshots. Times
are processor time. Writes results/sweep.{json,md}; --resume goes on with the former.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import description, now, write, write_json

import lsml

RESULTS = Path(__file__).parent / "results"
CONTRASTS = (10.0, 30.0, 100.0)
GIVEN = (2.0, 5.0, 15.0, 50.0, 150.0)
TRAINING = tuple(np.geomspace(2, 150, 14))  # none of CONTRASTS
SNAPSHOTS = 5
TOLERANCE = 1e-6
TRUTH = 1e-9
COMPARED = 8  # structures for which given snapshots are compared
ENOUGH = 1e-15  # never reached: all snapshots are taken
LOAD = [1e-3, 0, 0, 0, 0, 0]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two structures, no files")
    parser.add_argument("--resume", action="store_true", help="keep what is measured")
    given = parser.parse_args()
    torch.set_num_threads(1)
    labels, path = structures()[:: 32 if given.quick else 2], RESULTS / "sweep.json"
    result: dict[str, Any] = {
        "machine": description("cpu"),
        "rows": [],
        "all_loads": [],
    }
    if given.resume and path.exists():
        result = json.loads(path.read_text())
    for key, measure in cases(labels):
        known = [row["case"] for row in result["rows"] + result["all_loads"]]
        if key not in known:
            row = {"case": key} | measure()
            result["all_loads" if "all loads" in key else "rows"].append(row)
            print(row, flush=True)
            if not given.quick:
                write_json(path, result | now())
    if not given.quick:
        write(RESULTS / "sweep.md", page(result | now()))


def cases(labels: np.ndarray) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Name and measurement of each row."""
    for scheme, count in (("hex8-bbar", len(labels)), ("hex8", 4)):
        for number in range(min(count, len(labels))):
            compare = number < COMPARED
            yield (
                f"{scheme} {number}",
                partial(one_load, labels[number], scheme, compare=compare),
            )
    for number in range(0, len(labels), max(1, len(labels) // 2)):
        yield f"all loads {number}", partial(all_loads, labels[number])


def structures() -> np.ndarray:
    """The microstructures, loading axis first."""
    if "LSML_REFERENCE_DATA" not in os.environ:
        sys.exit("LSML_REFERENCE_DATA must name the folder with data/")
    folder = Path(os.environ["LSML_REFERENCE_DATA"])
    with np.load(folder / "data" / "rln_structures_31.npz") as file:
        return file["labels"].transpose(0, 3, 2, 1)


def points(contrasts: tuple[float, ...]) -> list[list[lsml.Stiffness]]:
    """A soft phase and a stiff one, for each contrast."""
    soft = lsml.isotropic(E=1.0, nu=0.3)
    return [[soft, lsml.isotropic(E=float(c), nu=0.3)] for c in contrasts]


def one_load(
    labels: np.ndarray, discretization: str, *, compare: bool
) -> dict[str, Any]:
    """Bases for one load case, and what they say of the other contrasts."""
    options = {"load": lsml.load(strain=LOAD), "discretization": discretization}
    basis, seconds = made(labels, TRAINING, options)
    bases = {"greedy": basis}
    if compare:
        bases["given"], _ = made(labels, GIVEN, options)
    ratio = basis.snapshots[:, 0, 1, 0] / basis.snapshots[:, 0, 0, 0]
    row: dict[str, Any] = {
        "snapshots": [round(float(contrast), 3) for contrast in ratio],
        "set_up": seconds,
        "estimate": timed(lambda: basis(points((30.0,)))),
    }
    for contrast in CONTRASTS:
        truth = basis.solve(points((contrast,)), tol=TRUTH)
        row[f"{contrast:g}"] = {
            name: compared(each, contrast, truth) for name, each in bases.items()
        } | alone(labels, contrast, options)
    return row


def made(
    labels: np.ndarray, contrasts: tuple[float, ...], options: dict[str, Any]
) -> tuple[lsml.ReducedBasis, float]:
    """A basis, and the seconds that it took."""
    began = time.process_time()
    own = {"phases": points(contrasts), "snapshots": SNAPSHOTS, "tol": ENOUGH}
    basis = lsml.reduced_basis(labels, **own, **options)
    return basis, time.process_time() - began


def compared(
    basis: lsml.ReducedBasis, contrast: float, truth: lsml.Solution
) -> dict[str, Any]:
    """Errors without iteration, whether intervals hold, iterations from there."""
    phases = points((contrast,))
    estimate = basis(phases)
    field = basis.solve(phases, tol=None)
    began = time.process_time()
    finished = basis.solve(phases, tol=TOLERANCE)
    seconds = time.process_time() - began
    twice = 2 * float(truth.energy)
    missed = (estimate.mean_stress[0, 0] - truth.mean_stress).abs()
    wrong, right = energies(field, truth)
    return {
        "field": (wrong / right) ** 0.5,
        "C11": float(estimate.work) / twice - 1,
        "half_width": float(estimate.half_width),
        "residual": float(estimate.error),
        "true_residual": float(field.error),
        "holds": float(estimate.lower) <= twice <= float(estimate.upper)
        and bool((missed <= estimate.stress_error[0, 0]).all()),
        "iterations": int(finished.iterations),
        "seconds": seconds,
    }


def energies(field: lsml.Solution, truth: lsml.Solution) -> tuple[float, float]:
    """Squared C⁰ norms of the error and of the strain."""
    exact = truth.problem.field(truth.state.x)
    error = field.problem.field(field.state.x) - exact
    reference = truth.problem.strain.reference
    squares = [float((e * reference(e)).sum()) for e in (error, exact)]
    return squares[0], squares[1]


def alone(
    labels: np.ndarray, contrast: float, options: dict[str, Any]
) -> dict[str, Any]:
    """Conjugate gradients from the mean strain."""
    began = time.process_time()
    solved = lsml.solve(labels, phases=points((contrast,))[0], tol=TOLERANCE, **options)
    seconds = time.process_time() - began
    return {"cg": {"iterations": int(solved.iterations), "seconds": seconds}}


def all_loads(labels: np.ndarray) -> dict[str, Any]:
    """Effective stiffness: one basis for six load cases."""
    began = time.process_time()
    options = {"discretization": "hex8-bbar", "snapshots": SNAPSHOTS, "tol": ENOUGH}
    basis = lsml.reduced_basis(labels, phases=points(TRAINING), **options)
    row: dict[str, Any] = {"set_up": time.process_time() - began}
    row["estimate"] = timed(lambda: basis(points((30.0,))))
    row["gradient"] = timed(lambda: gradient(basis))
    for contrast in CONTRASTS:
        began = time.process_time()
        same = {"discretization": "hex8-bbar", "tol": 1e-4}
        truth = lsml.homogenize(labels, phases=points((contrast,))[0], **same)
        seconds = time.process_time() - began
        tight = lsml.homogenize(
            labels, phases=points((contrast,))[0], discretization="hex8-bbar", tol=1e-8
        )
        estimate = basis(points((contrast,)))
        exact = torch.from_numpy(np.asarray(tight))
        error = torch.linalg.matrix_norm(estimate.stiffness[0] - exact, 2)
        inside = (estimate.lower[0] <= tight.upper) & (tight.lower <= estimate.upper[0])
        row[f"{contrast:g}"] = {
            "error": float(error / torch.linalg.matrix_norm(exact, 2)),
            "half_width": float(estimate.half_width.max()),
            "holds": bool(inside.all()),
            "homogenize": seconds,
            "iterations": int(truth.iterations.max()),
        }
    return row


def gradient(basis: lsml.ReducedBasis) -> torch.Tensor:
    """dC₁₁/dE of the stiff phase."""
    modulus = torch.tensor(30.0, dtype=torch.float64, requires_grad=True)
    phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=modulus, nu=0.3)]
    (slope,) = torch.autograd.grad(basis(phases).stiffness[0, 0, 0, 0], modulus)
    return slope


def timed(work: Any, times: int = 21) -> float:
    """Median seconds of processor time."""
    seconds = []
    for _ in range(times):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return statistics.median(seconds)


def page(result: dict[str, Any]) -> str:
    """The tables."""
    machine = result["machine"]
    lines = [
        "# Sweeps over the contrast",
        "",
        f"{machine['processor']}, one thread, processor time; torch "
        f"{machine['torch']}, {result['date'][:10]}. Made by `benchmarks/sweep.py`. "
        "Field error: relative, in the C⁰ norm. Median, and worst in brackets.",
        "",
    ]
    for scheme in ("hex8-bbar", "hex8"):
        rows = [r for r in result["rows"] if r["case"].startswith(f"{scheme} ")]
        for name in ("greedy", "given"):
            some = [row for row in rows if name in row["10"]]
            lines += [f"## {scheme}, {len(some)} structures, snapshots {name}", ""]
            lines += table(some, name)
        lines += costs(rows)
    lines += everything(result["all_loads"])
    return "\n".join(lines) + "\n"


def table(rows: list[dict[str, Any]], name: str) -> list[str]:
    """Median and worst of each number, per contrast."""
    lines = [
        "| contrast | field error | C₁₁ error | interval, half-width | intervals hold "
        "| residual | CG alone | CG from the basis | ratio |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for contrast in CONTRASTS:
        cells = [row[f"{contrast:g}"][name] for row in rows]
        plain = [row[f"{contrast:g}"]["cg"]["iterations"] for row in rows]
        own = [cell["iterations"] for cell in cells]
        ratio = sum(own) / sum(plain)
        shown = [
            spread([c[key] for c in cells]) for key in ("field", "C11", "half_width")
        ]
        held = sum(cell["holds"] for cell in cells)
        residual = spread([cell["residual"] for cell in cells])
        lines.append(
            f"| {contrast:g} | {' | '.join(shown)} | {held} of {len(cells)} "
            f"| {residual} | {statistics.mean(plain):.1f} | {statistics.mean(own):.1f} "
            f"| {ratio:.2f} |"
        )
    return [*lines, ""]


def spread(values: list[float]) -> str:
    """Median, and worst in brackets."""
    return f"{statistics.median(values):.1e} ({max(values):.1e})"


def costs(rows: list[dict[str, Any]]) -> list[str]:
    """Seconds, and the number of points that pays for the basis."""
    set_up = statistics.median(row["set_up"] for row in rows)
    online = statistics.median(row["estimate"] for row in rows)
    lines = [
        f"Set-up of the greedy basis {set_up:.2f} s, an estimate {1e3 * online:.2f} ms "
        "(medians). Points after which the basis is paid for:",
        "",
        "| contrast | CG alone to 1e-6 | from the basis | estimates only | to 1e-6 |",
        "|---|---|---|---|---|",
    ]
    for contrast in CONTRASTS:
        cells = [row[f"{contrast:g}"] for row in rows]
        plain = statistics.median(cell["cg"]["seconds"] for cell in cells)
        own = statistics.median(cell["greedy"]["seconds"] for cell in cells)
        lines.append(
            f"| {contrast:g} | {plain:.3f} s | {own:.3f} s | "
            f"{set_up / (plain - online):.1f} | {payback(set_up, plain - own)} |"
        )
    return [*lines, ""]


def payback(cost: float, gain: float) -> str:
    """Number of solves that pay a cost back."""
    return f"{cost / gain:.1f}" if gain > 0 else "never"


def everything(rows: list[dict[str, Any]]) -> list[str]:
    """The table of effective stiffnesses."""
    set_up = statistics.median(row["set_up"] for row in rows)
    online = statistics.median(row["estimate"] for row in rows)
    slope = statistics.median(row["gradient"] for row in rows)
    lines = [
        f"## hex8-bbar, {len(rows)} structures, effective stiffness (six load cases)",
        "",
        f"Set-up {set_up:.2f} s, an estimate {1e3 * online:.2f} ms, with its gradient "
        f"{1e3 * slope:.2f} ms (medians). Error of C in the spectral norm, relative.",
        "",
        "| contrast | error | interval, half-width | intervals hold | `homogenize` to "
        "1e-4 | points that pay |",
        "|---|---|---|---|---|---|",
    ]
    for contrast in CONTRASTS:
        cells = [row[f"{contrast:g}"] for row in rows]
        seconds = statistics.median(cell["homogenize"] for cell in cells)
        held = sum(cell["holds"] for cell in cells)
        shown = [spread([c[key] for c in cells]) for key in ("error", "half_width")]
        lines.append(
            f"| {contrast:g} | {' | '.join(shown)} | {held} of {len(cells)} | "
            f"{seconds:.2f} s | {set_up / (seconds - online):.1f} |"
        )
    return [*lines, ""]


if __name__ == "__main__":
    main()
