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

from dataclasses import dataclass, replace
from functools import cached_property

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

    @property
    def averaged(self) -> tuple[int, ...]:
        """Components whose sum is averaged over the points of a voxel."""
        return ()

    def voxel_gradient(self, u: Potential) -> Field:
        """The gradient at the midpoint: it is affine along each axis."""
        return replace(self, nodes=MIDPOINT).gradient(u)

    def voxel_symbol(self, device: torch.device) -> Complex[Tensor, "m d *k"]:
        """That of the midpoint."""
        return self._symbols(self._steps(device), MIDPOINT * self.grid.ndim)

    def symbols(self, device: torch.device) -> list[Complex[Tensor, "m d *k"]]:
        """Difference on the axis of the derivative, interpolation on the others."""
        steps = self._steps(device)
        return [self._symbols(steps, node) for node in self._products()]

    def _steps(self, device: torch.device) -> list[Tensor]:
        steps = [torch.exp(1j * theta) for theta in self.grid.angles(device)]
        return list(torch.meshgrid(*steps, indexing="ij"))

    def _symbols(self, steps: list[Tensor], node: tuple[float, ...]) -> Tensor:
        axes = range(self.grid.ndim)
        k = torch.stack([self._symbol(steps, node, i) for i in axes])
        return k.expand(self.differential.potentials, *k.shape)

    def _symbol(self, step: list[Tensor], node: tuple[float, ...], axis: int) -> Tensor:
        k = (step[axis] - 1) / self.grid.spacing[axis]
        for a, g in enumerate(node):
            if a != axis:
                k = k * ((1 - g) + g * step[a])
        return k

    def stiffness(
        self, matrix: Float[Tensor, "s c c"], rows: slice = slice(None)
    ) -> Float[Tensor, "s p *k"]:
        """From the factors of the axes."""
        factors = self.factors(matrix.device)
        return product_stiffness(self.differential, matrix, factors, rows)

    def factors(self, device: torch.device) -> list[AxisFactor]:
        """Averages over the nodes of one axis: the points are a tensor product."""
        factors = []
        for theta, h in zip(self.angles(device), self.grid.spacing, strict=True):
            step = torch.exp(1j * theta)
            slope = (step - 1) / h
            values = torch.stack([(1 - g) + g * step for g in self.nodes])
            cross = -(slope.conj() * values.mean(0)).imag
            square, mean = slope.abs().square(), values.abs().square().mean(0)
            factors.append(AxisFactor(square, cross, mean))
        return factors

    def _products(self) -> list[tuple[float, ...]]:
        axes = [torch.tensor(self.nodes, dtype=torch.float64)] * self.grid.ndim
        return [tuple(p) for p in torch.cartesian_prod(*axes).tolist()]

    def _gradient(self, u: Potential) -> Field:
        d, q = self.grid.ndim, len(self.nodes)
        shape = (u.shape[0], *[q] * d, self.differential.components, *self.grid.shape)
        out = u.new_zeros(shape).movedim(1 + d, 0)
        for axis, partial in enumerate(self._partials(u)):
            for c, m, i, weight in self.differential.terms:
                if i == axis:
                    out[c].add_(partial.select(1 + d, m), alpha=weight)
        return out.movedim(0, 1 + d).flatten(1, 1 + d)

    def _partials(self, u: Potential) -> list[Tensor]:
        """∂u/∂axis at the points for each axis, (b, [q or 1] × d, m, *n)."""
        d = self.grid.ndim
        value = self._wrap(u)[(slice(None), *[None] * d)]
        partials: list[Tensor] = []
        for a in range(d):
            near, far = ends(value, a - d)
            partials = [self._interpolate(p, a) for p in partials]
            partials.append((far - near).div_(self.grid.spacing[a]))
            if a < d - 1:
                value = self._interpolate(value, a)
        return partials

    def _interpolate(self, v: Tensor, a: int) -> Tensor:
        """Values at the nodes along axis a, from those at its n + 1 corners."""
        near, far = ends(v, a - self.grid.ndim)
        shape = list(near.shape)
        shape[1 + a] = len(self.nodes)
        out = v.new_empty(shape)
        for k, g in enumerate(self.nodes):
            torch.lerp(near, far, g, out=out.narrow(1 + a, k, 1))
        return out

    def _transpose(self, flux: Field) -> Potential:
        """The steps of ``_gradient`` backwards, each transposed."""
        d = self.grid.ndim
        loads = [self._load(flux, axis) for axis in range(d)]
        value = self._corners(loads[-1], d - 1)
        for a in reversed(range(d)):
            if a < d - 1:
                value = self._scatter(value, a)
            near, far = ends(value, a - d)
            load = loads.pop()
            near.sub_(load, alpha=1 / self.grid.spacing[a])
            far.add_(load, alpha=1 / self.grid.spacing[a])
            loads = [self._scatter(other, a) for other in loads]
        return self._fold(value.flatten(1, 1 + d))

    def _wrap(self, u: Tensor) -> Tensor:
        """Values at all corners of the voxels."""
        for axis in self.grid.axes:
            u = self.grid.wrap(u, axis)
        return u

    def _fold(self, v: Tensor) -> Tensor:
        """Its transpose."""
        for axis in self.grid.axes:
            v = self.grid.fold(v, axis)
        return v

    def _load(self, flux: Field, axis: int) -> Tensor:
        """What drives ∂u/∂axis, (b, [q or 1] × d, m, *n)."""
        d, q = self.grid.ndim, len(self.nodes)
        parts = flux.unflatten(1, (*[q] * d, -1)).movedim(1 + d, 0)
        shape = [self.differential.potentials, *parts.shape[1:]]
        shape[2 + axis] = 1
        load = flux.new_zeros(shape)
        for c, m, i, weight in self.differential.terms:
            if i == axis:
                for at in parts[c].split(1, 1 + axis):
                    load[m].add_(at, alpha=weight)
        return load.movedim(0, 1 + d)

    def _scatter(self, v: Tensor, a: int) -> Tensor:
        """Transpose of ``_interpolate``."""
        out = self._corners(v, a)
        near, far = ends(out, a - self.grid.ndim)
        for g, at in zip(self.nodes, v.split(1, 1 + a), strict=True):
            near.add_(at, alpha=1 - g)
            far.add_(at, alpha=g)
        return out

    def _corners(self, v: Tensor, a: int) -> Tensor:
        """Zeros at the corners along axis a, to add to."""
        shape = list(v.shape)
        shape[1 + a], shape[a - self.grid.ndim] = 1, self.grid.shape[a] + 1
        return v.new_zeros(shape)


def ends(v: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Views of the corners at the near and at the far end of each voxel."""
    n = v.shape[axis] - 1
    return v.narrow(axis, 0, n), v.narrow(axis, 1, n)
