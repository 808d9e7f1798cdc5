"""The Green operator Γ = B N Bᵀ of a homogeneous medium."""

from dataclasses import dataclass, replace
from math import prod

import torch
from jaxtyping import Float, Inexact
from torch import Tensor

from lsml.discretization import Discretization, triangle
from lsml.hold import Hold
from lsml.memory import demand
from lsml.numerics import linear, rows_of
from lsml.typing import Codes, Field, PerSample, Potential, Voxels

SINGULAR = 1e-20  # share of the largest |k|² under which a mode has no gradient
IDLE = 1e-9  # share of the largest mean field under which a flux makes none
CHUNK = 2**16  # frequencies inverted at a time


@dataclass(frozen=True)
class GreenOperator:
    """Γ, from a discretization and the inverse N of its reference stiffness.

    Attributes
    ----------
    inverse : N, the upper triangle of a Hermitian m × m matrix per frequency, row by
        row; zero where a mode has no gradient. Real where the scheme is symmetric.
    free : c × c compliance of the mean components that the load leaves free, zero
        elsewhere; one per sample or shared; None when the whole mean is prescribed.
    hold : None where potentials have no mean field anyway, as in a periodic cell.
    """

    discretization: Discretization
    inverse: Inexact[Tensor, "s p *k"]
    free: Inexact[Tensor, "f c c"] | None = None
    hold: Hold | None = None

    def __call__(self, tau: Field) -> Field:
        """Field that the polarization τ leaves behind: x = x̄ − Γτ."""
        field = self.discretization.gradient(self.potential(self.pull(tau)))
        return field if self.free is None else field + self.uniform(tau)

    def pull(self, flux: Field) -> Potential:
        """Bᵀ flux averaged over the points: what drives the potential."""
        drive = self.discretization.transpose(flux) / self.discretization.points
        return drive if self.hold is None else self.hold.relieve(drive)

    def potential(self, drive: Potential) -> Potential:
        """N drive: three forward and three inverse real transforms in 3-D."""
        return linear(drive, self._solve, self._solve)

    def settle(self, u: Potential) -> Potential:
        """A potential without translation, which no field shows, and held."""
        if self.discretization.moves:
            mean = self.discretization.grid.mean(u)
            u = u - mean.reshape(*u.shape[:2], *[1] * (u.ndim - 2))
        return self.held(u)

    def held(self, u: Potential) -> Potential:
        """A potential without mean field; in a periodic cell they all are."""
        return u if self.hold is None else self.hold.settle(u)

    def uniform(self, flux: Field) -> Inexact[Tensor, "b c *one"]:
        """Mean of Γ flux, spread over the points: zero unless a mean is free."""
        q, grid = self.discretization.points, self.discretization.grid
        mean = self.mean_compliance(self.discretization.average(flux))
        return mean.repeat(1, q).reshape(*mean.shape[:1], -1, *[1] * grid.ndim)

    def mean_compliance(self, flux: Inexact[Tensor, "b c"]) -> Inexact[Tensor, "b c"]:
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
        pull = k.new_zeros(self.discretization.differential.potentials, *k.shape[2:])
        for c, m, axis, weight in self.discretization.differential.terms:
            if c == component:
                pull[m] += weight * k[m, axis].conj()
        spread = pull.expand(len(self.inverse), 1, *pull.shape)
        drive = self._times_inverse(spread)[:, 0]
        seen = (pull.conj() * drive).sum(1).real
        largest = grid.greatest(seen.flatten(1).amax(1)).reshape(-1, *[1] * grid.ndim)
        unseen = seen <= SINGULAR * largest
        drive = drive / torch.where(unseen, torch.inf, seen)[:, None]
        hat = grid.fft(values.double()[:, None]).unflatten(0, (len(drive), -1))
        return grid.ifft((drive[:, None] * hat).flatten(0, 1)).to(values.dtype)

    def _times_inverse(self, hat: Inexact[Tensor, "s l m *k"]) -> Tensor:
        """N of each reference medium times its spectra."""
        out = torch.zeros_like(hat)
        for place, (i, j) in enumerate(triangle(hat.shape[2])):
            entry = self.inverse[:, None, place].to(hat.dtype)
            out[:, :, i].addcmul_(entry, hat[:, :, j])
            if i != j:
                out[:, :, j].addcmul_(entry.conj(), hat[:, :, i])
        return out

    def select(self, samples: Codes, batch: int) -> "GreenOperator":
        """Of some of ``batch`` samples."""
        free = None if self.free is None else rows_of(self.free, samples, batch)
        hold = self.hold
        if hold is not None:
            hold = Hold(*(rows_of(part, samples, batch) for part in hold))
        inverse = rows_of(self.inverse, samples, batch)
        return replace(self, inverse=inverse, free=free, hold=hold)

    def _solve(self, drive: Tensor) -> Tensor:
        scheme = self.discretization
        hat = scheme.forward(drive).unflatten(0, (self.inverse.shape[0], -1))
        return self.held(scheme.backward(self._times_inverse(hat).flatten(0, 1)))


def green_operator(
    discretization: Discretization,
    reference: Inexact[Tensor, "s c c"],
    free: Float[Tensor, "f c"],
) -> GreenOperator:
    """Γ of the medium ``reference``; ``free`` is 1 where the mean is not prescribed.

    Inverted in float64, then rounded to the dtype of ``reference``, whose numbers are
    real even where its dtype, that of the fields, is complex.
    """
    matrix = reference.detach().real.double()
    inverse = inverse_stiffness(discretization, matrix, reference.real.dtype)
    hold = held_mean(discretization, inverse) if discretization.holds_mean else None
    if not bool(free.any()):
        return GreenOperator(discretization, inverse, None, hold)
    compliance = free_compliance(matrix, free).to(reference.dtype)
    return GreenOperator(discretization, inverse, compliance, hold)


