"""`fourier`: derivatives of the trigonometric interpolant (Moulinec & Suquet 1998).

Nyquist policy: along an axis of even length the Nyquist mode is real, and so is its
derivative at the voxel centres only if it is zero; ∂/∂i therefore drops the modes at
Nyquist along i and keeps them for the other axes. A mode at Nyquist along every axis
on which it varies has no gradient. Odd grids have no Nyquist mode.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from lsml.discretization import (
    AxisFactor,
    Differential,
    Discretization,
    product_stiffness,
)
from lsml.grid import Grid
from lsml.typing import Field, Potential


@dataclass(frozen=True)
class Spectral(Discretization):
    """Fourier differentiation, fields and potentials both at the voxel centres."""

    grid: Grid
    differential: Differential
    points: int = 1
    takes_pores: bool = False

    def symbols(self, device: torch.device) -> list[Complex[Tensor, "m d *k"]]:
        """Iξ, zero at the Nyquist frequency of each axis."""
        k = 1j * torch.stack(torch.meshgrid(*self._xi(device), indexing="ij"))
        return [k.expand(self.differential.potentials, *k.shape)]

    def stiffness(
        self, matrix: Float[Tensor, "s c c"], rows: slice = slice(None)
    ) -> Float[Tensor, "s p *k"]:
        """From the factors of the axes."""
        factors = self.factors(matrix.device)
        return product_stiffness(self.differential, matrix, factors, rows)

    def factors(self, device: torch.device) -> list[AxisFactor]:
        """ξ_i ξ_j."""
        return [AxisFactor(x.square(), x, torch.ones_like(x)) for x in self._xi(device)]

    def _xi(self, device: torch.device) -> list[Tensor]:
        angles = self.grid.angles(device)
        return [
            torch.where(t == torch.pi, 0.0, t) / h
            for t, h in zip(angles, self.grid.spacing, strict=True)
        ]

    def _multipliers(self, like: Tensor) -> list[Tensor]:
        d = self.grid.ndim
        return [
            xi.to(like.real.dtype).reshape(-1, *[1] * (d - 1 - axis))
            for axis, xi in enumerate(self._xi(like.device))
        ]

    def _gradient(self, u: Potential) -> Field:
        hat = self.grid.fft(u)
        xi = self._multipliers(hat)
        out = hat.new_zeros(u.shape[0], self.differential.components, *hat.shape[2:])
        for c, m, axis, weight in self.differential.terms:
            out[:, c] += weight * 1j * (xi[axis] * hat[:, m])
        return self.grid.ifft(out)

    def _transpose(self, flux: Field) -> Potential:
        hat = self.grid.fft(flux)
        xi = self._multipliers(hat)
        out = hat.new_zeros(flux.shape[0], self.differential.potentials, *hat.shape[2:])
        for c, m, axis, weight in self.differential.terms:
            out[:, m] -= weight * 1j * (xi[axis] * hat[:, c])
        return self.grid.ifft(out)
