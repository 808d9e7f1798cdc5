"""Learned rules as files: safetensors, and in the metadata what the tensors belong to.

A file holds tensors and text, so that loading it executes nothing. Its metadata entry
``lsml`` is JSON with the keys

========  ==========================================================================
format    1
lsml      version that wrote it
rule      kind, and what defines it
network   name and arguments of the proximal network
contrast  stiffest over softest phase of the data, or null
axes      order of the spatial axes: component 11 acts along the first
units     of inputs and outputs
record    how it was made: data, training, test
========  ==========================================================================
"""

import json
from collections.abc import Callable, Mapping
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors.torch import save as packed
from torch import Tensor, nn

from lsml.atomic import replacing
from lsml.brief import brief
from lsml.learned.cnn import ThreeLayer
from lsml.learned.fourier import FourierNet
from lsml.learned.mks import MKS
from lsml.learned.multipreconditioned import Multipreconditioned
from lsml.learned.recurrent import ConvGRU
from lsml.learned.rln import RLN
from lsml.learned.rule import LearnedRule
from lsml.learned.tensor_basis import TensorBasis
from lsml.learned.vnet import VNet

Factory: TypeAlias = Callable[[], nn.Module]
Record: TypeAlias = Mapping[str, Any]
Savable: TypeAlias = LearnedRule | Multipreconditioned

FORMAT = 1
AXES, UNITS = "x y z", "strain over mean strain; phases from soft to stiff"
NETWORKS: Mapping[str, Callable[..., nn.Module]] = {
    "vnet": VNet,
    "three-layer": ThreeLayer,
    "fourier": FourierNet,
    "conv-gru": ConvGRU,
}
PROPOSALS: Mapping[str, Callable[..., nn.Module]] = {"tensor-basis": TensorBasis}
COUNTS = ("passes", "depth", "window")
MOST = 1000  # of each; more than any rule has
RELATIVE = "dimensionless encodings; moduli over those of the reference medium"


def save(rule: Savable, path: str | Path) -> Path:
    """Write an RLN, FLN, MKS or Multipreconditioned to a safetensors file.

    Raises
    ------
    ValueError, OSError
        Another kind of rule, or the file cannot be written; what was there before is
        untouched.
    """
    text = json.dumps(described(rule), sort_keys=True)
    tensors = {k: v.detach().cpu().contiguous() for k, v in rule.state_dict().items()}
    with replacing(path) as temporary:
        temporary.write_bytes(packed(tensors, metadata={"lsml": text}))
    return Path(path)


def described(rule: Savable) -> dict[str, Any]:
    """The metadata of a rule."""
    defining: tuple[str, ...]
    contrast, units = getattr(rule, "contrast", None), UNITS
    if isinstance(rule, RLN):
        kind, network = "rln", _network(rule.networks[0])
        defining = ("passes", "history", "tied", "phases", "components", "load")
    elif isinstance(rule, MKS):
        kind, network = "mks", None
        defining = ("phases", "components", "load", "shape")
    elif isinstance(rule, Multipreconditioned):
        kind, network, units = "mpcg", _proposal(rule), RELATIVE
        defining = ("window", "passes")
    else:
        raise ValueError(
            f"{type(rule).__name__} cannot be saved; save the RLN, FLN or MKS in it"
        )
    return {
        "format": FORMAT,
        "lsml": version("lsml"),
        "rule": {"kind": kind} | {name: getattr(rule, name) for name in defining},
        "network": network,
        "contrast": contrast,
        "axes": AXES,
        "units": units,
        "record": dict(rule.record),
    }


