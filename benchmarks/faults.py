"""Faults on purpose: killed and hanging processes, full disks, damaged files, NaN.

Every trial ends with the same command again, which must then have made what a run
without faults makes. Moments are drawn from a seed, uniformly over the run or over its
operations on files. A campaign that is interrupted goes on with the next trial. Run
``python benchmarks/faults.py``; writes results/faults.json and .md.
"""

import argparse
import inspect
import json
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from itertools import product
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from fault_bench import Bench, Scenario, Trial
from fault_damage import (
    damaged_dataset,
    damaged_part,
    full_disk,
    nan_learned,
    nan_solved,
    small_disk,
)
from fault_kills import (
    at_moments,
    at_operations,
    of_workers,
    one_hangs,
    one_killed,
    torchrun,
)
from killing import HangError
from machine import description, now, write, write_json
from pages import facts, put, table

import lsml.data

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "faults.md"
NEEDED = (
    "lsml.cli",
    "lightning.fabric",
    "torch.utils.tensorboard",
    "matplotlib.pyplot",
)
SEED = 2026


class Entry(NamedTuple):
    """A scenario, and how often it is tried; in short, as often as the tests do it."""

    run: Scenario
    trials: int
    short: int = 0


SCENARIOS: Mapping[str, Entry] = {
    "generate: main process killed at any moment": Entry(
        partial(at_moments, "generate"), 6, 1
    ),
    "generate: main process killed at an operation on files": Entry(
        partial(at_operations, "generate"), 5, 1
    ),
    "generate, 2 workers: main process killed": Entry(
        partial(at_moments, "generate, 2 workers"), 1
    ),
    "generate, 2 workers: a worker killed": Entry(
        partial(of_workers, signal.SIGKILL, False), 2
    ),
    "generate, 2 workers: all processes killed": Entry(
        partial(of_workers, signal.SIGKILL, True), 1
    ),
    "generate, 2 workers: a worker hangs": Entry(
        partial(of_workers, signal.SIGSTOP, False), 1
    ),
    "generate: a part damaged between two runs": Entry(damaged_part, 6, 1),
    "generate: NaN in a solution": Entry(nan_solved, 2, 1),
    "a dataset damaged": Entry(partial(damaged_dataset, 100), 6, 1),
    "train: killed at any moment": Entry(partial(at_moments, "train"), 6),
    "train, checkpoints at every step: killed at an operation on files": Entry(
        partial(at_operations, "train, checkpoints at every step"), 6, 1
    ),
    "train: NaN in the dataset": Entry(partial(nan_learned, 0), 2, 1),
    "train, 1 process that reads: NaN in the dataset": Entry(
        partial(nan_learned, 1), 1
    ),
    "solve on 3 processes: one killed": Entry(one_killed, 15, 1),
    "solve on 3 processes: one hangs": Entry(one_hangs, 4),
    "solve on 2 processes of torchrun: one killed": Entry(torchrun, 1),
    "solve: killed at an operation on files": Entry(
        partial(at_operations, "solve"), 4, 1
    ),
    "solve: killed at any moment": Entry(partial(at_moments, "solve"), 2),
    "homogenize: killed at an operation on files": Entry(
        partial(at_operations, "homogenize"), 3
    ),
    **{
        f"{name}: {what}": Entry(partial(disk, name), 2, short * (name == "solve"))
        for name in ("generate", "train", "solve", "homogenize")
        for what, disk, short in (
            ("files may not grow", full_disk, 1),
            ("full disk", small_disk, 0),
        )
    },
}


def attempt(run: Scenario, bench: Bench, chance: Random) -> Trial:
    """A trial; whatever hangs is wrong."""
    try:
        return run(bench, chance)
    except HangError as hung:
        return Trial(wrong=f"hangs: {hung}")


def able() -> set[str]:
    """Scenarios that this version of lsml has what it takes for."""
    hanging = "limit" in inspect.signature(lsml.data.generate).parameters
    return {name for name in SCENARIOS if hanging or "worker hangs" not in name}


