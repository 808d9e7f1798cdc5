"""The networks that Kelly & Kalidindi published, in the order of axes used here.

Their tensors are recognised by their names. Their arrays have the loading direction on
the last axis, ours on the first: the axes of every kernel are reversed, once, here.
"""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from lsml.learned.rln import RLN
from lsml.learned.vnet import VNet

PREFIX = "model."
LAYERS = {
    "conv_begin_1.conv": "begin.0.0",
    "conv_begin_1.activ": "begin.0.1",
    "conv_begin_2.conv": "begin.1.0",
    "conv_begin_2.activ": "begin.1.1",
    "down_block.convdown": "down.0",
    "down_block.activ_down": "down.1",
    "conv_down_1.conv": "coarse.0.0",
    "conv_down_1.activ": "coarse.0.1",
    "conv_down_2.conv": "coarse.1.0",
    "conv_down_2.activ": "coarse.1.1",
    "up_block.conv_up": "up.0",
    "up_block.activ_up": "up.1",
    "conv_end_1.conv": "end.0.0",
    "conv_end_1.activ": "end.0.1",
    "conv_end_2.conv": "end.1",
    "output_block.convflat": "out",
}
FIRST, LAST = "conv_begin_1.conv.weight", "output_block.convflat.weight"


class Recipe(NamedTuple):
    """What the tensors do not tell."""

    passes: int
    history: int = 2
    tied: bool = True


def is_published(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the tensors bear the authors' names."""
    return {PREFIX + FIRST, PREFIX + LAST} <= set(tensors)


def published(tensors: Mapping[str, Tensor], recipe: Recipe) -> RLN:
    """The rule of the authors' tensors, soft phase first.

    Raises
    ------
    ValueError
        A tensor is missing, strange or of another shape.
    """
    if recipe.passes > 1 and not recipe.tied:
        raise ValueError(
            "holds one network; an rln has one for each pass: name it rln-t or fln"
        )
    first, last = tensors[PREFIX + FIRST], tensors[PREFIX + LAST]
    if first.ndim < 4 or last.ndim != first.ndim:
        raise ValueError(
            f"tensors of shape {tuple(first.shape)} and {tuple(last.shape)} are no "
            "convolutions of the published V-Net"
        )
    network = VNet(first.shape[1], last.shape[0], first.ndim - 2)
    wanted = dict(network.state_dict())
    given = {renamed(name): ours(value) for name, value in tensors.items()}
    if set(given) != set(wanted):
        odd = sorted(set(given) ^ set(wanted))
        raise ValueError(f"the published V-Net has other tensors than these: {odd[:4]}")
    for name, value in given.items():
        if value.shape != wanted[name].shape:
            raise ValueError(
                f"tensor {name} of shape {tuple(value.shape)} must be "
                f"{tuple(wanted[name].shape)} in the published V-Net"
            )
    network.load_state_dict(given)
    return RLN(network, recipe.passes, recipe.history, recipe.tied)


def renamed(name: str) -> str:
    """Our name of one of the authors' tensors; their own if there is none."""
    layer, _, kind = name.removeprefix(PREFIX).rpartition(".")
    return f"{LAYERS[layer]}.{kind}" if layer in LAYERS else name


def ours(value: Tensor) -> Tensor:
    """Spatial axes reversed: x, y, z where they have z, y, x."""
    spatial = range(2, value.ndim)
    return value.permute(0, 1, *reversed(spatial)).contiguous() if spatial else value
