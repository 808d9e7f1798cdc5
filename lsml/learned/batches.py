"""Batches of samples, of each of which a process has its part."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch.utils.data import BatchSampler, DataLoader, Sampler, SequentialSampler

from lsml.distributed.team import Alone
from lsml.learned.plan import Plan
from lsml.learned.sample import Sample, Samples

if TYPE_CHECKING:
    from lightning.fabric import Fabric


class Sets(NamedTuple):
    """What a rule learns from, and what decides which epoch is the best."""

    training: Samples
    validation: Samples | None


class Parts(Sampler[list[int]]):
    """Numbers of the samples that a process has of each batch of an order.

    One that has none is given the first sample of the batch, so that it does what the
    others do; :meth:`~lsml.distributed.team.Alone.whole` takes no notice of it.
    """

    def __init__(self, order: Sampler[int], batch: int, team: Alone) -> None:
        self.batches, self.team = BatchSampler(order, batch, drop_last=False), team

    def __iter__(self) -> Iterator[list[int]]:
        """Those of batch after batch."""
        for batch in self.batches:
            yield batch[self.team.rows(len(batch))] or batch[:1]

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.batches)


def load(
    samples: Samples,
    order: Sampler[int] | None,
    plan: Plan,
    team: Alone,
    fabric: "Fabric",
) -> Iterable[Sample]:
    """The parts of this process on its device, in an order or as they are stored."""
    given = SequentialSampler(samples) if order is None else order
    loader: DataLoader[Sample] = DataLoader(
        samples,  # type: ignore[arg-type]
        batch_sampler=Parts(given, plan.batch, team),
        num_workers=plan.workers,
        generator=torch.Generator(),  # not the one that dropout draws from
        pin_memory=fabric.device.type == "cuda",
    )
    placed = fabric.setup_dataloaders(loader, use_distributed_sampler=False)
    return cast("Iterable[Sample]", placed)


def size(count: int, batch: int, k: int) -> int:
    """Samples of batch k of so many."""
    return min(batch, count - k * batch)
