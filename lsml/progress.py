"""What a running solve tells: a progress line, and the iterates if they are kept."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from rich.console import Console
from rich.live import Live
from rich.text import Text
from torch import Tensor

from lsml.state import Status
from lsml.typing import Codes, PerSample, Vector

REFRESH = 4  # lines per second


class ProgressLine(AbstractContextManager["ProgressLine"]):
    """One line on stderr: iteration, worst error, rate, time left; only on a terminal.

    The time left extrapolates the mean decrease of the logarithm of the error.
    """

    def __init__(self, tol: float, name: str) -> None:
        self._tol, self._name = tol, name
        self._started = time.perf_counter()
        console = Console(stderr=True)
        self._live = (
            Live(console=console, refresh_per_second=REFRESH, transient=True)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> "ProgressLine":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, k: int, x: Vector, error: PerSample, status: Codes) -> None:
        """Show iterate k."""
        if self._live is not None:
            line = self._line(k, float(error.max()), status)
            self._live.update(Text(line, no_wrap=True, overflow="ellipsis"))

    def _line(self, k: int, worst: float, status: Codes) -> str:
        seconds = time.perf_counter() - self._started
        done, running = self._fraction(worst), int((status == Status.RUNNING).sum())
        left = f"  {seconds * (1 - done) / done:.0f} s left" if done > 0.05 else ""
        some = f"  {running} running" if len(status) > 1 else ""
        return (
            f"{self._name}  iteration {k}  error {worst:.1e} → {self._tol:.0e}  "
            f"{k / max(seconds, 1e-9):.1f}/s{some}{left}"
        )

    def _fraction(self, worst: float) -> float:
        if not 0 < self._tol < 1 or not worst > 0:
            return 0.0
        logs = torch.log(torch.tensor([worst, self._tol], dtype=torch.float64))
        return float((logs[0] / logs[1]).clamp(0, 1))


class Recorder:
    """Keeps the voxel field of every iterate."""

    def __init__(self, voxels: Callable[[Vector], Tensor]) -> None:
        self._voxels = voxels
        self.fields: list[Tensor] = []

    def __call__(self, k: int, x: Vector, error: PerSample, status: Codes) -> None:
        """Keep iterate k."""
        self.fields.append(self._voxels(x.detach()).clone())
