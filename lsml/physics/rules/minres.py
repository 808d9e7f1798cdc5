"""Minimal residuals (Paige & Saunders 1975, SIAM J. Numer. Anal. 12).

Preconditioned by the reference medium (Elman, Silvester & Wathen 2014, algorithm 4.1);
for FFT-based homogenization Brisard & Dormieux (2012, CMAME).
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.numerics import per_sample, safe_div
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, Rule
from lsml.typing import PerSample, Tags, Vector


class Rotation(NamedTuple):
    """A plane rotation per sample."""

    c: PerSample
    s: PerSample


class Lanczos(NamedTuple):
    """Lanczos basis, search directions, residual, and the rotations that triangulate.

    ``v`` and ``before`` are the last two basis forces, the first with its step ``z``
    and its norm γ; ``scalars`` holds γ now and before, the signed residual norm, and
    cosines and sines now and before.
    """

    v: Vector
    z: Vector
    before: Vector
    w: Vector
    w_before: Vector
    force: Vector
    step: Vector
    scalars: Float[Tensor, "b 7"]


@dataclass(frozen=True)
class MinimalResidual(Rule):
    """The least residual norm, which is what is certified, over all Krylov iterates.

    The problem need not be positive. The residual is carried by recurrence.
    """

    requires: ClassVar[Tags] = frozenset({"linear", "compatible", "symmetric"})

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Lanczos]:
        """The residual begins the basis."""
        x = problem.admit(x)
        force = problem.force(x)
        step = problem.precondition(force)
        gamma = length(problem.pairing(force, step))
        one, zero, none = torch.ones_like(gamma), torch.zeros_like(gamma), step * 0
        scalars = torch.stack([gamma, one, gamma, one, zero, one, zero], 1)
        basis = Lanczos(force, step, force * 0, none, none, force, step, scalars)
        return x, basis

    def residual(
        self, problem: Problem, x: Vector, memory: Lanczos, k: int
    ) -> Residual:
        """Carried; equilibrium alone, since x stays admissible."""
        return Residual(memory.force, memory.step)

    def step(
        self, problem: Problem, it: Iterate, memory: Lanczos
    ) -> tuple[Vector, Lanczos]:
        """One more vector of the basis, one more rotation."""
        gamma, gamma_before, eta, c, s, c_before, s_before = memory.scalars.unbind(1)
        z = scaled(safe_div(torch.ones_like(gamma), gamma), memory.z)
        image = problem.hessian(it.x, z)
        delta = problem.pairing(image, z)
        v = image - scaled(safe_div(delta, gamma), memory.v)
        v = v - scaled(safe_div(gamma, gamma_before), memory.before)
        next_z = problem.precondition(v)
        after = length(problem.pairing(v, next_z))
        a0 = c * delta - c_before * s * gamma
        a1 = length(a0.square() + after.square())
        w = z - scaled(s_before * gamma, memory.w_before)
        w = w - scaled(s * delta + c_before * c * gamma, memory.w)
        w = scaled(safe_div(torch.ones_like(a1), a1), w)
        turned = Rotation(safe_div(a0, a1), safe_div(after, a1))
        x = it.x + scaled(turned.c * eta, w)
        rest = -turned.s * eta
        share = safe_div(turned.c * rest, after)
        force = scaled(turned.s.square(), memory.force) + scaled(share, v)
        step = scaled(turned.s.square(), memory.step) + scaled(share, next_z)
        scalars = torch.stack([after, gamma, rest, *turned, c, s], 1)
        basis = (v, next_z, memory.v, w, memory.w, force, step)
        return x, Lanczos(*basis, scalars)


def length(square: PerSample) -> PerSample:
    """√ of a square, with zero gradient at 0."""
    positive = ~(square <= 0)
    return torch.where(positive, torch.where(positive, square, 1.0).sqrt(), 0.0)


def scaled(factor: PerSample, v: Vector) -> Vector:
    """factor·v."""
    return per_sample(factor, v) * v
