"""What the commands for learned rules refuse before the work, and how they end."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Annotated

import torch
import typer

from lsml.atomic import check_target
from lsml.cli.errors import INTERRUPTED, LOST, NOT_CONVERGED, leave
from lsml.cli.errors import plain_errors as plain_errors
from lsml.data import LocalizationDataset
from lsml.data.rules import check_order
from lsml.distributed import LostError
from lsml.learned import Plan
from lsml.learned.journal import BEST, LAST, LOG
from lsml.learned.loading import NAMES
from lsml.learned.losses import shares
from lsml.learned.training import fabric_type
from lsml.mandel import names

PICTURE = "learning.png"
ACCELERATORS = ("auto", "cpu", "cuda")
SEEDS = 2**32

Accelerator = Annotated[str, typer.Option(help=", ".join(ACCELERATORS))]


@contextmanager
def interruptible(folder: Path | None = None) -> Iterator[None]:
    """One line, and a status, for what ends the work from outside.

    130 for Ctrl-C, 1 for a loss that is not finite, 3 for a process that is lost.
    """
    try:
        yield
    except KeyboardInterrupt:
        leave(f"interrupted{_going(folder)}", INTERRUPTED)
    except FloatingPointError as error:
        leave(str(error), NOT_CONVERGED)
    except LostError as error:
        leave(f"{error}{_going(folder)}", LOST)


def _going(folder: Path | None) -> str:
    """How a run that is kept in a folder goes on."""
    if folder is None or not (folder / LAST).exists():
        return ""
    return f"; the same command goes on from {folder / LAST}"


def check_name(rule: str | None) -> None:
    """Refuse a rule that nobody knows."""
    if rule is not None and rule not in NAMES:
        raise ValueError(f"rule {rule!r} is unknown; choose one of {', '.join(NAMES)}")


def check_device(accelerator: str) -> str:
    """``"cpu"`` or ``"cuda"``, if there is one."""
    if accelerator not in ACCELERATORS:
        known = ", ".join(ACCELERATORS)
        raise ValueError(
            f"accelerator {accelerator!r} is unknown; choose one of {known}"
        )
    found = torch.cuda.is_available()
    if accelerator == "cuda" and not found:
        raise ValueError("accelerator 'cuda': PyTorch finds no GPU here")
    return "cuda" if found and accelerator != "cpu" else "cpu"


def check_devices(count: int) -> bool:
    """Whether there shall be several processes.

    Raises
    ------
    ValueError
        Not so many, or `torchrun` has started another number of them here.
    """
    if count < 1:
        raise ValueError(f"devices = {count} must be 1 or more")
    here = os.environ.get("LOCAL_WORLD_SIZE", "1")
    if count > 1 and here not in ("1", str(count)):
        raise ValueError(
            f"devices = {count}, but torchrun has started {here} processes on this "
            "machine: leave --devices out"
        )
    return count > 1


def check_plan(plan: Plan, passes: int, minutes: float | None) -> None:
    """Refuse what would fail, or do nothing, once training has begun."""
    shares(plan.iterate_weights, passes)
    check_device(plan.accelerator)
    if not 0 <= plan.seed < SEEDS:
        raise ValueError(f"seed = {plan.seed} must be a whole number from 0 to 2³² - 1")
    if plan.workers < 0:
        raise ValueError(f"workers = {plan.workers} must not be negative")
    if minutes is not None and not 0 <= minutes < inf:
        raise ValueError(f"minutes = {minutes} must be a number, and not negative")
    fabric_type()


def check_folder(folder: Path, resumable: bool) -> None:
    """Refuse a folder that cannot be written, or with files of something else."""
    if not folder.is_dir():
        return
    check_target(folder / BEST)
    if resumable and (folder / LAST).exists():
        return
    for name in (LAST, BEST, LOG, PICTURE):
        if (folder / name).exists():
            raise ValueError(
                f"{folder / name} exists already, and is of no run that could go on "
                "here: choose another folder"
            )


def check_data(dataset: LocalizationDataset) -> None:
    """Refuse samples of which no rule is made that `lsml.solve` takes."""
    stored, load = dataset.components, dataset.load
    every = names(len(dataset.shape))
    if stored not in ((load,), every):
        raise ValueError(
            f"{dataset.path} stores the strains {','.join(stored)} under the load "
            f"{load}; a learned rule needs {load} alone, or all: {','.join(every)}"
        )
    check_order(dataset)


def check_pair(dataset: LocalizationDataset, other: LocalizationDataset) -> None:
    """Refuse a validation set of another kind than the training set."""
    for name in ("contrast", "nu", "load", "components"):
        mine, its = getattr(dataset, name), getattr(other, name)
        if mine != its:
            raise ValueError(
                f"{name} is {mine} in {dataset.path} and {its} in {other.path}"
            )
    if len(dataset.shape) != len(other.shape):
        raise ValueError(
            f"{dataset.path} has {len(dataset.shape)} axes and {other.path} "
            f"{len(other.shape)}"
        )
