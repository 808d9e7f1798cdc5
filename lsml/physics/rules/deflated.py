"""Deflated conjugate gradients (Nicolaides 1987; Saad, Yeung, Erhel & Guyomarc'h 2000).

The coarse problem on a few vectors W is solved once; from then on every direction is
kept A-orthogonal to W, so that the iteration sees only what of the spectrum W leaves.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch

from lsml.numerics import keep, safe_div
from lsml.physics.coarse_space import CoarseSpace
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, Rule
from lsml.typing import Codes, PerSample, Tags, Vector


class Deflated(NamedTuple):
    """Krylov memory, the microstructure of each sample, and the last step length.

    ``before`` is 0 where the next step solves the coarse problem, and infinite where
    the next direction forgets the last.
    """

    force: Vector
    step: Vector
    d: Vector
    norm2: PerSample
    before: PerSample
    owner: Codes
    length: PerSample


@dataclass(frozen=True)
class DeflatedCG(Rule):
    """Conjugate gradients, preconditioned by the reference medium, beside a space W.

    The first step solves the coarse problem and costs as much as any other. Beyond
    those of conjugate gradients a step reads W and A W once, for all load cases of a
    microstructure together. The answer depends on W by the tolerance only; to
    derivatives W is a constant.

    Attributes
    ----------
    space : from :func:`lsml.coarse_space`, for this problem: one for each
        microstructure of the batch, shared by its load cases.
    """

    space: CoarseSpace
    requires: ClassVar[Tags] = frozenset(
        {"linear", "compatible", "symmetric", "positive", "whole"}
    )

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Deflated]:
        """Start with no direction, at the coarse problem if it has something to do.

        Raises
        ------
        ValueError
            The space was made for another problem.
        """
        owner = self.space.owners(problem)
        x = problem.admit(x)
        force = problem.force(x)
        step = problem.precondition(force)
        norm2 = problem.pairing(force, step)
        gain = self.space.works(force, owner).square().sum(1)
        before = torch.where(gain > 0, 0.0, torch.inf).to(norm2)
        d, length = torch.zeros_like(step), torch.zeros_like(norm2)
        return x, Deflated(force, step, d, norm2, before, owner, length)

    def residual(
        self, problem: Problem, x: Vector, memory: Deflated, k: int
    ) -> Residual:
        """Carried; equilibrium alone, since x stays admissible."""
        return Residual(memory.force, memory.step, memory.norm2)

    def step(
        self, problem: Problem, it: Iterate, memory: Deflated
    ) -> tuple[Vector, Deflated]:
        """Exact line search along the direction."""
        fresh = memory.before == 0
        d = self._direction(problem, memory, fresh)
        image = problem.hessian(it.x, d, memory.step)
        slope = problem.pairing(memory.force, d)
        length = safe_div(slope, problem.pairing(image, d))
        force = problem.combine(memory.force, -length, image, memory.force)
        step = problem.precondition(force, image)
        x = problem.combine(it.x, length, d, it.x)
        before = torch.where(fresh, torch.inf, memory.norm2)
        norm2 = problem.pairing(force, step)
        return x, Deflated(force, step, d, norm2, before, memory.owner, length)

    def _direction(
        self, problem: Problem, memory: Deflated, fresh: torch.Tensor
    ) -> Vector:
        """The step without its part in W, conjugate to the last; first W's answer."""
        space, owner = self.space, memory.owner
        inside = -space.responses(memory.step, owner)
        beta = safe_div(memory.norm2, memory.before)
        d = problem.combine(memory.step, beta, memory.d, memory.d)
        if bool(fresh.any()):
            inside = keep(fresh, space.works(memory.force, owner), inside)
            d = keep(fresh, torch.zeros_like(d), d)
        inside = space.field(inside, owner)
        return problem.combine(d, torch.ones_like(beta), inside, d)