def restored(
    description: Record, tensors: Mapping[str, Tensor], network: Factory | None = None
) -> Savable:
    """The rule that ``described`` and ``state_dict`` made this of.

    ``network`` makes the proximal network if it is not one of lsml's own.

    Raises
    ------
    ValueError
        Another format, an unknown kind or network, or tensors that do not fit.
    """
    form, axes = (brief(repr(description.get(name))) for name in ("format", "axes"))
    if description.get("format") != FORMAT:
        raise ValueError(
            f"format {form} of learned rules is not known to lsml {version('lsml')}, "
            f"which reads format {FORMAT}"
        )
    if description.get("axes") != AXES:
        raise ValueError(f"axes {axes} must be {AXES!r}")
    check_counts(description, len(tensors))
    if network is None:
        with torch.device("meta"):  # nothing is allocated before the shapes are known
            check_fit(_described(description, None), tensors)
    rule = _described(description, network)
    fill(rule, tensors)
    rule.record = description["record"]
    if isinstance(rule, LearnedRule):
        rule.contrast = description["contrast"]
    return rule.eval()


def check_counts(description: Record, tensors: int) -> None:
    """Refuse parts that would be made one by one, and for which there are no tensors.

    Raises
    ------
    ValueError
        Too many, or no number of them.
    """
    arguments = (description["network"] or {}).get("arguments")
    said = {**description["rule"], **(arguments or {})}
    counts = {name: said.get(name) for name in COUNTS}
    for name, count in counts.items():
        if count is not None and not (isinstance(count, int) and 0 < count <= MOST):
            raise ValueError(f"{name} = {brief(count)} must be from 1 to {MOST}")
    shared = "passes" if said.get("tied") or said.get("kind") == "mpcg" else ""
    made = prod(counts[n] or 1 for n in ("passes", "depth") if n != shared)
    if made > tensors:
        raise ValueError(f"{made} layers cannot be made of {tensors} tensors")


def _described(description: Record, network: Factory | None) -> Savable:
    """A rule with weights that are still to be filled in.

    Raises
    ------
    ValueError
        An unknown kind or network.
    """
    defining = dict(description["rule"])
    kind = defining.pop("kind")
    if kind == "mpcg":
        return _multipreconditioned(description, network)
    defining["components"] = tuple(defining["components"])
    rule: LearnedRule
    if kind == "mks":
        defining["shape"] = tuple(defining["shape"])
        rule = MKS(**defining)
    elif kind == "rln":
        rule = RLN(network or _factory(description["network"]), **defining)
    else:
        raise ValueError(
            f"rules of kind {brief(repr(kind))} are not known: expected rln or mks"
        )
    return rule


def _multipreconditioned(
    description: Record, network: Factory | None
) -> Multipreconditioned:
    """The rule, with the proposal that the description names or ``network`` makes."""
    said, defining = description["network"], description["rule"]
    proposal = None
    if said is not None:
        proposal = (network or _factory(said, PROPOSALS))()
    return Multipreconditioned(proposal, defining["window"], defining["passes"])


def fill(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load the state, and say in one sentence what does not fit."""
    check_fit(module, tensors)
    if any(t.dtype == torch.float64 for t in tensors.values()):
        module.double()
    module.load_state_dict(tensors)


def check_fit(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors of other names or shapes.

    Raises
    ------
    ValueError
        The first that does not fit.
    """
    wanted = module.state_dict()
    for name in sorted(set(wanted) | set(tensors)):
        have, want = tensors.get(name), wanted.get(name)
        if have is None or want is None or have.shape != want.shape:
            shapes = [None if t is None else tuple(t.shape) for t in (have, want)]
            raise ValueError(
                f"weights of another network: tensor {brief(repr(name))} has shape "
                f"{brief(shapes[0])}, this network needs {shapes[1]}"
            )


def _network(
    module: nn.Module, known: Mapping[str, Callable[..., nn.Module]] = NETWORKS
) -> dict[str, Any]:
    for name, kind in known.items():
        if type(module) is kind:
            return {"name": name, "arguments": module.arguments}
    return {"name": type(module).__qualname__, "arguments": None}


def _proposal(rule: Multipreconditioned) -> dict[str, Any] | None:
    return None if rule.proposal is None else _network(rule.proposal, PROPOSALS)


def _factory(
    network: Record, known: Mapping[str, Callable[..., nn.Module]] = NETWORKS
) -> Factory:
    name = network["name"]
    if name not in known:
        raise ValueError(
            f"network {brief(repr(name))} is not one of {', '.join(known)}: pass "
            "network=, a function that makes it"
        )
    return lambda: known[name](**network["arguments"])
