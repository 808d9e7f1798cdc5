"""Clock, memory and canary of one process that tries inputs."""

import faulthandler
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from fuzzing.outcome import Outcome, SlowError

SECONDS = 5.0  # of the processor, for one input
PATIENCE = 90  # on the wall, after which a process is ended that Python cannot stop
MEMORY = 2**30  # more than a process has when it begins
# What no input may cause. Modules that are imported late are compiled and executed.
FORBIDDEN = {
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "os.forkpty",
    "os.startfile",
    "os.chmod",
    "os.kill",
    "shutil.rmtree",
    "subprocess.Popen",
    "pty.spawn",
    "socket.connect",
    "socket.bind",
    "ctypes.dlopen",
    "webbrowser.open",
    "urllib.Request",
    "code.__new__",
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Canary:
    """Hears what this process does while an input is read.

    ``writes``: what is tried are commands, which read and write what they are told to.
    """

    def __init__(self, folder: Path, writes: bool) -> None:
        self.folder, self.writes, self.listening = str(folder), writes, False
        self.heard: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.listening:
            return
        if event in FORBIDDEN:
            self.heard.append(f"{event} {arguments!r:.100}")
        elif event == "open":
            self._opened(*arguments)

    def _opened(self, path: object, mode: object, flags: object) -> None:
        """Nothing is written outside of the folder, nor secrets of the system read."""
        name = os.fsdecode(path) if isinstance(path, (str, bytes)) else ""
        writes = isinstance(flags, int) and flags & WRITING
        secret = name.startswith("/etc/") and not self.writes
        if secret or (writes and not self._allowed(name)):
            self.heard.append(f"open {name[:100]} {mode}")

    def _allowed(self, name: str) -> bool:
        known = name.startswith((self.folder, "/dev/null")) or "__pycache__" in name
        return known or self.writes


def limit_memory() -> None:
    """Refuse this process more than 1 GiB beyond what it has."""
    used = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def late(signum: int, frame: object) -> None:
    """The time is up."""
    raise SlowError


@contextmanager
def timed() -> Iterator[None]:
    """An input that takes too long ends, and so does one that cannot be stopped."""
    signal.signal(signal.SIGPROF, late)
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()


def silent(outcome: Outcome, before: int, log: int) -> Outcome:
    """The outcome, or a finding if something was written to the terminal."""
    after = os.fstat(log).st_size
    if after == before or outcome.kind == "finding":
        return outcome
    said = os.pread(log, 200, before).decode(errors="replace")
    return Outcome("finding", f"to the terminal: {' '.join(said.split())}")
