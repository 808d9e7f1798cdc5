"""Prediction of what conjugate gradients have still to gain.

The gains g of the last steps fall almost geometrically, so that the rest is nearly a
multiple of the last one. How much is a regression in logarithms: on the ratios of the
last gains, which give the rate, and on where the Gauss-Radau bounds lie beside them.
All its inputs are ratios, so that it has no units. The coefficients are fitted by
``benchmarks/readout.py --fit`` and kept here.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from lsml.gauss_radau import GAINS, HUGE, Gauge
from lsml.typing import PerSample


class Table(NamedTuple):
    """Coefficients, a row for each number of gains there are: one, two, or more.

    Attributes
    ----------
    weights : of 1, log g₁/g₂, log g₂/g₃, log L/g₁, log U/g₁, log ‖r‖²/(ν g₁) and
        log ν/μ in log R/g₁, with the last gains g, the rest R, its bounds L and U, and
        the ends μ and ν of the spectrum.
    doubt : error to be expected of R, relative to it.
    """

    weights: tuple[tuple[float, ...], ...]
    doubt: tuple[float, ...]


BOUNDED = Table(
    weights=(
        (1.4361, 0.0, 0.0, 0.956, 0.5982, -0.2821, -0.5255),
        (1.0064, -0.069, 0.0, 0.314, -1.5288, 2.4987, 1.6101),
        (1.508, 0.4199, -0.117, -0.6269, -0.6262, 2.4319, 0.7785),
    ),
    doubt=(0.2352, 0.2474, 0.3454),
)
UNBOUNDED = Table(
    weights=(
        (1.8187, 0.0, 0.0, 0.9682, 0.0, 0.3864, 0.0),
        (1.7545, 0.0493, 0.0, 1.6114, 0.0, -0.2716, 0.0),
        (3.7282, 1.5016, 0.0204, -0.8065, 0.0, 1.9339, 0.0),
    ),
    doubt=(0.2799, 0.2992, 0.6216),
)


Predictor = Callable[[Gauge, PerSample], tuple[PerSample, PerSample]]


def unpredicted(gauge: Gauge, norm2: PerSample) -> tuple[PerSample, PerSample]:
    """No gain is expected, and everything is doubted."""
    return torch.zeros_like(norm2), torch.full_like(norm2, torch.inf)


class Tables(NamedTuple):
    """With a bound from above, and with pores, where there is none."""

    bounded: Table
    unbounded: Table


TABLES = Tables(BOUNDED, UNBOUNDED)


def predicted(
    gauge: Gauge, norm2: PerSample, tables: Tables = TABLES
) -> tuple[PerSample, PerSample]:
    """The gain R that is left, and the error to be expected of it.

    Before the first step the geometric mean of the bounds, and everything is doubted.
    """
    known, x = features(gauge, norm2)
    bounded = gauge.nodes[:, 0] > 0
    weights, doubt = looked_up(tables.bounded, known)
    others = looked_up(tables.unbounded, known)
    weights = torch.where(bounded[:, None], weights, others[0])
    doubt = torch.where(bounded, doubt, others[1])
    value = gauge.gains[:, 0] * (x * weights).sum(1).exp()
    least, most = gauge.bounds(norm2)
    begun = known > 0
    value = torch.where(begun, value, (least * most.clamp_max(HUGE)).sqrt())
    return value, torch.where(begun, doubt * value, torch.inf)


def features(
    gauge: Gauge, norm2: PerSample
) -> tuple[Integer[Tensor, " b"], Float[Tensor, "b 7"]]:
    """How many gains there are, and what the regression is on; 0 for what is not."""
    lower, upper = gauge.bounds(norm2)
    first, second, third = gauge.gains.unbind(1)
    low, high = gauge.nodes.unbind(1)
    ratios = [
        first / second,
        second / third,
        lower / first,
        upper / first,
        norm2 / (high * first),
        high / low,
    ]
    logs = torch.stack(ratios, 1).log()
    logs = torch.where(logs.isfinite(), logs, 0.0)
    x = torch.cat([torch.ones_like(logs[:, :1]), logs], 1)
    return (gauge.gains > 0).sum(1), x


def looked_up(
    table: Table, known: Integer[Tensor, " b"]
) -> tuple[Float[Tensor, "b 7"], PerSample]:
    """The rows for so many gains."""
    row = known.clamp(1, GAINS) - 1
    weights = torch.tensor(table.weights, dtype=torch.float64, device=row.device)
    doubt = torch.tensor(table.doubt, dtype=torch.float64, device=row.device)
    return weights[row], doubt[row]
