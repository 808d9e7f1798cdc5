"""Coefficients of the read-out, fitted to trajectories."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from trajectories import Trajectory

from lsml.gauss_radau import GAINS, Gauge
from lsml.readout import Table, Tables, features

WINDOW = (1e-6, 0.5)  # of what is left, over the energy, that the fit is about
RIDGE = 1e-4
NEAR, ROUNDS = 0.15, 15  # residual of the logarithm that is not far off; reweightings
QUANTILE = 0.9  # of the relative errors of predictions that is to be expected


class Samples(NamedTuple):
    """Iterates of many trajectories: gains known, features, log R/g₁, and R/g₁."""

    known: Tensor
    features: Tensor
    target: Tensor

    def row(self, known: int) -> "Samples":
        """Those with as many gains."""
        pick = self.known == known
        return Samples(*(part[pick] for part in self))


def sampled(trajectories: Sequence[Trajectory], bounded: bool) -> Samples:
    """Every iterate inside the window; not ``bounded``: as if there were pores."""
    parts = []
    for t in trajectories:
        rest = t.energy - t.least
        share = rest / t.least
        inside = (share > WINDOW[0]) & (share < WINDOW[1])
        gauge, norm2 = Gauge.unpacked(t.gauges[inside]), t.norm2[inside]
        known, x = features(gauge, norm2)
        if not bounded:
            x = x * x.new_tensor([1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0])
        target = (rest[inside] / gauge.gains[:, 0]).log()
        fine = (known > 0) & target.isfinite()
        parts.append(Samples(known[fine], x[fine], target[fine]))
    return Samples(*(torch.cat(part) for part in zip(*parts, strict=True)))


def fitted(samples: Samples) -> Table:
    """Robust regression for each number of gains, and the spread of what is left."""
    weights, doubt = [], []
    for known in range(1, GAINS + 1):
        _, x, y = samples.row(known)
        w = robust(x, y)
        off = (1 - (y - x @ w).exp()).abs()
        weights.append(tuple(round(float(v), 4) for v in w))
        doubt.append(round(float(off.quantile(QUANTILE)), 4))
    return Table(tuple(weights), tuple(doubt))


def robust(x: Tensor, y: Tensor) -> Tensor:
    """Ridge regression that counts what is far off by its distance (Huber 1964)."""
    share = torch.ones_like(y)
    eye = RIDGE * torch.eye(x.shape[1], dtype=x.dtype)
    for _ in range(ROUNDS):
        weighted = (x * share[:, None]).T / len(x)
        w = torch.linalg.solve(weighted @ x + eye, weighted @ y)
        share = NEAR / (y - x @ w).abs().clamp_min(NEAR)
    return w


def written(tables: Tables) -> str:
    """As lsml/readout.py has them."""
    lines = []
    for name, table in zip(("BOUNDED", "UNBOUNDED"), tables, strict=True):
        rows = "".join(f"        {row},\n" for row in table.weights)
        lines.append(
            f"{name} = Table(\n    weights=(\n{rows}    ),\n    doubt={table.doubt},\n)"
        )
    return "\n".join(lines)
