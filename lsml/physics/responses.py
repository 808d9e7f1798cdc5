"""How the von Mises stress answers to the equivalent strain, in one dimension.

An isotropic phase whose volume answers elastically is one curve: σ_eq against
ε_eq = √(2/3) ‖dev ε − ε_p‖. Deformation theory (Hencky 1924) gives the curve; in flow
theory it is what the radial return (Wilkins 1964; Simo & Taylor 1985) leaves of a step
from given internal variables.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.physics.hardening import Curve
from lsml.physics.roots import Values, root

Moduli = Float[Tensor, "g n"]  # K, 3μ of small strains, those of the response, zeros


class Answer(NamedTuple):
    """Of n points: von Mises stress, its slope, and the plastic strain of this step."""

    stress: Values
    slope: Values
    flow: Values


@runtime_checkable
class Response(Protocol):
    """A curve through the origin with the slope 3μ, rising and concave."""

    @property
    def remembers(self) -> bool:
        """Whether there are internal variables."""
        ...

    def __call__(self, strain: Values, p: Values, moduli: Moduli) -> Answer:
        """At an equivalent strain, from the accumulated plastic strain p."""
        ...

    def work(self, strain: Values, p: Values, moduli: Moduli) -> Values:
        """Integral of the stress over the strain."""
        ...


@dataclass(frozen=True)
class PowerLaw:
    """σ_eq = σ0 (ε/ε0) ((ε² + δ²)/ε0²)^((m − 1)/2): σ0 (ε/ε0)^m well above δ."""

    remembers: ClassVar[bool] = False

    def __call__(self, strain: Values, p: Values, moduli: Moduli) -> Answer:
        """In closed form."""
        _, _, sigma0, strain0, m, cutoff = moduli[:6]
        square = strain.square() + cutoff.square()
        secant = sigma0 / strain0 * (square / strain0.square()) ** ((m - 1) / 2)
        slope = secant * (1 + (m - 1) * strain.square() / square)
        return Answer(secant * strain, slope, torch.zeros_like(strain))

    def work(self, strain: Values, p: Values, moduli: Moduli) -> Values:
        """σ0 ε0/(m + 1) (((ε² + δ²)/ε0²)^((m + 1)/2) − (δ/ε0)^(m + 1))."""
        _, _, sigma0, strain0, m, cutoff = moduli[:6]
        grown = (m + 1) / 2 * torch.log1p((strain / cutoff).square())
        first = sigma0 * strain0 / (m + 1) * (cutoff / strain0) ** (m + 1)
        return first * torch.expm1(grown)


@dataclass(frozen=True)
class RambergOsgood:
    """ε_eq = σ_eq/(3μ) + ε0 (σ_eq/σ0)^n."""

    remembers: ClassVar[bool] = False

    def __call__(self, strain: Values, p: Values, moduli: Moduli) -> Answer:
        """Each of the two parts alone bounds the stress from above."""
        _, shear, sigma0, strain0, n = moduli[:5]
        with torch.no_grad():
            high = torch.minimum(shear * strain, sigma0 * (strain / strain0) ** (1 / n))

        def excess(s: Tensor) -> tuple[Tensor, Tensor]:
            soft = strain0 * n / sigma0 * (s / sigma0) ** (n - 1)
            return s / shear + soft * s / n - strain, 1 / shear + soft

        stress = root(excess, high, high, high)
        return Answer(stress, 1 / excess(stress)[1], torch.zeros_like(strain))

    def work(self, strain: Values, p: Values, moduli: Moduli) -> Values:
        """σ²/(6μ) + ε0 σ0 n/(n + 1) (σ/σ0)^(n + 1)."""
        _, shear, sigma0, strain0, n = moduli[:5]
        stress = self(strain, p, moduli).stress
        plastic = strain0 * sigma0 * n / (n + 1) * (stress / sigma0) ** (n + 1)
        return stress.square() / (2 * shear) + plastic


@dataclass(frozen=True)
class VonMises:
    """Flow theory with isotropic hardening: the backward Euler step of a point.

    Attributes
    ----------
    curve : yield stress; its ``size`` parameters come after K and 3μ.
    """

    curve: Curve
    size: int
    remembers: ClassVar[bool] = True

    def __call__(self, strain: Values, p: Values, moduli: Moduli) -> Answer:
        """σ_y(p + Δp) = 3μ (ε − Δp) where 3μ ε is more than the yield stress."""
        shear, rows = moduli[1], moduli[2 : 2 + self.size]
        trial = shear * strain
        first = self.curve.stress(p, rows)[0]
        yields = trial > first

        def excess(flow: Tensor) -> tuple[Tensor, Tensor]:
            stress, slope = self.curve.stress(p + flow, rows)
            return stress + shear * flow - trial, slope + shear

        nothing = torch.zeros_like(strain)
        most = ((trial - first) / shear).clamp_min(0)
        flow = torch.where(yields, root(excess, nothing, most, strain), nothing)
        stress, slope = self.curve.stress(p + flow, rows)
        plastic = shear * slope / (shear + slope)
        return Answer(
            torch.where(yields, stress, trial),
            torch.where(yields, plastic, shear),
            flow,
        )

    def work(self, strain: Values, p: Values, moduli: Moduli) -> Values:
        """Elastic energy, and the plastic work from p to p + Δp."""
        rows = moduli[2 : 2 + self.size]
        answer = self(strain, p, moduli)
        done = self.curve.work(p + answer.flow, rows) - self.curve.work(p, rows)
        return answer.stress.square() / (2 * moduli[1]) + done
