"""Regular periodic grids and their real Fourier transform."""

from dataclasses import dataclass
from math import prod

import torch
from jaxtyping import Complex, Float
from torch import Tensor


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
        """Number of voxels."""
        return prod(self.shape)

    @property
    def axes(self) -> tuple[int, ...]:
        """Spatial axes of a field, counted from the end."""
        return tuple(range(-self.ndim, 0))

    @property
    def lengths(self) -> tuple[float, ...]:
        """Edges of the cell."""
        return tuple(n * h for n, h in zip(self.shape, self.spacing, strict=True))

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
        for axis, n in enumerate(self.shape):
            half = n // 2 + 1 if axis == last else n
            turns = torch.arange(half, dtype=torch.float64, device=device)
            turns = torch.where(turns > n // 2, turns - n, turns)
            theta.append(torch.pi * (2 * turns / n))
        return theta
