"""Multilinear elements on the voxel mesh: `rotated` (one point) and `hex8` (2ᵈ).

One displacement per voxel corner, interpolated multilinearly inside the voxel; the
quadrature decides the scheme. The midpoint alone is the rotated grid of Willot
(2015, C. R. Mécanique), also known as reduced integration; two Gauss points per axis
are the fully integrated trilinear hexahedron (quadrilateral in 2-D) of any
finite-element code, used with the FFT by Schneider, Merkert & Kabel (2017, IJNME).

Nyquist policy: stencils are real, so every mode is real. On even grids the midpoint
does not see checkerboards (modes at Nyquist along two or more axes, at any frequency
along the third): they have no gradient and stay out of the solution. Two Gauss points
see every mode.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Complex
from torch import Tensor

from lsml.green import Differential, Discretization
from lsml.grid import Grid
from lsml.typing import Field, Potential

MIDPOINT = (0.5,)
GAUSS = (0.5 - 0.5 / 3**0.5, 0.5 + 0.5 / 3**0.5)


@dataclass(frozen=True)
class Multilinear(Discretization):
    """Multilinear interpolation, sampled at the tensor product of ``nodes``."""

    grid: Grid
    differential: Differential
    nodes: tuple[float, ...]
    takes_pores: bool = True

    @cached_property
    def points(self) -> int:  # type: ignore[override]
        """Quadrature points per voxel."""
        return len(self.nodes) ** self.grid.ndim

    def symbols(self, device: torch.device) -> list[Complex[Tensor, "d *m"]]:
        """Difference on the axis of the derivative, interpolation on the others."""
        step = [torch.exp(1j * theta) for theta in self.grid.angles(device)]
        axes = range(self.grid.ndim)
        grids = [torch.meshgrid(*step, indexing="ij")[a] for a in axes]
        return [
            torch.stack([self._symbol(grids, node, i) for i in axes])
            for node in self._products()
        ]

    def _symbol(self, step: list[Tensor], node: tuple[float, ...], axis: int) -> Tensor:
        k = (step[axis] - 1) / self.grid.spacing[axis]
        for a, g in enumerate(node):
            if a != axis:
                k = k * ((1 - g) + g * step[a])
        return k

    def _products(self) -> list[tuple[float, ...]]:
        axes = [torch.tensor(self.nodes, dtype=torch.float64)] * self.grid.ndim
        return [tuple(p) for p in torch.cartesian_prod(*axes).tolist()]

    def _gradient(self, u: Potential) -> Field:
        d, q = self.grid.ndim, len(self.nodes)
        shape = (u.shape[0], *[q] * d, self.differential.components, *self.grid.shape)
        out = u.new_zeros(shape).movedim(1 + d, 0)
        for axis in range(d):
            partial = self._partial(u, axis).movedim(1 + d, 0)
            for c, m, i, weight in self.differential.terms:
                if i == axis:
                    out[c] += weight * partial[m]
        return out.movedim(0, 1 + d).flatten(1, 1 + d)

    def _partial(self, u: Potential, axis: int) -> Tensor:
        """∂u/∂axis at the points, (b, [q or 1] × d, m, *n)."""
        d = self.grid.ndim
        v = u.reshape(u.shape[0], *[1] * d, *u.shape[1:])
        for a in range(d):
            ahead = v.roll(-1, a - d)
            if a == axis:
                v = (ahead - v) / self.grid.spacing[a]
            else:
                v = torch.cat([torch.lerp(v, ahead, g) for g in self.nodes], 1 + a)
        return v

    def _transpose(self, flux: Field) -> Potential:
        d, q = self.grid.ndim, len(self.nodes)
        parts = flux.unflatten(1, (*[q] * d, -1)).movedim(1 + d, 0)
        out = flux.new_zeros(
            flux.shape[0], self.differential.potentials, *self.grid.shape
        )
        for axis in range(d):
            load = flux.new_zeros(self.differential.potentials, *parts.shape[1:])
            for c, m, i, weight in self.differential.terms:
                if i == axis:
                    load[m] += weight * parts[c]
            summed = load.sum(2 + axis, keepdim=True).movedim(0, 1 + d)
            out += self._partial_transpose(summed, axis)
        return out

    def _partial_transpose(self, v: Tensor, axis: int) -> Tensor:
        d = self.grid.ndim
        for a in range(d):
            if a == axis:
                v = (v.roll(1, a - d) - v) / self.grid.spacing[a]
            else:
                at = v.split(1, 1 + a)
                near = sum((1 - g) * p for g, p in zip(self.nodes, at, strict=True))
                far = sum(g * p for g, p in zip(self.nodes, at, strict=True))
                v = near + torch.as_tensor(far).roll(1, a - d)
        return v.flatten(1, 1 + d)
