"""Nonlinear conjugate gradients (Fletcher & Reeves 1964; Schneider 2020, IJNME 121)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch

from lsml.numerics import safe_div
from lsml.physics.rules.equilibrium import Equilibrium
from lsml.problem import Problem
from lsml.rule import Iterate, check_tangent
from lsml.typing import PerSample, Vector


class Conjugate(NamedTuple):
    """Last direction, last residual step and its squared norm."""

    d: Vector
    step: Vector
    norm2: PerSample


Formula = Callable[[PerSample, PerSample], PerSample]

FORMULAS: Mapping[str, Formula] = {
    "fletcher_reeves": lambda now, both: now,
    "polak_ribiere": lambda now, both: (now - both).clamp_min(0),
}


@dataclass(frozen=True)
class NonlinearCG(Equilibrium):
    """x ← x + γ d, d ← r + β d; conjugate gradients where the problem is linear.

    Attributes
    ----------
    conjugacy : β, ``"fletcher_reeves"`` ‖r‖²/‖r⁻‖², or ``"polak_ribiere"``
        max(0, <r, r − r⁻>)/‖r⁻‖².
    length : γ; None for one Newton step along d, by the tangent, which costs a law;
        a number for none at all: 1 with Fletcher-Reeves is Schneider's method.
    """

    conjugacy: Literal["fletcher_reeves", "polak_ribiere"] = "polak_ribiere"
    length: float | None = None

    def __post_init__(self) -> None:
        if self.conjugacy not in FORMULAS:
            raise ValueError(
                f"conjugacy {self.conjugacy!r} is unknown; "
                f"choose one of {', '.join(FORMULAS)}"
            )
        if self.length is not None and not 0 < self.length < float("inf"):
            raise ValueError(f"length = {self.length} must be positive and finite")

    def examine(self, problem: Problem) -> None:
        """Refuse a law without tangent, unless the length is given."""
        if self.length is None:
            check_tangent(problem, type(self).__name__)

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Conjugate]:
        """No direction so far."""
        x = problem.admit(x)
        nothing = torch.zeros_like(problem.force(x))
        none = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        return x, Conjugate(nothing, nothing, none)

    def step(
        self, problem: Problem, it: Iterate, memory: Conjugate
    ) -> tuple[Vector, Conjugate]:
        """Along a direction that is conjugate to the last one."""
        r, norm2 = it.residual, problem.square(it.residual)
        both = problem.pairing(r.force, memory.step)
        beta = safe_div(FORMULAS[self.conjugacy](norm2, both), memory.norm2)
        d = problem.combine(r.step, beta, memory.d, memory.d)
        x = problem.combine(it.x, self._length(problem, it, d), d, it.x)
        return x, Conjugate(d, r.step, norm2)

    def _length(self, problem: Problem, it: Iterate, d: Vector) -> PerSample:
        slope = problem.pairing(it.residual.force, d)
        if self.length is not None:
            return torch.full_like(slope, self.length)
        return safe_div(slope, problem.pairing(problem.hessian(it.x, d), d))
