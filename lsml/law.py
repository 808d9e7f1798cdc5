"""Local (voxel-wise) responses: the H, A and B of H = A + B."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Inexact, Integer
from torch import Tensor

from lsml.numerics import rows_of
from lsml.typing import Codes, Field, Tags

Entry = tuple[int, int, int]


class Image(NamedTuple):
    """A microstructure of phases without eigenfield, for each sample of a batch.

    Attributes
    ----------
    labels : phase of each voxel.
    table : the matrix C of each phase.
    """

    labels: Integer[Tensor, "b *n"]
    table: Inexact[Tensor, "b p c c"]


class Law(ABC):
    """A flux σ(x) that depends on the field at the same quadrature point only.

    Fields carry ``q`` quadrature points per voxel in their component axis, points
    first: (b, q·c, *n).
    """

    @property
    @abstractmethod
    def tags(self) -> Tags:
        """What the rules may assume about σ."""

    @property
    def differentiable(self) -> bool:
        """Whether a parameter of the law asks for its gradient."""
        return False

    @abstractmethod
    def __call__(self, x: Field) -> Field:
        """Flux at the field x."""

    def census(self) -> "tuple[Law, Float[Tensor, 's *n']] | None":
        """The law on fewer voxels than it has, and how much of the cell each is."""
        return None

    def select(self, samples: Codes, batch: int) -> "Law | None":
        """The law of some of ``batch`` samples; None if it cannot be taken apart."""
        return None

    def image(self, batch: int) -> "Image | None":
        """Phase of each voxel of each of ``batch`` samples; None without phases."""
        return None

    def initial(self) -> "PhaseLaw | None":
        """Labels, and moduli of small fields; None without phases."""
        return None

    def linearized(self, x: Field) -> "Law":
        """What has this tangent at x, wherever that is then taken."""
        return self

    def after(self, x: Field) -> "Law":
        """The law once the field has come to x; itself if it remembers nothing."""
        return self

    def internal(self) -> Mapping[str, Inexact[Tensor, "b q *v"]]:
        """What it remembers at each quadrature point, by name."""
        return {}

    def remembering(self, variables: Sequence[Tensor]) -> "Law":
        """The law with the values that ``internal`` has told another one."""
        raise ValueError(f"{type(self).__name__} has no internal variables")

    def resolvent(self, shift: Inexact[Tensor, "s c c"]) -> "Law":
        """The inverse of σ(x) + S x, point by point; for laws tagged *resolvable*.

        ``shift`` is S, positive definite, one per microstructure or one for all.
        """
        raise ValueError(f"{type(self).__name__} has no resolvent")

    def tangent(self, x: Field, v: Field) -> Field:
        """Directional derivative σ'(x)·v; a law may be without."""
        raise ValueError(f"{type(self).__name__} has no tangent")

    @abstractmethod
    def energy(self, x: Field) -> Inexact[Tensor, "b q *n"]:
        """Stored energy density at the field x, one component per point."""


@dataclass(frozen=True)
class Uniform(Law):
    """σ = C x with one matrix C per sample, or one for all: a homogeneous medium."""

    matrix: Inexact[Tensor, "s c c"]
    tags: ClassVar[Tags] = frozenset({"linear", "symmetric", "positive", "bounded"})

    def __call__(self, x: Field) -> Field:
        c = self.matrix.shape[-1]
        points = x.unflatten(1, (-1, c))
        points = points.unflatten(0, (self.matrix.shape[0], -1))
        y = torch.einsum("scd,slqd...->slqc...", self.matrix, points)
        return y.flatten(0, 1).flatten(1, 2)

    def select(self, samples: Codes, batch: int) -> "Uniform":
        """Each sample with its medium."""
        return Uniform(rows_of(self.matrix, samples, batch))

    def mean(self, x: Inexact[Tensor, "b c"]) -> Inexact[Tensor, "b c"]:
        """Mean flux of a mean field."""
        return self(x[..., None])[..., 0]

    def tangent(self, x: Field, v: Field) -> Field:
        """C v: the law is linear."""
        return self(v)

    def energy(self, x: Field) -> Inexact[Tensor, "b q *n"]:
        """½ x·C x."""
        c = self.matrix.shape[-1]
        return 0.5 * (x * self(x)).unflatten(1, (-1, c)).sum(2)


