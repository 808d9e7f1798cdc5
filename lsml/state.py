"""How samples end, and what the driver returns."""

from dataclasses import dataclass
from enum import IntEnum

from jaxtyping import Float
from torch import Tensor

from lsml.problem import Problem
from lsml.typing import Codes, Mask, Memory, PerSample, Vector


class Status(IntEnum):
    """How a sample ended; ``advice`` says what to do about it."""

    RUNNING = 0
    CONVERGED = 1
    COMPLETED = 2
    MAX_ITER = 3
    STAGNATED = 4
    DIVERGED = 5
    NONFINITE = 6
    PREDICTED = 7
    INTERRUPTED = 8

    @property
    def failed(self) -> bool:
        """Whether the sample has no answer to rely on."""
        return self in _FAILED

    @property
    def advice(self) -> str:
        """What the code means and what helps."""
        return _ADVICE[self]


_FAILED = {
    Status.MAX_ITER,
    Status.STAGNATED,
    Status.DIVERGED,
    Status.NONFINITE,
    Status.INTERRUPTED,
}
_ADVICE = {
    Status.RUNNING: "still running",
    Status.CONVERGED: "the certified error is within the tolerance",
    Status.COMPLETED: "the rule took all its passes; look at the certified error",
    Status.PREDICTED: "the predicted error is within the tolerance; "
    "stop='certified' goes on until that is proved",
    Status.MAX_ITER: "ran out of iterations: raise max_iter or use rule='cg', "
    "or float64 where the history has levelled off",
    Status.STAGNATED: "rounding stops it above the tolerance: "
    "raise tol or solve in float64",
    Status.DIVERGED: "the residual grew a million times: "
    "the rule does not converge with this reference medium or step",
    Status.NONFINITE: "NaN or infinity in the fields: check moduli and load",
    Status.INTERRUPTED: "it was stopped on request: what there is of the field is a "
    "start to go on from",
}


@dataclass(frozen=True)
class SolveState:
    """Last iterate, and per sample: status, iterations, certified error, history.

    ``memory`` is the last of a rule that has a fixed number of passes, else empty;
    ``gap`` what the criterion proved, see :class:`lsml.stop.Certificate`.
    """

    problem: Problem
    x: Vector
    status: Codes
    iterations: Codes
    error: PerSample
    scale: PerSample
    history: Float[Tensor, "k b"]
    memory: Memory = ()
    gap: Float[Tensor, "b 4"] | None = None

    @property
    def converged(self) -> Mask:
        """Which samples met the tolerance."""
        return self.status == Status.CONVERGED
