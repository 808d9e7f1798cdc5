"""How far an answer can be from the exact one: a bound that uses no other solve."""

import torch
from jaxtyping import Inexact
from torch import Tensor

from lsml.physics.reference import ends_of_spectrum
from lsml.state import SolveState
from lsml.stop import ROUND_OFF
from lsml.strain_form import StrainForm
from lsml.typing import PerSample


def error_bound(
    form: StrainForm, state: SolveState, mean: Inexact[Tensor, "b c"]
) -> PerSample:
    """Of the C⁰-norm error of the strain, over the norm of its mean.

    The certified residual times the extreme stiffness ratios of the phases to C⁰, or
    the bound of the energy of the error where there is one; and round-off beside it,
    without which a bound that is met exactly, as in a homogeneous medium, is none.
    """
    low, high = ends_of_spectrum(form)
    work = (mean.conj() * form.reference.mean(mean)).real.sum(1)
    size = work.clamp_min(0).sqrt()
    unit = torch.finfo(mean.dtype).eps * rounding(form)
    if state.gap is not None and bool(state.gap[:, 1].isfinite().all()):
        return (state.gap[:, 1] / low).sqrt() / size + unit * high / low
    share = torch.where(state.scale > 0, state.scale / size, 0.0)
    return (state.error + unit) * torch.maximum(high, share) / low


def rounding(form: StrainForm) -> PerSample:
    """Units of rounding of a strain, in the C⁰ norm.

    Components are rounded alike, but C⁰ weighs some of them more: the dilatation, if
    it is nearly incompressible.
    """
    values = torch.linalg.eigvalsh(form.reference.matrix.detach().real.double())
    spread = (values[:, -1] / values[:, 0]).sqrt()
    return ROUND_OFF * spread.repeat_interleave(form.batch // len(spread))
