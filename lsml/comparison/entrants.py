"""The rules of a comparison: names, weights, and what it took to train them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from torch import nn

from lsml.inputs import Weights, as_rule
from lsml.learned.multipreconditioned import Multipreconditioned
from lsml.learned.rule import LearnedRule
from lsml.problem import Problem
from lsml.rule import UpdateRule, family

Named: TypeAlias = UpdateRule[Any] | str
Files: TypeAlias = Mapping[str, str | Path]
Learned: TypeAlias = LearnedRule | Multipreconditioned

WORD = re.compile(r"[\w-]+")  # the names in "rln:5 > cg"


class Entrant(NamedTuple):
    """A rule by its name in the comparison, and as it is for each problem."""

    name: str
    rules: tuple[UpdateRule[Any], ...]

    @property
    def learned(self) -> list[Learned]:
        """Those that it is made of, for the first problem."""
        return list(dict.fromkeys(learned_in(self.rules[0])))

    @property
    def training(self) -> float | None:
        """Seconds of training noted in their records; None if one has none."""
        runs = [rule.record.get("training", {}) for rule in self.learned]
        known = [run["seconds"] for run in runs if "seconds" in run]
        return float(sum(known)) if len(known) == len(runs) else None


def named(rules: Sequence[Named] | Mapping[str, Named]) -> dict[str, Named]:
    """Rules by name: the one given, the string itself, or that of the class.

    Raises
    ------
    ValueError
        No list, an empty one, or a rule that is given twice.
    """
    if isinstance(rules, Mapping):
        found = dict(rules)
    elif isinstance(rules, str) or not isinstance(rules, Sequence):
        raise ValueError(f"rules must be a list of rules, got {rules!r}")
    else:
        found = {}
        for rule in rules:
            name = single(rule)
            if name in found and isinstance(rule, str):
                raise ValueError(f"rule {rule!r} is given twice")
            count = sum(type(other) is type(rule) for other in found.values())
            found[f"{name} {count + 1}" if name in found else name] = rule
    if not found:
        raise ValueError("rules is empty; give at least one")
    return found


def single(rule: Named) -> str:
    """The name of one rule."""
    return rule if isinstance(rule, str) else type(rule).__name__


def entered(
    given: Mapping[str, Named], weights: Files, problems: Sequence[Problem]
) -> list[Entrant]:
    """Every rule with its weights, as it is for each problem.

    Raises
    ------
    ValueError
        An unknown name, or weights that no rule takes.
    """
    used = {key for name, rule in given.items() for key in keys_of(name, rule)}
    if unused := set(weights) - used:
        raise ValueError(
            f"weights are given for {sorted(unused)}, which no rule takes; the rules "
            f"are {', '.join(given)}"
        )
    found = []
    for name, rule in given.items():
        own = weights_of(name, rule, weights)
        found.append(Entrant(name, tuple(as_rule(rule, own, p) for p in problems)))
    return found


def keys_of(name: str, rule: Named) -> list[str]:
    """What its weights may go by: its own name, or those in the string that it is."""
    return [name, *(WORD.findall(rule) if isinstance(rule, str) else [])]


def weights_of(name: str, rule: Named, weights: Files) -> Weights:
    """Those of one rule."""
    if name in weights:
        return weights[name]
    keys = keys_of(name, rule)
    return {key: weights[key] for key in keys if key in weights} or None


def learned_in(rule: UpdateRule[Any]) -> Iterator[Learned]:
    """Learned rules inside a rule, itself included."""
    for part in family(rule):
        if isinstance(part, nn.Module):
            found = part.modules()
            yield from (each for each in found if isinstance(each, Learned))
