"""Iterations, seconds and memory of every rule against contrast, pores included.

Run ``python benchmarks/rules.py --help``; README.md beside this file says how to read
the tables. An interrupted run goes on where it was.
"""

import argparse
import multiprocessing
import resource
import sys
import time
from collections.abc import Sequence
from functools import cache
from itertools import product
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from machine import description, now, slug
from pages import facts, table
from shapes import drawn
from unfinished import Files

import lsml
from lsml.acceleration import accelerate
from lsml.inputs import RULES as NAMES
from lsml.inputs import in_form
from lsml.state import Status
from lsml.stop import RelativeResidual
from lsml.unroll import unroll

HERE = Path(__file__).parent
ELSEWHERE = {"auto", "born"}  # another rule by another name; for waves only
RULES = [name for name in NAMES if name not in ELSEWHERE]
SHAPES = ["spheres", "blobs", "mosaic"]
CONTRASTS = [2.0, 10.0, 100.0, 1e3, 1e4, 1e6, 0.0]  # 0: pores
POLYCRYSTAL = "polycrystal of two kinds of grain"
FRACTION = 0.3  # of the blobs, as of the spheres
TOLERANCE, MAX_ITER = 1e-6, 2000
MEMORY_EDGE, MEMORY_STEPS = 64, 8  # enough steps to fill Anderson's window


class Case(NamedTuple):
    """One solve; ``steps`` ends it early."""

    rule: str
    shape: str
    contrast: float
    edge: int
    steps: int
    limit: float

    def __str__(self) -> str:
        """Name in results."""
        return " ".join(map(str, self[:5]))


class OutOfTimeError(Exception):
    """Raised by the observer."""


