"""What a worker of Dask does, and when it refuses or ends itself."""

import faulthandler
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from threading import TIMEOUT_MAX
from typing import TypeAlias

import torch

from lsml.workers.task import I, R, Task, attempt

Outcome: TypeAlias = tuple[R | None, Exception | None]


def on_worker(
    task: Task[I, R], item: I, here: str
) -> tuple[R | None, Exception | None]:
    """Value and failure of an item.

    Raises
    ------
    ValueError
        The worker has several threads, or another version of lsml.
    """
    from distributed import get_worker

    worker = get_worker()
    check_worker(str(worker.address), int(worker.state.nthreads), here)
    torch.set_num_threads(1)
    with limited(task.limit):
        answer = attempt(task, item)
    return answer.value, answer.failure


def check_worker(address: str, threads: int, wanted: str) -> None:
    """Refuse a worker that would make other numbers, or hang with its neighbours.

    Raises
    ------
    ValueError
        Several threads, or another version.
    """
    if threads != 1:
        raise ValueError(
            f"the worker {address} has {threads} threads; start workers with "
            "--nthreads 1, as many as there are cores"
        )
    if version("lsml") != wanted:
        raise ValueError(
            f"the worker {address} has lsml {version('lsml')}, and this is {wanted}"
        )


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """End this process if it is still in here after so many seconds.

    By a thread of its own that needs no lock of the interpreter: compiled code that
    never comes back is ended too.
    """
    with open(os.devnull, "w") as nowhere:
        limit = min(seconds, TIMEOUT_MAX)
        faulthandler.dump_traceback_later(limit, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
