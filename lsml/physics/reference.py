"""The reference medium C⁰ of a set of phases."""

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.law import PhaseLaw
from lsml.strain_form import StrainForm
from lsml.typing import Mean, PerSample


def reference_medium(
    table: Float[Tensor, "t p c c"], projectors: Float[Tensor, "k c c"], mean: Mean
) -> Float[Tensor, "t c c"]:
    """Isotropic medium between the extreme phases, one per table.

    Each isotropic modulus (K and μ in elasticity) is the ``mean`` of its least and
    greatest value over the phases (Moulinec & Suquet 1998; Michel, Moulinec & Suquet
    2001). For anisotropic phases the moduli are those of the nearest isotropic
    tensors, and the medium is scaled so that its extreme stiffness ratios to the
    phases have mean 1, as they have for isotropic phases without scaling.
    """
    table = table.detach().double()
    projectors = projectors.to(table)
    rank = projectors.diagonal(dim1=1, dim2=2).sum(1)
    moduli = torch.einsum("kij,tpij->tpk", projectors, table) / rank
    middle = mean(moduli.amin(1), moduli.amax(1))
    medium = torch.einsum("tk,kij->tij", middle, projectors)
    low, high = spectrum(table, medium)
    medium = medium * mean(low, high)[:, None, None]
    same = (table == table[:, :1]).flatten(1).all(1)
    return torch.where(same[:, None, None], table[:, 0], medium)


def spectrum(
    table: Float[Tensor, "t p c c"], medium: Float[Tensor, "t c c"]
) -> tuple[PerSample, PerSample]:
    """Extreme eigenvalues of the phases relative to the medium, λ_min and λ_max."""
    factor = torch.linalg.cholesky(medium.detach().double())[:, None]
    half = torch.linalg.solve_triangular(factor, table.detach().double(), upper=False)
    full = torch.linalg.solve_triangular(factor, half.transpose(-1, -2), upper=False)
    eigenvalues = torch.linalg.eigvalsh((full + full.transpose(-1, -2)) / 2)
    return eigenvalues[..., 0].amin(1).clamp_min(0), eigenvalues[..., -1].amax(1)


def extreme_ratios(form: StrainForm) -> tuple[PerSample, PerSample]:
    """λ_min and λ_max of the phases to C⁰ for every sample; λ_min = 0 with pores."""
    assert isinstance(form.law, PhaseLaw)
    low, high = spectrum(form.law.table, form.reference.matrix)
    cases = form.batch // len(low)
    return low.repeat_interleave(cases), high.repeat_interleave(cases)
