"""Barzilai-Borwein step lengths (1988, IMA J. Numer. Anal.; Schneider 2019, IJNME)."""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from lsml.numerics import safe_div
from lsml.physics.rules.equilibrium import Equilibrium
from lsml.problem import Problem
from lsml.rule import Iterate
from lsml.typing import PerSample, Vector


class Secant(NamedTuple):
    """Last residual step, its squared norm, and how many times it was taken."""

    step: Vector
    norm2: PerSample
    length: PerSample


@dataclass(frozen=True)
class BarzilaiBorwein(Equilibrium):
    """x ← x + γ r with γ = <Δx, C⁰ Δx> / <Δx, Δσ>, the basic scheme at first.

    The energy does not fall monotonically, and need not. On a linear problem γ is the
    exact step length of steepest descent one iteration before.
    """

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Secant]:
        """No step so far."""
        x = problem.admit(x)
        nothing = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        step = torch.zeros_like(problem.force(x))
        return x, Secant(step, nothing, nothing)

    def step(
        self, problem: Problem, it: Iterate, memory: Secant
    ) -> tuple[Vector, Secant]:
        """One gradient step, no line search."""
        r = it.residual
        bent = memory.norm2 - problem.pairing(r.force, memory.step)
        known = (memory.norm2 > 0) & (bent > 0)
        secant = memory.length * safe_div(memory.norm2, bent)
        length = torch.where(known, secant, torch.ones_like(secant))
        x = problem.combine(it.x, length, r.step, it.x)
        return x, Secant(r.step, problem.square(r), length)
