"""Trials of the fault campaign, and the runs without faults to compare them with."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from random import Random

from fault_work import LIMIT, WORKS, Crew, Reference
from killing import Ended

RANKS = 3  # processes that share a cell


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

    def alone(self, work: Callable[[Path], Callable[[], None]]) -> Reference:
        """A run without faults of processes that work together."""
        name = work.__name__
        if name not in self._references:
            assert self.data.exists()
            folder = self.folder / f"reference {name}"
            folder.mkdir()
            started = time.monotonic()
            for ended in Crew(RANKS, work(folder)).ends(LIMIT):
                if ended.status:
                    raise RuntimeError(ended.said)
            seconds = time.monotonic() - started
            self._references[name] = Reference(folder, seconds, 0)
        return self._references[name]

    def fresh(self) -> Path:
        """An empty folder."""
        folder = self.folder / "trial"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder


Scenario = Callable[[Bench, Random], Trial]


def refused(ended: Ended) -> bool:
    """Whether a command has ended with a status and one sentence."""
    return ended.status in (1, 2) and ended.sentence


def told(wrong: str) -> tuple[bool, str]:
    """For `Trial.must`."""
    return not wrong, wrong
