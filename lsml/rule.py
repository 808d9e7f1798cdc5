"""The interface that physical and learned iterations share."""

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar, runtime_checkable

from torch import Tensor

from lsml.law import Law
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


@runtime_checkable
class Mixture(Protocol):
    """A rule that is made of rules tells which."""

    @property
    def ingredients(self) -> tuple[UpdateRule[Any], ...]:
        """The rules that it is made of."""
        ...


@runtime_checkable
class Particular(Protocol):
    """A rule that was made for problems of one kind, which tags do not tell."""

    def examine(self, problem: Problem) -> None:
        """Refuse another kind, before any work.

        Raises
        ------
        ValueError
            What the rule was made for, and what the problem is.
        """
        ...


@runtime_checkable
class Lasting(Protocol[M]):
    """A rule that remembers what a new start from the same iterate must not lose."""

    def renew(self, problem: Problem, x: Vector, memory: M, k: int) -> tuple[Vector, M]:
        """As ``init``, with the memory so far."""
        ...


class Mixed:
    """Defaults of a rule that is made of rules."""

    @property
    def ingredients(self) -> tuple[UpdateRule[Any], ...]:
        """The rules that it is made of."""
        raise NotImplementedError

    @property
    def requires(self) -> Tags:
        """Those of all."""
        return frozenset().union(*(rule.requires for rule in self.ingredients))


def family(rule: UpdateRule[Any]) -> Iterator[UpdateRule[Any]]:
    """The rules that a rule is made of, however deep, and itself at the end."""
    if isinstance(rule, Mixture):
        for part in rule.ingredients:
            yield from family(part)
    yield rule


def check(problem: Problem, rule: UpdateRule[Any]) -> None:
    """Refuse a rule on a problem that it, or a part of it, was not made for.

    Raises
    ------
    ValueError
        The problem lacks a property that the rule relies on, or is of another kind.
    """
    missing = rule.requires - problem.tags
    if missing:
        name, guilty = type(rule).__name__, culprits(problem, rule)
        because = f" because of its {' and '.join(guilty)}" if guilty else ""
        raise ValueError(
            f"{name} needs a problem that is {sorted(missing)}{because}; "
            f"this one is {sorted(problem.tags)}"
        )
    for part in family(rule):
        if isinstance(part, Particular):
            part.examine(problem)


def culprits(problem: Problem, rule: UpdateRule[Any]) -> list[str]:
    """Parts of a rule that need what the problem lacks."""
    parts = [part for part in family(rule) if part is not rule]
    found = (p for p in parts if p.requires - problem.tags)
    return sorted({type(p).__name__ for p in found if not isinstance(p, Mixture)})


def check_tangent(problem: Problem, name: str) -> None:
    """Refuse a law without tangent where one is needed.

    Raises
    ------
    ValueError
        By whom, and what does without.
    """
    law = getattr(getattr(problem, "strain", problem), "law", None)
    if isinstance(law, Law) and type(law).tangent is Law.tangent:
        raise ValueError(
            f"{name} needs the tangent of the law, which {type(law).__name__} does not "
            "have: define it, or use BarzilaiBorwein or Anderson"
        )


def renewed(
    rule: UpdateRule[M], problem: Problem, x: Vector, memory: M, k: int
) -> tuple[Vector, M]:
    """The rule anew from iterate k."""
    if isinstance(rule, Lasting):
        return rule.renew(problem, x, memory, k)
    return rule.init(problem, x, k)
