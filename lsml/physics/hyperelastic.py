"""Hyperelastic phases at finite strain: energies of the deformation gradient.

Isotropic, compressible, with the Lamé moduli of small strains. Outside J = det F > 0
no energy is defined: stresses are NaN there, and a solve that gets there says so.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float, Inexact
from torch import Tensor

from lsml.law import Law, PhaseLaw
from lsml.numerics import rows_of
from lsml.typing import Codes, Field, Tags

Matrices: TypeAlias = Float[Tensor, "s l q d d *n"]
Scalars: TypeAlias = Float[Tensor, "s l q *n"]
Moduli: TypeAlias = tuple[Tensor, Tensor]


@runtime_checkable
class Energy(Protocol):
    """W(F), its derivative P, the first Piola-Kirchhoff stress, and its tangent.

    ``moduli`` are λ and μ, (s, 1, 1, *n); in 2-D strains are plane, F_33 = 1.
    """

    def density(self, f: Matrices, moduli: Moduli) -> Scalars:
        """W."""
        ...

    def stress(self, f: Matrices, moduli: Moduli) -> Matrices:
        """P = ∂W/∂F."""
        ...

    def tangent(self, f: Matrices, df: Matrices, moduli: Moduli) -> Matrices:
        """∂P/∂F : dF."""
        ...


@dataclass(frozen=True)
class NeoHooke:
    """W = μ/2 (F:F − d) − μ ln J + λ/2 (ln J)² (Simo & Pister 1984)."""

    def density(self, f: Matrices, moduli: Moduli) -> Scalars:
        """W."""
        lam, mu = moduli
        log = volume(f, cofactor(f)).log()
        return mu / 2 * (_double(f, f) - f.shape[3]) - mu * log + lam / 2 * log**2

    def stress(self, f: Matrices, moduli: Moduli) -> Matrices:
        """μ F + (λ ln J − μ) F⁻ᵀ."""
        lam, mu = moduli
        inverse, log = _inverse(f)
        return _times(mu, f) + _times(lam * log - mu, inverse)

    def tangent(self, f: Matrices, df: Matrices, moduli: Moduli) -> Matrices:
        """μ dF + (μ − λ ln J) F⁻ᵀ dFᵀ F⁻ᵀ + λ (F⁻ᵀ : dF) F⁻ᵀ."""
        lam, mu = moduli
        inverse, log = _inverse(f)
        turned = _matmul(_matmul(inverse, df.transpose(3, 4)), inverse)
        spread = _times(lam * _double(inverse, df), inverse)
        return _times(mu, df) + _times(mu - lam * log, turned) + spread


@dataclass(frozen=True)
class SaintVenantKirchhoff:
    """W = λ/2 (tr E)² + μ E:E with E = (FᵀF − 1)/2, for small strains, any rotation.

    Loses its convexity, and its meaning, under strong compression.
    """

    def density(self, f: Matrices, moduli: Moduli) -> Scalars:
        """W."""
        lam, mu = moduli
        e = self._green(f)
        w: Tensor = lam / 2 * _trace(e) ** 2 + mu * _double(e, e)
        return w.where(volume(f, cofactor(f)) > 0, torch.nan)

    def stress(self, f: Matrices, moduli: Moduli) -> Matrices:
        """F S with S = λ tr E 1 + 2μ E."""
        p = _matmul(f, self._second(self._green(f), moduli))
        inside = volume(f, cofactor(f)) > 0
        return p.where(inside[:, :, :, None, None], torch.nan)

    def tangent(self, f: Matrices, df: Matrices, moduli: Moduli) -> Matrices:
        """dF S + F (λ tr dE 1 + 2μ dE)."""
        half = _matmul(f.transpose(3, 4), df)
        de = (half + half.transpose(3, 4)) / 2
        second = self._second(self._green(f), moduli)
        return _matmul(df, second) + _matmul(f, self._second(de, moduli))

    def _green(self, f: Matrices) -> Matrices:
        return (_matmul(f.transpose(3, 4), f) - identity(f)) / 2

    def _second(self, e: Matrices, moduli: Moduli) -> Matrices:
        lam, mu = moduli
        return _times(lam * _trace(e), identity(e)) + 2 * _times(mu, e)


@dataclass(frozen=True)
class Hyperelastic(Law):
    """P(1 + H) of the displacement gradient H, row by row, phase by phase.

    It stiffens and softens without limit, so that no reference medium bounds it.

    Attributes
    ----------
    phases : labels, and the phases at small strain.
    lame : λ and μ of each phase.
    energies : of each phase.
    """

    phases: PhaseLaw
    lame: Float[Tensor, "t p 2"]
    energies: tuple[Energy, ...]
    tags: ClassVar[Tags] = frozenset({"symmetric", "positive"})

    @property
    def differentiable(self) -> bool:
        """Whether a modulus does."""
        return self.lame.requires_grad

    def __call__(self, x: Field) -> Field:
        stress = self._each(self._deformed(x), lambda w, m, f: w.stress(f, m))
        return self._field(stress)

    def tangent(self, x: Field, v: Field) -> Field:
        """∂P/∂F : v."""
        f, df = self._deformed(x), self._matrices(v)
        return self._field(self._each(f, lambda w, m, f: w.tangent(f, df, m)))

    def energy(self, x: Field) -> Inexact[Tensor, "b q *n"]:
        """W per undeformed volume."""
        f = self._deformed(x)
        found = self._each(f, lambda w, m, f: w.density(f, m)[:, :, :, None, None])
        return found[:, :, :, 0, 0].flatten(0, 1)

    def select(self, samples: Codes, batch: int) -> "Hyperelastic":
        """Each sample with labels of its own."""
        chosen = self.phases.select(samples, batch)
        return replace(self, phases=chosen, lame=rows_of(self.lame, samples, batch))

    def initial(self) -> PhaseLaw:
        """∂P/∂F at F = 1, which sets nothing against rotations."""
        lam, mu = self.lame.unbind(-1)
        return replace(
            self.phases, coefficients=torch.stack([lam + 2 * mu, lam, mu, mu], -1)
        )

    def _each(
        self, f: Matrices, value: Callable[[Energy, Moduli, Matrices], Tensor]
    ) -> Tensor:
        """A value by the energy of each voxel; others see an undeformed one there."""
        lam, mu = self.phases.spread(self.lame)
        kinds = list(dict.fromkeys(self.energies))
        found = value(kinds[0], (lam, mu), f if len(kinds) == 1 else self._only(0, f))
        for kind in range(1, len(kinds)):
            other = value(kinds[kind], (lam, mu), self._only(kind, f))
            found = torch.where(self._mask(kind), other, found)
        return found

    def _mask(self, kind: int) -> Tensor:
        """Where an energy is that of the phase, (s, 1, 1, 1, 1, *n)."""
        kinds = list(dict.fromkeys(self.energies))
        rows = [float(kinds.index(w) == kind) for w in self.energies]
        (at,) = self.phases.spread(self.lame.new_tensor(rows)[None, :, None])
        return at[:, :, :, None, None] > 0

    def _only(self, kind: int, f: Matrices) -> Matrices:
        return torch.where(self._mask(kind), f, identity(f))

    def _matrices(self, x: Field) -> Matrices:
        d = x.ndim - 2
        points = x.unflatten(1, (-1, d, d))
        return points.unflatten(0, (len(self.phases.labels), -1))

    def _deformed(self, x: Field) -> Matrices:
        h = self._matrices(x)
        return h + identity(h)

    def _field(self, matrices: Matrices) -> Field:
        return matrices.flatten(0, 1).flatten(1, 3)


def identity(f: Matrices) -> Tensor:
    """The unit matrix, to be broadcast."""
    unit = torch.eye(f.shape[3], dtype=f.dtype, device=f.device)
    return unit.reshape(1, 1, 1, *unit.shape, *[1] * (f.ndim - 5))


def cofactor(f: Matrices) -> Matrices:
    """J F⁻ᵀ, which exists for singular F too."""
    d = f.shape[3]
    entries = [[f[:, :, :, i, j] for j in range(d)] for i in range(d)]
    rows = []
    for i in range(d):
        row = []
        for j in range(d):
            minor = [
                [e for k, e in enumerate(line) if k != j]
                for m, line in enumerate(entries)
                if m != i
            ]
            row.append((-1) ** (i + j) * _determinant(minor))
        rows.append(torch.stack(row, 3))
    return torch.stack(rows, 3)


def volume(f: Matrices, cof: Matrices) -> Scalars:
    """J = det F, from the cofactors."""
    return (f[:, :, :, 0] * cof[:, :, :, 0]).sum(3)


def _determinant(rows: list[list[Tensor]]) -> Tensor:
    if len(rows) == 1:
        return rows[0][0]
    terms = [
        (-1) ** j * first * _determinant([[*r[:j], *r[j + 1 :]] for r in rows[1:]])
        for j, first in enumerate(rows[0])
    ]
    return torch.stack(terms).sum(0)


def _inverse(f: Matrices) -> tuple[Matrices, Scalars]:
    """F⁻ᵀ and ln J."""
    cof = cofactor(f)
    j = volume(f, cof)
    return _times(1 / j, cof), j.log()


def _matmul(a: Matrices, b: Matrices) -> Matrices:
    return torch.einsum("slqij...,slqjk...->slqik...", a, b)


def _double(a: Matrices, b: Matrices) -> Scalars:
    return (a * b).sum((3, 4))


def _trace(a: Matrices) -> Scalars:
    return a.diagonal(dim1=3, dim2=4).sum(-1)


def _times(scale: Tensor, a: Tensor) -> Matrices:
    return scale[:, :, :, None, None] * a
