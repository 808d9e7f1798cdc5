"""Discrete gradients: what fields are made of, and how they look in Fourier space."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from lsml.grid import Grid
from lsml.numerics import linear
from lsml.typing import Field, Potential

Term = tuple[int, int, int, float]


@dataclass(frozen=True)
class Differential:
    """Which partial derivatives make a field out of its potential.

    ``terms`` lists (component, potential, axis, weight): field[component] is the sum
    of weight · ∂(potential)/∂(axis).
    """

    components: int
    potentials: int
    terms: tuple[Term, ...]

    def matrix(self, like: Tensor) -> Float[Tensor, "c m d"]:
        """The terms as a dense array S with field_c = S_cmi ∂_i potential_m."""
        axes = 1 + max(axis for _, _, axis, _ in self.terms)
        dense = like.new_zeros(self.components, self.potentials, axes)
        for c, m, axis, weight in self.terms:
            dense[c, m, axis] = weight
        return dense


class AxisFactor(NamedTuple):
    """What one axis contributes to <k_i* k_j>, averaged over the points, per frequency.

    Along the axis of both derivatives ``square``, of one of them ``cross`` (times ±i),
    of neither ``mean``.
    """

    square: Float[Tensor, " k"]
    cross: Float[Tensor, " k"]
    mean: Float[Tensor, " k"]


class Discretization(ABC):
    """A gradient B at q points per voxel, with its transpose and its symbol.

    They are held together by tests: transpose, symbols and factors against B.
    Subclasses state their Nyquist policy.
    """

    grid: Grid
    differential: Differential
    points: int
    takes_pores: bool  # whether a phase without stiffness leaves B*CB solvable

    def gradient(self, u: Potential) -> Field:
        """B u: the field (b, q·c, *n) that derives from a potential (b, m, *n)."""
        return linear(u, self._gradient, self._transpose)

    def transpose(self, flux: Field) -> Potential:
        """Bᵀ flux: minus the divergence, summed over the points."""
        return linear(flux, self._transpose, self._gradient)

    @abstractmethod
    def symbols(self, device: torch.device) -> list[Complex[Tensor, "d *m"]]:
        """Fourier symbol k of the partial derivatives at each point (half spectrum)."""

    @abstractmethod
    def _gradient(self, u: Potential) -> Field: ...

    @abstractmethod
    def _transpose(self, flux: Field) -> Potential: ...

    def voxel_gradient(self, u: Potential) -> Field:
        """Average of B u over the points of each voxel, (b, c, *n)."""
        return self.gradient(u).unflatten(1, (self.points, -1)).mean(1)

    def voxel_symbol(self, device: torch.device) -> Complex[Tensor, "d *m"]:
        """Symbol of ``voxel_gradient``'s partial derivatives."""
        return torch.stack(self.symbols(device)).mean(0)

    def average(self, at: Field) -> Float[Tensor, "b k"]:
        """Volume average of a field given at the points, accumulated in float64."""
        points = at.unflatten(1, (self.points, -1)).flatten(3)
        return points.mean((1, 3), dtype=torch.float64).to(at.dtype)

    @abstractmethod
    def factors(self, device: torch.device) -> list[AxisFactor]:
        """<k_i* k_j> as a product over the axes: the points are one too."""

    def stiffness(
        self, matrix: Float[Tensor, "s c c"], rows: slice = slice(None)
    ) -> Float[Tensor, "s p *k"]:
        """Symbol of Bᵀ C⁰ B / q, real because the points lie symmetrically.

        Its upper triangle, row by row, at ``rows`` of the first frequency axis.
        """
        s = self.differential.matrix(matrix)
        inner = torch.einsum("cmi,scd,dlj->smlij", s, matrix, s)
        factors = self.factors(matrix.device)
        factors[0] = AxisFactor(*(f[rows] for f in factors[0]))
        pairs = [[pair(factors, i, j) for j in axes(factors)] for i in axes(factors)]
        entries = [
            sum(
                weight.reshape(-1, *[1] * len(factors)) * pairs[i][j]
                for i in axes(factors)
                for j in axes(factors)
                if bool((weight := inner[:, m, n, i, j]).any())
            )
            for m, n in triangle(self.differential.potentials)
        ]
        shape = (len(matrix), *[len(f.mean) for f in factors])
        empty = matrix.new_zeros(shape)
        return torch.stack([empty + e for e in entries], 1)


def axes(of: list[AxisFactor]) -> range:
    """Their numbers."""
    return range(len(of))


def triangle(m: int) -> list[tuple[int, int]]:
    """Upper triangle of an m × m matrix, row by row."""
    return [(i, j) for i in range(m) for j in range(i, m)]


def pair(factors: list[AxisFactor], i: int, j: int) -> Float[Tensor, "*k"]:
    """<k_i* k_j>."""
    product = torch.ones((), dtype=torch.float64)
    for axis, factor in enumerate(factors):
        along = (factor.mean, factor.cross, factor.square)[(axis == i) + (axis == j)]
        product = product.to(along.device)[..., None] * along
    return product
