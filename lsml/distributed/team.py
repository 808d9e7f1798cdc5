"""Processes that do the same work together, each with its part of every batch.

What can fail, or is for the first process alone to decide, is agreed upon, so that no
process waits for another that has gone on or given up.
"""

import atexit
import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from io import BytesIO
from itertools import islice
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from lsml.distributed.group import NEEDED, LostError, Slabs, join

T = TypeVar("T")


class Alone:
    """One process, which has all of every batch and decides for itself."""

    count, leads = 1, True

    def place(self, accelerator: str) -> tuple[str, int | list[int]]:
        """Kind and number of the device, in the words of Lightning."""
        return accelerator, 1

    def rows(self, n: int) -> slice:
        """The part that this process has of n samples; it may be empty."""
        return slice(0, n)

    def whole(self, part: Tensor, n: int) -> Tensor:
        """All n samples, of which ``part`` begins with those of this process.

        Derivatives reach this process's own samples.
        """
        return part

    def add(self, values: Iterable[Tensor]) -> None:
        """Replace tensors by their sums over the processes."""

    def together(self) -> AbstractContextManager[None]:
        """What one process raises in here, all raise, in the words of the first.

        Nothing in here may wait for another process.
        """
        return nullcontext()

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """Items, as many in every process; an error in making them is everyone's."""
        return iter(items)

    def lead(self, act: Callable[[], object]) -> bool:
        """What the first process says, which alone acts; its error is everyone's."""
        return bool(act())

    def follow(self, make: Callable[[], Any], take: Callable[[Any], object]) -> None:
        """The others take what the first process makes: tensors and plain values."""


class Team(Alone):
    """One of several processes.

    Raises
    ------
    LostError
        By every method that waits for the others, if one has ended or is silent.
    """

    def __init__(self, slabs: Slabs) -> None:
        self.slabs, self.count, self.leads = slabs, slabs.count, slabs.rank == 0
        own = dist.get_backend(slabs.group) == "nccl"
        self.device = torch.device("cuda" if own else "cpu")

    def place(self, accelerator: str) -> tuple[str, int | list[int]]:
        own = self.device.type == "cuda"
        return ("cuda", [torch.cuda.current_device()]) if own else ("cpu", 1)

    def rows(self, n: int) -> slice:
        return self.slabs.rows(n)

    def whole(self, part: Tensor, n: int) -> Tensor:
        counts, rank = self.slabs.counts(n), self.slabs.rank
        own = part[: counts[rank]]
        sent = part.new_zeros(max(counts), *part.shape[1:])
        sent[: len(own)] = own.detach()
        with self._answered():
            found = self.slabs.all(sent)
        parts = [each[:rows] for each, rows in zip(found, counts, strict=True)]
        parts[rank] = own
        return torch.cat(parts)

    def add(self, values: Iterable[Tensor]) -> None:
        held = [torch.view_as_real(v) if v.is_complex() else v for v in values]
        if not held:
            return
        numbers = torch.cat([value.flatten() for value in held])
        with self._answered():
            dist.all_reduce(numbers, group=self.slabs.group)
        pieces = numbers.split([value.numel() for value in held])
        for value, piece in zip(held, pieces, strict=True):
            value.copy_(piece.view_as(value))

    @contextmanager
    def together(self) -> Iterator[None]:
        mine: Exception | None = None
        try:
            yield
        except LostError:
            raise
        except Exception as error:
            mine = error
        if not self._any(mine is not None):
            return
        errors: list[Exception | None] = [None] * self.count
        with self._answered():
            dist.all_gather_object(errors, _sendable(mine), group=self.slabs.group)
        rank, first = next((r, e) for r, e in enumerate(errors) if e is not None)
        if rank == self.slabs.rank and mine is not None:
            raise mine
        raise first

    def each(self, items: Iterable[T]) -> Iterator[T]:
        rest: Iterator[T] | None = None
        while True:
            found: list[T] = []
            with self.together():
                rest = iter(items) if rest is None else rest
                found.extend(islice(rest, 1))
            if not found:
                return
            yield found[0]

    def lead(self, act: Callable[[], object]) -> bool:
        told = False
        with self.together():
            told = self.leads and bool(act())
        return self._any(told)

    def follow(self, make: Callable[[], Any], take: Callable[[Any], object]) -> None:
        packed = BytesIO()
        if self.leads:
            torch.save(make(), packed)
        sent = [packed.getvalue()]
        with self._answered():
            dist.broadcast_object_list(sent, 0, group=self.slabs.group)
        if not self.leads:
            take(torch.load(BytesIO(sent[0]), weights_only=True, map_location="cpu"))

    def _any(self, said: bool) -> bool:
        """Whether one of the processes says so."""
        number = torch.tensor(float(said), device=self.device)
        with self._answered():
            dist.all_reduce(number, dist.ReduceOp.MAX, group=self.slabs.group)
            return bool(number)

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """An exchange, which fails if a process is not there any more."""
        try:
            yield
        except RuntimeError as error:
            raise LostError(
                f"another of the {self.count} processes has ended or does not answer"
            ) from error


def team(backend: str | None = None) -> Alone:
    """The processes that `torchrun` has started together with this one, if it has.

    Parameters
    ----------
    backend : as of :func:`lsml.distributed.join`, which they are joined by if they have
        not been before.

    Raises
    ------
    ValueError
        NCCL without a GPU for each process.
    """
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    started = several and all(name in os.environ for name in NEEDED)
    if not (started or dist.is_initialized()):
        return Alone()
    if not dist.is_initialized():
        atexit.register(_part)  # its threads must not outlive the interpreter
    slabs = join(backend)
    return Team(slabs) if slabs.count > 1 else Alone()


def _sendable(error: Exception | None) -> Exception | None:
    """An error that other processes can be told, in its own words."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _part() -> None:
    """Leave the others, at the end of the program."""
    if dist.is_initialized():
        dist.destroy_process_group()
