"""A grid of which every process holds some rows of the first axis."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from lsml.distributed.group import Slabs
from lsml.distributed.transfers import (
    Gathered,
    Halo,
    Shared,
    Summed,
    Transposed,
    Unhalo,
)
from lsml.grid import Grid


def columns(cell: tuple[int, ...]) -> int:
    """Frequencies along the second axis, which spectra are cut along."""
    return cell[1] if len(cell) > 2 else cell[1] // 2 + 1


def check_cell(cell: tuple[int, ...], count: int) -> None:
    """Refuse a cell that so many processes cannot share.

    Raises
    ------
    ValueError
        A process would be without rows, or without frequencies.
    """
    if len(cell) < 2:
        raise ValueError("a cell of one axis cannot be cut into slabs: solve it alone")
    across = columns(cell)
    if min(cell[0], across) < count:
        raise ValueError(
            f"{count} processes cannot share a cell of "
            f"{' × '.join(map(str, cell))} voxels: it has {cell[0]} rows and "
            f"{across} columns of frequencies, and each process needs one of both"
        )


@dataclass(frozen=True)
class Slab:
    """Labels of the rows that this process has, (k, …) or a batch (b, k, …).

    It stands for the labels wherever a builder takes some.

    Attributes
    ----------
    labels : of these rows.
    slabs : the processes.
    n : rows of the whole cell.
    """

    labels: Any
    slabs: Slabs
    n: int

    def grid(self, shape: tuple[int, ...], spacing: tuple[float, ...]) -> "SlabGrid":
        """The grid that these labels are on."""
        return SlabGrid(shape, spacing, self.slabs, self.n)


@dataclass(frozen=True)
class SlabGrid(Grid):
    """A grid whose ``shape`` is that of the slab of one process.

    Raises
    ------
    ValueError
        A process would be without rows, or without frequencies.
    """

    slabs: Slabs
    n: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_cell(self.whole, self.slabs.count)
        rows = self.slabs.counts(self.n)[self.slabs.rank]
        if self.shape[0] != rows:
            raise ValueError(
                f"process {self.slabs.rank} has {self.shape[0]} rows of {self.n}; "
                f"expected {rows}: take slabs.rows({self.n})"
            )

    @property
    def whole(self) -> tuple[int, ...]:
        """Voxels of the cell."""
        return (self.n, *self.shape[1:])

    @property
    def pieces(self) -> int:
        """How many processes hold the cell."""
        return self.slabs.count

    @property
    def first(self) -> bool:
        """Whether this is the first process."""
        return self.slabs.rank == 0

    @property
    def rows(self) -> slice:
        """Of this process."""
        return self.slabs.rows(self.n)

    @property
    def _columns(self) -> int:
        """Frequencies along the second axis."""
        return columns(self.whole)

    def sum(self, part: Tensor) -> Tensor:
        """In the order of the ranks, so that all processes have the same bits."""
        total: Tensor = Summed.apply(part, self.slabs)  # type: ignore[no-untyped-call]
        return total

    def greatest(self, part: Tensor) -> Tensor:
        """Of all slabs."""
        return self.slabs.all(part).amax(0)

    def shared(self, value: Tensor) -> Tensor:
        """Its derivative is that of what every process computes alike."""
        same: Tensor = Shared.apply(value, self.slabs)  # type: ignore[no-untyped-call]
        return same

    def wrap(self, v: Tensor, axis: int) -> Tensor:
        """Along the first axis with the first layer of the next slab."""
        if axis != -self.ndim:
            return super().wrap(v, axis)
        return self._halo(v, (0, 1))

    def fold(self, v: Tensor, axis: int) -> Tensor:
        """Along the first axis to the first layer of the next slab."""
        if axis != -self.ndim:
            return super().fold(v, axis)
        return Unhalo.apply(v, self.slabs, self._cut, (0, 1))  # type: ignore[no-untyped-call]

    def roll(self, v: Tensor, shift: int, axis: int) -> Tensor:
        """Along the first axis from the slabs behind or ahead."""
        if axis != -self.ndim:
            return super().roll(v, shift, axis)
        behind, ahead = max(shift, 0), max(-shift, 0)
        return self._halo(v, (behind, ahead)).narrow(axis, ahead, v.shape[axis])

    def _halo(self, v: Tensor, more: tuple[int, int]) -> Tensor:
        return Halo.apply(v, self.slabs, self._cut, more)  # type: ignore[no-untyped-call]

    @property
    def _cut(self) -> tuple[int, int]:
        """The axis of the slabs, and its rows."""
        return -self.ndim, self.n

    @property
    def _turned(self) -> tuple[int, int]:
        """The same of spectra."""
        return 1 - self.ndim, self._columns

    def gather(self, v: Tensor) -> Tensor:
        """All slabs, on every process."""
        whole_numbers = not (v.is_floating_point() or v.is_complex())
        v = v.int() if whole_numbers else v  # slabs may hold their labels differently
        return Gathered.apply(v, self.slabs, self._cut)  # type: ignore[no-untyped-call]

    def part(self, v: Tensor) -> Tensor:
        """The rows of this process."""
        rows = self.rows
        return v.narrow(-self.ndim, rows.start, rows.stop - rows.start)

    def collect(self, rows: Tensor) -> Iterator[Tensor]:
        """Of all slabs, to the first process."""
        return self.slabs.collect(rows, self.n)

    def agreed(self) -> AbstractContextManager[None]:
        """By all processes."""
        return self.slabs.agreed()

    def fft(self, field: Float[Tensor, "b c *n"]) -> Complex[Tensor, "b c *m"]:
        """Half spectrum, in slabs along the second axis."""
        hat = torch.fft.rfftn(field, dim=self.axes[1:])
        turned = Transposed.apply(hat, self.slabs, self._cut, self._turned)  # type: ignore[no-untyped-call]
        return torch.fft.fft(turned, dim=self.axes[0])

    def ifft(self, hat: Complex[Tensor, "b c *m"]) -> Float[Tensor, "b c *n"]:
        """Real field of a half spectrum."""
        columns = torch.fft.ifft(hat, dim=self.axes[0])
        rows = Transposed.apply(columns, self.slabs, self._turned, self._cut)  # type: ignore[no-untyped-call]
        values: Tensor = torch.fft.irfftn(rows, s=self.shape[1:], dim=self.axes[1:])
        return values

    def angles(self, device: torch.device) -> list[Float[Tensor, " k"]]:
        """Those of this process's columns along the second axis."""
        first, second, *rest = super().angles(device)
        return [first, second[self.slabs.rows(self._columns)], *rest]