@cache
def labels(shape: str, edge: int) -> np.ndarray:
    """One cell, label 1 in the inclusions."""
    cell = (edge,) * 3
    if shape == "blobs":
        return lsml.data.microstructures(1, cell, max(4, edge // 4), FRACTION, seed=1)
    name = {"mosaic": POLYCRYSTAL}.get(shape, shape)
    return drawn(name, 1, cell, seed=1)


def visit(case: Case, cells: np.ndarray, sender: Connection) -> None:
    """Body of a process of its own."""
    torch.set_num_threads(1)
    solve(case._replace(steps=1), cells[:, :4, :4, :4])  # loads libraries
    sender.send(solve(case, cells))


def solve(case: Case, cells: np.ndarray) -> dict[str, Any]:
    """Iterations, seconds of the loop, and peak bytes above those before the set-up."""
    before, rule = peak(), NAMES[case.rule]()
    phases = [
        lsml.isotropic(E=1.0, nu=0.3),
        lsml.isotropic(E=case.contrast, nu=0.3),
    ]
    load = lsml.load(strain=[1e-3, 0, 0, 0, 0, 0])
    made = lsml.elasticity(cells, phases, load, "rotated")
    problem = accelerate(in_form(made, "displacement", rule), True).problem
    started, seen = time.perf_counter(), [0]

    def observe(k: int, *_: torch.Tensor) -> None:
        seen[0] = k
        if time.perf_counter() - started > case.limit:
            raise OutOfTimeError

    try:
        with torch.no_grad():
            state = unroll(
                problem,
                rule,
                stop=RelativeResidual(TOLERANCE),
                max_iter=case.steps,
                observe=observe,
            )
    except ValueError as refusal:
        return {"refused": str(refusal)}
    except OutOfTimeError:
        return {"ended": f"> {seen[0]}", "seconds": case.limit}
    seconds, status = time.perf_counter() - started, Status(int(state.status))
    result = {"iterations": int(state.iterations), "seconds": seconds}
    if status is not Status.CONVERGED:
        early = status is Status.MAX_ITER
        result["ended"] = f"> {case.steps}" if early else status.name.lower()
    return {**result, "bytes": peak() - before, "error": float(state.error)}


def peak() -> int:
    """Most bytes resident so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def in_a_process(case: Case) -> dict[str, Any]:
    """Result of :func:`visit`."""
    context = multiprocessing.get_context("forkserver")  # imports torch once
    context.set_forkserver_preload(["rules", "lsml.native.form"])
    receiver, sender = context.Pipe(duplex=False)
    cells = labels(case.shape, case.edge)
    process = context.Process(target=visit, args=(case, cells, sender))
    process.start()
    sender.close()
    try:
        result: dict[str, Any] = receiver.recv()
    except EOFError:
        result = {"ended": "failed"}
    process.join()
    return result


def options() -> argparse.Namespace:
    """What to run, from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--rules", nargs="+", default=RULES, choices=RULES)
    add("--shapes", nargs="+", default=SHAPES, choices=SHAPES)
    add("--contrasts", nargs="+", type=float, default=CONTRASTS)
    add("--edge", type=int, default=32, help="voxels along an edge of the cell")
    add("--max-iter", type=int, default=MAX_ITER)
    add("--limit", type=float, default=120, help="seconds after which a solve ends")
    add("--rounds", type=int, default=2, help="visits to each case, interleaved")
    add("--iterations", action="store_true", help="counts only: no timing, no memory, "
        "which any machine does alike, however busy")  # fmt: skip
    add("--quick", action="store_true", help="a smoke run: a small cell, one round")
    add("--output", type=Path, help="files to write, less their suffix; by default "
        "under results/ for a run of everything, and none for a selection")  # fmt: skip
    given = parser.parse_args()
    if given.iterations:
        given.rounds, given.limit = 1, float("inf")
    if given.quick:
        given.edge, given.rounds, given.limit = 12, 1, 10
        given.shapes, given.contrasts = ["spheres"], [10.0, 1e3, 0.0]
    return given


def cases(given: argparse.Namespace) -> list[Case]:
    """Every solve asked for, and a short one for the memory of each rule."""
    found = [
        Case(rule, shape, contrast, given.edge, given.max_iter, given.limit)
        for shape, contrast, rule in product(given.shapes, given.contrasts, given.rules)
    ]
    if measures_memory(given):
        found += [
            Case(rule, "spheres", 10.0, MEMORY_EDGE, MEMORY_STEPS, given.limit)
            for rule in given.rules
        ]
    return found


def measures_memory(given: argparse.Namespace) -> bool:
    """Whether the short solves of larger cells are part of the run."""
    return not (given.quick or given.iterations)


def stem(given: argparse.Namespace, machine: dict[str, Any]) -> Path | None:
    """Where results go: a selection never replaces a whole run unasked."""
    whole = [RULES, SHAPES, CONTRASTS, 32, MAX_ITER]
    asked = [given.rules, given.shapes, given.contrasts, given.edge, given.max_iter]
    if given.output is not None or asked != whole:
        return given.output
    return HERE / "results" / f"rules-{slug(machine)}"


def picture(path: Path) -> Path:
    """That of a whole run is the documentation's."""
    if path.parent == HERE / "results":
        return HERE.parent / "docs" / "images" / "rules.png"
    return path.with_name(path.name + ".png")


def measure(given: argparse.Namespace, files: Files) -> dict[str, Any]:
    """Visit every case once per round, so that drift of the machine hits all alike."""
    todo, visits = cases(given), files.done()
    for round_, (i, case) in product(range(given.rounds), enumerate(todo)):
        done = visits.setdefault(str(case), [])
        if len(done) > round_ or any(hopeless(visit) for visit in done):
            continue
        done.append(counted(case) if given.iterations else in_a_process(case))
        print(f"round {round_ + 1}, {i + 1}/{len(todo)} {case}: {done[-1]}", flush=True)
        files.keep(visits)
    return visits


def counted(case: Case) -> dict[str, Any]:
    """Iterations only, solved here."""
    result = solve(case, labels(case.shape, case.edge))
    return {k: v for k, v in result.items() if k not in ("seconds", "bytes")}


def hopeless(result: dict[str, Any]) -> bool:
    """Whether another visit would tell nothing new."""
    return "refused" in result or "ended" in result


def shown(contrast: float) -> str:
    """Head of a column."""
    return "pores" if contrast == 0 else f"{contrast:g}"


def cell(done: Sequence[dict[str, Any]]) -> str:
    """Iterations and seconds, or how it ended."""
    if "refused" in done[0]:
        return "refused"
    if "ended" in done[0]:
        return str(done[0]["ended"])
    if "seconds" not in done[0]:
        return str(done[0]["iterations"])
    seconds = median(visit["seconds"] for visit in done)
    return f"{done[0]['iterations']} ({seconds:.2f} s)"


def tables(given: argparse.Namespace, visits: dict[str, Any]) -> str:
    """Markdown: a table per microstructure, and one of memory."""
    parts = []
    for shape in given.shapes:
        head = ["rule", *(shown(c) for c in given.contrasts)]
        rows = (
            [f"`{rule}`"]
            + [
                cell(visits[str(Case(rule, shape, c, given.edge, given.max_iter, 0))])
                for c in given.contrasts
            ]
            for rule in given.rules
        )
        under = ["---"] + ["--:"] * len(given.contrasts)
        parts.append(f"## {shape}\n\n{table(head, rows, under)}")
    if measures_memory(given):
        parts.append(memory_table(given, visits))
    return "\n".join(parts)


def memory_table(given: argparse.Namespace, visits: dict[str, Any]) -> str:
    """Peak bytes per voxel, labels to last iteration."""
    rows = []
    for rule in given.rules:
        case = Case(rule, "spheres", 10.0, MEMORY_EDGE, MEMORY_STEPS, 0)
        found = [v["bytes"] for v in visits[str(case)] if "bytes" in v]
        text = f"{median(found) / MEMORY_EDGE**3:.0f}" if found else ""
        rows.append([f"`{rule}`", text])
    return f"## memory\n\n{table(['rule', 'B/voxel'], rows, ['---', '--:'])}"


def figure(given: argparse.Namespace, visits: dict[str, Any], path: Path) -> None:
    """Iterations and seconds against contrast, one column per microstructure."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    contrasts = [c for c in given.contrasts if c > 0]
    columns = len(given.shapes)
    fig, axes = plt.subplots(
        2, columns, figsize=(4 * columns, 7), sharex=True, sharey="row", squeeze=False
    )
    colours = plt.get_cmap("tab20")
    for column, shape in enumerate(given.shapes):
        for number, rule in enumerate(given.rules):
            done = [
                visits[str(Case(rule, shape, c, given.edge, given.max_iter, 0))]
                for c in contrasts
            ]
            good = [(c, d) for c, d in zip(contrasts, done, strict=True)
                    if not hopeless(d[0])]  # fmt: skip
            style = {"color": colours(number), "label": rule, "marker": ".", "lw": 1}
            at = [c for c, _ in good]
            axes[0, column].loglog(at, [d[0]["iterations"] for _, d in good], **style)
            seconds = [median(v["seconds"] for v in d) for _, d in good]
            axes[1, column].loglog(at, seconds, **style)
        axes[0, column].set_title(shape)
        axes[1, column].set_xlabel("contrast")
    axes[0, 0].set_ylabel("iterations")
    axes[1, 0].set_ylabel("seconds")
    axes[0, -1].legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    fig.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    """Measure, print, and write."""
    given = options()
    machine, started = description("cpu"), now()
    files = Files(stem(given, machine), machine)
    visits = measure(given, files)
    what = "iterations" if given.iterations else "iterations and seconds, one thread,"
    title = f"# Rules: {what} to {TOLERANCE:g}, {given.edge}³ voxels"
    text = f"{title}\n\n{facts(machine, started)}\n\n{tables(given, visits)}"
    print("\n" + text)
    if files.stem is not None and not given.iterations:
        figure(given, visits, picture(files.stem))
    whole = {"machine": machine, "started": started, "ended": now()}
    files.finish({**whole, "visits": visits}, text)


if __name__ == "__main__":
    main()
