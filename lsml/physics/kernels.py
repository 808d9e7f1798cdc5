"""Per-phase localization kernels Γ^h (Kelly & Kalidindi 2021, equations 11 and 22)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.law import PhaseLaw, Uniform
from lsml.strain_form import StrainForm
from lsml.typing import Field


@dataclass(frozen=True)
class PhaseKernels:
    """Γτ as a sum of one convolution per phase, Σ_h Γ^h ∗ (m^h ε).

    Γ^h = Γ (C^h − C⁰) acts on the strain inside phase h, whose indicator is m^h. The
    kernels depend on the reference medium; at the solution their sum does not, since
    it is x̄ − ε. Taken from the problem of one sample without eigenstrain.

    Raises
    ------
    ValueError
        The problem has several samples, or an eigenstrain.
    """

    problem: StrainForm

    def __post_init__(self) -> None:
        law = self.problem.law
        if not isinstance(law, PhaseLaw) or law.eigenfield is not None:
            raise ValueError("PhaseKernels needs phases without eigenstrain")
        if len(law.labels) != 1:
            raise ValueError(
                f"PhaseKernels needs one microstructure, got {len(law.labels)}"
            )

    @property
    def phases(self) -> int:
        """Number of kernels."""
        return self._law.coefficients.shape[1]

    def indicator(self, h: int) -> Float[Tensor, "1 1 *n"]:
        """m^h, 1 in phase h."""
        inside = self._law.labels == h
        return inside[:, None].to(self._law.coefficients.dtype)

    def convolve(self, h: int, field: Field) -> Field:
        """Γ^h ∗ field, for any field at the quadrature points."""
        return self.problem.green(self._polarize(h, field))

    def __call__(self, strain: Field) -> Field:
        """Σ_h Γ^h ∗ (m^h ε), which equals Γτ(ε)."""
        parts = [
            self.convolve(h, self.indicator(h) * strain) for h in range(self.phases)
        ]
        return torch.stack(parts).sum(0)

    def stencil(self, h: int) -> Float[Tensor, "c c *n"]:
        """Γ^h as an array: strain (rows) around a unit strain (columns) at voxel 0.

        Averaged over the quadrature points; voxel −i stands at index n − i.
        """
        c, grid = self._law.components, self.problem.grid
        q = self.problem.discretization.points
        impulse = torch.eye(c).to(self._law.coefficients).repeat(1, q)
        field = impulse.new_zeros(c, c * q, *grid.shape)
        field.flatten(2)[:, :, 0] = impulse
        answer = self.convolve(h, field).unflatten(1, (q, c)).mean(1)
        return answer.transpose(0, 1)

    @property
    def _law(self) -> PhaseLaw:
        assert isinstance(self.problem.law, PhaseLaw)
        return self.problem.law

    def _polarize(self, h: int, field: Field) -> Field:
        difference = self._law.table[:, h] - self.problem.reference.matrix
        return Uniform(difference)(field)
