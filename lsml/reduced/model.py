"""The online half: Galerkin values and certificates at a cost free of voxels.

For coefficients θ the products of the fields of a basis are Σ_h θ_h T_h with matrices
T_h made beforehand, and the squared norm of the residual is a quadratic form in θ ⊗ a,
whose matrix is made of Riesz representatives (Rozza, Huynh & Patera 2008). In floating
point that form is not trusted below the rounding of its terms (Casenave 2012; Buhr,
Engwer, Ohlberger & Rave 2014), which is added to it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lsml.law import Entry
from lsml.mandel import DIMENSION
from lsml.physics.moduli import Stiffness, full_entries
from lsml.physics.phases import Phases, phase_table
from lsml.reduced.affine import Coefficients, matrices
from lsml.reduced.estimate import UNIT, Estimate, Residuals, merged, read
from lsml.spectrum import spectrum
from lsml.typing import PerSample

OUTSIDE = 1e-9  # share of a stiffness that the directions of a basis may miss
CHUNK = 2**22  # numbers of one temporary


@dataclass(frozen=True)
class ReducedModel:
    """Matrices of m = e + k fields, e columns and k displacements, of s cells.

    Attributes
    ----------
    entries : place of each of g coefficients of a phase in its stiffness.
    terms : T_h = <ε_m : C_h ε_n> for each coefficient h of each phase.
    gram : C⁰ products of the Riesz representatives of the images of the fields in
        each direction.
    directions : combinations of coefficients, orthonormal and each of one phase, in
        which the residual is known.
    medium : C⁰.
    loads : weights of the columns in each load case.
    idle : displacements that are zero, because their snapshot brought nothing new.
    effective : whether the load cases are the unit mean strains.
    """

    entries: tuple[Entry, ...]
    terms: Float[Tensor, "s p g m m"]
    gram: Float[Tensor, "s q m q m"]
    directions: Float[Tensor, "p g q"]
    medium: Float[Tensor, "1 c c"]
    loads: Float[Tensor, "s l e"]
    idle: Bool[Tensor, "s k"]
    effective: bool

    @property
    def components(self) -> int:
        """Mandel components c."""
        return self.medium.shape[-1]

    def coefficients(self, phases: Phases) -> Coefficients:
        """Tables of phases as coefficients of the law of this basis.

        Raises
        ------
        ValueError
            Another number of phases or another pattern, or a phase that is no
            combination of what it was in the training set.
        """
        table, entries = phase_table(phases, DIMENSION[self.components])
        if entries != self.entries and self.entries == full_entries(self.components):
            rows = Stiffness(table.flatten(0, 1), entries).general().moduli
            table, entries = rows.unflatten(0, table.shape[:2]), self.entries
        if entries != self.entries:
            raise ValueError(
                "phases are anisotropic, but this basis is made for isotropic or "
                "cubic ones: give such phases in the training set"
            )
        p = self.terms.shape[1]
        if table.shape[1] != p:
            raise ValueError(f"{table.shape[1]} phases given, this basis has {p}")
        table = table.to(self.terms)
        self._check_directions(table.detach())
        return table

    def _check_directions(self, table: Coefficients) -> None:
        along = torch.einsum("tpg,pgq->tpq", table, self.directions)
        rest = table - torch.einsum("tpq,pgq->tpg", along, self.directions)
        strange = rest.norm(dim=-1) > OUTSIDE * table.norm(dim=-1)
        if bool(strange.any()):
            phase = int(strange.any(0).nonzero()[0])
            raise ValueError(
                f"phase {phase} is no combination of its stiffnesses in the training "
                "set: add points in which it varies that way"
            )

    def __call__(self, coefficients: Coefficients) -> Estimate:
        """Galerkin values, with certificates that no gradient flows through."""
        s, q, m = self.gram.shape[:3]
        size = max(1, CHUNK // (s * m * (m + q * self.loads.shape[1])))
        parts = [self._estimate(some) for some in coefficients.split(size)]
        return merged(parts, torch.cat) if len(parts) > 1 else parts[0]

    def matrix(self, coefficients: Coefficients) -> Float[Tensor, "t s m m"]:
        """<ε_m : C(θ) ε_n>."""
        return torch.einsum("tpg,spgmn->tsmn", coefficients, self.terms)

    def weights(self, matrix: Float[Tensor, "t s m m"]) -> Float[Tensor, "t s m l"]:
        """Weight of each field in the Galerkin solution of each load case."""
        e = self.loads.shape[2]
        loads = self.loads.mT.expand(len(matrix), -1, -1, -1)
        inner = matrix[..., e:, e:] + torch.diag_embed(self.idle.to(matrix))
        weights = torch.linalg.solve(inner, -matrix[..., e:, :e] @ loads)
        return torch.cat([loads, weights], 2)

    def _estimate(self, coefficients: Coefficients) -> Estimate:
        matrix = self.matrix(coefficients)
        weights = self.weights(matrix)
        with torch.no_grad():
            square, _ = self.squares(coefficients, weights)
            start = weights.clone()
            start[:, :, self.loads.shape[2] :] = 0
            first, size = self.squares(coefficients, start)
            scale = torch.where(first > 2 * UNIT * size, first, size).sqrt()
            lowest, _ = self.spectrum(coefficients)
            gap = torch.where(square > 0, square / lowest[:, None, None], 0.0)
        residuals = Residuals(square, scale, gap)
        return read(matrix, weights, residuals, self.components, self.effective)

    def squares(
        self, coefficients: Coefficients, weights: Float[Tensor, "t s m l"]
    ) -> tuple[Float[Tensor, "t s l"], Float[Tensor, "t s l"]]:
        """‖r‖² with what rounding may add, and the square of the terms that make r."""
        along = torch.einsum("tpg,pgq->tq", coefficients, self.directions)
        terms = torch.einsum("tq,tsml->tsqml", along, weights).flatten(2, 3)
        gram = self.gram.flatten(3, 4).flatten(1, 2)
        square = (terms * (gram @ terms)).sum(2).clamp_min(0)
        lengths = gram.diagonal(dim1=1, dim2=2).clamp_min(0).sqrt()
        size = (terms.abs() * lengths[..., None]).sum(2).square()
        return square + UNIT * size, size

    def spectrum(self, coefficients: Coefficients) -> tuple[PerSample, PerSample]:
        """λ_min and λ_max of the phases to C⁰."""
        table = matrices(coefficients, self.entries)
        return spectrum(table, self.medium.expand(len(table), -1, -1))
