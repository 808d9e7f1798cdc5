"""Weights that a command is given: what is in them, their names, whether they fit."""

import os
from collections.abc import Sequence

from lsml.cli.learned_checks import check_name
from lsml.cli.screen import say
from lsml.data import LocalizationDataset
from lsml.learned import LearnedRule
from lsml.learned.checkpoint import described
from lsml.learned.journal import BEST
from lsml.learned.loading import find, load_file
from lsml.learned.rule import ALIKE
from lsml.mandel import names


def check_fits(rule: LearnedRule, source: str, dataset: LocalizationDataset) -> None:
    """Refuse weights made for other samples."""
    said, order = described(rule), names(len(dataset.shape))
    network = said["network"]
    axes = (
        len(said["rule"]["shape"]) if network is None else network["arguments"]["ndim"]
    )
    pairs = {
        "axes": (axes, len(dataset.shape)),
        "phases": (rule.phases, dataset.phases),
    }
    for name, (its, held) in pairs.items():
        if its != held:
            raise ValueError(f"{source} is for {its} {name}; {dataset.path} has {held}")
    predicted = tuple(order[c] for c in rule.components)
    if (predicted, order[rule.load]) != (dataset.components, dataset.load):
        raise ValueError(
            f"{source} predicts the strains {','.join(predicted)} under the load "
            f"{order[rule.load]}; {dataset.path} holds {','.join(dataset.components)} "
            f"under {dataset.load}"
        )


def warn_of_contrast(
    rule: LearnedRule, source: str, dataset: LocalizationDataset
) -> None:
    """A line on stderr if the weights are of another contrast than the samples."""
    known = rule.contrast
    if known is not None and abs(dataset.contrast - known) > ALIKE * known:
        say(
            f"lsml: warning: {source} was trained at contrast {known:g}; "
            f"{dataset.path} has contrast {dataset.contrast:g}",
            err=True,
        )


def load_weights(weights: str, rule: str | None = None) -> LearnedRule:
    """The rule in a file, or a shipped one, whatever its name.

    Raises
    ------
    ValueError
        Published tensors of one network without a word on how many passes it makes.
    """
    check_name(rule)
    return load_file(find("rln", weights, None), rule)


def short_names(weights: Sequence[str]) -> list[str]:
    """A name for each file, with as much of its path as tells it from the others.

    `best.safetensors` is called as its folder, which is that of a run.

    Raises
    ------
    ValueError
        One is given twice.
    """
    paths = [find("rln", w, None).absolute() for w in weights]
    if len(set(paths)) < len(paths):
        raise ValueError(f"weights are given twice: {', '.join(weights)}")
    stems = [(p.parent if p.name == BEST else p.with_suffix("")).parts for p in paths]
    for parts in (stems, [p.parts for p in paths]):
        for k in range(1, max(map(len, parts))):
            found = ["-".join(p[-k:]).replace(os.sep, "") for p in parts]
            if len(set(found)) == len(found):
                return found
    return [f"{i}-{p.stem}" for i, p in enumerate(paths, 1)]
