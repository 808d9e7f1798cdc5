"""Polarization schemes: Eyre-Milton, augmented Lagrangian, Monchiet-Bonnet.

One family (Monchiet & Bonnet 2012, IJNME 89; Moulinec & Silva 2014, IJNME 97). With
P = σ(x) + C⁰ x and the local inverse x = (σ + C⁰)⁻¹ P,

    P ← P − α C⁰ Γ σ(x) − β C⁰ (x − x̄ − Γ C⁰ x),

the out-of-balance and the incompatible part of the fixed-point residual. Written for x,
one local operator acts on that residual. Eyre and Milton's reference medium, −√(κ₁κ₂)
in the place of C⁰ in Γ τ, is this one with the sign in the formula.
"""

from dataclasses import dataclass
from typing import ClassVar

from lsml.physics.rules.means import geometric
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, Rule
from lsml.typing import Mean, Tags, Vector


@dataclass(frozen=True)
class Polarization(Rule):
    """x ← (σ + C⁰)⁻¹ (σ(x) + C⁰ (x + α e + β c)), e and c the parts of the residual.

    Iterates are not compatible before the end. Converges for 0 < α = β < 2 with any
    reference medium, in O(√κ) iterations with the geometric mean, for 2 at finite
    contrast only. Unequal α and β cost a second Green operator.

    Attributes
    ----------
    alpha : share of the equilibrium residual.
    beta : share of the compatibility residual.
    """

    alpha: float = 1.5
    beta: float = 1.5
    requires: ClassVar[Tags] = frozenset({"compatible", "resolvable"})

    def __post_init__(self) -> None:
        for name, value in (("alpha", self.alpha), ("beta", self.beta)):
            if not 0 < value <= 2:
                raise ValueError(f"{name} = {value} must be above 0 and at most 2")

    @property
    def reference(self) -> Mean:
        """Geometric mean."""
        return geometric

    def step(
        self, problem: Problem, it: Iterate, memory: tuple[()]
    ) -> tuple[Vector, tuple[()]]:
        """The next polarization, as a field."""
        drive = self._weighted(problem, it.residual)
        return it.x + problem.resolve(it.x, drive), memory

    def _weighted(self, problem: Problem, residual: Residual) -> Vector:
        """α e + β c."""
        drive = self.beta * residual.step
        if self.alpha == self.beta:
            return drive
        balance = problem.precondition(residual.force)
        return drive + (self.alpha - self.beta) * balance


@dataclass(frozen=True)
class EyreMilton(Polarization):
    """α = β = 2 (Eyre & Milton 1999, Eur. Phys. J. AP 6)."""

    alpha: float = 2.0
    beta: float = 2.0


@dataclass(frozen=True)
class AugmentedLagrangian(Polarization):
    """α = β = 1 (Michel, Moulinec & Suquet 2000, CMES 1; 2001, IJNME 52)."""

    alpha: float = 1.0
    beta: float = 1.0


@dataclass(frozen=True)
class MonchietBonnet(Polarization):
    """α = β = 3/2, the choice of Monchiet & Bonnet (2012)."""
