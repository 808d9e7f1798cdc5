"""The linear problem around an iterate: Newton's step, and the adjoint of a solve."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lsml.problem import Problem, Residual
from lsml.typing import Codes, Field, PerSample, Tags, Vector


@dataclass(frozen=True)
class Linearized(Problem):
    """The linear problem ``hessian(x) v = drive``, on the form of another problem.

    With ``drive = force(x)`` its solution is Newton's step; with the derivative of a
    quantity as drive, it is the adjoint of the implicit function theorem (H is
    symmetric for the problems it is used on).
    """

    problem: Problem
    x: Vector
    drive: Vector

    @property
    def tags(self) -> Tags:
        """Those of the problem, and linear; what is resolved is not the tangent."""
        tags = self.problem.tags
        return tags if "linear" in tags else tags - {"resolvable"} | {"linear"}

    @property
    def batch(self) -> int:
        """Samples b."""
        return self.problem.batch

    @property
    def points(self) -> int:
        """As in the problem."""
        return self.problem.points

    @property
    def differentiable(self) -> bool:
        """An auxiliary problem: never."""
        return False

    def start(self) -> Vector:
        """No increment."""
        return torch.zeros_like(self.x)

    def enter(self, field: Field) -> Vector:
        """Increment from the current point to a field."""
        return self.problem.enter(field) - self.x

    def field(self, x: Vector) -> Field:
        """Increment of the field."""
        return self.problem.field(self.x + x) - self.problem.field(self.x)

    def flux(self, x: Vector) -> Field:
        """Flux at the end of the increment."""
        return self.problem.flux(self.x + x)

    def pooled(self, mean: Tensor) -> Tensor:
        """As in the problem."""
        return self.problem.pooled(mean)

    def whole(self, field: Field) -> Field:
        """As in the problem."""
        return self.problem.whole(field)

    def part(self, field: Field) -> Field:
        """As in the problem."""
        return self.problem.part(field)

    def bounds(self) -> tuple[PerSample, PerSample]:
        """As in the problem, if that is linear."""
        return self.problem.bounds()

    def admit(self, x: Vector) -> Vector:
        """Admissible part: increments start from zero."""
        return self.problem.project(x)

    def project(self, d: Vector) -> Vector:
        """As in the problem."""
        return self.problem.project(d)

    def force(self, x: Vector) -> Vector:
        """Drive − H x."""
        return self.drive - self.problem.hessian(self.x, x)

    def precondition(self, force: Vector, out: Vector | None = None) -> Vector:
        """As in the problem."""
        return self.problem.precondition(force, out)

    def hessian(self, x: Vector, d: Vector, out: Vector | None = None) -> Vector:
        """H d, wherever it is taken."""
        return self.problem.hessian(self.x, d, out)

    def pairing(self, force: Vector, d: Vector) -> PerSample:
        """As in the problem."""
        return self.problem.pairing(force, d)

    def combine(self, x: Vector, scale: PerSample, d: Vector, out: Vector) -> Vector:
        """As in the problem."""
        return self.problem.combine(x, scale, d, out)

    def residual(self, x: Vector) -> Residual:
        """Equilibrium and admissibility of the increment."""
        force = self.force(x)
        return Residual(force, self.precondition(force) + self.project(x) - x)

    def square(self, residual: Residual) -> PerSample:
        """As in the problem."""
        return self.problem.square(residual)

    def inner(self, residual: Residual, step: Vector) -> PerSample:
        """As in the problem."""
        return self.problem.inner(residual, step)

    def resolve(self, x: Vector, d: Vector) -> Vector:
        """As in the problem, which is linear itself."""
        return self.problem.resolve(self.x, d)

    def scatter(self, x: Vector, d: Vector) -> Vector:
        """As in the problem, where it is linearized."""
        return self.problem.scatter(self.x, d)

    def select(self, samples: Codes) -> "Linearized | None":
        """Around the iterates of some of the samples."""
        problem = self.problem.select(samples)
        if problem is None:
            return None
        return Linearized(problem, self.x[samples], self.drive[samples])

    def magnitude(self) -> PerSample:
        """Size of the answer to the drive."""
        step = self.precondition(self.drive)
        return self.norm(Residual(self.drive, step))
