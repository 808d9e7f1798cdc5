"""Learned rules by name: shipped with lsml, saved by it, or published by the authors.

Nothing in a file is executed: safetensors hold tensors and text, and a pickled model is
read by :mod:`lsml.learned.pickled`.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open
from torch import Tensor

from lsml.brief import brief
from lsml.learned.checkpoint import Factory, Savable, restored
from lsml.learned.mks import MKS
from lsml.learned.multipreconditioned import Multipreconditioned
from lsml.learned.published import Recipe, is_published, published
from lsml.learned.rln import RLN
from lsml.learned.rule import LearnedRule

SHIPPED = Path(__file__).with_name("weights")
PASSES = {"fln": Recipe(1), "rln-t": Recipe(5), "rln": Recipe(5, tied=False)}
MPCG = "mpcg"  # serves every contrast and load, and is therefore shipped once
NAMES = (*PASSES, "mks", MPCG)
SETTINGS = "net_params."  # where the authors' pickles keep the recipe
# What a description made by somebody else can do to the code that follows it.
UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, RuntimeError)


class Contents(NamedTuple):
    """Tensors of a file, and what it says about them."""

    tensors: Mapping[str, Tensor]
    said: Mapping[str, str]


def load_rule(
    name: str,
    weights: str | Path | None = None,
    *,
    contrast: float | None = None,
    network: Factory | None = None,
) -> Savable:
    """A learned rule with its weights, ready to predict.

    Parameters
    ----------
    name : ``"fln"``, ``"rln-t"``, ``"rln"``, ``"mks"`` or ``"mpcg"``; what is loaded
        must be one.
    weights : a shipped name such as ``"rln-c10"``, or a file: saved by
        :func:`lsml.learned.save`, the authors' tensors as safetensors, or a model of
        theirs as PyTorch pickled it. None takes the shipped ones of that contrast.
    contrast : of the problem, which chooses among shipped weights.
    network : makes the proximal network if it is not one of lsml's own.

    Raises
    ------
    ValueError
        Unknown name (the known ones are listed), weights of another rule or network,
        or a file that is none of these.
    FileNotFoundError
        No such file.
    """
    if name not in NAMES:
        known = ", ".join(NAMES)
        raise ValueError(f"learned rule {name!r} is unknown; choose one of {known}")
    return _read(find(name, weights, contrast), name, network)


def load_file(
    path: Path, name: str | None = None, *, network: Factory | None = None
) -> LearnedRule:
    """The rule in a file, which must be the one called ``name`` if that is given.

    Raises
    ------
    ValueError
        As :func:`load_rule`, or a rule that predicts nothing by itself.
    """
    rule = _read(path, name, network)
    if not isinstance(rule, LearnedRule):
        raise ValueError(
            f"{path} holds a rule {kind(rule)!r}, which solves but does not predict"
        )
    return rule


def _read(path: Path, name: str | None, network: Factory | None) -> Savable:
    """The rule in a file, of the name given."""
    try:
        rule = _load(name, path, network)
    except ValueError as error:
        named = str(error).startswith(str(path))
        raise ValueError(str(error) if named else f"{path}: {error}") from error
    if name is not None and kind(rule) != name:
        raise ValueError(f"{path} holds a rule {kind(rule)!r}, not {name!r}")
    return rule


def shipped() -> list[str]:
    """Names of the weights that come with lsml and predict a strain."""
    stems = (path.stem for path in SHIPPED.glob("*.safetensors"))
    return sorted(stem for stem in stems if stem != MPCG)


def find(name: str, weights: str | Path | None, contrast: float | None) -> Path:
    """The file of a shipped name, or the file itself."""
    known = ", ".join(shipped()) or "none"
    if name == MPCG and str(weights or MPCG) == MPCG:
        return SHIPPED / f"{MPCG}.safetensors"
    if weights is None:
        wanted = "" if contrast is None else f"{name}-c{contrast:g}"
        if wanted not in shipped():
            of = "" if contrast is None else f" for contrast {contrast:g}"
            raise ValueError(
                f"rule {name!r} needs weights, a file or one of the shipped: {known}; "
                f"none is shipped{of}"
            )
        return SHIPPED / f"{wanted}.safetensors"
    if str(weights) in shipped():
        return SHIPPED / f"{weights}.safetensors"
    path = Path(weights)
    if not path.is_file():
        raise FileNotFoundError(
            f"weights {str(weights)!r} are neither a file nor shipped ({known})"
        )
    return path


def kind(rule: Savable) -> str:
    """Its name."""
    if isinstance(rule, Multipreconditioned):
        return MPCG
    if isinstance(rule, MKS):
        return "mks"
    if isinstance(rule, RLN):
        if rule.passes == 1:
            return "fln"
        return "rln-t" if rule.tied else "rln"
    return type(rule).__name__


def contents(path: Path) -> Contents:
    """Tensors and texts of a safetensors file, or of a pickled model.

    Raises
    ------
    ValueError
        It is neither.
    """
    with path.open("rb") as stream:
        start = stream.read(9)
    if start[8:9] != b"{":
        from lsml.learned.pickled import read_model

        model = read_model(path)
        return Contents(model.tensors, {k: str(v) for k, v in model.numbers.items()})
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            return Contents(tensors, file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ValueError(f"not a complete safetensors file ({brief(error)})") from None


def _load(name: str | None, path: Path, network: Factory | None) -> Savable:
    tensors, said = contents(path)
    if "lsml" in said:
        try:
            description = json.loads(said["lsml"])
            return restored(description, tensors, network)
        except (*UNREADABLE, json.JSONDecodeError) as error:
            reason = brief(repr(error))
            raise ValueError(f"its description cannot be read ({reason})") from None
    if is_published(tensors):
        said = {key.removeprefix(SETTINGS): value for key, value in said.items()}
        if name is None and "npasses" not in said:
            raise ValueError(
                f"{path} does not tell how many passes its network makes: "
                "lsml convert with --rule fln or --rule rln-t settles it"
            )
        rule = published(tensors, recipe(said, name)).eval()
        rule.contrast = named_contrast(path.stem)
        return rule
    raise ValueError(
        "neither saved by lsml nor with the tensors of the published V-Net: it holds "
        f"{brief(sorted(tensors)[:3])}"
    )


def named_contrast(stem: str) -> float | None:
    """Contrast that published weights were trained at: only their file names tell."""
    found = re.search(r"(?:^|[_-])c(\d+)(?![0-9A-Za-z])", stem)
    return float(found.group(1)) if found else None


def recipe(said: Mapping[str, str], name: str | None) -> Recipe:
    """Passes, history and tying of a published network, by its notes or its name."""
    known = PASSES.get(name or "", Recipe(1))
    try:
        passes = int(said.get("npasses", known.passes))
        history = int(said.get("nprev", known.history))
    except ValueError:
        raise ValueError(f"its notes are no numbers: {brief(dict(said))}") from None
    tied = said.get("reuse_net", str(known.tied)) == "True"
    return Recipe(passes, history, tied or passes == 1)