def held_mean(discretization: Discretization, inverse: Float[Tensor, "s p *k"]) -> Hold:
    """What holds the mean field on this medium, computed in float64."""
    c, q = discretization.differential.components, discretization.points
    grid, s = discretization.grid, len(inverse)
    plain = GreenOperator(discretization, inverse.double())
    unit = torch.eye(c, dtype=torch.float64, device=inverse.device)
    fluxes = unit.repeat(1, q).reshape(c, q * c, *[1] * grid.ndim)
    fluxes = fluxes.expand(-1, -1, *grid.shape).contiguous()
    drives = plain.pull(fluxes) / grid.size**0.5
    answers = plain.potential(drives.repeat(s, *[1] * (drives.ndim - 1)))
    answers = answers.unflatten(0, (s, c))
    working = answers.flatten(2) @ drives.flatten(1).mT
    answers, drives = (t.to(inverse.dtype) for t in (answers, drives[None]))
    means = answers.double().flatten(2) @ drives.double().flatten(2).mT
    return Hold(answers, drives, compliance_of(means, working))


def compliance_of(
    means: Float[Tensor, "s c c"], working: Float[Tensor, "s c c"]
) -> Float[Tensor, "s c c"]:
    """Inverse of ``means`` transposed on the range of ``working``.

    They are the same, rounded and not: what does no work is told by the latter.
    """
    values, vectors = torch.linalg.eigh(working)
    kept = vectors * (values > IDLE * values[:, -1:])[:, None]
    share = kept @ kept.mT
    rest = torch.eye(len(means[0]), dtype=means.dtype, device=means.device) - share
    return share @ torch.linalg.inv(share @ means.mT @ share + rest) @ share


def inverse_stiffness(
    discretization: Discretization,
    matrix: Float[Tensor, "s c c"],
    dtype: torch.dtype,
) -> Inexact[Tensor, "s p *k"]:
    """N per frequency, and 0 for the modes without a gradient.

    Those are the mean and, where a stencil has them, hourglass modes. Inverted a few
    frequencies at a time, so that nothing but N is ever as large as a field.
    """
    half = tuple(len(theta) for theta in discretization.angles(matrix.device))
    m = discretization.differential.potentials
    entries = len(matrix) * len(triangle(m))
    bytes_needed = prod(half) * entries * dtype.itemsize
    cells = " × ".join(str(n) for n in discretization.grid.shape)
    demand(bytes_needed, matrix.device, f"the Green operator of {cells} voxels")
    step = max(1, CHUNK * half[0] // prod(half))
    blocks = [slice(i, min(i + step, half[0])) for i in range(0, half[0], step)]
    traces = (trace(discretization.stiffness(matrix, rows), m) for rows in blocks)
    largest = torch.stack([t.flatten(1).amax(1) for t in traces]).amax(0)
    largest = discretization.grid.greatest(largest)
    inverse = torch.empty(0)
    for rows in blocks:
        part = invert(discretization.stiffness(matrix, rows), m, largest)
        if rows.start == 0:
            size = (len(matrix), len(triangle(m)), *half)
            kind = dtype.to_complex() if part.is_complex() else dtype
            inverse = part.new_empty(size, dtype=kind)
        inverse[:, :, rows] = part
    return inverse


def trace(packed: Inexact[Tensor, "s p *k"], m: int) -> Float[Tensor, "s *k"]:
    """Trace of Hermitian matrices."""
    diagonal = [k for k, (i, j) in enumerate(triangle(m)) if i == j]
    return packed[:, diagonal].real.sum(1)


def invert(
    packed: Inexact[Tensor, "s p *k"], m: int, largest: PerSample
) -> Inexact[Tensor, "s p *k"]:
    """Inverse by sweeps, one row after the other; 0 where the trace vanishes."""
    scale = SINGULAR * largest.reshape(-1, *[1] * (packed.ndim - 2))
    singular = trace(packed, m) <= scale
    a = {
        ij: entry.masked_fill(singular, float(ij[0] == ij[1]))
        for ij, entry in zip(triangle(m), packed.unbind(1), strict=True)
    }
    for k in range(m):
        column = {i: a[i, k] if i <= k else a[k, i].conj() for i in range(m)}
        pivot = 1 / column[k]
        for i, j in a:
            if i == k and j == k:
                a[i, j] = -pivot
            elif k == i:
                a[i, j] = column[j].conj() * pivot
            elif k == j:
                a[i, j] = column[i] * pivot
            else:
                a[i, j] = a[i, j] - column[i] * column[j].conj() * pivot
    inverse = torch.stack([-entry for entry in a.values()], 1)
    return inverse.masked_fill_(singular[:, None], 0)


def free_compliance(
    matrix: Inexact[Tensor, "s c c"], free: Float[Tensor, "f c"]
) -> Inexact[Tensor, "b c c"]:
    """P (Pᵀ C⁰ P)⁻¹ Pᵀ for the projector P on the free components."""
    rows, columns = free[:, :, None], free[:, None, :]
    if len(matrix) > 1:
        matrix = matrix.repeat_interleave(max(1, len(free) // len(matrix)), 0)
    fixed = torch.diag_embed(1 - free)
    return torch.linalg.inv(rows * matrix * columns + fixed) * rows * columns
