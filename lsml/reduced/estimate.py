"""What is known of a solution from a Galerkin value and the norm of its residual.

The energy of a compatible field exceeds the least one by at most ‖r‖²/λ_min, with the
residual r in the C⁰ norm and λ_min the least stiffness ratio of the phases to C⁰.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.stop import ROUND_OFF

UNIT = ROUND_OFF * torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class Estimate:
    """Averages of t tables of phases on b microstructures under l load cases.

    Attributes
    ----------
    work : <ε_i : C ε_j>, twice the stored energy on the diagonal (of ε less the
        eigenstrain, where there is one); differentiable with respect to the moduli.
    mean_stress : <σ> of each load case, likewise.
    lower, upper : certified interval of the diagonal of ``work``, rounding included;
        with pores the lower end is 0.
    error : certified residual in the C⁰ norm, relative to that of the mean strain.
    residual : the same, absolute: the root of an energy density.
    stress_error : bound of the error of each component of ``mean_stress``; infinite
        with pores.
    effective : whether the load cases are the unit mean strains.
    """

    work: Float[Tensor, "t b l l"]
    mean_stress: Float[Tensor, "t b l c"]
    lower: Float[Tensor, "t b l"]
    upper: Float[Tensor, "t b l"]
    error: Float[Tensor, "t b l"]
    residual: Float[Tensor, "t b l"]
    stress_error: Float[Tensor, "t b l c"]
    effective: bool

    @property
    def stiffness(self) -> Float[Tensor, "t b l l"]:
        """Effective stiffness, Mandel; an upper bound as a quadratic form.

        Raises
        ------
        ValueError
            The load cases are not the unit mean strains.
        """
        if not self.effective:
            raise ValueError(
                "the effective stiffness needs all unit mean strains: leave out load"
            )
        return self.work

    @property
    def energy(self) -> Float[Tensor, "t b l"]:
        """Stored energy per unit volume of each load case."""
        return self.work.diagonal(dim1=2, dim2=3) / 2

    @property
    def half_width(self) -> Float[Tensor, "t b l"]:
        """Of each interval, relative to its lower end; 0 where there is no energy."""
        half = (self.upper - self.lower) / 2
        return torch.where(half > 0, half / self.lower, 0.0)


def merged(
    parts: Sequence[Estimate], merge: Callable[[list[Tensor]], Tensor]
) -> Estimate:
    """One estimate, each of its tensors made from those of several."""
    return Estimate(
        merge([part.work for part in parts]),
        merge([part.mean_stress for part in parts]),
        merge([part.lower for part in parts]),
        merge([part.upper for part in parts]),
        merge([part.error for part in parts]),
        merge([part.residual for part in parts]),
        merge([part.stress_error for part in parts]),
        parts[0].effective,
    )


class Residuals(NamedTuple):
    """Squared norms of residuals, norms at the mean strain, and missed energies.

    ``gap`` bounds by how much the energy exceeds the least, infinite with pores.
    """

    square: Float[Tensor, "t b l"]
    scale: Float[Tensor, "t b l"]
    gap: Float[Tensor, "t b l"]


def read(
    matrix: Float[Tensor, "t b m m"],
    weights: Float[Tensor, "t b m l"],
    residuals: Residuals,
    components: int,
    effective: bool,
) -> Estimate:
    """From the products <ε_m : C ε_n> of some fields and their weights in a solution.

    The unit strains, as many as there are ``components``, are the first of the fields.
    The error of a mean stress is the work of the error in strain on the solution under
    a unit strain, whose energy is at most Voigt's.
    """
    work = weights.mT @ matrix @ weights
    stress = (matrix[..., :components, :] @ weights).mT
    with torch.no_grad():
        values = work.diagonal(dim1=2, dim2=3)
        lengths = matrix.diagonal(dim1=2, dim2=3).clamp_min(0).sqrt()
        slack = UNIT * (lengths[..., None] * weights.abs()).sum(2).square()
        missing = residuals.gap + slack
        voigt = lengths[..., :components]
        residual = residuals.square.sqrt()
        error = torch.where(residual > 0, residual / residuals.scale, 0.0)
    return Estimate(
        (work + work.mT) / 2,
        stress,
        (values - missing).detach().clamp_min(0),
        (values + slack).detach(),
        error,
        residual,
        missing.sqrt()[..., None] * voigt[:, :, None],
        effective,
    )
