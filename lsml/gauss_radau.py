"""Bounds of what conjugate gradients have still to gain, from their own scalars.

Conjugate gradients for H u = f, preconditioned by M, carry out the Lanczos process on
M⁻¹H: step lengths γ and residual ratios δ are its Jacobi matrix, and the squared energy
norm ‖e_k‖² of the error is an integral of 1/λ. Its Gauss quadrature is what the steps
gain, γ_k ‖r_k‖² each (Hestenes & Stiefel 1952; Strakoš & Tichý 2002). Gauss-Radau rules
with a node at either end of the spectrum enclose it (Golub & Meurant 2010, chapter 6):

    G_ν ‖r_k‖² ≤ ‖e_k‖² ≤ G_μ ‖r_k‖²,      μ ≤ λ_min, λ_max ≤ ν,

and need one number each, G = 1/node at first and then (Meurant & Tichý 2013, eq. 3.5)

    G⁺ = D / (node·D + δ⁺),    D = G − γ,    or    1/G⁺ = node + δ⁺/D.

No bound that knows the same scalars and the same ends of the spectrum is tighter.

Rounding: G⁺ grows with D for both nodes, so that a D shifted outwards in every step
leaves a bound. What conjugate gradients compute in finite precision are the scalars of
an exact process whose eigenvalues lie in tiny intervals around those of M⁻¹H
(Greenbaum 1989), on which these quadratures remain bounds (Golub & Strakoš 1994): the
nodes lie outside those intervals.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.typing import PerSample

SLACK = 32  # units of rounding by which bounds are moved outwards in every step
KEPT = 0.25  # share of the lower node that rounding leaves in any case
GAINS = 3  # last gains that are remembered
HUGE, TINY = 1e300, torch.finfo(torch.float64).tiny

Ends = Float[Tensor, "b 2"]
Packed = Float[Tensor, "b s"]


class Gauge(NamedTuple):
    """What the scalars of b samples say, from the iterate where they began.

    Attributes
    ----------
    nodes : μ, 0 where nothing is known, and ν, huge where nothing is.
    inverse : 1/G of either node: of the upper bound, then of the lower.
    shift : share of G + γ by which D is moved outwards.
    gained : Σ γ_j ‖r_j‖² over all steps.
    gains : the last ones, latest first; 0 where there was none.
    """

    nodes: Ends
    inverse: Ends
    shift: Ends
    gained: Float[Tensor, "b 1"]
    gains: Float[Tensor, "b g"]

    def packed(self) -> Packed:
        """In one tensor, as rules remember it."""
        return torch.cat(self, 1)

    @classmethod
    def unpacked(cls, packed: Packed) -> "Gauge":
        """The inverse of ``packed``."""
        return cls(*packed.split([2, 2, 2, 1, GAINS], 1))

    def bounds(self, norm2: PerSample) -> tuple[PerSample, PerSample]:
        """Least and most that is left to be gained where ‖r‖² is ``norm2``."""
        most, least = (norm2[:, None] / self.inverse).unbind(1)
        return least, torch.where(self.nodes[:, 0] > 0, most, torch.inf)


def opened(low: PerSample, high: PerSample, unit: float) -> Gauge:
    """Before the first step.

    Parameters
    ----------
    low, high : ends of the spectrum of M⁻¹H; 0 and infinite if unknown.
    unit : of rounding, of the vectors.
    """
    slack = SLACK * unit
    known = torch.where(high.isfinite(), high, 0.0)
    lower = torch.maximum(low - slack * known, KEPT * low)
    nodes = torch.stack([lower, ((1 + slack) * high).clamp_max(HUGE)], 1)
    shift = torch.full_like(nodes, slack)
    shift[:, 1] = -slack
    nothing = torch.zeros_like(nodes[:, :1])
    return Gauge(nodes, nodes, shift, nothing, nothing.expand(-1, GAINS))


@torch.no_grad()
def advanced(
    packed: Packed, length: PerSample, before: PerSample, after: PerSample
) -> Packed:
    """After a step of a length, which took ‖r‖² from ``before`` to ``after``.

    A bound that rounding has made impossible starts anew from its node. There are few
    operations, because each costs more than its arithmetic.
    """
    nodes, inverse, shift, gained, gains = Gauge.unpacked(packed)
    factors, step = inverse.reciprocal(), length[:, None]
    excess = torch.addcmul(factors - step, factors + step, shift)
    ratio = (after / before.clamp_min(TINY))[:, None]
    low, high = nodes.split(1, 1)
    upper, lower = torch.addcdiv(nodes, ratio, excess).split(1, 1)
    upper = torch.maximum(upper, low)
    lower = torch.where(lower < upper, high, torch.minimum(lower, high))
    gain = step * before[:, None]
    parts = (nodes, upper, lower, shift, gained + gain, gain, gains[:, :-1])
    return torch.cat(parts, 1)
