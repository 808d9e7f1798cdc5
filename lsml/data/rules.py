"""Learned rules that fit a dataset: its phases, components, load and contrast."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import nn

from lsml.data.dataset import LocalizationDataset
from lsml.learned.checkpoint import NETWORKS
from lsml.learned.loading import PASSES
from lsml.learned.mks import MKS
from lsml.learned.published import Recipe
from lsml.learned.rln import RLN
from lsml.learned.vnet import VNet
from lsml.mandel import names

TRAINED: Mapping[str, Callable[..., nn.Module]] = {
    **NETWORKS,
    "vnet": partial(VNet, continued="odd"),
}


def rule_for(
    dataset: LocalizationDataset,
    name: str = "rln-t",
    network: str = "vnet",
    seed: int = 0,
) -> RLN:
    """An FLN, RLN-t or RLN with random weights.

    Parameters
    ----------
    dataset : decides on phases, components, load and axes.
    name : ``"fln"``, ``"rln-t"`` or ``"rln"``.
    network : ``"vnet"``, ``"three-layer"``, ``"fourier"`` or ``"conv-gru"``.
    seed : of the weights.

    Raises
    ------
    ValueError
        Unknown names; the known ones are listed.
    """
    if name not in PASSES:
        raise ValueError(f"rule {name!r} is unknown; choose one of {', '.join(PASSES)}")
    return rule_of(dataset, PASSES[name], network, seed)


def rule_of(
    dataset: LocalizationDataset, recipe: Recipe, network: str = "vnet", seed: int = 0
) -> RLN:
    """The same with any number of passes and any history.

    Raises
    ------
    ValueError
        Unknown network; the known ones are listed.
    """
    if network not in NETWORKS:
        known = ", ".join(NETWORKS)
        raise ValueError(f"network {network!r} is unknown; choose one of {known}")
    check_order(dataset)
    torch.manual_seed(seed)
    load, components = _places(dataset)
    channels = dataset.phases * (1 + recipe.history) * len(components)
    ndim = len(dataset.shape)
    rule = RLN(
        lambda: TRAINED[network](channels, len(components), ndim),
        *recipe,
        phases=dataset.phases,
        components=components,
        load=load,
    )
    rule.contrast, rule.record = dataset.contrast, _record(dataset)
    return rule


def mks_for(dataset: LocalizationDataset) -> MKS:
    """The linear localization kernel, fitted to all samples of the dataset."""
    check_order(dataset)
    load, components = _places(dataset)
    rule = MKS(dataset.shape, phases=dataset.phases, components=components, load=load)
    rule.contrast, rule.record = dataset.contrast, _record(dataset)
    return rule.fit(dataset[i] for i in range(len(dataset)))


def check_order(dataset: LocalizationDataset) -> None:
    """Rules tell phases by stiffness, and phase 0 of a dataset is the soft one."""
    if not dataset.contrast >= 1:
        raise ValueError(
            f"{dataset.path} has contrast {dataset.contrast:g}; learned rules need "
            "phase 1 to be the stiff one"
        )


def _places(dataset: LocalizationDataset) -> tuple[int, tuple[int, ...]]:
    """Load and components as places in a Mandel vector."""
    order = names(len(dataset.shape))
    return order.index(dataset.load), tuple(order.index(c) for c in dataset.components)


def _record(dataset: LocalizationDataset) -> dict[str, object]:
    return {"data": dict(dataset.recipe), "nu": dataset.nu}
