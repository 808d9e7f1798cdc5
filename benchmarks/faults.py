"""Faults on purpose: killed and hanging processes, full disks, damaged files, NaN.

Every trial ends with the same command again, which must then have made what a run
without faults makes. Moments are drawn from a seed, uniformly over the run or over its
operations on files. A campaign that is interrupted goes on with the next trial. Run
``python benchmarks/faults.py``; writes results/faults.json and .md.
"""

import argparse
import inspect
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import h5py
import numpy as np
import psutil
import torch
from fault_work import LIMIT, PATIENCE, WORKS, Crew, Reference, Work
from killing import Ended, HangError, Operations, gone, hit, room
from machine import description, now
from pages import facts, table
from unfinished import Files

import lsml.data
from lsml.data.parts import folder_beside

RESULTS = Path(__file__).parent / "results"
NEEDED = (
    "lsml.cli",
    "lightning.fabric",
    "torch.utils.tensorboard",
    "matplotlib.pyplot",
)
SEED = 2026
ENDS = 10.0  # seconds in which the processes of one that was killed must have ended
HANGS = 20.0  # seconds given to a part, after which its worker hangs
MARGIN = 40.0  # seconds, beside PATIENCE or HANGS, for the rest of a run


@dataclass
class Trial:
    """What is told of one trial.

    Attributes
    ----------
    faults : what was done, and when.
    kills : how many of these killed a process.
    wrong : what should not be, "" if nothing.
    ended : seconds from the fault to the end of those who had to end by it.
    """

    faults: list[str] = field(default_factory=list)
    kills: int = 0
    wrong: str = ""
    ended: float | None = None

    def hit(self, what: str, moment: float) -> None:
        """One more kill."""
        self.kills += 1
        self.faults.append(f"{what} at {moment:.3g}")

    def must(self, true: bool, otherwise: str) -> None:
        """Note what is wrong, the first time."""
        self.wrong = self.wrong or ("" if true else otherwise)


