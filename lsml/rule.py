"""The interface that physical and learned iterations share."""

from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar, runtime_checkable

from torch import Tensor

from lsml.problem import Problem, Residual
from lsml.typing import Mean, Memory, Tags, Vector

M = TypeVar("M", bound=Memory)


class Iterate(NamedTuple):
    """What the driver knows before step k."""

    x: Vector
    residual: Residual
    k: int


@runtime_checkable
class UpdateRule(Protocol[M]):
    """One iteration x ↦ x⁺. Stateless: all it remembers travels in ``memory``.

    ``memory`` is a (named) tuple of tensors whose first axis is the sample, so that
    the driver can go on with some of them only. Samples never mix. A step owns what it
    is given: where no graph can be recorded it may overwrite x and memory.
    """

    @property
    def requires(self) -> Tags:
        """Tags a problem must have."""
        ...

    @property
    def reference(self) -> Mean:
        """Mean of the phases that makes the reference medium this rule converges on."""
        ...

    @property
    def passes(self) -> int | None:
        """Steps after which the rule is complete; None if it may go on for ever."""
        ...

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, M]:
        """Make x a legal iterate k and allocate the memory."""
        ...

    def residual(self, problem: Problem, x: Vector, memory: M, k: int) -> Residual:
        """The residual of x that ``step`` will read."""
        ...

    def step(self, problem: Problem, it: Iterate, memory: M) -> tuple[Vector, M]:
        """Next unknown and memory."""
        ...


def arithmetic(low: Tensor, high: Tensor) -> Tensor:
    """Midrange of the phases, (low + high)/2 (Moulinec & Suquet 1998)."""
    return (low + high) / 2


class Rule:
    """Defaults to build rules on: no memory, total residual, any problem."""

    requires: ClassVar[Tags] = frozenset()
    passes: ClassVar[int | None] = None

    @property
    def reference(self) -> Mean:
        """Arithmetic midrange."""
        return arithmetic

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Any]:
        """Any x will do."""
        return x, ()

    def residual(self, problem: Problem, x: Vector, memory: Any, k: int) -> Residual:
        """Equilibrium and admissibility, evaluated."""
        return problem.residual(x)
