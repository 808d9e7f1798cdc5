"""Parts made by processes of their own, which never outlive the one that wants them.

A worker is a fresh interpreter that reads part numbers from its standard input and
answers each when it is done. The input ends when the wanting process closes it or is
killed, and the worker with it. It has a session of its own: an interrupt from the
terminal goes to the wanting process only.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from traceback import format_exc
from types import TracebackType

import torch

from lsml.data.parts import Parts
from lsml.data.shards import SampleError

START = "from lsml.data.workers import main; main()"
SINGLE = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
EXPECTED = (SampleError, ValueError, OSError, ImportError, MemoryError)


def make_all(
    parts: Parts, missing: Iterable[int], workers: int
) -> Generator[int, None, None]:
    """Make parts, here or by ``workers`` > 1 processes; yields those that are done.

    Raises
    ------
    SampleError, ImportError, MemoryError, OSError
        As :meth:`Parts.make`, of the first that fails.
    """
    if workers <= 1:
        for k in missing:
            parts.make(k)
            yield k
        return
    numbers = list(missing)
    idle: SimpleQueue[Worker] = SimpleQueue()

    def make(k: int) -> int:
        worker = idle.get()
        try:
            worker.make(k)
        finally:
            idle.put(worker)
        return k

    with ExitStack() as stack:
        count = min(workers, len(numbers))
        pool = stack.enter_context(ThreadPoolExecutor(max(1, count)))
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        for _ in range(count):
            idle.put(stack.enter_context(Worker(parts.folder)))
        for job in as_completed([pool.submit(make, k) for k in numbers]):
            yield job.result()


class Worker:
    """A process that makes one part at a time."""

    def __init__(self, folder: Path) -> None:
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        threads = dict.fromkeys(SINGLE, "1")
        # -P: modules are found where this process finds them, and nowhere else.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", START, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": paths} | threads,
            start_new_session=True,
        )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(OSError):  # what could not be sent
                pipe.close()

    def make(self, k: int) -> None:
        """Have part k made.

        Raises
        ------
        OSError
            The process has died.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{k}\n".encode())
            self._process.stdin.flush()
            failure: Exception | None = pickle.load(self._process.stdout)
        except (OSError, EOFError):
            code = self._process.wait()
            raise OSError(
                f"a worker process ended with status {code} at part {k}; the parts "
                "that are done are kept"
            ) from None
        if failure is not None:
            raise failure


def main() -> None:
    """Life of a worker; its argument is the folder."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    orders: SimpleQueue[int] = SimpleQueue()
    Thread(target=_listen, args=(orders,), daemon=True).start()
    torch.set_num_threads(1)
    parts = Parts.at(Path(sys.argv[1]))
    while True:
        pickle.dump(_failure(parts, orders.get()), answers)
        answers.flush()


def _listen(orders: SimpleQueue[int]) -> None:
    """Take orders; end the process with the last, whatever it is doing."""
    for line in sys.stdin:
        orders.put(int(line))
    os._exit(0)


def _failure(parts: Parts, k: int) -> Exception | None:
    """Make part k; what went wrong, if anything did."""
    try:
        parts.make(k)
    except EXPECTED as error:
        return error
    except Exception:
        return RuntimeError(f"part {k} failed in a worker process:\n{format_exc()}")
    return None