class Bench:
    """A folder for everything, and runs without faults to compare with."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._references = folder, dict[str, Reference]()

    @cached_property
    def data(self) -> Path:
        """The dataset that others read; made without faults."""
        made = self.reference("generate").folder / "train.h5"
        return Path(shutil.copy(made, self.folder / "train.h5"))

    def reference(self, name: str) -> Reference:
        """A run of a work without faults."""
        if name not in self._references:
            if not name.startswith("generate"):
                assert self.data.exists()
            folder = self.folder / f"reference {name}"
            self._references[name] = WORKS[name].reference(folder)
        return self._references[name]

    @cached_property
    def shared(self) -> tuple[float, torch.Tensor]:
        """Seconds and answer of processes that share a cell."""
        out = self.folder / "shared.pt"
        for _ in range(2):
            started = time.monotonic()
            for ended in Crew(3, out).ends(LIMIT):
                if ended.status:
                    raise RuntimeError(ended.said)
        return time.monotonic() - started, torch.load(out)

    def fresh(self) -> Path:
        """An empty folder."""
        folder = self.folder / "trial"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder


Scenario = Callable[[Bench, Random], Trial]


def at_moments(name: str, bench: Bench, chance: Random) -> Trial:
    """The main process killed once to three times, at any moment of its run."""
    work, reference, folder = WORKS[name], bench.reference(name), bench.fresh()
    trial, wanted = Trial(), chance.randint(1, 3)
    while trial.kills < wanted:
        moment = chance.uniform(0, reference.seconds)
        child = work.start(folder)
        if not child.pause(moment):
            folder = bench.fresh()  # it was over; another one
            continue
        others = child.others()
        child.send(signal.SIGKILL)
        trial.hit("main process", moment / reference.seconds)
        child.wait(LIMIT)
        if others:
            began = time.monotonic()
            trial.must(gone(others, ENDS), "workers outlive the main process")
            trial.ended = max(trial.ended or 0, time.monotonic() - began)
        trial.must(*told(work.sound(folder, reference.folder)))
    trial.must(*told(work.finish(folder, reference)))
    return trial


def at_operations(name: str, bench: Bench, chance: Random) -> Trial:
    """The main process killed just before a random operation on files."""
    work, reference, folder = WORKS[name], bench.reference(name), bench.fresh()
    trial = Trial()
    for _ in range(chance.randint(1, 3)):
        last = chance.randrange(reference.operations)
        ended = work.start(folder, Operations(str(folder), last)).wait(LIMIT)
        if ended.status == -signal.SIGKILL:
            trial.hit("file operation", last)
        trial.must(*told(work.sound(folder, reference.folder)))
    trial.must(*told(work.finish(folder, reference)))
    return trial


def of_workers(
    number: signal.Signals, everyone: bool, bench: Bench, chance: Random
) -> Trial:
    """A signal to one of the workers of a generation, or to all and the main process.

    The command may go on by itself, or end in one sentence, and go on when it is given
    again.
    """
    name = "generate, 2 workers"
    work, reference, folder = WORKS[name], bench.reference(name), bench.fresh()
    trial, moment = Trial(), chance.uniform(0.2, 1) * reference.seconds
    if number == signal.SIGSTOP:
        work = limited(work)
    child = work.start(folder)
    while child.pause(moment) and not child.others():
        moment = 0.02
    others = child.others()
    if everyone:
        child.kill_all()
        trial.hit("all processes", moment)
        trial.must(gone(others, ENDS), "processes that were killed live")
    elif others:
        hit(chance.choice(others), number)
        trial.hit(f"worker {number.name}", moment)
        began = time.monotonic()
        ended = child.wait(HANGS + MARGIN + 4 * reference.seconds)
        trial.ended = time.monotonic() - began
        trial.must(ended.status == 0 or ended.sentence, ended.said[-500:])
        trial.faults.append("went on" if ended.status == 0 else ended.said.strip())
    child.pause(LIMIT)
    trial.must(*told(work.sound(folder, reference.folder)))
    trial.must(*told(work.finish(folder, reference)))
    return trial


def limited(work: Work) -> Work:
    """With a limit for each part."""
    words = (*work.words, "--limit", f"{HANGS:g}")
    return Work(words, work.whole, work.sound, work.again)


def of_peers(number: signal.Signals, bench: Bench, chance: Random) -> Trial:
    """One of three processes that share a cell is killed or stopped."""
    seconds, expected = bench.shared
    out, trial = bench.folder / "shared.pt", Trial()
    out.unlink(missing_ok=True)
    crew, moment = Crew(3, out), chance.uniform(0, seconds)
    lost = crew.ranks.pop(chance.randrange(3))
    if lost.pause(moment):
        lost.send(number)
        trial.hit(f"rank {number.name}", moment / seconds)
        began = time.monotonic()
        ends = crew.ends(PATIENCE + MARGIN)
        trial.ended = time.monotonic() - began
        # A process that has all it needs from the lost one may still end well.
        done = out.exists() and torch.equal(torch.load(out), expected)
        failed = [end.status != 0 for end in ends]
        trial.must(done or all(failed), f"ends with {[e.status for e in ends]}")
        lost.kill_all()
    crew.ends(LIMIT) if not trial.kills else lost.pause(LIMIT)
    again = Crew(3, out).ends(LIMIT)
    trial.must(not any(end.status for end in again), again[0].said[-500:])
    trial.must(torch.equal(torch.load(out), expected), "another answer afterwards")
    return trial


def torchrun(bench: Bench, chance: Random) -> Trial:
    """One of two processes that torchrun has started is killed."""
    here = [str(Path(__file__).parent), str(Path(lsml.__file__).parents[1])]
    code = "import sys; from pathlib import Path; from fault_work import _share; "
    code += f"_share(Path({str(bench.folder / 'torchrun.pt')!r}))"
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    trial = Trial()
    run = subprocess.Popen(
        [sys.executable, *words, "--no-python", sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(here)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    agent = psutil.Process(run.pid)
    while run.poll() is None and len(agent.children()) < 2:
        time.sleep(0.02)
    moment = chance.uniform(0, 8)
    time.sleep(moment)
    ranks = agent.children()
    if run.poll() is None and ranks:
        hit(chance.choice(ranks), signal.SIGKILL)
        trial.hit("rank SIGKILL", moment)
        began = time.monotonic()
        try:
            trial.must(run.wait(PATIENCE + MARGIN) != 0, "torchrun ended with 0")
        except subprocess.TimeoutExpired:
            run.kill()
            trial.must(False, "torchrun hangs")
        trial.ended = time.monotonic() - began
        trial.must(gone(ranks, ENDS), "ranks outlive torchrun")
    run.wait(LIMIT)
    return trial


def full_disk(name: str, bench: Bench, chance: Random) -> Trial:
    """No file may become larger than a random size that is too small."""
    work, reference, folder = WORKS[name], bench.reference(name), bench.fresh()
    largest = max(p.stat().st_size for p in reference.folder.rglob("*") if p.is_file())
    size = chance.randrange(1, largest)
    trial = Trial([f"files of up to {size} bytes"])
    ended = work.start(folder, room(size)).wait(LIMIT)
    trial.must(refused(ended), f"status {ended.status}: {ended.said[-500:]}")
    trial.must(*told(work.sound(folder, reference.folder)))
    trial.must(*told(work.finish(folder, reference)))
    return trial


def small_disk(name: str, bench: Bench, chance: Random) -> Trial:
    """A file system of its own that is too small; skipped where none can be mounted."""
    work, reference, folder = WORKS[name], bench.reference(name), bench.fresh()
    pages = sum(
        -(-p.stat().st_size // 4096) for p in reference.folder.rglob("*") if p.is_file()
    )
    size = 4096 * chance.randrange(2, pages + 2)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        return Trial(["not here: a file system cannot be mounted"])
    trial = Trial([f"a disk of {size} bytes"])
    try:
        ended = work.start(folder).wait(LIMIT)
        trial.must(refused(ended), f"status {ended.status}: {ended.said[-500:]}")
        trial.must(*told(work.sound(folder, reference.folder)))
        grown = ["mount", "-o", "remount,size=64m", str(folder)]
        subprocess.run(grown, check=True, capture_output=True)
        trial.must(*told(work.finish(folder, reference)))
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    return trial


def damaged_part(bench: Bench, chance: Random) -> Trial:
    """A part cut short, or one bit of it turned, between two runs."""
    name = "generate"
    work, reference, folder = WORKS[name], bench.reference(name), bench.fresh()
    trial, parts = Trial(), list[Path]()
    while not parts:
        child = work.start(folder)
        child.pause(chance.uniform(0.3, 1) * reference.seconds)
        child.send(signal.SIGKILL)
        child.pause(LIMIT)
        beside = folder_beside(folder / "train.h5")
        parts = sorted(beside.glob("[0-9]*.h5"))
        if not parts:
            shutil.rmtree(folder)
            folder.mkdir()
    trial.hit("main process", len(parts))
    trial.faults.append(damaged(chance.choice(parts), chance))
    trial.must(*told(work.finish(folder, reference)))
    return trial


def damaged_dataset(count: int, bench: Bench, chance: Random) -> Trial:
    """One bit of a complete dataset turned, or its end cut off; many times over."""
    expected, path = contents(bench.data), bench.fresh() / "train.h5"
    trial, noticed = Trial(), 0
    for _ in range(count):
        shutil.copy(bench.data, path)
        what = damaged(path, chance)
        try:
            found = contents(path)
        except ValueError:
            noticed += 1
        else:
            trial.must(alike(found, expected), f"read as if it were sound: {what}")
    trial.faults.append(f"{count} damages, {noticed} noticed, the others harmless")
    return trial


def contents(path: Path) -> list[np.ndarray]:
    """All that is in a dataset, as training reads it."""
    data = lsml.data.LocalizationDataset(path, "all")
    told = (data.contrast, data.nu, data.load, data.mean_strain, data.components)
    rows = [np.asarray(part) for sample in data for part in sample]
    about = [np.asarray(repr(each)) for each in (told, data.recipe, data.counts)]
    return [*rows, *about, data.error.numpy(), data.rows]


def alike(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    """Whether all arrays are equal."""
    return len(a) == len(b) and all(map(np.array_equal, a, b))


def damaged(path: Path, chance: Random) -> str:
    """Damage a file; what was done to it."""
    data = bytearray(path.read_bytes())
    place = chance.randrange(len(data))
    if chance.random() < 0.25:
        path.write_bytes(data[:place])
        return f"{path.name} cut to {place} of {len(data)} bytes"
    data[place] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    return f"{path.name}: one bit of byte {place} of {len(data)} turned"


def nan_solved(bench: Bench, chance: Random) -> Trial:
    """A solve that claims to have converged to a field with a NaN in it."""
    folder, sample = bench.fresh(), chance.randrange(20)
    work, reference = WORKS["generate"], bench.reference("generate")
    trial = Trial([f"sample {sample}"])
    ended = work.start(folder, partial(poison, sample)).wait(LIMIT)
    trial.must(ended.status == 1 and f"sample {sample} " in ended.said, ended.said)
    trial.must(not (folder / "train.h5").exists(), "a dataset is written")
    trial.must(*told(work.finish(folder, reference)))
    return trial


def poison(sample: int) -> None:
    """Put a NaN into the strain of a sample, just after it is solved."""
    import lsml.data.shards as shards

    solve, seen = shards.solve, [0]

    def poisoned(labels: Any, *rest: Any, **options: Any) -> Any:
        solution = solve(labels, *rest, **options)
        at = sample - seen[0]
        seen[0] += len(labels)
        if 0 <= at < len(labels):
            solution.strain[at, 0, 0, 0, 0] = float("nan")
        return solution

    shards.solve = poisoned  # type: ignore[assignment]


def nan_learned(readers: int, bench: Bench, chance: Random) -> Trial:
    """Training on a dataset with a NaN in one sample of its training split."""
    work, folder = WORKS["train"], bench.fresh()
    data = bench.data.read_bytes()
    with h5py.File(bench.data, "r+") as file:
        rows = np.flatnonzero(file["split"][()] < 2)  # training and validation
        row = int(chance.choice(rows.tolist()))
        strain = file["strain"][row]
        strain[0, 1, 2, 3] = chance.choice([float("nan"), float("inf")])
        file["strain"][row] = strain
    trial = Trial([f"sample {row}, {readers} processes that read"])
    words = (*work.words, "--workers", str(readers))
    try:
        ended = Work(words, work.whole, work.sound).start(folder).wait(LIMIT)
        trial.must(refused(ended) and f"sample {row} " in ended.said, ended.said)
    finally:
        bench.data.write_bytes(data)
    trial.must(*told(work.finish(folder, bench.reference("train"))))
    return trial


def refused(ended: Ended) -> bool:
    """Whether a command has ended with a status and one sentence."""
    return ended.status in (1, 2) and ended.sentence


def told(wrong: str) -> tuple[bool, str]:
    """For `Trial.must`."""
    return not wrong, wrong


class Entry(NamedTuple):
    """A scenario, and how often it is tried; in short, as often as the tests do it."""

    run: Scenario
    trials: int
    short: int = 0


SCENARIOS: Mapping[str, Entry] = {
    "generate: main process killed at any moment": Entry(
        partial(at_moments, "generate"), 8, 1
    ),
    "generate: main process killed at a file operation": Entry(
        partial(at_operations, "generate"), 8, 1
    ),
    "generate, 2 workers: main process killed": Entry(
        partial(at_moments, "generate, 2 workers"), 3
    ),
    "generate, 2 workers: a worker killed": Entry(
        partial(of_workers, signal.SIGKILL, False), 4
    ),
    "generate, 2 workers: all processes killed": Entry(
        partial(of_workers, signal.SIGKILL, True), 3
    ),
    "generate, 2 workers: a worker hangs": Entry(
        partial(of_workers, signal.SIGSTOP, False), 2
    ),
    "train: killed at any moment": Entry(partial(at_moments, "train"), 8, 1),
    "train: killed at a file operation, checkpoints at every step": Entry(
        partial(at_operations, "train, checkpoints at every step"), 8, 1
    ),
    "solve on 3 processes: one killed": Entry(partial(of_peers, signal.SIGKILL), 16, 1),
    "solve on 3 processes: one hangs": Entry(partial(of_peers, signal.SIGSTOP), 3),
    "solve on 2 processes of torchrun: one killed": Entry(torchrun, 2),
    "solve --out: killed at a file operation": Entry(
        partial(at_operations, "solve"), 6, 1
    ),
    "solve --out: killed at any moment": Entry(partial(at_moments, "solve"), 4),
    "homogenize --out: killed at a file operation": Entry(
        partial(at_operations, "homogenize"), 6
    ),
    **{
        f"{name}: no file may grow": Entry(partial(full_disk, name), 4, name == "solve")
        for name in ("generate", "train", "solve", "homogenize")
    },
    **{
        f"{name}: full disk": Entry(partial(small_disk, name), 3)
        for name in ("generate", "train", "solve", "homogenize")
    },
    "generate: a part damaged between two runs": Entry(damaged_part, 8, 1),
    "a dataset damaged": Entry(partial(damaged_dataset, 200), 5, 1),
    "generate: NaN in a solution": Entry(nan_solved, 3, 1),
    "train: NaN in the dataset": Entry(partial(nan_learned, 0), 2, 1),
    "train, 1 process that reads: NaN in the dataset": Entry(
        partial(nan_learned, 1), 1
    ),
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
    rows = []
    for name, trials in result["scenarios"].items():
        if not trials:
            continue
        ends = [t["ended"] for t in trials if t["ended"] is not None]
        wrong = sum(bool(t["wrong"]) for t in trials)
        slowest = f"{max(ends):.1f}" if ends else "–"
        kills = sum(t["kills"] for t in trials)
        rows.append([name, str(len(trials)), str(kills), str(wrong), slowest])
    head = ["scenario", "trials", "hits", "wrong", "s to the end"]
    text = f"# Faults\n\n{facts(result['machine'], result['campaign'])}\n\n"
    text += table(head, rows, ("---", "--:", "--:", "--:", "--:"))
    wrong = [
        f"* {n}: {t['wrong']}"
        for n, ts in result["scenarios"].items()
        for t in ts
        if t["wrong"]
    ]
    return text + ("\n## Wrong\n\n" + "\n".join(wrong) + "\n" if wrong else "")


def campaign(given: argparse.Namespace, files: Files) -> dict[str, Any]:
    """All trials that are not done yet."""
    done = files.done()
    done.setdefault("started", now()["date"])
    tried = done.setdefault("scenarios", {})
    counts = {
        name: entry.short if given.quick else entry.trials
        for name, entry in SCENARIOS.items()
        if name in able() and given.only in name
    }
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for k in range(max(counts.values())):
            for name, count in counts.items():
                trials = tried.setdefault(name, [])
                if not len(trials) == k < count:
                    continue
                chance = Random(f"{given.seed} {name} {k}")
                trial = attempt(SCENARIOS[name].run, bench, chance)
                trials.append(vars(trial))
                files.keep(done)
                print(f"{name}: {trial.wrong or 'ok'} {trial.faults}", flush=True)
    return done


def main() -> None:
    """Break things, and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few, no file")
    parser.add_argument("--only", default="", help="scenarios with this in their name")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--output", type=Path, default=RESULTS / "faults")
    given = parser.parse_args()
    warm()
    kept = not given.quick and not given.only
    files = Files(given.output if kept else None, description("cpu"))
    done = campaign(given, files)
    every = [t for trials in done["scenarios"].values() for t in trials]
    result = {
        "machine": description("cpu"),
        "campaign": {
            "started": done["started"],
            "seed": given.seed,
            "trials": len(every),
            "processes killed or stopped": sum(t["kills"] for t in every),
            "wrong": sum(bool(t["wrong"]) for t in every),
            "complete": "yes",
        },
        "scenarios": done["scenarios"],
    }
    files.finish(result, page(result))
    print(page(result))
    sys.exit(any(t["wrong"] for t in every))


def warm() -> None:
    """Import, before any fork, what commands import when they need it."""
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name in NEEDED:
        import_module(name)
    lsml.data.microstructures(1, (4, 4), 2)


if __name__ == "__main__":
    main()
