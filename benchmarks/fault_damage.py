"""Scenarios of full disks, damaged files and numbers that are none."""

import os
import shutil
import signal
import subprocess
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np
from fault_bench import Bench, Trial, refused, told
from fault_work import LIMIT, WORKS, Work
from killing import room

import lsml.data
from lsml.data.parts import folder_beside


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
