"""Whether the point that a rule has come to is one to go on from.

A rule that promises nothing, a network above all, may answer with anything. What a
mixture of rules shows the driver is a sound iterate all the same.
"""

from typing import Any

from lsml.numerics import memory_like
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, UpdateRule
from lsml.typing import Mask, Memory, PerSample, Vector

LIMIT = 10.0  # times the residual at the start, above which a point leads nowhere


def sound(problem: Problem, x: Vector, residual: Residual, ceiling: PerSample) -> Mask:
    """Finite, with a residual norm of at most ``ceiling``, per sample."""
    finite = x.isfinite().flatten(1).all(1)
    return finite & (problem.norm(residual) <= ceiling)


def attempt(
    problem: Problem, rule: UpdateRule[Any], it: Iterate, memory: Memory
) -> tuple[Vector, Memory]:
    """A step that leaves iterate and memory as they are."""
    copied = memory_like(memory, [t.clone() for t in memory])
    return rule.step(problem, it._replace(x=it.x.clone()), copied)


def parts_of(residual: Residual) -> Memory:
    """What there is of a residual, to be carried; ``Residual(*parts)`` is it again."""
    return tuple(t for t in residual if t is not None)
