"""One process that tries inputs of one target, and tells what became of each.

A line before each input and one after it, so that whoever started the process knows
which one has ended it. Whatever else is written to the terminal is a finding.
"""

import gc
import os
import sys
import warnings
from collections.abc import Callable
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import hypothesis
import torch

from fuzzing.arrays import ARRAYS
from fuzzing.commands import COMMANDS
from fuzzing.files import FILES, FileTarget
from fuzzing.guided import GUIDED, guided
from fuzzing.outcome import Outcome, judged
from fuzzing.run_files import RUN_FILES
from fuzzing.watch import Canary, limit_memory, silent, timed
from fuzzing.weights import CANARY, WEIGHTS

Tell = Callable[[dict[str, Any]], None]
BYTES = FILES | WEIGHTS | RUN_FILES | COMMANDS
TARGETS = (*ARRAYS, *BYTES)


class Worker(NamedTuple):
    """Where outcomes are told, and what is watched meanwhile."""

    folder: Path
    tell: Tell
    log: int
    canary: Canary


def serve(
    target: str, seed: int, first: int, tries: int, folder: Path, tell: Tell
) -> None:
    """Try inputs ``first`` to ``first + tries`` of a target."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    log = (folder / "log").open("w+b")
    for stream in (1, 2):
        os.dup2(log.fileno(), stream)
    canary = Canary(folder, target in RUN_FILES | COMMANDS)
    worker = Worker(folder, tell, log.fileno(), canary)
    part = guided_part if target.startswith(GUIDED) else bytes_part
    part = arrays_part if target in ARRAYS else part
    part(worker, target, seed, (first, tries))


def attempt(worker: Worker, action: Callable[[], str], path: str) -> Outcome:
    """One input, watched."""
    sys.stdout.flush()
    before, canary = os.fstat(worker.log).st_size, worker.canary
    canary.heard.clear()
    canary.listening = True
    try:
        with timed():
            outcome = judged(action, path)
    finally:
        canary.listening = False
    sys.stderr.flush()
    acted = [CANARY] * (CANARY in os.environ or (worker.folder / CANARY).exists())
    if canary.heard or acted:
        return Outcome("finding", f"it acted: {'; '.join(canary.heard[:3] + acted)}")
    return silent(outcome, before, worker.log)


def arrays_part(worker: Worker, target: str, seed: int, span: tuple[int, int]) -> None:
    """Examples of hypothesis, which draws them from the seed of the part."""
    first, tries = span
    place = [first]

    @hypothesis.seed(f"{target} {seed} {first}")
    @hypothesis.settings(
        max_examples=tries,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(ARRAYS[target])
    def one(call: Any) -> None:
        words, action = call
        worker.tell({"begin": place[0], "input": words[:400]})
        outcome = attempt(worker, action, "")
        worker.tell({"end": place[0], "kind": outcome.kind, "words": outcome.words})
        place[0] += 1

    limit_memory()
    one()


def bytes_part(worker: Worker, target: str, seed: int, span: tuple[int, int]) -> None:
    """Files, each made of the number of the input alone."""
    kind, seeds = prepared(worker, target)
    for number in range(span[0], sum(span)):
        name, data = drawn(kind, seeds, f"{target} {seed} {number}")
        try_bytes(worker, kind, number, (name, data))


def guided_part(worker: Worker, target: str, seed: int, span: tuple[int, int]) -> None:
    """Files as atheris makes them, beginning with the valid ones."""
    kind, seeds = prepared(worker, target.removeprefix(GUIDED))
    numbers, suffix = count(span[0]), Path(min(seeds)).suffix

    def one(data: bytes) -> None:
        try_bytes(worker, kind, next(numbers), (f"x{suffix}", data))

    guided(seeds, span[1], seed + span[0], worker.folder, one)


def prepared(worker: Worker, target: str) -> tuple[FileTarget, Any]:
    """A kind of file, valid ones, and a process that is ready."""
    kind = BYTES[target]
    seeds = kind.seeds(worker.folder)
    warm(kind, seeds, worker.folder)
    limit_memory()
    return kind, seeds


def try_bytes(
    worker: Worker, kind: FileTarget, number: int, made: tuple[str, bytes]
) -> None:
    """Write a file, read it, and tell."""
    path = worker.folder / f"input{Path(made[0]).suffix}"
    path.write_bytes(made[1])
    worker.tell({"begin": number, "input": made[0]})
    outcome = attempt(worker, bound(kind, path), str(path))
    if number % 200 == 0:
        gc.collect()
    kept = {"data": made[1][:4000].hex()} if outcome.kind == "finding" else {}
    told = {"end": number, "kind": outcome.kind, "words": outcome.words}
    worker.tell(told | kept)


def drawn(kind: FileTarget, seeds: Any, key: str) -> tuple[str, bytes]:
    """The input of a key."""
    rng = Random(key)
    name = rng.choice(sorted(seeds))
    return name, kind.made(rng, name, seeds)


def bound(kind: FileTarget, path: Path) -> Callable[[], str]:
    """What is done with a file."""
    return lambda: kind.act(path)


def warm(kind: FileTarget, seeds: Any, folder: Path) -> None:
    """Valid files once, so that nothing is imported while the canary listens."""
    for name, data in seeds.items():
        path = folder / f"input{Path(name).suffix}"
        path.write_bytes(data)
        judged(bound(kind, path), str(path))
