"""Processes of this machine, which never outlive the one that wants them.

A worker is a fresh interpreter that reads the task and then items from its standard
input, and answers each when it is done. The input ends when the wanting process closes
it or is killed, and the worker with it. It has a session of its own: an interrupt from
the terminal goes to the wanting process only. Unlike processes that `multiprocessing`
spawns, it does not run the script of the user again.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from itertools import islice
from queue import SimpleQueue
from threading import TIMEOUT_MAX, Event, Lock, Thread, Timer
from typing import Any, BinaryIO

import torch

from lsml.workers.task import ATTEMPTS, Answer, I, R, Task, attempt, lost

START = "from lsml.workers.processes import main; main()"
SINGLE = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
BEGIN = 600.0  # seconds in which a process must have imported what it needs


class GoneError(Exception):
    """A process has ended or was killed for taking too long; the message says which."""


class Processes:
    """Processes of one thread each.

    Parameters
    ----------
    environments : variables of each process, beside those of this one.
    """

    def __init__(self, environments: Sequence[Mapping[str, str]]) -> None:
        self._environments = environments

    def answers(
        self, task: Task[I, R], items: Iterable[I]
    ) -> Generator[Answer[I, R], None, None]:
        """A lost process is followed by another, at most three for an item."""
        waiting = iter(items)
        free: SimpleQueue[Place] = SimpleQueue()

        def ask(item: I) -> Answer[I, R]:
            place = free.get()
            try:
                return place.ask(item)
            finally:
                free.put(place)

        count = len(self._environments)
        with ExitStack() as stack:
            pool = stack.enter_context(ThreadPoolExecutor(count))
            for environment in self._environments:
                place = Place(task, environment)
                stack.callback(place.close)
                free.put(place)
            running = {pool.submit(ask, item) for item in islice(waiting, count)}
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for job in done:
                    running |= {pool.submit(ask, item) for item in islice(waiting, 1)}
                    yield job.result()


class Place:
    """Where one process at a time works on one item at a time."""

    def __init__(self, task: Task[Any, Any], environment: Mapping[str, str]) -> None:
        self._task, self._environment = task, environment
        self._process: subprocess.Popen[bytes] | None = None
        self._lock, self._closed = Lock(), False

    def ask(self, item: I) -> Answer[I, R]:
        """The answer for an item, from as many processes as it takes, up to three."""
        reason = ""
        for _ in range(ATTEMPTS):
            try:
                process = self._begun()
                _send(process, item)
                return Answer(item, *_receive(process, self._task.limit))
            except GoneError as gone:
                reason = str(gone)
                with self._lock:
                    self._end()
        return lost(self._task, item, f"{reason}, {ATTEMPTS} times in a row")

    def close(self) -> None:
        """End the process, whatever it is doing, for good."""
        with self._lock:
            self._closed = True
            self._end()

    def _begun(self) -> "subprocess.Popen[bytes]":
        """The process; a fresh one if the last was lost."""
        with self._lock:
            if self._closed:
                raise GoneError("the work was ended")
            fresh = self._process is None
            process = self._process = self._process or _start(self._environment)
        if fresh:
            _send(process, self._task)
            _receive(process, BEGIN)
        return process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with suppress(OSError, ValueError):  # what could not be sent
                pipe.close()


def _start(environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
    own = {"PYTHONPATH": paths, **dict.fromkeys(SINGLE, "1")}
    # -P: modules are found where this process finds them, and nowhere else.
    return subprocess.Popen(
        [sys.executable, "-P", "-c", START],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | own | dict(environment),
        start_new_session=True,
    )


def _send(process: "subprocess.Popen[bytes]", what: object) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(pickle.dumps(what))
        process.stdin.flush()
    except (OSError, ValueError):
        raise GoneError(_ended(process)) from None


def _receive(process: "subprocess.Popen[bytes]", limit: float) -> Any:
    """What it sends within so many seconds; then it is killed."""
    assert process.stdout is not None
    late = Event()

    def end() -> None:
        late.set()
        process.kill()

    timer = Timer(min(limit, TIMEOUT_MAX), end)
    timer.daemon = True
    timer.start()
    try:
        return pickle.load(process.stdout)
    except (OSError, EOFError, ValueError, pickle.UnpicklingError):
        told = f"a worker process did not answer within {limit:g} s"
        raise GoneError(told if late.is_set() else _ended(process)) from None
    finally:
        timer.cancel()


def _ended(process: "subprocess.Popen[bytes]") -> str:
    process.kill()
    return f"a worker process ended with status {process.wait()}"


def main() -> None:
    """Life of a worker."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    orders: SimpleQueue[Any] = SimpleQueue()
    task = pickle.load(sys.stdin.buffer)
    Thread(target=_listen, args=(sys.stdin.buffer, orders), daemon=True).start()
    torch.set_num_threads(1)
    _tell(answers, None)
    while True:
        answer = attempt(task, orders.get())
        _tell(answers, (answer.value, answer.failure))


def _tell(answers: BinaryIO, what: object) -> None:
    answers.write(pickle.dumps(what))
    answers.flush()


def _listen(stream: BinaryIO, orders: "SimpleQueue[Any]") -> None:
    """Take orders; end the process with the last, whatever it is doing."""
    with suppress(EOFError, OSError):
        while True:
            orders.put(pickle.load(stream))
    os._exit(0)
