"""Regular periodic grids, their real Fourier transform, and sums over their voxels.

A grid may be a piece of a cell that several processes hold between them (see
`lsml.distributed`). Then fields are those of the piece, and what looks beyond it, such
as neighbours, sums and spectra, is asked of the grid.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from math import prod
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Complex, Float, Inexact
from torch import Tensor

from lsml.numerics import wide


@dataclass(frozen=True)
class Grid:
    """A periodic cell of ``shape`` voxels whose edges are ``spacing`` long."""

    shape: tuple[int, ...]
    spacing: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.shape) not in (1, 2, 3) or min(self.shape) < 1:
            raise ValueError(
                f"grid shape {self.shape} must have 1 to 3 axes of at least one voxel"
            )
        if len(self.shape) != len(self.spacing):
            raise ValueError(
                f"spacing {self.spacing} must have one entry for each of the "
                f"{len(self.shape)} axes of the grid"
            )
        if not all(0 < h < float("inf") for h in self.spacing):
            raise ValueError(f"spacing {self.spacing} must be positive and finite")

    @property
    def ndim(self) -> int:
        """Number of spatial axes, d."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of voxels of the cell."""
        return prod(self.whole)

    @property
    def axes(self) -> tuple[int, ...]:
        """Spatial axes of a field, counted from the end."""
        return tuple(range(-self.ndim, 0))

    @property
    def lengths(self) -> tuple[float, ...]:
        """Edges of the cell."""
        return tuple(n * h for n, h in zip(self.whole, self.spacing, strict=True))

    @property
    def whole(self) -> tuple[int, ...]:
        """Voxels of the cell along each axis, of which ``shape`` may be a part."""
        return self.shape

    @property
    def pieces(self) -> int:
        """How many processes hold the cell."""
        return 1

    @property
    def share(self) -> float:
        """How much of the cell this piece is."""
        return prod(self.shape) / self.size

    def sum(self, part: Tensor) -> Tensor:
        """What the pieces of the cell make together, of a sum over this one."""
        return part

    def greatest(self, part: Tensor) -> Tensor:
        """The same of a maximum."""
        return part

    def pooled(self, mean: Tensor) -> Tensor:
        """Average over the cell, of averages over the pieces."""
        return self.sum(mean * self.share)

    def mean(self, field: Inexact[Tensor, "b c *w"]) -> Inexact[Tensor, "b c"]:
        """Average over the cell, accumulated in double precision."""
        mean = field.flatten(2).mean(2, dtype=wide(field.dtype))
        return self.pooled(mean).to(field.dtype)

    def shared(self, value: Tensor) -> Tensor:
        """A parameter that all pieces depend on, and so does its derivative."""
        return value

    def wrap(self, v: Tensor, axis: int) -> Tensor:
        """With the layer that follows the last one: n + 1 corners along the axis."""
        return torch.cat([v, v.narrow(axis, 0, 1)], axis)

    def fold(self, v: Tensor, axis: int) -> Tensor:
        """Transpose of ``wrap``, in place."""
        n = v.shape[axis] - 1
        v.narrow(axis, 0, 1).add_(v.narrow(axis, n, 1))
        return v.narrow(axis, 0, n)

    def roll(self, v: Tensor, shift: int, axis: int) -> Tensor:
        """Values of the neighbours behind (shift 1) or ahead (-1) along an axis."""
        return v.roll(shift, axis)

    def gather(self, v: Tensor) -> Tensor:
        """The whole cell, from the piece that each process has."""
        return v

    def part(self, v: Tensor) -> Tensor:
        """Of the whole cell, the piece that this is."""
        return v

    @property
    def rows(self) -> slice:
        """Those of the first axis of the cell that this piece has."""
        return slice(None)

    @property
    def first(self) -> bool:
        """Whether this process writes what the pieces make together."""
        return True

    def collect(self, rows: Tensor) -> Iterator[Tensor]:
        """Rows of the whole cell in their order, where it is written."""
        yield rows

    def agreed(self) -> AbstractContextManager[None]:
        """What is refused in here for one piece, is for all."""
        return nullcontext()

    def fft(self, field: Float[Tensor, "b c *n"]) -> Complex[Tensor, "b c *m"]:
        """Half spectrum of a real field."""
        hat: Tensor = torch.fft.rfftn(field, dim=self.axes)
        return hat

    def ifft(self, hat: Complex[Tensor, "b c *m"]) -> Float[Tensor, "b c *n"]:
        """Real field of a half spectrum."""
        values: Tensor = torch.fft.irfftn(hat, s=self.shape, dim=self.axes)
        return values

    def angles(self, device: torch.device) -> list[Float[Tensor, " k"]]:
        """Phase advance θ = ξh per voxel along each axis of the half spectrum.

        A Nyquist frequency is +π on every axis.
        """
        last = self.ndim - 1
        theta = []
        for axis, n in enumerate(self.whole):
            half = n // 2 + 1 if axis == last else n
            turns = torch.arange(half, dtype=torch.float64, device=device)
            turns = torch.where(turns > n // 2, turns - n, turns)
            theta.append(torch.pi * (2 * turns / n))
        return theta


@runtime_checkable
class Piece(Protocol):
    """Labels of a part of a cell, which know the grid that they are on."""

    @property
    def labels(self) -> object:
        """Of the voxels of this part."""
        ...

    def grid(self, shape: tuple[int, ...], spacing: tuple[float, ...]) -> Grid:
        """That of so many voxels of this part."""
        ...
