"""Bounds of what conjugate gradients have still to gain, from their own scalars.

Conjugate gradients for H u = f, preconditioned by M, carry out the Lanczos process on
M⁻¹H: step lengths γ and residual ratios δ are its Jacobi matrix, and the squared energy
norm ‖e_k‖² of the error is an integral of 1/λ. Its Gauss quadrature is what the steps
gain, γ_k ‖r_k‖² each (Hestenes & Stiefel 1952; Strakoš & Tichý 2002). Gauss-Radau rules
with a node at either end of the spectrum enclose it (Golub & Meurant 2010, chapter 6):

    G_ν ‖r_k‖² ≤ ‖e_k‖² ≤ G_μ ‖r_k‖²,      μ ≤ λ_min, λ_max ≤ ν,

and need one number each, G = 1/node at first and then (Meurant & Tichý 2013, eq. 3.5)

    G⁺ = (G − γ) / (node·(G − γ) + δ⁺).

No bound that knows the same scalars and the same ends of the spectrum is tighter.

Rounding: G⁺ grows with G for both nodes, so that a G shifted outwards in every step
stays a bound. What conjugate gradients compute in finite precision are the scalars of
an exact process whose eigenvalues lie in tiny intervals around those of M⁻¹H
(Greenbaum 1989), on which these quadratures remain bounds (Golub & Strakoš 1994): the
nodes lie outside those intervals.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.numerics import safe_div
from lsml.typing import PerSample

SLACK = 32  # units of rounding by which bounds are moved outwards in every step
KEPT = 0.25  # share of the lower node that rounding leaves in any case
GAINS = 3  # last gains that are remembered
ENDS = 2  # of the spectrum: lower, then upper

Ends = Float[Tensor, "b 2"]


class Gauge(NamedTuple):
    """What the scalars of b samples say, from the iterate where they began.

    Attributes
    ----------
    nodes : μ, 0 where nothing is known, and ν, infinite where nothing is.
    factors : G of either node: the upper bound, then the lower.
    gained : Σ γ_j ‖r_j‖² over all steps.
    gains : the last ones, latest first; 0 where there was none.
    """

    nodes: Ends
    factors: Ends
    gained: PerSample
    gains: Float[Tensor, "b g"]

    def packed(self) -> Float[Tensor, "b s"]:
        """In one tensor, as rules remember it."""
        return torch.cat(
            [self.nodes, self.factors, self.gained[:, None], self.gains], 1
        )

    @classmethod
    def unpacked(cls, packed: Float[Tensor, "b s"]) -> "Gauge":
        """The inverse of ``packed``."""
        nodes, factors = packed[:, :ENDS], packed[:, ENDS : 2 * ENDS]
        return cls(nodes, factors, packed[:, 2 * ENDS], packed[:, 2 * ENDS + 1 :])


def opened(low: PerSample, high: PerSample, unit: float) -> Gauge:
    """Before the first step.

    Parameters
    ----------
    low, high : ends of the spectrum of M⁻¹H; 0 and infinite if unknown.
    unit : of rounding, of the vectors.
    """
    known = high.nan_to_num(posinf=0.0)
    lower = torch.maximum(low - SLACK * unit * known, KEPT * low)
    nodes = torch.stack([lower, (1 + SLACK * unit) * high], 1)
    nothing = torch.zeros_like(low)
    return Gauge(nodes, 1 / nodes, nothing, nothing[:, None].expand(-1, GAINS))


@torch.no_grad()
def advanced(
    gauge: Gauge, length: PerSample, before: PerSample, after: PerSample, unit: float
) -> Gauge:
    """After a step of a length, which took ‖r‖² from ``before`` to ``after``.

    A factor that rounding has made impossible starts anew from its node.
    """
    slack = SLACK * unit
    out = gauge.nodes.new_tensor([1 + slack, 1 - slack])
    ratio = (1 - slack) * safe_div(after, before)[:, None]
    excess = out * gauge.factors - (2 - out) * length[:, None]
    factors = excess / (gauge.nodes * excess + ratio)
    least = 1 / gauge.nodes
    upper, lower = factors.unbind(1)
    possible = torch.stack(
        [(upper > 0) & (upper < least[:, 0]), lower > least[:, 1]], 1
    )
    gain = length * before
    return Gauge(
        gauge.nodes,
        torch.where(possible, factors, least),
        gauge.gained + gain,
        torch.cat([gain[:, None], gauge.gains[:, :-1]], 1),
    )
