"""The processes that share a cell, and the rows that each of them has."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from threading import Thread
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

INTENDED = (ValueError, OSError, ImportError, MemoryError)  # raised to be read
NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR")
TIMEOUT = 300.0  # seconds after which a silent peer is given up
TRIES = 5  # that Gloo makes to connect, each with a timeout of its own
PASSED = 2**26  # bytes of a field that the first process receives at a time


class LostError(ConnectionError):
    """A process that shares the work has ended, or does not answer."""


@dataclass(frozen=True)
class Slabs:
    """A process among those that share a cell: ``rank`` of ``count``."""

    rank: int
    count: int
    group: dist.ProcessGroup | None = None

    @property
    def backend(self) -> str:
        """What carries the messages, ``"gloo"`` or ``"nccl"``."""
        return str(dist.get_backend(self.group))

    def counts(self, n: int) -> list[int]:
        """Rows of each process, of n: as even as can be, the first ones longer."""
        least, more = divmod(n, self.count)
        return [least + (rank < more) for rank in range(self.count)]

    def rows(self, n: int) -> slice:
        """Rows of this process, of n."""
        return slice(self.start(n, self.rank), self.start(n, self.rank + 1))

    def start(self, n: int, rank: int) -> int:
        """Where the rows of a process begin, of n."""
        least, more = divmod(n, self.count)
        return rank * least + min(rank, more)

    def owner(self, n: int, row: int) -> tuple[int, int]:
        """Whose a row is, of n, and which of its own."""
        least, more = divmod(n, self.count)
        rank = row // (least + 1)
        if rank >= more:  # here slabs are one shorter
            rank = (row - more) // least
        return rank, row - self.start(n, rank)

    def exchange(self, parts: Sequence[Tensor], like: Sequence[Tensor]) -> list[Tensor]:
        """Send part k to process k, and receive from each what ``like`` describes.

        One `all_to_all_single` of all the numbers, whatever their shapes.
        """
        sent = torch.cat([_flat(part) for part in parts])
        sizes = [_flat(each).numel() for each in like]
        received = sent.new_empty(sum(sizes))
        given = [_flat(part).numel() for part in parts]
        with _answered():
            dist.all_to_all_single(received, sent, sizes, given, group=self.group)
        pieces = received.split(sizes)
        return [_shaped(p, each) for p, each in zip(pieces, like, strict=True)]

    def all(self, value: Tensor) -> Tensor:
        """The value that each process has, in the order of their ranks."""
        rows = _flat(value)
        found = [torch.empty_like(rows) for _ in range(self.count)]
        with _answered():
            dist.all_gather(found, rows, group=self.group)
        return torch.stack([_shaped(part, value) for part in found])

    def told(self, word: object) -> list[Any]:
        """What each process says, in the order of their ranks."""
        words: list[Any] = [None] * self.count
        with _answered():
            dist.all_gather_object(words, word, group=self.group)
        return words

    @contextmanager
    def agreed(self) -> Iterator[None]:
        """What one process refuses in here, all refuse, in the words of the first.

        Nothing in here may wait for another process.

        Raises
        ------
        ValueError, OSError, ImportError, MemoryError
            What was raised by the first process that raised something.
        """
        mine = None
        try:
            yield
        except INTENDED as error:
            mine = error
        refused = [error for error in self.told(mine) if error is not None]
        if refused:
            raise refused[0]

    def collect(self, mine: Tensor, n: int) -> Iterator[Tensor]:
        """The n rows of all in their order, some at a time, for the first process.

        For the others nothing: they send theirs.
        """
        step = max(1, PASSED // mine[0].nbytes)
        for rank, count in enumerate(self.counts(n)):
            for start in range(0, count, step):
                size = min(step, count - start)
                if rank == self.rank == 0:
                    yield mine.narrow(0, start, size)
                elif rank == self.rank:
                    with _answered():
                        part = _flat(mine.narrow(0, start, size))
                        dist.send(part, group=self.group, group_dst=0)
                elif self.rank == 0:
                    like = mine.new_empty(size, *mine.shape[1:])
                    numbers = torch.empty_like(_flat(like))
                    with _answered():
                        dist.recv(numbers, group=self.group, group_src=rank)
                    yield _shaped(numbers, like)

    def settle(self, word: str, patience: float) -> str:
        """What the first process that called this has said; once in a program.

        It works where messages fail, and waits so many seconds for the others to come.
        """
        first = word
        try:
            store = dist.distributed_c10d._get_default_store()
            first = store.compare_set("lsml/word", "", word).decode()
            if store.add("lsml/came", 1) == self.count:
                store.set("lsml/all", "")
            store.wait(["lsml/all"], timedelta(seconds=patience))
        except RuntimeError:  # the store was that of a process that has ended
            pass
        return first


@contextmanager
def _answered() -> Iterator[None]:
    """Errors of `torch.distributed` in one sentence."""
    try:
        yield
    except RuntimeError as error:
        line = str(error).partition("\n")[0]
        reason = line.rpartition("] ")[2].partition(". ")[0]  # less place and advice
        raise LostError(
            "a process that shares this cell has ended or does not answer; start the "
            f"solve again ({reason})"
        ) from error


def _flat(value: Tensor) -> Tensor:
    """Real numbers in one row."""
    value = torch.view_as_real(value) if value.is_complex() else value
    return value.contiguous().flatten()


def _shaped(numbers: Tensor, like: Tensor) -> Tensor:
    """The reverse of ``_flat``."""
    if like.is_complex():
        return torch.view_as_complex(numbers.reshape(*like.shape, 2))
    return numbers.reshape(like.shape)


def join(backend: str | None = None, timeout: float = TIMEOUT) -> Slabs:
    """Of the processes that `torchrun` has started, the present one.

    Parameters
    ----------
    backend : ``"gloo"`` or ``"nccl"``; None takes NCCL where every process of this
        machine can have a GPU of its own, and that GPU becomes its current device.
    timeout : seconds after which a peer that does not answer ends the solve; at most
        twice as many before all have joined.

    Raises
    ------
    ValueError
        The process was not started by `torchrun`, or NCCL without GPUs.
    LostError
        Not all processes have come within that time.
    """
    if not dist.is_initialized():
        missing = [name for name in NEEDED if name not in os.environ]
        if missing:
            raise ValueError(
                f"lsml.distributed needs what torchrun sets; {missing[0]} is not set: "
                "start with torchrun --nproc-per-node N"
            )
        local = int(os.environ.get("LOCAL_RANK", "0"))
        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        own = gpus >= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        chosen = backend or ("nccl" if own else "gloo")
        if chosen == "nccl" and not own:
            raise ValueError(
                "backend 'nccl' needs a GPU for each process of this machine, which "
                f"has {gpus}: use 'gloo'"
            )
        if chosen == "nccl":
            torch.cuda.set_device(local)
        with _answered():
            _within(2 * timeout, partial(_connect, chosen, timeout))
    return Slabs(dist.get_rank(), dist.get_world_size())


def _connect(backend: str, timeout: float) -> None:
    """Wait for all to come, then connect, each for no longer than the timeout."""
    whole = timedelta(seconds=timeout)
    store, rank, count = next(iter(rendezvous("env://", timeout=whole)))
    store.set_timeout(whole)
    if store.add("lsml/joined", 1) == count:
        store.set("lsml/complete", "")
    store.wait(["lsml/complete"], whole)
    dist.init_process_group(
        backend, store=store, rank=rank, world_size=count, timeout=whole / TRIES
    )
    dist.distributed_c10d._set_pg_timeout(whole)


def _within(seconds: float, act: Callable[[], None]) -> None:
    """Do it, or raise a RuntimeError when so much time has passed.

    The store of PyTorch has no limit of its own for a process that keeps it and stops:
    what waits for that is left behind.
    """
    failures: list[Exception] = [RuntimeError(f"no answer within {seconds:g} s")]

    def attempt() -> None:
        try:
            act()
            failures.clear()
        except Exception as error:
            failures.insert(0, error)

    thread = Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    for failure in failures[:1]:
        raise failure
