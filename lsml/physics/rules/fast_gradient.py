"""Gradient steps that carry on: Nesterov's fast gradient and Polyak's heavy ball."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch

from lsml.numerics import per_sample
from lsml.physics.rules.equilibrium import Equilibrium
from lsml.physics.rules.means import stiffest
from lsml.problem import Problem
from lsml.rule import Iterate
from lsml.typing import Mean, PerSample, Tags, Vector


class Inertia(NamedTuple):
    """What carries on of the last step, step length, and t or β."""

    carried: Vector
    length: PerSample
    inertia: PerSample


def steepest(problem: Problem, x: Vector) -> PerSample:
    """L, the greatest stiffness relative to C⁰; 1, as of the stiffest, if unknown."""
    try:
        return problem.bounds()[1].to(x.device)
    except ValueError:
        return torch.ones(len(x), dtype=torch.float64, device=x.device)


@dataclass(frozen=True)
class Nesterov(Equilibrium):
    """Fast gradient method (Nesterov 1983; Schneider 2017, IJNME 109).

    The iterate is the extrapolated point, where the residual is evaluated. Steps are
    1/L, with the stiffest phase as reference medium L = 1.

    Attributes
    ----------
    momentum : β of every step, such as (√κ − 1)/(√κ + 1); None for the growing sequence
        (t − 1)/t⁺ that starts anew where it leads uphill (O'Donoghue & Candès 2015).
    """

    requires: ClassVar[Tags] = Equilibrium.requires | {"bounded"}
    momentum: float | None = None

    def __post_init__(self) -> None:
        if self.momentum is not None and not 0 <= self.momentum < 1:
            raise ValueError(f"momentum = {self.momentum} must be from 0 to below 1")

    @property
    def reference(self) -> Mean:
        """Stiffest phase."""
        return stiffest

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Inertia]:
        """At rest."""
        x = problem.admit(x)
        length = 1 / steepest(problem, x)
        still = torch.zeros_like(problem.force(x))
        return x, Inertia(still, length, torch.ones_like(length))

    def step(
        self, problem: Problem, it: Iterate, memory: Inertia
    ) -> tuple[Vector, Inertia]:
        """To the next extrapolated point."""
        r, length = it.residual, memory.length
        d = memory.carried + per_sample(length, r.step) * r.step
        after, beta = self._sequence(memory.inertia)
        if self.momentum is None:
            uphill = problem.pairing(r.force, d) < 0
            after = torch.where(uphill, 1.0, after)
            beta = torch.where(uphill, 0.0, beta)
        carried = per_sample(beta, d) * d
        return it.x + (d - memory.carried) + carried, Inertia(carried, length, after)

    def _sequence(self, t: PerSample) -> tuple[PerSample, PerSample]:
        """Next t, and the momentum of this step."""
        if self.momentum is not None:
            return t, torch.full_like(t, self.momentum)
        after = (1 + (1 + 4 * t.square()).sqrt()) / 2
        return after, (t - 1) / after


@dataclass(frozen=True)
class HeavyBall(Equilibrium):
    """x ← x + γ r + β Δx, optimal for a known spectrum (Polyak 1964).

    γ = 4/(√L + √μ)² and β = ((√L − √μ)/(√L + √μ))² from the extreme phases (Ernesti,
    Schneider & Böhlke 2020, CMAME 363): no choice to make, but none that adapts either.

    Raises
    ------
    ValueError
        A phase has no stiffness, or no bounds are known.
    """

    def examine(self, problem: Problem) -> None:
        """Refuse problems without a lower bound of the stiffness."""
        if not bool((problem.bounds()[0] > 0).all()):
            raise ValueError(
                "HeavyBall needs phases that all have stiffness; with pores use "
                "Nesterov, BarzilaiBorwein or ConjugateGradient"
            )

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Inertia]:
        """At rest."""
        x = problem.admit(x)
        b, a = (bound.to(x.device).sqrt() for bound in problem.bounds())
        still = torch.zeros_like(problem.force(x))
        return x, Inertia(still, 4 / (a + b).square(), ((a - b) / (a + b)).square())

    def step(
        self, problem: Problem, it: Iterate, memory: Inertia
    ) -> tuple[Vector, Inertia]:
        """Friction and force."""
        step = it.residual.step
        d = per_sample(memory.inertia, step) * memory.carried
        d = d + per_sample(memory.length, step) * step
        return it.x + d, memory._replace(carried=d)
