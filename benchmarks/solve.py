"""Seconds and peak memory of one iteration, for every rule and discretization.

Run ``python benchmarks/solve.py --help``; README.md beside this file says how to read
the table. An interrupted run goes on where it was.
"""

import argparse
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import torch
from machine import description, now, slug
from measure import Case, in_a_process
from pages import facts, table
from unfinished import Files

RESULTS = Path(__file__).parent / "results"
RULES = ["moulinec", "steepest_descent", "cg"]
DISCRETIZATIONS = ["fourier", "rotated", "hex8"]
SIZES = ["32x31", "1x64", "1x128"]
DTYPES = ["float32", "float64"]
KEYS = ("discretization", "rule", "dtype", "threads")

Visits = dict[str, list[dict[str, Any]]]


def options() -> argparse.Namespace:
    """What to run, from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--rules", nargs="+", default=RULES)
    add("--discretizations", nargs="+", default=DISCRETIZATIONS)
    add("--sizes", nargs="+", default=SIZES, help="batch x edge, such as 32x31")
    add("--dtypes", nargs="+", default=DTYPES, choices=DTYPES)
    add("--threads", nargs="+", type=int, default=[1, 2], help="on the CPU")
    add("--device", choices=["cpu", "cuda"], help="by default cuda where there is one")
    add("--rounds", type=int, default=2, help="visits to each case, interleaved")
    add("--steps", type=int, default=2, help="iterations timed in a visit")
    add("--quick", action="store_true", help="a smoke run: small cells, one round")
    add("--output", type=Path, help="file to write, less its suffix; by default one "
        "under results/ for a run of everything, and none for a selection")  # fmt: skip
    given = parser.parse_args()
    given.device = given.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if given.device == "cuda":
        given.threads = [1]
    if given.quick:
        given.sizes, given.rounds, given.steps = ["4x15", "1x32"], 1, 2
    return given


def cases(given: argparse.Namespace) -> list[Case]:
    """Every combination asked for, small cells first."""
    return [
        Case(*map(int, size.split("x")), scheme, rule, dtype, threads, given.device)
        for size, scheme, rule, dtype, threads in product(
            given.sizes, given.discretizations, given.rules, given.dtypes, given.threads
        )
    ]


def stem(given: argparse.Namespace, machine: dict[str, Any]) -> Path | None:
    """Where results go: a selection never replaces a whole run unasked."""
    whole = (RULES, DISCRETIZATIONS, SIZES, DTYPES)
    asked = (given.rules, given.discretizations, given.sizes, given.dtypes)
    if given.output is not None or asked != whole:
        return given.output
    return RESULTS / f"solve-{slug(machine)}"


def measure(given: argparse.Namespace, files: Files) -> Visits:
    """Visit every case once per round, so that drift of the machine hits all alike."""
    todo, visits = cases(given), files.done()
    for round_, (i, case) in product(range(given.rounds), enumerate(todo)):
        done = visits.setdefault(str(case), [])
        if len(done) > round_ or any("failed" in visit for visit in done):
            continue
        done.append(in_a_process(case, given.steps))
        print(f"round {round_ + 1}, {i + 1}/{len(todo)} {case}: {brief(case, done)}",
              flush=True)  # fmt: skip
        files.keep(visits)
    return visits


def brief(case: Case, done: list[dict[str, Any]]) -> str:
    """Latest visit in a few words."""
    result = summary(case, done)
    if "failed" in result:
        return str(result["failed"])
    return f"{result['seconds']:.3f} s, {result['bytes_per_voxel']:.0f} B/voxel"


def summary(case: Case, done: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over all visits, per million voxels and per voxel."""
    failed = [visit["failed"] for visit in done if "failed" in visit]
    if failed:
        return {**case._asdict(), "failed": failed[0]}
    seconds = [s for visit in done for s in visit["iteration_seconds"]]
    million = case.voxels / 1e6
    return {
        **case._asdict(),
        "seconds": median(seconds) / million,
        "seconds_range": [min(seconds) / million, max(seconds) / million],
        "setup_seconds": median(v["setup_seconds"] for v in done) / million,
        "bytes_per_voxel": median(v["peak_bytes"] for v in done) / case.voxels,
        "setup_bytes_per_voxel": median(v["setup_bytes"] for v in done) / case.voxels,
        "iterations_timed": len(seconds),
    }


def page(rows: list[dict[str, Any]]) -> str:
    """Markdown: one line per cell, discretization and rule."""
    columns = sorted({(r["dtype"], r["threads"]) for r in rows})
    head = [f"s, {dtype}, {threads} thr." for dtype, threads in columns]
    last = dict(columns)
    head += [f"set-up s, {dtype}" for dtype in last]
    head += [f"B/voxel, {dtype}" for dtype in last]
    found = {(r["batch"], r["edge"], *(r[k] for k in KEYS)): r for r in rows}
    names = list(dict.fromkeys(key[:4] for key in found))
    lines = []
    for name in names:
        line = [cell(found.get((*name, *c)), "seconds", ".3f") for c in columns]
        for quantity, spec in (("setup_seconds", ".3f"), ("bytes_per_voxel", ".0f")):
            line += [cell(found.get((*name, *c)), quantity, spec) for c in last.items()]
        cells = f"{name[0]} × {name[1]}³" if name[0] > 1 else f"{name[1]}³"
        lines.append([cells, *name[2:], *line])
    what = ["cells", "discretization", "rule"]
    return table(what + head, lines, ["---"] * 3 + ["--:"] * len(head))


def cell(row: dict[str, Any] | None, quantity: str, spec: str) -> str:
    """One number, or why there is none."""
    if row is None:
        return ""
    return format(row[quantity], spec) if quantity in row else row["failed"]


def main() -> None:
    """Measure, print, and write."""
    given = options()
    machine, started = description(given.device), now()
    files = Files(stem(given, machine), machine)
    visits = measure(given, files)
    rows = [summary(case, visits[str(case)]) for case in cases(given)]
    title = "# One iteration, per million voxels"
    text = f"{title}\n\n{facts(machine, started)}\n\n{page(rows)}"
    print("\n" + text)
    whole = {"machine": machine, "started": started, "ended": now(), "rows": rows}
    files.finish(whole, text)


if __name__ == "__main__":
    main()
