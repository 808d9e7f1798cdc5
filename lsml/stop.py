"""When to stop."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.problem import Problem, Residual
from lsml.state import Status
from lsml.typing import Codes, PerSample, Vector

ROUND_OFF = 32  # units of rounding under which a first residual is none


class Certificate(NamedTuple):
    """What the evaluated residual of an iterate proves.

    Attributes
    ----------
    error : dimensionless.
    gap : squared energy norm of what the iterate misses, <(ε − ε_k) : C (ε − ε_k)>: at
        least, at most, as predicted, and the error expected of that prediction. Where
        nobody asks 0, infinite, 0 and infinite.
    """

    error: PerSample
    gap: Float[Tensor, "b 4"]


def unknown_gap(batch: int, device: torch.device) -> Float[Tensor, "b 4"]:
    """Nothing is known of the energy."""
    gap = torch.tensor([0.0, torch.inf] * 2, dtype=torch.float64, device=device)
    return gap.repeat(batch, 1)


@runtime_checkable
class StopCriterion(Protocol):
    """A dimensionless error per sample and the tolerance it must reach."""

    @property
    def tol(self) -> float:
        """Tolerance."""
        ...

    @property
    def ending(self) -> Status:
        """What a sample is that has reached it: CONVERGED if that is proved."""
        ...

    def scale(self, problem: Problem, first: PerSample) -> PerSample:
        """What errors are relative to, from the residual norm at x̄."""
        ...

    def error(
        self, problem: Problem, x: Vector, residual: Residual, scale: PerSample
    ) -> PerSample:
        """Error of iterate x by the residual that its rule carries, once per step."""
        ...

    def certificate(
        self,
        problem: Problem,
        x: Vector,
        total: Residual,
        carried: Residual,
        scale: PerSample,
    ) -> Certificate:
        """What the evaluated residual proves, beside the one that the rule carries."""
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
    ending: ClassVar[Status] = Status.CONVERGED

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

    def certificate(
        self,
        problem: Problem,
        x: Vector,
        total: Residual,
        carried: Residual,
        scale: PerSample,
    ) -> Certificate:
        """By the evaluated residual alone."""
        error = self.error(problem, x, total, scale)
        return Certificate(error, unknown_gap(len(error), error.device))

    def select(self, samples: Codes) -> "RelativeResidual":
        """The same for every sample."""
        return self


@dataclass(frozen=True)
class Never(RelativeResidual):
    """Take all the steps: for training and for comparing rules."""

    tol: float = -1.0
