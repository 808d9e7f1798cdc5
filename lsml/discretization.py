"""Discrete gradients: what fields are made of, and how they look in Fourier space."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Complex, Float, Inexact
from torch import Tensor

from lsml.grid import Grid
from lsml.numerics import linear, wide
from lsml.typing import Field, PerSample, Potential

Term = tuple[int, int, int, float]
L = TypeVar("L")


class Words(NamedTuple):
    """What a physics calls its fields, and their components.

    ``symbols`` are TeX, of field and flux; components are named by their axes, 1 2 for
    vectors and 11 22 12 for tensors.
    """

    field: str = "field"
    flux: str = "flux"
    potential: str = "potential"
    coefficient: str = "coefficient"
    components: tuple[str, ...] = ()
    symbols: tuple[str, str] = ("e", "j")


NAMELESS = Words()


@dataclass(frozen=True)
class Differential:
    """Which partial derivatives make a field out of its potential.

    ``terms`` lists (component, potential, axis, weight): field[component] is the sum
    of weight · ∂(potential)/∂(axis). ``words`` are for files, pictures and messages.
    """

    components: int
    potentials: int
    terms: tuple[Term, ...]
    words: Words = NAMELESS

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

    They are held together by tests: transpose, symbols and stiffness against B.
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
    def symbols(self, device: torch.device) -> list[Complex[Tensor, "m d *k"]]:
        """Fourier symbols k_mi of ∂u_m/∂i at each point (half spectrum)."""

    @abstractmethod
    def _gradient(self, u: Potential) -> Field: ...

    @abstractmethod
    def _transpose(self, flux: Field) -> Potential: ...

    def voxel_gradient(self, u: Potential) -> Field:
        """Average of B u over the points of each voxel, (b, c, *n)."""
        return self.gradient(u).unflatten(1, (self.points, -1)).mean(1)

    def voxel_symbol(self, device: torch.device) -> Complex[Tensor, "m d *k"]:
        """Symbol of ``voxel_gradient``'s partial derivatives."""
        return torch.stack(self.symbols(device)).mean(0)

    @property
    def faces(self) -> tuple[str, ...]:
        """What bounds the cell across each axis."""
        return ("periodic",) * self.grid.ndim

    @property
    def plain(self) -> "Discretization":
        """The same scheme in a periodic cell."""
        return self

    @property
    def periodic(self) -> bool:
        """Whether fields repeat along every axis."""
        return set(self.faces) == {"periodic"}

    @property
    def lattice(self) -> tuple[int, ...]:
        """Places with a potential, along each axis."""
        return self.grid.shape

    @property
    def moves(self) -> bool:
        """Whether a uniform potential is possible."""
        return True

    @property
    def holds_mean(self) -> bool:
        """Whether potentials may have a gradient on average, which is to be held."""
        return False

    def corners(self, u: Potential) -> Inexact[Tensor, "b m *all"]:
        """A potential as it is handed out."""
        return u

    def angles(self, device: torch.device) -> list[Float[Tensor, " k"]]:
        """Phase advance per voxel of each frequency, along each axis."""
        return self.grid.angles(device)

    def forward(self, drive: Potential) -> Tensor:
        """Spectrum on which N acts."""
        return self.grid.fft(drive)

    def backward(self, hat: Tensor) -> Potential:
        """Potential of a spectrum."""
        return self.grid.ifft(hat)

    def equivalence(self, matrix: Float[Tensor, "s c c"]) -> PerSample:
        """Least ratio of BᵀC⁰B/q to N⁻¹, of which 1 is the greatest: here N inverts."""
        return torch.ones(len(matrix), dtype=torch.float64, device=matrix.device)

    def average(self, at: Field) -> Inexact[Tensor, "b k"]:
        """Volume average of a field given at the points, accumulated in float64."""
        points = at.unflatten(1, (self.points, -1)).flatten(3)
        mean = points.mean((1, 3), dtype=wide(at.dtype))
        return self.grid.pooled(mean).to(at.dtype)

    def located(self, law: L) -> L:
        """The law of the phases at the points of this scheme; that of the voxels."""
        return law

    @abstractmethod
    def stiffness(
        self, matrix: Float[Tensor, "s c c"], rows: slice = slice(None)
    ) -> Inexact[Tensor, "s p *k"]:
        """Symbol of Bᵀ C⁰ B / q, a Hermitian matrix for each frequency.

        Its upper triangle, row by row, at ``rows`` of the first frequency axis; real
        where the points lie symmetrically.
        """


def product_stiffness(
    differential: Differential,
    matrix: Float[Tensor, "s c c"],
    factors: list[AxisFactor],
    rows: slice,
) -> Float[Tensor, "s p *k"]:
    """``stiffness`` where <k_i* k_j> is a product over the axes, as the points are."""
    axes = range(len(factors))
    factors = [AxisFactor(*(f[rows] for f in factors[0])), *factors[1:]]
    pairs = [[pair(factors, i, j) for j in axes] for i in axes]
    return contracted(differential, matrix, lambda m, n, i, j: pairs[i][j])


def contracted(
    differential: Differential,
    matrix: Float[Tensor, "s c c"],
    pairs: Callable[[int, int, int, int], Tensor],
) -> Inexact[Tensor, "s p *k"]:
    """Σ_ij S_cmi C⁰_cd S_dnj pairs(m, n, i, j) for each entry (m, n) of the triangle.

    ``pairs`` is <k_mi* k_nj> per frequency.
    """
    s = differential.matrix(matrix)
    inner = torch.einsum("cmi,scd,dnj->smnij", s, matrix, s)
    axes = range(s.shape[2])
    empty = torch.zeros_like(pairs(0, 0, 0, 0)).expand(len(matrix), *[-1] * len(axes))
    entries = []
    for m, n in triangle(differential.potentials):
        entry = empty
        for i, j in product(axes, axes):
            weight = inner[:, m, n, i, j]
            if bool(weight.any()):
                column = weight.reshape(-1, *[1] * len(axes))
                entry = entry + column * pairs(m, n, i, j)
        entries.append(entry)
    return torch.stack(entries, 1)


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
