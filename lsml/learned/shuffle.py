"""Orders of a data set that depend on seed and epoch only."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class Shuffled(Sampler[int]):
    """A permutation for each epoch, from any of its samples on."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed
        self.begin(0, 0)

    def begin(self, epoch: int, start: int) -> None:
        """The order of an epoch, without its first samples."""
        self.epoch, self.start = epoch, start

    def __iter__(self) -> Iterator[int]:
        """Numbers of the samples."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.count, generator=generator)
        return iter(order[self.start :].tolist())

    def __len__(self) -> int:
        """How many are left of the epoch."""
        return self.count - self.start
