"""Discrete gradients and the Green operator Γ = B N Bᵀ of a homogeneous medium."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from math import prod
from typing import NamedTuple

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from lsml.grid import Grid
from lsml.memory import demand
from lsml.numerics import linear, rows_of
from lsml.typing import Codes, Field, PerSample, Potential, Voxels

Term = tuple[int, int, int, float]
SINGULAR = 1e-20  # share of the largest |k|² under which a mode has no gradient
CHUNK = 2**16  # frequencies inverted at a time


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


@dataclass(frozen=True)
class GreenOperator:
    """Γ, from a discretization and the inverse N of its reference stiffness.

    Attributes
    ----------
    inverse : N, the upper triangle of a symmetric m × m matrix per frequency, row by
        row; zero where a mode has no gradient.
    free : c × c compliance of the mean components that the load leaves free, zero
        elsewhere; one per sample or shared; None when the whole mean is prescribed.
    """

    discretization: Discretization
    inverse: Float[Tensor, "s p *k"]
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

    def potential_of(self, values: Voxels, component: int) -> Potential:
        """Potential of least reference energy with one component of its field given.

        That of the average over each voxel; its mean counts for nothing, nor do modes
        of which no gradient has this component. With s the symbol of the component and
        e the values, û = N s* (s N s*)⁻¹ ê minimizes ½ û*N⁻¹û under s û = ê.
        """
        grid = self.discretization.grid
        k = self.discretization.voxel_symbol(values.device)
        pull = k.new_zeros(self.discretization.differential.potentials, *k.shape[1:])
        for c, m, axis, weight in self.discretization.differential.terms:
            if c == component:
                pull[m] += weight * k[axis].conj()
        drive = self._times_inverse(pull[None])
        seen = (pull.conj() * drive).sum(1).real
        unseen = seen <= SINGULAR * seen.flatten(1).amax(1).reshape(-1, *[1] * grid.ndim)
        drive = drive / torch.where(unseen, torch.inf, seen)[:, None]
        hat = grid.fft(values.double()[:, None]).unflatten(0, (len(drive), -1))
        return grid.ifft((drive[:, None] * hat).flatten(0, 1)).to(values.dtype)

    def _times_inverse(self, hat: Complex[Tensor, "s m *k"]) -> Tensor:
        """N of each reference medium times a spectrum."""
        out = hat.new_zeros(len(self.inverse), *hat.shape[1:])
        for place, (i, j) in enumerate(triangle(hat.shape[1])):
            for a, b in {(i, j), (j, i)}:
                out[:, a] += self.inverse[:, place] * hat[:, b]
        return out

    def select(self, samples: Codes, batch: int) -> "GreenOperator":
        """Of some of ``batch`` samples."""
        free = None if self.free is None else rows_of(self.free, samples, batch)
        return replace(self, inverse=rows_of(self.inverse, samples, batch), free=free)

    def _solve(self, drive: Tensor) -> Tensor:
        grid = self.discretization.grid
        hat = grid.fft(drive).unflatten(0, (self.inverse.shape[0], -1))
        out = torch.zeros_like(hat)
        for place, (i, j) in enumerate(triangle(drive.shape[1])):
            entry = self.inverse[:, None, place].to(hat.dtype)
            for a, b in {(i, j), (j, i)}:
                out[:, :, a].addcmul_(entry, hat[:, :, b])
        return grid.ifft(out.flatten(0, 1))


def green_operator(
    discretization: Discretization,
    reference: Float[Tensor, "s c c"],
    free: Float[Tensor, "f c"],
) -> GreenOperator:
    """Γ of the medium ``reference``; ``free`` is 1 where the mean is not prescribed.

    Inverted in float64, then rounded to the dtype of ``reference``.
    """
    matrix = reference.detach().double()
    inverse = inverse_stiffness(discretization, matrix, reference.dtype)
    if not bool(free.any()):
        return GreenOperator(discretization, inverse)
    compliance = free_compliance(matrix, free).to(reference.dtype)
    return GreenOperator(discretization, inverse, compliance)


def inverse_stiffness(
    discretization: Discretization,
    matrix: Float[Tensor, "s c c"],
    dtype: torch.dtype,
) -> Float[Tensor, "s p *k"]:
    """N per frequency, and 0 for the modes without a gradient.

    Those are the mean and, where a stencil has them, hourglass modes. Inverted a few
    frequencies at a time, so that nothing but N is ever as large as a field.
    """
    shape = discretization.grid.shape
    half = (*shape[:-1], shape[-1] // 2 + 1)
    m = discretization.differential.potentials
    entries = len(matrix) * len(triangle(m))
    bytes_needed = prod(half) * entries * dtype.itemsize
    cells = " × ".join(str(n) for n in shape)
    demand(bytes_needed, matrix.device, f"the Green operator of {cells} voxels")
    step = max(1, CHUNK * half[0] // prod(half))
    blocks = [slice(i, min(i + step, half[0])) for i in range(0, half[0], step)]
    traces = (trace(discretization.stiffness(matrix, rows), m) for rows in blocks)
    largest = torch.stack([t.flatten(1).amax(1) for t in traces]).amax(0)
    inverse = torch.empty(
        len(matrix), len(triangle(m)), *half, dtype=dtype, device=matrix.device
    )
    for rows in blocks:
        part = discretization.stiffness(matrix, rows)
        inverse[:, :, rows] = invert(part, m, largest).to(dtype)
    return inverse


def trace(packed: Float[Tensor, "s p *k"], m: int) -> Float[Tensor, "s *k"]:
    """Trace of symmetric matrices."""
    diagonal = [k for k, (i, j) in enumerate(triangle(m)) if i == j]
    return packed[:, diagonal].sum(1)


def invert(
    packed: Float[Tensor, "s p *k"], m: int, largest: PerSample
) -> Float[Tensor, "s p *k"]:
    """Inverse by sweeps, one row after the other; 0 where the trace vanishes."""
    scale = SINGULAR * largest.reshape(-1, *[1] * (packed.ndim - 2))
    singular = trace(packed, m) <= scale
    a = {
        ij: entry.masked_fill(singular, float(ij[0] == ij[1]))
        for ij, entry in zip(triangle(m), packed.unbind(1), strict=True)
    }
    for k in range(m):
        row = {i: a[min(i, k), max(i, k)] for i in range(m)}
        pivot = 1 / row[k]
        for i, j in a:
            if i == k and j == k:
                a[i, j] = -pivot
            elif k in (i, j):
                a[i, j] = row[i + j - k] * pivot
            else:
                a[i, j] = a[i, j] - row[i] * row[j] * pivot
    inverse = torch.stack([-entry for entry in a.values()], 1)
    return inverse.masked_fill_(singular[:, None], 0)


def free_compliance(
    matrix: Float[Tensor, "s c c"], free: Float[Tensor, "f c"]
) -> Float[Tensor, "b c c"]:
    """P (Pᵀ C⁰ P)⁻¹ Pᵀ for the projector P on the free components."""
    rows, columns = free[:, :, None], free[:, None, :]
    if len(matrix) > 1:
        matrix = matrix.repeat_interleave(max(1, len(free) // len(matrix)), 0)
    fixed = torch.diag_embed(1 - free)
    return torch.linalg.inv(rows * matrix * columns + fixed) * rows * columns
