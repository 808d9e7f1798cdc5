"""Discrete gradients and the Green operator Γ = B N Bᵀ of a homogeneous medium."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from lsml.grid import Grid
from lsml.numerics import linear
from lsml.typing import Field, Potential

Term = tuple[int, int, int, float]
SINGULAR = 1e-20  # share of the largest |k|² under which a mode has no gradient


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


class Discretization(ABC):
    """A gradient B at q points per voxel, with its transpose and its symbol.

    The three are held together by tests: transpose against B, symbol against B.
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

    def average(self, at: Field) -> Float[Tensor, "b k"]:
        """Volume average of a field given at the points, accumulated in float64."""
        points = at.unflatten(1, (self.points, -1)).flatten(3)
        return points.mean((1, 3), dtype=torch.float64).to(at.dtype)

    def stiffness(self, matrix: Float[Tensor, "s c c"]) -> Float[Tensor, "s m m *k"]:
        """Symbol of Bᵀ C⁰ B / q, real because the points lie symmetrically."""
        s = self.differential.matrix(matrix)
        inner = torch.einsum("cmi,scd,dlj->smlij", s, matrix, s)
        symbols = self.symbols(matrix.device)
        pairs = sum(torch.einsum("i...,j...->ij...", k.conj(), k).real for k in symbols)
        return torch.einsum("smlij,ij...->sml...", inner, pairs / len(symbols))


@dataclass(frozen=True)
class GreenOperator:
    """Γ, from a discretization and the inverse N of its reference stiffness.

    Attributes
    ----------
    inverse : N, symmetric m × m per frequency, zero where a mode has no gradient.
    free : c × c compliance of the mean components that the load leaves free, zero
        elsewhere; one per sample or shared; None when the whole mean is prescribed.
    """

    discretization: Discretization
    inverse: Float[Tensor, "s m m *k"]
    free: Float[Tensor, "f c c"] | None = None

    def __call__(self, tau: Field) -> Field:
        """Field that the polarization τ leaves behind: x = x̄ − Γτ."""
        field = self.discretization.gradient(self.potential(self.pull(tau)))
        return field if self.free is None else field + self.uniform(tau)

    def pull(self, flux: Field) -> Potential:
        """Bᵀ flux averaged over the points: what drives the potential."""
        return self.discretization.transpose(flux) / self.discretization.points

    def potential(self, drive: Potential) -> Potential:
        """N drive: three forward and three inverse real transforms in 3-D."""
        return linear(drive, self._solve, self._solve)

    def uniform(self, flux: Field) -> Float[Tensor, "b c *one"]:
        """Mean of Γ flux, spread over the points: zero unless a mean is free."""
        q, grid = self.discretization.points, self.discretization.grid
        mean = self.mean_compliance(self.discretization.average(flux))
        return mean.repeat(1, q).reshape(*mean.shape[:1], -1, *[1] * grid.ndim)

    def mean_compliance(self, flux: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        """Free mean field of a mean flux."""
        if self.free is None:
            return torch.zeros_like(flux)
        return torch.einsum("bcd,bd->bc", self.free.expand(len(flux), -1, -1), flux)

    def _solve(self, drive: Tensor) -> Tensor:
        grid = self.discretization.grid
        hat = grid.fft(drive).unflatten(0, (self.inverse.shape[0], -1))
        out = torch.zeros_like(hat)
        for i, j in self._entries:
            entry = self.inverse[:, None, i, j].to(hat.dtype)
            out[:, :, i].addcmul_(entry, hat[:, :, j])
        return grid.ifft(out.flatten(0, 1))

    @cached_property
    def _entries(self) -> list[tuple[int, int]]:
        m = self.inverse.shape[1]
        return [(i, j) for i in range(m) for j in range(m)]


def green_operator(
    discretization: Discretization,
    reference: Float[Tensor, "s c c"],
    free: Float[Tensor, "f c"],
) -> GreenOperator:
    """Γ of the medium ``reference``; ``free`` is 1 where the mean is not prescribed.

    Inverted in float64, then rounded to the dtype of ``reference``.
    """
    matrix = reference.detach().double()
    stiffness = discretization.stiffness(matrix)
    inverse = invert(stiffness).to(reference.dtype)
    if not bool(free.any()):
        return GreenOperator(discretization, inverse)
    compliance = free_compliance(matrix, free).to(reference.dtype)
    return GreenOperator(discretization, inverse, compliance)


def invert(stiffness: Float[Tensor, "s m m *k"]) -> Float[Tensor, "s m m *k"]:
    """Inverse per frequency, and 0 for the modes without a gradient.

    Those are the mean and, where a stencil has them, hourglass modes.
    """
    a = stiffness.movedim((1, 2), (-2, -1))
    trace = a.diagonal(dim1=-2, dim2=-1).sum(-1)
    largest = trace.flatten(1).amax(1).reshape(-1, *[1] * (trace.ndim - 1))
    singular = (trace <= SINGULAR * largest)[..., None, None]
    eye = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    inverse = torch.linalg.inv(torch.where(singular, eye, a))
    inverse = torch.where(singular, torch.zeros_like(a), inverse)
    return inverse.movedim((-2, -1), (1, 2)).contiguous()


def free_compliance(
    matrix: Float[Tensor, "s c c"], free: Float[Tensor, "f c"]
) -> Float[Tensor, "b c c"]:
    """P (Pᵀ C⁰ P)⁻¹ Pᵀ for the projector P on the free components."""
    rows, columns = free[:, :, None], free[:, None, :]
    if len(matrix) > 1:
        matrix = matrix.repeat_interleave(max(1, len(free) // len(matrix)), 0)
    fixed = torch.diag_embed(1 - free)
    return torch.linalg.inv(rows * matrix * columns + fixed) * rows * columns
