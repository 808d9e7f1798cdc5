"""What the shell offers for the rest of a word."""

from collections.abc import Iterable

from lsml.inputs import RULES
from lsml.learned.loading import MPCG, NAMES, shipped
from lsml.physics.discretization import DISCRETIZATIONS


def rule(incomplete: str) -> list[str]:
    """Rules, also as the next link of a chain."""
    return _last(incomplete, ">", [*RULES, *NAMES])


def rules(incomplete: str) -> list[str]:
    """The next rule of a list."""
    return _last(incomplete, ",", [*RULES, *NAMES])


def discretization(incomplete: str) -> list[str]:
    """Discretizations."""
    return _last(incomplete, "", DISCRETIZATIONS)


def weights(incomplete: str) -> list[str]:
    """Shipped weights, also behind NAME=; the shell itself offers files."""
    return _last(incomplete, "=", [*shipped(), MPCG])


def _last(incomplete: str, between: str, known: Iterable[str]) -> list[str]:
    """All that the part behind the last separator may become, with what is before."""
    end = incomplete.rfind(between) + 1 if between else 0
    begun = incomplete[end:].lstrip()
    before = incomplete[: len(incomplete) - len(begun)]
    return [before + name for name in sorted(known) if name.startswith(begun)]
