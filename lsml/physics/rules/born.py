"""Convergent Born series (Osnabrugge, Leedumrongwatthanakun & Vellekoop 2016, JCP)."""

from dataclasses import dataclass
from typing import ClassVar

from lsml.problem import Problem
from lsml.rule import Iterate, Rule
from lsml.typing import Tags, Vector


@dataclass(frozen=True)
class Born(Rule):
    """x ← x + γ(Φ(x) − x) with the local γ = i τ'/Im C⁰.

    The Born series of scattering, which diverges for large or strong scatterers, made
    a contraction by absorption: the imaginary part of the reference k₀² must exceed
    every |k² − Re k₀²|, which the builder of an *absorbing* problem sees to.
    """

    requires: ClassVar[Tags] = frozenset({"linear", "absorbing"})

    def step(
        self, problem: Problem, it: Iterate, memory: tuple[()]
    ) -> tuple[Vector, tuple[()]]:
        """One more order of scattering."""
        return it.x + problem.scatter(it.x, it.residual.step), memory
