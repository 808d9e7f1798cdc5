"""Whole solves: lsml beside the other codes that pip installs, in one run.

Each code runs in an environment of its own, which is made when it is missing. Run
``python benchmarks/peers.py --help``; README.md beside this file says how to read the
table. An interrupted run goes on where it was.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from machine import description, now, slug
from pages import facts
from peers import environments
from peers.codes import BATCHED, CODES, EXACT, Case, Cell, Result, case, run, saved
from peers.report import compare, page, residuals, summary
from unfinished import Files

RESULTS = Path(__file__).parent / "results"
TIGHT = 1e-4  # tolerance of the answers that decide on agreement, over the tolerance
NAMES = list(environments.ENVIRONMENTS)
WHOLE = ("codes", "size", "batch", "contrasts", "tol", "rounds", "quick")
RATIOS = """`lsml / it` is the time of lsml over that of the row, for the same equations
and precision, lsml with as many threads as were asked for, or with one: below 1 lsml is
faster. `error` is the relative distance of the mean stress from that of lsml at a
tolerance 10⁻⁴ times as large; there is no ratio where it exceeds 10⁻⁶ (10⁻⁵ in
float32). A time covers everything from the labels to the mean stress."""
UNAVAILABLE = "FANS (C++, MPI) cannot be installed by pip, so it is not in the table."

Visits = dict[str, list[Result]]


def options() -> argparse.Namespace:
    """What to run, from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--codes", nargs="+", default=NAMES, choices=NAMES)
    add("--size", type=int, default=64, help="edge of the cell, in voxels")
    add("--batch", default="32x32", help="cells x edge of the batch, or 0x0 for none")
    add("--contrasts", nargs="+", type=float, default=[10.0, 50.0, 1000.0])
    add("--tol", type=float, default=1e-6, help="of the residual each code has")
    add("--threads", type=int, default=os.cpu_count(), help="of codes that use threads")
    add("--rounds", type=int, default=5, help="visits to each case, interleaved")
    add("--patience", type=float, default=120.0, help="seconds: a code whose first "
        "solve takes longer is not warmed up and visited once")  # fmt: skip
    add("--environments", type=Path, default=environments.DEFAULT, metavar="DIR")
    add("--quick", action="store_true", help="a smoke run: small cells, one round")
    add("--output", type=Path, help="file to write, less its suffix; by default one "
        "under results/ for a run of everything, and none for a selection")  # fmt: skip
    given = parser.parse_args()
    given.whole = all(getattr(given, k) == parser.get_default(k) for k in WHOLE)
    if given.quick:
        given.size, given.batch, given.rounds = 16, "4x16", 1
        given.contrasts = [10.0, 50.0]
    return given


def cases(given: argparse.Namespace) -> list[Case]:
    """Every combination asked for; those that solve the same follow each other."""
    single, batch = Cell(1, given.size), Cell(*map(int, given.batch.split("x")))
    todo = [*product([single], given.contrasts, CODES)]
    todo += product([batch] if batch.batch else [], [50.0], BATCHED)
    every = [
        case(cell, contrast, code, given.threads)
        for cell, contrast, code in todo
        if code.environment in given.codes
    ]
    every.sort(key=Case.order)
    return list({str(one): one for one in every}.values())  # threads may coincide


def exact(given: argparse.Namespace, one: Case) -> Case:
    """The solve whose answer that of a case must share."""
    code = EXACT[one.code.discretization]
    return case(one.cell, one.contrast, code, given.threads)


def stem(given: argparse.Namespace, machine: dict[str, Any]) -> Path | None:
    """Where results go: a selection never replaces a whole run unasked."""
    if given.output is not None or not given.whole:
        return given.output
    return RESULTS / f"peers-{slug(machine)}"


def measure(given: argparse.Namespace, files: Files) -> Visits:
    """Visit every case once per round, so that drift of the machine hits all alike."""
    pythons = {
        name: environments.python(given.environments, name)
        for name in dict.fromkeys(["lsml", *given.codes])
    }
    visits: Visits = files.done()
    with tempfile.TemporaryDirectory() as folder:
        for one, tol in schedule(given, visits):
            labels = saved(one.cell, Path(folder))
            python = pythons[one.code.environment]
            done = visits.setdefault(str(one), [])
            done.append(run(one, python, labels, tol, given.patience))
            print(f"visit {len(done)} to {one}: {brief(done[-1])}", flush=True)
            files.keep(visits)
    return visits


def schedule(given: argparse.Namespace, visits: Visits) -> Iterator[tuple[Case, float]]:
    """Tight solves once, then the rounds; what has failed or is slow is left out."""
    todo = cases(given)
    for one in dict.fromkeys(exact(given, one) for one in todo):
        if not visits.get(str(one)):
            yield one, TIGHT * given.tol
    for round_, one in product(range(given.rounds), todo):
        done = visits.get(str(one), [])
        slow = any(v.get("seconds", given.patience) >= given.patience for v in done)
        if len(done) <= round_ and not slow:
            yield one, given.tol


def brief(result: Result) -> str:
    """One visit in a few words."""
    if "failed" in result:
        return str(result["failed"])
    return f"{result['seconds']:.3f} s, {max(result['iterations'])} iterations"


def main() -> None:
    """Measure, print, and write."""
    given = options()
    machine, started = description("cpu") | {"tolerance": given.tol}, now()
    files = Files(stem(given, machine), machine)
    visits = measure(given, files)
    rows = [
        summary(one, visits[str(one)], visits[str(exact(given, one))][0])
        for one in cases(given)
    ]
    compare(rows)
    title = "# Whole solves beside other codes"
    text = f"{title}\n\n{facts(machine, started)}\n\n{RATIOS}\n\n{page(rows)}\n"
    text += f"Residual below the tolerance:\n\n{residuals(rows)}\n\n{UNAVAILABLE}\n"
    print("\n" + text)
    whole = {"machine": machine, "started": started, "ended": now(), "rows": rows}
    files.finish(whole, text)


if __name__ == "__main__":
    main()
