"""What the fault campaign runs: commands, what they leave, and what that must be."""

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch
from killing import Arm, Child, Ended, Operations, command

from lsml.atomic import replacing

PATIENCE = 10.0  # seconds after which ranks give a silent one up
LIMIT = 600.0  # seconds in which anything must end; only a hang takes so long
FIELDS = 1e-12  # largest difference of a field that was made after a fault
Check = Callable[[Path, Path], str]


class Reference(NamedTuple):
    """A run without faults.

    Attributes
    ----------
    folder : what it has left.
    seconds : that it took.
    operations : on files, in its first process.
    """

    folder: Path
    seconds: float
    operations: int


@dataclass(frozen=True)
class Work:
    """A command that writes into a folder.

    Attributes
    ----------
    words : of the command; ``{}`` stands for the folder.
    whole : what is wrong with a complete result beside the reference, "" if nothing.
    sound : the same of what a killed run has left.
    again : words that are added where some of the results are there.
    setup : run in the process before the command.
    """

    words: Sequence[str]
    whole: Check
    sound: Check
    again: Sequence[str] = ()
    setup: Arm = lambda: None

    def start(self, folder: Path, arm: Arm = lambda: None) -> Child:
        """The command at work."""

        def armed() -> None:
            self.setup()
            arm()

        words = [word.format(folder) for word in (*self.words, *self.again)]
        return Child(command(words), armed)

    def finish(self, folder: Path, reference: Reference) -> str:
        """Run it to its end; what is wrong then, "" if nothing."""
        ended = self.start(folder).wait(LIMIT)
        if ended.status:
            return f"status {ended.status} without a fault: {ended.said[-500:]}"
        left, expected = names(folder), names(reference.folder)
        if left != expected:
            return f"leaves {left}, expected {expected}"
        return self.whole(folder, reference.folder)

    def reference(self, folder: Path) -> Reference:
        """A run without faults."""
        folder.mkdir(parents=True)
        counted = Operations(str(folder))
        ended = self.start(folder, counted).wait(LIMIT)
        if ended.status:
            raise RuntimeError(f"{self.words}: {ended.said}")
        return Reference(folder, ended.seconds, counted.count)


def names(folder: Path) -> list[str]:
    """Files in a folder; one stands for all logs of TensorBoard."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    return sorted({n.partition("tfevents")[0] for n in found})


def same_files(*patterns: str) -> Check:
    """That files have the same bytes."""

    def check(folder: Path, reference: Path) -> str:
        for pattern in patterns:
            for expected in reference.glob(pattern):
                found = folder / expected.relative_to(reference)
                if not found.exists():
                    return f"{found.name} is missing"
                if found.read_bytes() != expected.read_bytes():
                    return f"{found.name} has other bytes"
        return ""

    return check


def same_dataset(folder: Path, reference: Path) -> str:
    """That labels and all that is known of the samples are equal, and fields close."""
    paths = folder / "train.h5", reference / "train.h5"
    if paths[0].read_bytes() == paths[1].read_bytes():
        return ""
    with h5py.File(paths[0]) as found, h5py.File(paths[1]) as expected:
        for name in expected:
            a, b = found[name][()], expected[name][()]
            close = a.shape == b.shape and (
                bool(np.abs(a - b).max() <= FIELDS)
                if name in ("strain", "error")
                else np.array_equal(a, b)
            )
            if not close:
                return f"{name} differs"
    return ""


def dataset_or_nothing(folder: Path, reference: Path) -> str:
    """That the dataset has its name only when it is whole."""
    there = (folder / "train.h5").exists()
    return same_dataset(folder, reference) if there else ""


def same_training(folder: Path, reference: Path) -> str:
    """That weights, curve and state to go on from have the same bits."""
    wrong = same_files("run/best.safetensors", "run/log.csv")(folder, reference)
    if wrong:
        return wrong
    states = [torch.load(f / "run/last.ckpt") for f in (folder, reference)]
    return "" if alike(*states) else "last.ckpt holds another state"


def alike(a: Any, b: Any) -> bool:
    """Whether nested values have the same bits."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(alike(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(alike, a, b))
    return bool(a == b)


