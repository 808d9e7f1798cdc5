"""The Chebyshev semi-iteration: no dot product, nothing to wait for.

Of all polynomials the one that is least in the maximum norm on the interval
[λ_min, λ_max] of the preconditioned operator (Golub & Varga 1961, Numer. Math. 3). Its
coefficients are known beforehand and tend to those of the heavy ball. With θ and δ the
midpoint and half-width of the interval, p_k = z_k + m_k p_{k-1},
x_{k+1} = x_k + s_k p_k,

    s_0 = 1/θ,  q_0 = δ²/θ,    m_{k+1} = q_k s_k / 2,  s_{k+1} = 2/(2θ − q_k),
    q_{k+1} = δ²/(2θ − q_k)

A step synchronises nothing, so that a CUDA graph may hold it. The driver evaluates the
norm of every residual to know when to stop; that dot product is not the rule's, and
with ``lsml.stop.Never`` its value means nothing.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch

from lsml.physics.rules.momentum import Recurrence, begun, moved
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, Rule
from lsml.typing import PerSample, Tags, Vector


class Scheduled(NamedTuple):
    """A :class:`Recurrence`, and m, s, q of the coming step with θ and δ per sample."""

    force: Vector
    step: Vector
    p: Vector
    turn: PerSample
    length: PerSample
    q: PerSample
    middle: PerSample
    half: PerSample


@dataclass(frozen=True)
class Chebyshev(Rule):
    """The least polynomial on the interval that the phases' stiffness ratios span.

    ``problem.bounds()`` gives the interval; the residual falls at least to
    2 ρᵏ/(1 + ρ²ᵏ), ρ = (√κ − 1)/(√κ + 1), in k steps, κ = λ_max/λ_min, in the norm in
    which the operator is symmetric, whatever the microstructure.

    Raises
    ------
    ValueError
        A phase has no stiffness, or no bounds are known.
    """

    requires: ClassVar[Tags] = frozenset(
        {"linear", "compatible", "symmetric", "positive"}
    )

    def examine(self, problem: Problem) -> None:
        """Refuse pores, with which the spectrum begins at 0."""
        if not bool((problem.bounds()[0] > 0).all()):
            raise ValueError(
                "Chebyshev needs phases that all have stiffness; with pores the least "
                "eigenvalue is 0, and there are no coefficients: use 'cg'"
            )

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Scheduled]:
        """Start with no direction; the first step is 1/θ along the residual."""
        x, carried = begun(problem, x)
        low, high = (bound.to(x.device) for bound in problem.bounds())
        middle, half = (high + low) / 2, (high - low) / 2
        coefficients = torch.zeros_like(half), 1 / middle, half**2 / middle
        return x, Scheduled(*carried, *coefficients, middle, half)

    def residual(
        self, problem: Problem, x: Vector, memory: Scheduled, k: int
    ) -> Residual:
        """Carried; equilibrium alone, since x stays admissible."""
        return Residual(memory.force, memory.step)

    def step(
        self, problem: Problem, it: Iterate, memory: Scheduled
    ) -> tuple[Vector, Scheduled]:
        """As far as is known beforehand, and what is known of the next step."""
        turn, length, q, middle, half = memory[3:]
        x, carried = moved(problem, it.x, Recurrence(*memory[:3]), turn, length)
        share = 1 / (2 * middle - q)
        coefficients = q * length / 2, 2 * share, half**2 * share
        return x, Scheduled(*carried, *coefficients, middle, half)
