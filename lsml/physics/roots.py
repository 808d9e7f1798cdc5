"""Roots of increasing functions, many at a time, with their derivatives."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

Values: TypeAlias = Float[Tensor, " n"]
Increasing: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]

STEPS = 100  # bisections alone would need half as many
ROUNDING = 4  # units of rounding, of the scale, under which a step is none


def root(function: Increasing, start: Values, high: Values, scale: Values) -> Values:
    """Where an increasing function vanishes, between 0 and ``high``.

    Newton's steps, and bisection where they would leave the interval. The derivative of
    the root with respect to whatever the function depends on is that of the implicit
    function theorem: no step is recorded.

    Parameters
    ----------
    function : its value and its slope; not positive at 0, not negative at ``high``.
    start : where to begin. For a concave function the lower end, for a convex one the
        upper, from which no step overshoots.
    scale : of the numbers whose difference the function is, in units of the root.
    """
    found = _found(function, *(t.detach() for t in (start, high, scale)))
    if not torch.is_grad_enabled():
        return found
    value, slope = function(found)
    if not value.requires_grad:
        return found
    return found - (value - value.detach()) / slope.detach()


@torch.no_grad()
def _found(function: Increasing, start: Values, high: Values, scale: Values) -> Values:
    z, low = start, torch.zeros_like(start)
    unit = ROUNDING * torch.finfo(start.dtype).eps * scale
    for _ in range(STEPS):
        value, slope = function(z)
        low = torch.where(value < 0, z, low)
        high = torch.where(value > 0, z, high)
        new = z - value / slope
        inside = (new >= low) & (new <= high)
        new = torch.where(inside, new, (low + high) / 2)
        moved = torch.where(value == 0, 0.0, (new - z).abs())
        z = torch.where(value == 0, z, new)
        if not bool((moved > unit).any()):
            break
    return z
