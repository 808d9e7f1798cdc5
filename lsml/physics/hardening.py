"""Isotropic hardening: the yield stress as a function of accumulated plastic strain.

Curves are concave, except tables, and never fall. Formulas are those of Voce (1948,
J. Inst. Met. 74), with a linear term beside, and Swift (1952, J. Mech. Phys. Solids 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.physics.moduli import Modulus
from lsml.physics.parameters import not_negative, positive, rows, share, together
from lsml.physics.roots import Values

Rows = Float[Tensor, "g n"]


@runtime_checkable
class Curve(Protocol):
    """A yield stress; its parameters are given, one row for each."""

    def stress(self, p: Values, rows: Rows) -> tuple[Tensor, Tensor]:
        """Yield stress at the accumulated plastic strain p, and its slope."""
        ...

    def work(self, p: Values, rows: Rows) -> Values:
        """Integral of the yield stress from 0 to p."""
        ...


class Hardening(NamedTuple):
    """A curve and its parameters, (g,) or one row per sample (b, g)."""

    curve: Curve
    parameters: Float[Tensor, "*b g"]


@dataclass(frozen=True)
class Voce:
    """σ0 + H p + Q (1 − exp(−b p))."""

    def stress(self, p: Values, rows: Rows) -> tuple[Tensor, Tensor]:
        """Linear, and saturating at the rate b."""
        first, slope, most, rate = rows
        gone = torch.exp(-rate * p)
        stress = first + slope * p - most * torch.expm1(-rate * p)
        return stress, slope + most * rate * gone

    def work(self, p: Values, rows: Rows) -> Values:
        """σ0 p + H p²/2 + Q (p − (1 − exp(−b p))/b)."""
        first, slope, most, rate = rows
        still = rate == 0
        safe = torch.where(still, 1.0, rate)
        late = torch.where(still, 0.0, p + torch.expm1(-safe * p) / safe)
        return first * p + slope * p.square() / 2 + most * late


@dataclass(frozen=True)
class Swift:
    """σ0 (1 + p/p0)^n."""

    def stress(self, p: Values, rows: Rows) -> tuple[Tensor, Tensor]:
        """A power law that begins at p = −p0."""
        first, p0, n = rows
        stress = first * (1 + p / p0) ** n
        return stress, n * stress / (p0 + p)

    def work(self, p: Values, rows: Rows) -> Values:
        """σ0 p0/(n + 1) ((1 + p/p0)^(n + 1) − 1)."""
        first, p0, n = rows
        return first * p0 / (n + 1) * torch.expm1((n + 1) * torch.log1p(p / p0))


@dataclass(frozen=True)
class Table:
    """Straight lines between points (p_j, σ_j); level after the last."""

    def stress(self, p: Values, rows: Rows) -> tuple[Tensor, Tensor]:
        """Sum of what each line has risen."""
        stress, slope = rows.chunk(2)[1][0], torch.zeros_like(p)
        for begin, end, rise in _lines(rows):
            stress = stress + rise * (p.clamp(max=end) - begin).clamp_min(0)
            slope = slope + torch.where((begin <= p) & (p < end), rise, 0.0)
        return stress, slope

    def work(self, p: Values, rows: Rows) -> Values:
        """Triangles under the lines, and what stands on them."""
        work = rows.chunk(2)[1][0] * p
        for begin, end, rise in _lines(rows):
            run = (torch.minimum(p, end) - begin).clamp_min(0)
            work = work + rise * run * (run / 2 + (p - end).clamp_min(0))
        return work


def _lines(rows: Rows) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Begin, end and slope of each line."""
    p, stress = rows.chunk(2)
    ends = zip(p[:-1], p[1:], stress[:-1], stress[1:], strict=True)
    return [(a, b, (s - r) / (b - a)) for a, b, r, s in ends]


def voce(
    sigma0: Modulus,
    *,
    H: Modulus = 0.0,  # noqa: N803 (the field's name)
    Q: Modulus = 0.0,  # noqa: N803
    b: Modulus = 0.0,
) -> Hardening:
    """Linear and saturating hardening, σ0 + H p + Q (1 − exp(−b p)).

    Without H and Q the plasticity is perfect. Numbers, or one value per sample.

    Raises
    ------
    ValueError
        σ0 is not positive, or another one negative.
    """
    given = {"sigma0": sigma0, "H": H, "Q": Q, "b": b}
    values = rows("voce", given)
    positive("voce", "sigma0", values[0])
    for name, value in zip("HQb", values[1:], strict=True):
        not_negative("voce", name, value)
    return Hardening(Voce(), together(values))


def swift(sigma0: Modulus, p0: Modulus, n: Modulus) -> Hardening:
    """Power-law hardening, σ0 (1 + p/p0)^n.

    Raises
    ------
    ValueError
        σ0 or p0 is not positive, or n not above 0 and at most 1.
    """
    values = rows("swift", {"sigma0": sigma0, "p0": p0, "n": n})
    positive("swift", "sigma0", values[0])
    positive("swift", "p0", values[1])
    share("swift", "n", values[2])
    return Hardening(Swift(), together(values))


def hardening_table(p: Sequence[float], stress: Sequence[float]) -> Hardening:
    """Measured points (p_j, σ_j), joined by straight lines, level after the last.

    Raises
    ------
    ValueError
        Lists of different length or shorter than two; p that does not rise from 0;
        stresses that are not positive or fall.
    """
    x, y = (torch.as_tensor(t, dtype=torch.float64) for t in (p, stress))
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise ValueError(
            f"hardening_table: p of shape {tuple(x.shape)} and stress of shape "
            f"{tuple(y.shape)} must be two lists of the same length, 2 or more"
        )
    if float(x[0]) != 0 or not bool((x.diff() > 0).all()):
        raise ValueError(f"hardening_table: p = {x.tolist()} must rise from 0")
    if not float(y[0]) > 0 or not bool((y.diff() >= 0).all()):
        raise ValueError(
            f"hardening_table: stress = {y.tolist()} must be positive and never fall"
        )
    return Hardening(Table(), torch.cat([x, y]))
