"""Commands of lsml in processes that are killed, stopped, or have no room to write.

A command runs in a fork of this process, which has imported lsml: it is the same
program without the seconds of its start. It has a session of its own, so that all its
processes are found and nothing else is hit.
"""

import mmap
import os
import resource
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, NoReturn

import psutil

POLL = 0.005  # seconds between two looks at a process
EVENTS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.listdir"}
Arm = Callable[[], None]


class Ended(NamedTuple):
    """How a process ended.

    Attributes
    ----------
    status : of its exit; −9 where it was killed.
    said : all that it printed.
    seconds : that it ran.
    """

    status: int
    said: str
    seconds: float

    @property
    def sentence(self) -> bool:
        """Whether it said in one sentence that it could not go on."""
        lines = [line for line in self.said.splitlines() if line.strip()]
        told = [line for line in lines if line.startswith("lsml: ")]
        return len(told) == 1 and "Traceback" not in self.said


class HangError(RuntimeError):
    """A process that had to end did not."""


class Child:
    """A fork of this process at work."""

    def __init__(self, work: Callable[[], None], arm: Arm = lambda: None) -> None:
        self._reader, writer = os.pipe()
        self.started = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            _live(work, arm, writer)
        os.close(writer)
        os.set_blocking(self._reader, False)
        self._status: int | None = None

    def over(self) -> bool:
        """Whether it has ended."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status is not None

    def pause(self, seconds: float) -> bool:
        """Let it work so long; whether it is still at work."""
        until = time.monotonic() + seconds
        while not self.over() and time.monotonic() < until:
            time.sleep(min(POLL, max(0.0, until - time.monotonic())))
        return not self.over()

    def wait(self, limit: float) -> Ended:
        """Its end.

        Raises
        ------
        HangError
            It has not ended within so many seconds; it is killed.
        """
        if self.pause(limit):
            self.kill_all()
            raise HangError(f"not over after {limit:g} s")
        return Ended(self._status or 0, self._heard(), time.monotonic() - self.started)

    def send(self, number: signal.Signals) -> None:
        """A signal, to the process itself."""
        if not self.over():
            os.kill(self.pid, number)

    def others(self) -> list[psutil.Process]:
        """All processes that it has started, and that live."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children(recursive=True)
        return []

    def kill_all(self) -> list[psutil.Process]:
        """It and all that it has started; these are returned."""
        others = self.others()
        self.send(signal.SIGKILL)
        for other in others:
            hit(other, signal.SIGKILL)
        self.pause(60)
        return others

    def _heard(self) -> str:
        parts = []
        with suppress(BlockingIOError):
            while part := os.read(self._reader, 2**16):
                parts.append(part)
        os.close(self._reader)
        return b"".join(parts).decode(errors="replace")


def hit(process: psutil.Process, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def gone(processes: Sequence[psutil.Process], limit: float) -> bool:
    """Whether they all end within so many seconds."""
    _, alive = psutil.wait_procs(processes, timeout=limit)
    return not alive


def command(words: Sequence[str]) -> Callable[[], None]:
    """The work of `lsml WORDS`."""
    from lsml.cli import app

    return lambda: app(list(words), prog_name="lsml")


class Operations:
    """Counts the file operations of a child below a folder, and kills it at one.

    Parameters
    ----------
    last : operation that it does not live to do; None only counts.
    """

    def __init__(self, folder: str, last: int | None = None) -> None:
        self.folder, self.last = folder, last
        self._shared = mmap.mmap(-1, 8)  # with the child

    @property
    def count(self) -> int:
        """Operations so far."""
        return int(struct.unpack("q", self._shared[:8])[0])

    def __call__(self) -> None:
        """Arm the present process."""
        sys.addaudithook(self._watch)

    def _watch(self, event: str, arguments: tuple[object, ...]) -> None:
        if event not in EVENTS or self.folder not in str(arguments[0]):
            return
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)
        self._shared[:8] = struct.pack("q", self.count + 1)


def room(size: int) -> Arm:
    """No file may become larger, as on a disk that is full."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _live(work: Callable[[], None], arm: Arm, writer: int) -> NoReturn:
    """What the child does."""
    status = 70
    try:
        os.setsid()
        for number in (1, 2):
            os.dup2(writer, number)
        sys.stdout, sys.stderr = (os.fdopen(number, "w") for number in (1, 2))
        arm()
        work()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
