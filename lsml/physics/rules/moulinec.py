"""Basic scheme of Moulinec and Suquet (1998, CMAME 157)."""

from dataclasses import dataclass
from typing import ClassVar

from lsml.problem import Problem
from lsml.rule import Iterate, Rule
from lsml.typing import Tags, Vector


@dataclass(frozen=True)
class Moulinec(Rule):
    """x ← x̄ − Γ τ(x).

    Converges if the reference is stiffer than half of every phase, at the rate
    (κ − 1)/(κ + 1) for contrast κ and the arithmetic midrange.
    """

    requires: ClassVar[Tags] = frozenset({"bounded"})

    def step(
        self, problem: Problem, it: Iterate, memory: tuple[()]
    ) -> tuple[Vector, tuple[()]]:
        """The fixed point is one step away."""
        return it.x + it.residual.step, memory
