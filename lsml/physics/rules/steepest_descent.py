"""Steepest descent on the energy or on the fixed-point residual.

Kelly & Kalidindi (2021, equations 25-27) motivate the learned rules by descent on
½‖y − Φ(y)‖². Taken in the inner product of C⁰, in which ΓC is self-adjoint, its
gradient is −ΓC r for the residual r = Φ(y) − y; that of the energy is −r itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, Protocol

from lsml.numerics import per_sample, safe_div
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, Rule
from lsml.typing import PerSample, Tags, Vector


class Objective(Protocol):
    """What descends: its direction, and what the exact step length divides by."""

    def direction(self, problem: Problem, x: Vector, r: Residual) -> Residual:
        """Minus the gradient, as force and as step."""
        ...

    def curvature(self, problem: Problem, d: Vector, bent: Residual) -> PerSample:
        """Second derivative along d, whose image under H is ``bent``."""
        ...


class Energy:
    """½<x, C x> on compatible fields."""

    def direction(self, problem: Problem, x: Vector, r: Residual) -> Residual:
        """The residual."""
        return r

    def curvature(self, problem: Problem, d: Vector, bent: Residual) -> PerSample:
        """<d, H d>."""
        return problem.pairing(bent.force, d)


class SquaredResidual:
    """½‖Φ(x) − x‖² in the C⁰ norm."""

    def direction(self, problem: Problem, x: Vector, r: Residual) -> Residual:
        """ΓC r."""
        force = problem.hessian(x, r.step)
        return Residual(force, problem.precondition(force))

    def curvature(self, problem: Problem, d: Vector, bent: Residual) -> PerSample:
        """‖ΓC d‖²."""
        return problem.square(bent)


OBJECTIVES: Mapping[str, Objective] = {
    "energy": Energy(),
    "residual": SquaredResidual(),
}


class Carried(NamedTuple):
    """Residual by recurrence."""

    force: Vector
    step: Vector


@dataclass(frozen=True)
class SteepestDescent(Rule):
    """x ← x + γ d, d down the gradient of ``objective`` in the metric of C⁰.

    Attributes
    ----------
    objective : ``"energy"`` or ``"residual"``.
    step_length : γ; a number, one number per iteration (the last one goes on), or
        None for the exact minimizer along d. The number 1 on the energy is Moulinec.
    """

    objective: Literal["energy", "residual"] = "energy"
    step_length: float | Sequence[float] | None = None
    requires: ClassVar[Tags] = frozenset(
        {"linear", "compatible", "symmetric", "positive"}
    )

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise ValueError(
                f"objective {self.objective!r} is unknown; "
                f"choose one of {', '.join(OBJECTIVES)}"
            )
        if isinstance(self.step_length, Sequence) and not self.step_length:
            raise ValueError("step_length is an empty sequence; give at least one γ")

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Carried]:
        """Start from an admissible field."""
        x = problem.admit(x)
        force = problem.force(x)
        return x, Carried(force, problem.precondition(force))

    def residual(
        self, problem: Problem, x: Vector, memory: Carried, k: int
    ) -> Residual:
        """Carried; equilibrium alone, since x stays admissible."""
        return Residual(*memory)

    def step(
        self, problem: Problem, it: Iterate, memory: Carried
    ) -> tuple[Vector, Carried]:
        """Down the gradient."""
        objective = OBJECTIVES[self.objective]
        down = objective.direction(problem, it.x, Residual(*memory))
        force = problem.hessian(it.x, down.step)
        bent = Residual(force, problem.precondition(force))
        slope = problem.square(down)
        exact = safe_div(slope, objective.curvature(problem, down.step, bent))
        length = self._chosen(exact, it.k)
        own = per_sample(length, memory.force)  # x may be of a higher precision
        moved = Carried(memory.force - own * bent.force, memory.step - own * bent.step)
        return it.x + per_sample(length, it.x) * down.step, moved

    def _chosen(self, exact: PerSample, k: int) -> PerSample:
        if self.step_length is None:
            return exact
        if isinstance(self.step_length, Sequence):
            return exact.new_full(
                exact.shape, self.step_length[min(k, len(self.step_length) - 1)]
            )
        return exact.new_full(exact.shape, self.step_length)
