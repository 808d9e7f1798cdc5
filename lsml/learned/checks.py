"""What is refused before training, and what tells one run from another."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from lsml.distributed.team import Alone
from lsml.learned.batches import Sets
from lsml.learned.checkpoint import described
from lsml.learned.losses import shares
from lsml.learned.plan import Plan
from lsml.learned.rule import LearnedRule
from lsml.learned.sample import Samples


def identity(
    rule: LearnedRule, dataset: Samples, plan: Plan, kept: bool
) -> dict[str, Any]:
    """What must be the same for a run to go on, also from a folder if it is kept."""
    count = sum(p.numel() for p in rule.parameters())
    who = plan.described() | {"samples": len(dataset), "parameters": count}
    if not kept:
        return who
    made = described(rule)
    who |= {name: made[name] for name in ("rule", "network", "contrast")}
    return who | {"data": dict(made["record"].get("data") or {})}


def check(rule: LearnedRule, sets: Sets, plan: Plan, crew: Alone) -> None:
    """Refuse what cannot be trained."""
    for samples, use in zip(sets, ("training", "validation"), strict=True):
        if samples is not None:
            check_samples(rule, samples, use)
    shares(plan.iterate_weights, rule.passes)
    mixing = nn.modules.batchnorm._BatchNorm
    if crew.count > 1 and any(isinstance(m, mixing) for m in rule.modules()):
        raise ValueError(
            "a network with BatchNorm depends on how a batch is cut into parts: train "
            "it in one process, or normalize each sample by itself"
        )


def check_same(mine: Mapping[str, Any], first: Mapping[str, Any]) -> None:
    """Refuse another run than that of the first process."""
    for name, value in first.items():
        if mine.get(name) != value:
            raise ValueError(
                f"one of the processes trains with {name} = {mine.get(name)!r}, the "
                f"first one with {value!r}"
            )


def check_samples(rule: LearnedRule, samples: Samples, use: str) -> None:
    """Refuse samples that a rule cannot learn from.

    Raises
    ------
    ValueError
        There are none, or they hold more or fewer components than it predicts.
    """
    if len(samples) == 0:
        raise ValueError(f"the {use} set has no samples")
    stored, wanted = samples[0].strain.shape[0], len(rule.components)
    if stored != wanted:
        raise ValueError(
            f"the {use} samples hold {stored} components of the strain; this "
            f"{type(rule).__name__} predicts {wanted}"
        )
    _ = rule.loaded
