"""A(θ) = Σ_h θ_h A_h: elasticity on fixed microstructures is affine in its moduli.

A strain field is a sum of *columns*, strains that are uniform in each phase (the unit
mean strains and, with a minus sign, the eigenstrain), and of the gradient of a periodic
displacement. The image of either is the force Bᵀ C(θ) ε that it exerts; images are
linear in θ, so that whatever is made of them is a short sum of things known beforehand
(Rozza, Huynh & Patera 2008; Yvonnet & He 2007).
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.displacement_form import DisplacementForm
from lsml.law import Entry, PhaseLaw, Uniform
from lsml.macro_load import MacroLoad
from lsml.physics.moduli import Stiffness
from lsml.typing import Codes

Vectors = Float[Tensor, "s n v"]
Basis = Float[Tensor, "s k v"]
Coefficients = Float[Tensor, "t p g"]


@dataclass(frozen=True)
class Affine:
    """Operators of s microstructures for any coefficients of their law.

    Attributes
    ----------
    form : gives labels, discretization, kernels, and the reference medium in whose
        norm residuals are measured; its own coefficients have no influence.
    columns : strain of each of e columns in each phase; the c unit strains come first.
    """

    form: DisplacementForm
    columns: Float[Tensor, "s e p c"]

    @property
    def law(self) -> PhaseLaw:
        """Labels, entries of the stiffness, eigenfield."""
        law = self.form.strain.law
        assert isinstance(law, PhaseLaw)
        return law

    @property
    def length(self) -> int:
        """Numbers v in a displacement."""
        return self.form.potentials * self.form.strain.grid.size

    @property
    def medium(self) -> Float[Tensor, "1 c c"]:
        """C⁰."""
        return self.form.strain.reference.matrix[:1]

    def select(self, rows: Codes) -> "Affine":
        """Some of the microstructures, in any order and number."""
        law = self.law.select(rows, len(self.columns))
        strain = replace(self.form.strain, law=law, rebuild=None)
        return Affine(type(self.form)(strain), self.columns[rows])

    def problem(
        self, coefficients: Coefficients, loads: Float[Tensor, "s l e"]
    ) -> DisplacementForm:
        """The problem to solve for one table, or one per microstructure.

        ``loads`` are coefficients of the columns; that of the eigenstrain is 1.
        """
        law = replace(self.law, coefficients=coefficients)
        mean = loads[..., : law.components].flatten(0, 1).contiguous()
        return self._form(law, mean)

    def images(self, coefficients: Coefficients, vectors: Vectors) -> Vectors:
        """A(θ) u of displacements."""
        s, n, _ = vectors.shape
        if n == 0:
            return vectors
        law = replace(self.law, coefficients=coefficients).without_eigenfield()
        form, flat = self._form(law, self._still(s * n)), vectors.flatten(0, 1)
        return form.hessian(flat, flat).unflatten(0, (s, n))

    def column_images(self, coefficients: Coefficients) -> Vectors:
        """Bᵀ C(θ) ε of the columns."""
        s, e = self.columns.shape[:2]
        rows = torch.arange(s, device=self.columns.device).repeat_interleave(e)
        law = replace(self.law, coefficients=coefficients).select(rows, s)
        law = replace(law, eigenfield=-self.columns.flatten(0, 1))
        form = self._form(law, self._still(s * e))
        return form.force(form.start()).neg_().unflatten(0, (s, e))

    def column_products(self, coefficients: Coefficients) -> Float[Tensor, "s e e"]:
        """Volume averages <ε_i : C(θ) ε_j> of the columns."""
        law = replace(self.law, coefficients=coefficients)
        census = law.census()
        assert census is not None
        _, shares = census
        table = law.table.expand(len(shares), -1, -1, -1)
        flux = torch.einsum("spcd,sepd,sp->sepc", table, self.columns, shares)
        return torch.einsum("sepc,sfpc->sef", flux, self.columns)

    def steps(self, forces: Vectors) -> Vectors:
        """Riesz representatives of forces in the C⁰ inner product."""
        s, n, _ = forces.shape
        flat = forces.flatten(0, 1)
        return self.form.precondition(flat).unflatten(0, (s, n))

    def products(self, x: Vectors, y: Basis) -> Float[Tensor, "s n k"]:
        """Work per unit volume of forces along displacements."""
        return x @ y.mT / self.form.strain.grid.size

    def _still(self, batch: int) -> Float[Tensor, "b c"]:
        return self.columns.new_zeros(batch, self.law.components)

    def _form(self, law: PhaseLaw, mean: Float[Tensor, "b c"]) -> DisplacementForm:
        """On the same kernels and the same reference medium."""
        nothing = torch.zeros_like(mean)
        medium = self.medium.expand(len(law.coefficients), -1, -1)
        strain = replace(
            self.form.strain,
            law=law,
            reference=Uniform(medium),
            background=mean,
            load=MacroLoad(mean, nothing, nothing),
            rebuild=None,
            double=None,
        )
        return type(self.form)(strain)


def matrices(
    coefficients: Coefficients, entries: tuple[Entry, ...]
) -> Float[Tensor, "t p c c"]:
    """Mandel matrices of tables of coefficients."""
    rows = Stiffness(coefficients.detach().flatten(0, 1), entries).matrix()
    return rows.unflatten(0, coefficients.shape[:2])
