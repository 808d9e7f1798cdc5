"""The processes that share a cell, and the rows that each of them has."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate

import torch
import torch.distributed as dist
from torch import Tensor

NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR")
TIMEOUT = 300.0  # seconds after which a silent peer is given up


@dataclass(frozen=True)
class Slabs:
    """A process among those that share a cell: ``rank`` of ``count``."""

    rank: int
    count: int
    group: dist.ProcessGroup | None = None

    def counts(self, n: int) -> list[int]:
        """Rows of each process, of n: as even as can be, the first ones longer."""
        least, more = divmod(n, self.count)
        return [least + (rank < more) for rank in range(self.count)]

    def rows(self, n: int) -> slice:
        """Rows of this process, of n."""
        ends = [0, *accumulate(self.counts(n))]
        return slice(ends[self.rank], ends[self.rank + 1])

    def exchange(self, parts: Sequence[Tensor], like: Sequence[Tensor]) -> list[Tensor]:
        """Send part k to process k, and receive from each what ``like`` describes.

        One `all_to_all_single` of all the numbers, whatever their shapes.
        """
        sent = torch.cat([_flat(part) for part in parts])
        sizes = [_flat(each).numel() for each in like]
        received = sent.new_empty(sum(sizes))
        given = [_flat(part).numel() for part in parts]
        dist.all_to_all_single(received, sent, sizes, given, group=self.group)
        pieces = received.split(sizes)
        return [_shaped(p, each) for p, each in zip(pieces, like, strict=True)]

    def all(self, value: Tensor) -> Tensor:
        """The value that each process has, in the order of their ranks."""
        rows = _flat(value)
        found = [torch.empty_like(rows) for _ in range(self.count)]
        dist.all_gather(found, rows, group=self.group)
        return torch.stack([_shaped(part, value) for part in found])


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
    timeout : seconds after which a peer that does not answer ends the solve.

    Raises
    ------
    ValueError
        The process was not started by `torchrun`, or NCCL without GPUs.
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
        dist.init_process_group(chosen, timeout=timedelta(seconds=timeout))
    return Slabs(dist.get_rank(), dist.get_world_size())
