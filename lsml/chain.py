"""Rules one after the other, written as a text.

    chain = link { ">" link }
    link  = name [ ":" steps ]

``"rln:5 > cg"`` is five steps of the rule called rln, then conjugate gradients to the
end. A rule with passes may leave out the steps and takes all of them; the last rule
goes on to its own end and has none. Blanks do not matter.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from lsml.rule import UpdateRule
from lsml.schedule import Schedule

MOST = 100  # links of a chain


class Link(NamedTuple):
    """The name of a rule, and its steps if they are given."""

    name: str
    steps: int | None

    def __str__(self) -> str:
        return self.name if self.steps is None else f"{self.name}:{self.steps}"


def parse(text: str) -> tuple[Link, ...]:
    """The links of a chain, with all that can be said of it without making a rule.

    Raises
    ------
    ValueError
        Which part is wrong, and what was expected there.
    """
    parts = [part.strip() for part in text.split(">")]
    if len(parts) > MOST:
        raise ValueError(f"a rule of {len(parts)} parts; at most {MOST} make a chain")
    links = tuple(_link(text, part, i) for i, part in enumerate(parts, 1))
    if links[-1].steps is not None:
        raise ValueError(
            f"rule {text!r}: {str(links[-1])!r} is the last and goes on to its own "
            f"end, without a number of steps: write {links[-1].name!r}, and max_iter "
            "for a limit"
        )
    return links


def _link(text: str, part: str, place: int) -> Link:
    name, colon, steps = (each.strip() for each in part.partition(":"))
    if not name:
        raise ValueError(
            f"rule {text!r}: part {place} has no name; a chain is written as "
            "'moulinec:10 > cg'"
        )
    if not colon:
        return Link(name, None)
    if not (steps.isascii() and steps.isdigit() and int(steps) > 0):
        raise ValueError(
            f"rule {text!r}: the steps in {part!r} must be a whole number from 1, "
            f"as in '{name}:5'"
        )
    return Link(name, int(steps))


def chained(text: str, make: Callable[[str], UpdateRule[Any]]) -> UpdateRule[Any]:
    """The rule that a chain says, of the rules that ``make`` makes of names.

    A name that occurs twice is one rule.

    Raises
    ------
    ValueError
        As :func:`parse`; a rule without an end where another is to follow, or more
        steps than it has.
    """
    links = parse(text)
    made = {name: make(name) for name in dict.fromkeys(link.name for link in links)}
    rule = made[links[-1].name]
    for link in reversed(links[:-1]):
        first = made[link.name]
        rule = Schedule(first, _steps(text, link, first.passes), rule)
    return rule


def _steps(text: str, link: Link, passes: int | None) -> int:
    """Of a link that another follows."""
    if link.steps is None and passes is None:
        raise ValueError(
            f"rule {text!r}: {link.name!r} goes on for ever; say for how many steps, "
            f"as in '{link.name}:10'"
        )
    if link.steps is not None and passes is not None and link.steps > passes:
        raise ValueError(
            f"rule {text!r}: {str(link)!r} asks for {link.steps} steps of a rule that "
            f"has {passes}"
        )
    return link.steps or passes or 0