@dataclass(frozen=True)
class PhaseLaw(Law):
    """σ = C(label)·(x − x*(label)): a label per voxel and a table of phases.

    Attributes
    ----------
    labels : phase of each voxel, one image for each of s microstructures; a batch of
        b = s·l fields puts l load cases on each of them.
    coefficients : independent moduli of each phase, per microstructure or shared.
    entries : (row, column, coefficient) of every non-zero of the c × c matrix C.
    eigenfield : stress-free field x* of each phase, likewise, or None.
    """

    labels: Integer[Tensor, "s *n"]
    coefficients: Inexact[Tensor, "t p g"]
    entries: tuple[Entry, ...]
    eigenfield: Inexact[Tensor, "e p c"] | None = None

    @property
    def tags(self) -> Tags:
        """Complex moduli make a matrix that is symmetric but not Hermitian."""
        known: Tags = frozenset({"linear", "bounded"})
        if type(self) is PhaseLaw:  # others combine moduli of several phases
            known |= {"resolvable"}
        if self.coefficients.is_complex():
            return known
        return known | {"symmetric", "positive"}

    @property
    def components(self) -> int:
        """Components c of the field at one point."""
        return 1 + max(row for row, _, _ in self.entries)

    @property
    def table(self) -> Inexact[Tensor, "t p c c"]:
        """The matrix C of each phase."""
        c = self.components
        places = torch.tensor([i * c + j for i, j, _ in self.entries])
        moduli = self.coefficients[..., [g for _, _, g in self.entries]]
        empty = moduli.new_zeros(*moduli.shape[:2], c * c)
        return empty.index_copy(2, places.to(moduli.device), moduli).unflatten(
            2, (c, c)
        )

    @property
    def differentiable(self) -> bool:
        """Whether moduli or eigenfield do."""
        eigen = self.eigenfield is not None and self.eigenfield.requires_grad
        return self.coefficients.requires_grad or eigen

    def select(self, samples: Codes, batch: int) -> "PhaseLaw":
        """Each sample with labels of its own."""
        labels, eigen = rows_of(self.labels, samples, batch), self.eigenfield
        return replace(
            self,
            labels=labels.expand(len(samples), *labels.shape[1:]),
            coefficients=rows_of(self.coefficients, samples, batch),
            eigenfield=None if eigen is None else rows_of(eigen, samples, batch),
        )

    def initial(self) -> "PhaseLaw":
        """Itself."""
        return self

    def image(self, batch: int) -> Image | None:
        """Labels and tables, repeated for load cases that share them."""
        if self.eigenfield is not None:
            return None
        each = self.select(torch.arange(batch, device=self.labels.device), batch)
        return Image(each.labels, each.table.expand(batch, -1, -1, -1))

    def census(self) -> "tuple[PhaseLaw, Float[Tensor, 's p']] | None":
        """The law on one voxel of each phase, and the volume fractions."""
        s, p = len(self.labels), self.coefficients.shape[1]
        flat = self.labels.flatten(1)
        phases = torch.arange(p, device=flat.device).to(flat.dtype)
        counts = torch.stack([torch.bincount(each, minlength=p) for each in flat])
        return replace(self, labels=phases.expand(s, p)), counts.double() / len(flat[0])

    def without_eigenfield(self) -> "PhaseLaw":
        """The same phases, free of eigenfield."""
        return replace(self, eigenfield=None)

    def resolvent(self, shift: Inexact[Tensor, "s c c"]) -> "PhaseLaw":
        """A table of (C + S)⁻¹, with the eigenfield −C x*."""
        table, eigen = self.table, self.eigenfield
        moduli, entries = packed(torch.linalg.inv(table + shift[:, None]), self.entries)
        if eigen is not None:
            eigen = -torch.einsum("tpcd,tpd->tpc", table, eigen)
        return replace(self, coefficients=moduli, entries=entries, eigenfield=eigen)

    def spread(self, table: Inexact[Tensor, "t p k"]) -> list[Tensor]:
        """Value of each column of a per-phase table at every voxel, (s, 1, 1, *n)."""
        s, t, p = self.labels.shape[0], table.shape[0], table.shape[1]
        index = self.labels.int()
        if t > 1:
            offset = torch.arange(t, device=index.device, dtype=index.dtype) * p
            index = index + offset.reshape(-1, *[1] * (index.ndim - 1))
        flat, rows = index.flatten(), table.flatten(0, 1)
        shape = (s, 1, 1, *self.labels.shape[1:])
        return [c.index_select(0, flat).reshape(shape) for c in rows.unbind(1)]

    def columns(self, x: Field) -> list[Tensor]:
        """Components of x, each (s, l, q, *n)."""
        points = x.unflatten(1, (-1, self.components))
        return list(points.unflatten(0, (self.labels.shape[0], -1)).unbind(3))

    def __call__(self, x: Field) -> Field:
        return self._flux(self._elastic(self.columns(x)))

    def tangent(self, x: Field, v: Field) -> Field:
        """C v: the law is affine."""
        return self._flux(self.columns(v))

    def energy(self, x: Field) -> Inexact[Tensor, "b q *n"]:
        """½ (x − x*)·C (x − x*); of complex fields the real part of the Hermitian."""
        elastic = self._elastic(self.columns(x))
        flux = self.columns(self._flux(elastic))
        pairs = zip(elastic, flux, strict=True)
        density = 0.5 * sum((e.conj() * f).real for e, f in pairs)
        return torch.as_tensor(density).flatten(0, 1)

    def moduli(self) -> list[Tensor]:
        """Modulus of each entry of C at every voxel."""
        moduli = self.spread(self.coefficients)
        return [moduli[g] for _, _, g in self.entries]

    def eigenfields(self) -> list[Tensor]:
        """Components of the stress-free field at every voxel."""
        assert self.eigenfield is not None
        return self.spread(self.eigenfield)

    def _elastic(self, columns: list[Tensor]) -> list[Tensor]:
        if self.eigenfield is None:
            return columns
        eigen = self.eigenfields()
        return [x - e for x, e in zip(columns, eigen, strict=True)]

    def _flux(self, columns: list[Tensor]) -> Field:
        rows: dict[int, Tensor] = {}
        for (i, j, _), modulus in zip(self.entries, self.moduli(), strict=True):
            term = (modulus, columns[j])
            rows[i] = torch.addcmul(rows[i], *term) if i in rows else torch.mul(*term)
        flux = torch.stack([rows[i] for i in range(self.components)], 3)
        return flux.flatten(0, 1).flatten(1, 2)


def packed(
    matrices: Inexact[Tensor, "t p c c"], pattern: tuple[Entry, ...]
) -> tuple[Inexact[Tensor, "t p g"], tuple[Entry, ...]]:
    """Independent entries of matrices: those of a pattern if it holds them all."""
    c = range(matrices.shape[-1])
    flat = matrices.flatten(2)
    first = {g: len(c) * i + j for i, j, g in reversed(pattern)}
    again = torch.zeros_like(matrices)
    for i, j, g in pattern:
        again[..., i, j] = flat[..., first[g]].detach()
    rounding = 64 * torch.finfo(flat.dtype).eps * flat.detach().abs().amax()
    if bool(((again - matrices.detach()).abs() <= rounding).all()):
        return flat[..., [first[g] for g in sorted(first)]], pattern
    return flat, tuple((i, j, len(c) * i + j) for i in c for j in c)
