"""Workers of a Dask scheduler.

The scheduler gives a task to another worker when one is lost (Rocklin 2015, Proc. 14th
Python in Science Conf.). What Dask has no word for is a worker that hangs: the task
itself ends its process after the limit, so that it is lost too.
"""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError
from contextlib import suppress
from importlib.metadata import version
from itertools import islice
from typing import TYPE_CHECKING

from lsml.workers.gpus import CPU
from lsml.workers.on_worker import on_worker
from lsml.workers.task import Answer, I, R, Task, WorkerLostError, lost

if TYPE_CHECKING:
    from typing import Any

    from distributed import Client, Future

LOOK = 5.0  # seconds after which workers that have come meanwhile are noticed
GPU = "GPU"  # resource that workers with one of their own declare


class Cluster:
    """The workers behind a client."""

    def __init__(self, client: "Client", device: str) -> None:
        self._client = client
        self._resources = {} if device == CPU else {GPU: 1}

    def answers(
        self, task: Task[I, R], items: Iterable[I]
    ) -> Generator[Answer[I, R], None, None]:
        """How many workers may be lost over an item is a setting of the scheduler.

        A worker that ends is held against all items that it had, so that those that
        are given up are tried once more in the end, each alone.
        """
        suspects: list[I] = []
        for answer in self._round(task, items, self._threads):
            if isinstance(answer.failure, WorkerLostError):
                suspects.append(answer.item)
            else:
                yield answer
        yield from self._round(task, suspects, lambda: 1)

    def _round(
        self, task: Task[I, R], items: Iterable[I], room: Callable[[], int]
    ) -> Generator[Answer[I, R], None, None]:
        """No more items under way than there is room for."""
        waiting, asked = iter(items), dict["Future[Any]", I]()
        try:
            while True:
                more = max(room(), 1) - len(asked)  # fewer than none if some were lost
                for item in islice(waiting, max(more, 0)):
                    asked[self._submit(task, item)] = item
                if not asked:
                    return
                for future in self._finished(list(asked)):
                    yield self._answer(task, asked.pop(future), future)
        finally:
            if self._client.status == "running":
                self._client.cancel(list(asked), force=True)

    def _finished(self, asked: "list[Future[Any]]") -> "list[Future[Any]]":
        """Those that are done as soon as one is; none while new workers may come."""
        from distributed import wait

        with self._client.as_current(), suppress(TimeoutError, CancelledError):
            wait(asked, timeout=LOOK, return_when="FIRST_COMPLETED")
        return [future for future in asked if future.done()]

    def _threads(self) -> int:
        """Of all workers that are there now."""
        try:
            return sum(self._client.nthreads().values())
        except (OSError, TimeoutError):
            raise self._gone() from None

    def _submit(self, task: Task[I, R], item: I) -> "Future[Any]":
        return self._client.submit(
            on_worker,
            task,
            item,
            version("lsml"),
            resources=self._resources,
            pure=False,
        )

    def _answer(self, task: Task[I, R], item: I, future: "Future[Any]") -> Answer[I, R]:
        from distributed import KilledWorker

        try:
            return Answer(item, *future.result())
        except KilledWorker:
            reason = (
                "worker processes ended, one after the other, while they were at it "
                f"(killed, out of memory, or longer than {task.limit:g} s)"
            )
            return lost(task, item, reason)
        except Exception as error:
            if future.status == "error":  # the worker refuses
                raise
            raise self._gone() from error

    def _gone(self) -> OSError:
        return OSError(
            "the scheduler has gone; what is done is kept, and the same command goes "
            "on from there"
        )
