"""Reference media that rules ask for, beside the arithmetic midrange."""

import torch
from torch import Tensor

PORE = 1e-4  # share of the stiffest phase at which a pore is reckoned


def geometric(low: Tensor, high: Tensor) -> Tensor:
    """√(low·high): best for polarization schemes (Eyre & Milton 1999).

    Pores, which leave nothing of it, count as phases of 10⁻⁴ the greatest stiffness.
    """
    return (torch.where(low > 0, low, PORE * high) * high).sqrt()


def stiffest(low: Tensor, high: Tensor) -> Tensor:
    """The greatest: gradient descent with step 1 then lowers any convex energy."""
    return high
