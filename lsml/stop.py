"""When to stop."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from lsml.problem import Problem, Residual
from lsml.typing import Codes, PerSample, Vector

ROUND_OFF = 32  # units of rounding under which a first residual is none


@runtime_checkable
class StopCriterion(Protocol):
    """A dimensionless error per sample and the tolerance it must reach."""

    @property
    def tol(self) -> float:
        """Tolerance."""
        ...

    def scale(self, problem: Problem, first: PerSample) -> PerSample:
        """What errors are relative to, from the residual norm at x̄."""
        ...

    def error(
        self, problem: Problem, x: Vector, residual: Residual, scale: PerSample
    ) -> PerSample:
        """Error of iterate x, computed once per step."""
        ...

    def select(self, samples: Codes) -> "StopCriterion":
        """The criterion of some of the samples."""
        ...


@dataclass(frozen=True)
class RelativeResidual:
    """Residual norm over its value at x̄.

    Where that value is no more than rounding (a homogeneous medium), over the size
    of the flux instead, so that the start is already converged.
    """

    tol: float = 1e-6

    def scale(self, problem: Problem, first: PerSample) -> PerSample:
        """Norm at x̄, or the problem's magnitude."""
        magnitude = problem.magnitude().detach()
        unit = torch.finfo(problem.start().dtype).eps
        trivial = first <= ROUND_OFF * unit * magnitude
        return torch.where(trivial, magnitude, first)

    def error(
        self, problem: Problem, x: Vector, residual: Residual, scale: PerSample
    ) -> PerSample:
        """Relative residual; 0/0 is 0."""
        norm = problem.norm(residual)
        return torch.where(norm == 0, 0.0, norm / scale)

    def select(self, samples: Codes) -> "RelativeResidual":
        """The same for every sample."""
        return self


@dataclass(frozen=True)
class Never(RelativeResidual):
    """Take all the steps: for training and for comparing rules."""

    tol: float = -1.0
