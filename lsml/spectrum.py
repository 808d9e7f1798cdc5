"""Where the eigenvalues of a preconditioned problem lie, from its phases alone."""

import torch
from jaxtyping import Float, Inexact
from torch import Tensor

from lsml.typing import PerSample


def spectrum(
    table: Inexact[Tensor, "t p c c"], medium: Inexact[Tensor, "t c c"]
) -> tuple[PerSample, PerSample]:
    """Extreme eigenvalues of the phases relative to the medium, λ_min and λ_max.

    Of complex phases those of their real brackets.
    """
    factor = torch.linalg.cholesky(medium.detach().real.double())[:, None]
    low, high = (_relative(part, factor) for part in brackets(table.detach()))
    return low[..., 0].amin(1).clamp_min(0), high[..., -1].amax(1)


def _relative(
    table: Float[Tensor, "t p c c"], factor: Float[Tensor, "t one c c"]
) -> Float[Tensor, "t p c"]:
    half = torch.linalg.solve_triangular(factor, table, upper=False)
    full = torch.linalg.solve_triangular(factor, half.transpose(-1, -2), upper=False)
    return torch.linalg.eigvalsh((full + full.transpose(-1, -2)) / 2)


def brackets(
    table: Inexact[Tensor, "t p c c"],
) -> tuple[Float[Tensor, "t p c c"], Float[Tensor, "t p c c"]]:
    """Real matrices below and above each phase: Re C, and (Re C⁻¹)⁻¹.

    x*C x has a real part of at least x*(Re C) x, and |C x| is at most what the second
    gives. Both are C itself if it is real.
    """
    soft = table.real.double()
    if not table.is_complex():
        return soft, soft
    empty = (table == 0).flatten(2).all(2)[..., None, None]
    unit = torch.eye(table.shape[-1], dtype=torch.complex128, device=table.device)
    compliance = torch.linalg.inv(torch.where(empty, unit, table.to(unit.dtype)))
    return soft, torch.linalg.inv(compliance.real).masked_fill(empty, 0)
