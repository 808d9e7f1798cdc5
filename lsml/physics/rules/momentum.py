"""Iterations with momentum whose coefficients are given, or tuned (Polyak 1964).

    p_k = z_k + m_k p_{k-1},   x_{k+1} = x_k + s_k p_k

with z the answer of the reference medium to the residual. Any first-order polynomial
iteration is of this form, conjugate gradients included, whose m and s are quotients of
dot products. Here they are numbers, the same for every sample.
"""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lsml.problem import Problem, Residual
from lsml.rule import Iterate, arithmetic
from lsml.stop import Never
from lsml.typing import Mean, PerSample, Tags, Vector
from lsml.unroll import unroll


class Recurrence(NamedTuple):
    """Residual by recurrence, and the last direction p."""

    force: Vector
    step: Vector
    p: Vector


def begun(problem: Problem, x: Vector) -> tuple[Vector, Recurrence]:
    """Residual evaluated at an admissible x, and no direction."""
    x = problem.admit(x)
    force = problem.force(x)
    step = problem.precondition(force)
    return x, Recurrence(force, step, torch.zeros_like(step))


def moved(
    problem: Problem, x: Vector, at: Recurrence, turn: PerSample, length: PerSample
) -> tuple[Vector, Recurrence]:
    """One step, m = ``turn`` and s = ``length``: one hessian, one Green operator."""
    p = problem.combine(at.step, turn, at.p, at.p)
    image = problem.hessian(x, p, at.step)
    force = problem.combine(at.force, -length, image, at.force)
    step = problem.precondition(force, image)
    return problem.combine(x, length, p, x), Recurrence(force, step, p)


class Momentum(nn.Module):
    """A fixed number of steps with given coefficients, which can be trained.

    Parameters
    ----------
    lengths : s_k, relative to the reference medium, for which 1 is Moulinec's step.
    turns : m_k of the steps after the first.

    Raises
    ------
    ValueError
        Not one turn less than lengths, or none of these.
    """

    requires: ClassVar[Tags] = frozenset(
        {"linear", "compatible", "symmetric", "positive"}
    )

    def __init__(self, lengths: Sequence[float], turns: Sequence[float]) -> None:
        super().__init__()
        if not lengths or len(turns) != len(lengths) - 1:
            raise ValueError(
                f"Momentum of {len(lengths)} lengths and {len(turns)} turns: it needs "
                "a length for each step, and a turn for each but the first"
            )
        self.lengths = nn.Parameter(torch.tensor(lengths, dtype=torch.float64))
        self.turns = nn.Parameter(torch.tensor(turns, dtype=torch.float64))

    @property
    def passes(self) -> int:
        """One for each length."""
        return len(self.lengths)

    @property
    def reference(self) -> Mean:
        """Arithmetic midrange, between whose phases the spectrum is centred at 1."""
        return arithmetic

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Recurrence]:
        """Start with no direction."""
        return begun(problem, x)

    def residual(
        self, problem: Problem, x: Vector, memory: Recurrence, k: int
    ) -> Residual:
        """Carried; equilibrium alone, since x stays admissible."""
        return Residual(memory.force, memory.step)

    def step(
        self, problem: Problem, it: Iterate, memory: Recurrence
    ) -> tuple[Vector, Recurrence]:
        """With the coefficients of step k."""
        first = torch.zeros_like(self.lengths[0])
        turn = self.turns[it.k - 1] if it.k > 0 else first
        both = (c.expand(len(it.x)) for c in (turn, self.lengths[it.k]))
        return moved(problem, it.x, memory, *both)


def like_chebyshev(low: float, high: float, steps: int) -> Momentum:
    """The coefficients of Chebyshev's iteration on [low, high], to begin a fit with."""
    middle, half = (high + low) / 2, (high - low) / 2
    lengths, turns, q = [1 / middle], [], half**2 / middle
    for _ in range(steps - 1):
        turns.append(q * lengths[-1] / 2)
        share = 1 / (2 * middle - q)
        lengths.append(2 * share)
        q = half**2 * share
    return Momentum(lengths, turns)


def fit(
    rule: Momentum, problem: Problem, *, epochs: int = 100, rate: float = 1e-2
) -> list[float]:
    """Tune the coefficients end to end, through the driver, without any solution.

    The loss is the mean over the samples of the energy after the last step, relative to
    the energy norm of the first residual's step; its least value is not known, and
    need not be.

    Returns
    -------
    list of float
        The loss before each epoch, and at the end.
    """
    optimizer = torch.optim.Adam(rule.parameters(), lr=rate)
    losses = []
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = energy_gained(rule, problem)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    with torch.no_grad():
        return [*losses, float(energy_gained(rule, problem))]


def energy_gained(rule: Momentum, problem: Problem) -> Float[Tensor, ""]:
    """Energy at the end minus that at the start, relative, the mean over the samples.

    ½ <f(x) + f(y), x − y> is E(y) − E(x) exactly where the energy is quadratic.
    """
    start = problem.admit(problem.start())
    end = unroll(problem, rule, start, stop=Never(), max_iter=rule.passes).x
    forces = problem.force(start) + problem.force(end)
    first = problem.residual(start)
    change = problem.pairing(forces, start - end) / 2
    return (change / problem.square(first)).mean()