def checkpoint_or_nothing(folder: Path, reference: Path) -> str:
    """That what training goes on from can be read."""
    last = folder / "run/last.ckpt"
    if last.exists():
        torch.load(last)
    return ""


def results_or_nothing(folder: Path, reference: Path) -> str:
    """That a result has its name only when it is whole."""
    for path in folder.glob("result.*"):
        if path.suffix == ".h5":
            wrong = same_result(folder, reference)
        else:
            wrong = same_files(path.name)(folder, reference)
        if wrong:
            return wrong
    return ""


def same_result(folder: Path, reference: Path) -> str:
    """That all arrays of a result are close, but for what tells the time."""
    from lsml.io import read_saved

    found, expected = (read_saved(f / "result.h5") for f in (folder, reference))
    for which in ("fields", "numbers"):
        a, b = getattr(found, which), getattr(expected, which)
        if a.keys() != b.keys():
            return f"{which} are {sorted(a)}, expected {sorted(b)}"
        for name in a:
            if not np.allclose(a[name], b[name], FIELDS, FIELDS, equal_nan=True):
                return f"{name} differs"
    return ""


def checkpoints_at_every_step() -> None:
    """Instead of each minute, so that half of the time goes into writing them."""
    import lsml.learned.journal

    lsml.learned.journal.INTERVAL = 0.0


GENERATE = (
    *("data", "generate", "{}/train.h5", "--n", "10", "--realizations", "2"),
    *("--shape", "9,8,7", "--batch", "2", "--seed", "3"),
)
LEARN = ("train", "{}/../train.h5", "{}/run", "--rule", "fln", "--network")
LEARN = (*LEARN, "three-layer", "--batch", "3", "--accelerator", "cpu", "--epochs", "4")
IMAGE = ("{}/../train.h5", "--dataset", "labels", "--out", "{}/result.h5")
WORKS = {
    "generate": Work(GENERATE, same_dataset, dataset_or_nothing),
    "generate, 2 workers": Work(
        (*GENERATE, "--workers", "2"), same_dataset, dataset_or_nothing
    ),
    "train": Work(LEARN, same_training, checkpoint_or_nothing),
    "train, checkpoints at every step": Work(
        LEARN, same_training, checkpoint_or_nothing, setup=checkpoints_at_every_step
    ),
    "solve": Work(
        ("solve", *IMAGE, "--tol", "1e-9"),
        same_result,
        results_or_nothing,
        ("--overwrite",),
    ),
    "homogenize": Work(
        ("homogenize", *IMAGE), same_result, results_or_nothing, ("--overwrite",)
    ),
}


class Crew:
    """Processes that do the same work together, as torchrun would start them."""

    def __init__(
        self, count: int, work: Callable[[], None], arm: Arm = lambda: None
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.ranks = [
            Child(work, _armed(arm, rank, count, port)) for rank in range(count)
        ]

    def ends(self, limit: float) -> list[Ended]:
        """How they end."""
        return [rank.wait(limit) for rank in self.ranks]


def _armed(arm: Arm, rank: int, count: int, port: int) -> Arm:
    """With what torchrun puts into the environment."""
    values = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank}
    values |= {"LOCAL_WORLD_SIZE": count, "MASTER_PORT": port}
    told = {name: str(value) for name, value in values.items()}

    def armed() -> None:
        os.environ.update(told | {"MASTER_ADDR": "127.0.0.1"})
        arm()

    return armed


def share(out: Path) -> None:
    """Solve some cells, each process a slab of them."""
    import lsml
    from lsml.distributed import Slab, join

    slabs = join("gloo")
    shape = (7, 5, 4)
    labels = torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(1))
    mine = Slab(labels[slabs.rows(shape[0])], slabs, shape[0])
    found = []
    for contrast in (10.0, 30.0, 100.0):
        solution = lsml.solve(mine, "cg", contrast=contrast, tol=1e-8, compile=False)
        found.append(solution.mean_stress)
    if slabs.rank == 0:
        with replacing(out) as temporary:
            torch.save(torch.cat(found), temporary)
