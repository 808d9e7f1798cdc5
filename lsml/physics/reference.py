"""The reference medium C⁰ of a set of phases."""

import torch
from jaxtyping import Float, Inexact
from torch import Tensor

from lsml.displacement_form import DisplacementForm
from lsml.law import PhaseLaw
from lsml.problem import Problem
from lsml.spectrum import brackets as brackets
from lsml.spectrum import spectrum as spectrum
from lsml.strain_form import StrainForm
from lsml.typing import Mean, PerSample


def reference_medium(
    table: Inexact[Tensor, "t p c c"], projectors: Float[Tensor, "k c c"], mean: Mean
) -> Float[Tensor, "t c c"]:
    """Isotropic medium between the extreme phases, one per table.

    Each isotropic modulus (K and μ in elasticity) is the ``mean`` of its least and
    greatest value over the phases (Moulinec & Suquet 1998; Michel, Moulinec & Suquet
    2001). For anisotropic phases the moduli are those of the nearest isotropic
    tensors, and the medium is scaled so that its extreme stiffness ratios to the
    phases have mean 1, as they have for isotropic phases without scaling.

    Of complex phases it takes the real brackets: half the greatest of them is what
    makes Moulinec's iteration a contraction.
    """
    soft, stiff = brackets(table.detach())
    projectors = projectors.to(soft)
    rank = projectors.diagonal(dim1=1, dim2=2).sum(1)
    low, high = (torch.einsum("kij,tpij->tpk", projectors, t) for t in (soft, stiff))
    middle = mean(low.amin(1), high.amax(1)) / rank
    medium = torch.einsum("tk,kij->tij", middle, projectors)
    least, greatest = spectrum(table, medium)
    medium = medium * mean(least, greatest)[:, None, None]
    same = (soft == soft[:, :1]).flatten(1).all(1) & (stiff == soft).flatten(1).all(1)
    return torch.where(same[:, None, None], soft[:, 0], medium)


def extreme_ratios(form: StrainForm) -> tuple[PerSample, PerSample]:
    """λ_min and λ_max of the phases to N⁻¹, mostly C⁰; λ_min = 0 with pores."""
    assert isinstance(form.law, PhaseLaw)
    low, high = spectrum(form.law.table, form.reference.matrix)
    low = low * form.discretization.equivalence(form.reference.matrix.real)
    cases = form.batch // len(low)
    return low.repeat_interleave(cases), high.repeat_interleave(cases)


def ends_of_spectrum(problem: Problem) -> tuple[PerSample, PerSample]:
    """Where the eigenvalues of the preconditioned hessian lie, for every sample.

    λ_min and λ_max of the phases to C⁰; 0 and infinity where nothing is known.
    """
    forms = StrainForm | DisplacementForm
    strain = problem.strain if isinstance(problem, forms) else None
    if strain is not None and isinstance(strain.law, PhaseLaw):
        return extreme_ratios(strain)
    start = problem.start()
    low = torch.zeros(len(start), dtype=torch.float64, device=start.device)
    return low, torch.full_like(low, torch.inf)
