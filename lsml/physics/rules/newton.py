"""Newton's method, its linear problems solved by another rule.

For FFT-based methods Gélébart & Mondon-Cancel (2013, Comput. Mater. Sci.) and Kabel,
Böhlke & Schneider (2014, Comput. Mech.); inexact by Eisenstat & Walker (1996); lines
searched for the zero of the slope (Matthies & Strang 1979, IJNME 14).
"""

import logging
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

import torch

from lsml.linearized import Linearized
from lsml.numerics import per_sample, safe_div
from lsml.physics.rules.conjugate_gradient import ConjugateGradient
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, Rule, UpdateRule, check_tangent
from lsml.stop import RelativeResidual
from lsml.typing import Codes, Mean, PerSample, Tags, Vector
from lsml.unroll import unroll

FIRST, LOOSEST, GAIN = 0.1, 0.5, 0.9  # η at first, at most, and γ of Eisenstat & Walker
PUSH = 0.25  # of the first slope, by which the end of a step may push back
SHORTEST, TRIALS = 0.1, 10  # what a trial leaves of a step at least, and how many
SEARCHED: Tags = frozenset({"symmetric", "positive"})

log = logging.getLogger("lsml")


class Forcing(NamedTuple):
    """The residual, last residual norm, last η, and steps of the inner rule so far."""

    force: Vector
    step: Vector
    norm: PerSample
    eta: PerSample
    inner: Codes


@dataclass(frozen=True)
class Share(RelativeResidual):
    """Until the residual is a given share of the first one, sample by sample."""

    tol: float = 1.0
    share: PerSample = field(default_factory=lambda: torch.ones(1).double())

    def scale(self, problem: Problem, first: PerSample) -> PerSample:
        """That share."""
        return self.share * super().scale(problem, first)

    def select(self, samples: Codes) -> "Share":
        """Of some of the samples."""
        return replace(self, share=self.share[samples])


@dataclass(frozen=True)
class Newton(Rule):
    """x ← x + v with σ'(x) v = −residual, solved by ``rule`` to the share η of it.

    An iteration is one tangent problem, run by the same driver; the steps of ``rule``
    are counted in the memory and logged. Where there is an energy to be lowered, v is
    shortened until the force at its end does not push back hard. A step that need not
    be costs nothing, because the residual there is that of the next iterate.

    Attributes
    ----------
    rule : for the tangent problems; needs what they have, not what the law has.
    forcing : η; None for 0.9 (‖r‖/‖r⁻‖)², kept from falling too fast.
    max_inner : steps of ``rule`` at most, after which v is taken as it is.
    """

    rule: UpdateRule[Any] = field(default_factory=ConjugateGradient)
    forcing: float | None = None
    max_inner: int = 200
    passes: ClassVar[None] = None

    def __post_init__(self) -> None:
        if self.forcing is not None and not 0 < self.forcing < 1:
            raise ValueError(f"forcing = {self.forcing} must lie between 0 and 1")
        if self.max_inner < 1:
            raise ValueError(f"max_inner = {self.max_inner} must be 1 or more")

    @property
    def ingredients(self) -> tuple[UpdateRule[Any], ...]:
        """The inner rule."""
        return (self.rule,)

    @property
    def requires(self) -> Tags:  # type: ignore[override]
        """Those of the inner rule, whose problems are linear in any case."""
        return self.rule.requires - {"linear"}

    @property
    def reference(self) -> Mean:
        """Of the inner rule."""
        return self.rule.reference

    def examine(self, problem: Problem) -> None:
        """Refuse a law without tangent."""
        check_tangent(problem, type(self).__name__)

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Forcing]:
        """No step so far."""
        x = problem.admit(x)
        nothing = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        force, step, *_ = problem.residual(x)
        return x, Forcing(force, step, nothing, nothing, nothing.long())

    def residual(
        self, problem: Problem, x: Vector, memory: Forcing, k: int
    ) -> Residual:
        """Evaluated at the end of the step."""
        return Residual(memory.force, memory.step)

    def step(
        self, problem: Problem, it: Iterate, memory: Forcing
    ) -> tuple[Vector, Forcing]:
        """One tangent problem, and as much of its answer as lowers the energy."""
        norm = problem.norm(it.residual)
        eta = self._eta(norm.detach(), memory)
        at = it.x.to(it.residual.force.dtype)
        tangent = Linearized(problem.linearized(at), at, it.residual.force)
        stop = Share(share=eta)
        inner = unroll(tangent, self.rule, stop=stop, max_iter=self.max_inner)
        log.debug("Newton %d: %s inner steps", it.k, inner.iterations.tolist())
        steps = memory.inner + inner.iterations
        x, after = searched(problem, it, inner.x)
        return x, Forcing(after.force, after.step, norm.detach(), eta, steps)

    def _eta(self, norm: PerSample, memory: Forcing) -> PerSample:
        if self.forcing is not None:
            return torch.full_like(norm, self.forcing)
        eta = GAIN * safe_div(norm, memory.norm).square()
        kept = GAIN * memory.eta.square()
        eta = torch.where(kept > FIRST, torch.maximum(eta, kept), eta)
        eta = eta.clamp(torch.finfo(norm.dtype).eps, LOOSEST)
        return torch.where(memory.norm > 0, eta, torch.full_like(eta, FIRST))


def searched(problem: Problem, it: Iterate, v: Vector) -> tuple[Vector, Residual]:
    """x + γ v with the residual there; γ is 1 unless the energy rises before."""
    x = it.x + v
    residual = problem.residual(x)
    if not problem.tags >= SEARCHED:
        return x, residual
    first = problem.pairing(it.residual.force, v).detach()
    length = torch.ones_like(first)
    for _ in range(TRIALS):
        slope = problem.pairing(residual.force, v).detach()
        over = slope < -PUSH * first
        if not bool(over.any()):
            break
        nearer = safe_div(first, first - slope).clamp_min(SHORTEST)
        length = torch.where(over, length * nearer, length)
        x = it.x + per_sample(length, v) * v
        residual = problem.residual(x)
    return x, residual