def page(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    text = f"# Faults\n\n{facts(result['machine'], result['campaign'])}\n\n"
    found = [
        f"* {name}: {trial['wrong']}\n"
        for name, trials in result["scenarios"].items()
        for trial in trials
        if trial["wrong"]
    ]
    return text + tabled(result) + "".join(["\n## Wrong\n\n", *found] if found else [])


def tabled(result: dict[str, Any]) -> str:
    """A row for each scenario."""
    rows = []
    for name, trials in result["scenarios"].items():
        ends = [t["ended"] for t in trials if t["ended"] is not None]
        kills = sum(t["kills"] for t in trials)
        wrong = sum(bool(t["wrong"]) for t in trials)
        slowest = f"{max(ends):.1f}" if ends else ""
        if trials:
            rows.append([name, str(len(trials)), str(kills), str(wrong), slowest])
    head = ["scenario", "trials", "hits", "wrong", "seconds"]
    return table(head, rows, ("---", "--:", "--:", "--:", "--:"))


def in_page(result: dict[str, Any]) -> str:
    """What docs/faults.md shows."""
    told = result["campaign"]
    return (
        f"{told['trials']} trials, {told['processes killed or stopped']} processes "
        f"killed or stopped, {told['wrong']} results wrong; "
        f"{result['machine']['cores']} cores, seed {told['seed']}.\n\n{tabled(result)}"
    )


def campaign(given: argparse.Namespace, stem: Path | None) -> dict[str, Any]:
    """All trials that are not done yet; what is done is kept after each."""
    counts = {
        name: entry.short if given.quick else entry.trials
        for name, entry in SCENARIOS.items()
        if name in able() and given.only in name
    }
    done = begun(stem, given.seed)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for k, name in product(range(max(counts.values())), counts):
            trials = done["scenarios"].setdefault(name, [])
            if not len(trials) == k < counts[name]:
                continue
            chance = Random(f"{given.seed} {name} {k}")
            trial = attempt(SCENARIOS[name].run, bench, chance)
            trials.append(vars(trial))
            print(f"{name}: {trial.wrong or 'ok'} {trial.faults}", flush=True)
            keep(done, counts, stem)
    return done


def begun(stem: Path | None, seed: int) -> dict[str, Any]:
    """What an unfinished campaign on this machine has done, or nothing yet."""
    fresh = {
        "machine": description("cpu"),
        "campaign": {"started": now()["date"], "seed": seed},
        "scenarios": {},
    }
    if stem is None or not named(stem, ".json").exists():
        return fresh
    done = json.loads(named(stem, ".json").read_text())
    same = done["machine"] == fresh["machine"] and done["campaign"]["seed"] == seed
    return done if same and done["campaign"]["missing"] else fresh


def keep(done: dict[str, Any], counts: Mapping[str, int], stem: Path | None) -> None:
    """Count, and write the results so far."""
    every = [t for trials in done["scenarios"].values() for t in trials]
    done["campaign"] |= {
        "last trial": now()["date"],
        "trials": f"{len(every)} of {sum(counts.values())}",
        "processes killed or stopped": sum(t["kills"] for t in every),
        "wrong": sum(bool(t["wrong"]) for t in every),
        "missing": sum(counts.values()) - len(every),
    }
    if stem is not None:
        write_json(named(stem, ".json"), done)
        write(named(stem, ".md"), page(done))


def named(stem: Path, suffix: str) -> Path:
    """One of the files of the results."""
    return stem.with_name(stem.name + suffix)


def main() -> None:
    """Break things, and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few, no file")
    parser.add_argument("--only", default="", help="scenarios with this in their name")
    parser.add_argument("--page", action="store_true", help="only write the docs")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--output", type=Path, default=RESULTS / "faults")
    given = parser.parse_args()
    if given.page:
        result = json.loads(named(given.output, ".json").read_text())
        put(PAGE, "faults", in_page(result))
        return
    warm()
    stem = None if given.quick or given.only else given.output
    done = campaign(given, stem)
    print(page(done))
    sys.exit(done["campaign"]["wrong"] > 0)


def warm() -> None:
    """Import, before any fork, what commands import when they need it."""
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name in NEEDED:
        import_module(name)
    lsml.data.microstructures(1, (4, 4), 2)


if __name__ == "__main__":
    main()
