"""What running work tells: progress lines, and the iterates if they are kept.

Lines are on stderr, on a terminal only, and after two seconds: what takes less time
needs none.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch
from rich.console import Console, ConsoleOptions
from rich.live import Live
from rich.text import Text
from torch import Tensor

from lsml.state import Status
from lsml.typing import Codes, PerSample, Vector

REFRESH = 4  # lines per second
DELAY = 2.0  # seconds of work that needs no line
EARLY = 0.05  # share of the work from which the time that is left can be told

L = TypeVar("L", bound="Line")
_silent = ContextVar("silent", default=False)


@contextmanager
def silenced() -> Iterator[None]:
    """No progress lines in here."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


class Line:
    """A line of text on stderr that is drawn anew while it lasts."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self._text = ""
        console = Console(stderr=True)
        shown = console.is_terminal and not _silent.get()
        # The line draws itself: then it also appears while nobody writes to it.
        self._live = (
            Live(self, console=console, refresh_per_second=REFRESH, transient=True)
            if shown
            else None
        )

    def __enter__(self: L) -> L:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[Text]:
        """The text, once it is time."""
        if self.seconds >= DELAY and self._text:
            yield Text(self._text, no_wrap=True, overflow="ellipsis")

    @property
    def shown(self) -> bool:
        """Whether anybody sees it."""
        return self._live is not None

    @property
    def seconds(self) -> float:
        """Since the work began."""
        return time.perf_counter() - self.started

    def write(self, text: str) -> None:
        """Show this from now on."""
        self._text = text

    def left(self, done: float) -> str:
        """Time that is left after a share of the work, if it can be told."""
        if done <= EARLY:
            return ""
        return f"  {self.seconds * (1 - done) / done:.0f} s left"


class ProgressLine(Line):
    """One line for a solve: iteration, worst error, rate, time left.

    The time left extrapolates the mean decrease of the logarithm of the error.
    """

    def __init__(self, tol: float, name: str) -> None:
        super().__init__()
        self._tol, self._name = tol, name

    def __call__(self, k: int, x: Vector, error: PerSample, status: Codes) -> None:
        """Show iterate k."""
        if self.shown:
            self.write(self._line(k, float(error.max()), status))

    def _line(self, k: int, worst: float, status: Codes) -> str:
        running = int((status == Status.RUNNING).sum())
        some = f"  {running} running" if len(status) > 1 else ""
        return (
            f"{self._name}  iteration {k}  error {worst:.1e} → {self._tol:.0e}  "
            f"{k / max(self.seconds, 1e-9):.1f}/s{some}"
            f"{self.left(self._fraction(worst))}"
        )

    def _fraction(self, worst: float) -> float:
        if not 0 < self._tol < 1 or not worst > 0:
            return 0.0
        logs = torch.log(torch.tensor([worst, self._tol], dtype=torch.float64))
        return float((logs[0] / logs[1]).clamp(0, 1))


class CountLine(Line):
    """One line for work in equal pieces: how many are done, rate, time left."""

    def __init__(self, what: str, total: int, done: int = 0) -> None:
        super().__init__()
        self._what, self._total, self._done, self._new = what, total, done, 0

    def advance(self, count: int = 1, note: str = "") -> None:
        """So many more are done; ``note`` is shown behind the numbers."""
        self._new += count
        done, open_ = self._done + self._new, self._total - self._done
        rate = self._new / max(self.seconds, 1e-9)
        self.write(
            f"{done}/{self._total} {self._what}  {rate:.3g}/s"
            f"{self.left(self._new / max(open_, 1))}{'  ' if note else ''}{note}"
        )


class Recorder:
    """Keeps the voxel field of every iterate."""

    def __init__(self, voxels: Callable[[Vector], Tensor]) -> None:
        self._voxels = voxels
        self.fields: list[Tensor] = []

    def __call__(self, k: int, x: Vector, error: PerSample, status: Codes) -> None:
        """Keep iterate k."""
        self.fields.append(self._voxels(x.detach()).clone())
