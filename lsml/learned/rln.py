"""Recurrent localization networks (Kelly & Kalidindi 2021, Comput. Mater. Sci.).

    y_i = y_R + f_i(y_{i-1}, ..., y_{i-1-k}, m),    y_0 = y_R

with y the strain over the mean strain, y_R that of a homogeneous medium, m the
microstructure, and f_i a network of mean zero.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import NamedTuple

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from lsml.learned.layers import packed
from lsml.learned.recurrent import Recurrent
from lsml.learned.rule import LearnedRule, indicators, single
from lsml.typing import Field, Memory

Factory = Callable[[], nn.Module]


class Past(NamedTuple):
    """What a pass reads and leaves.

    Attributes
    ----------
    amplitude : the mean strain that outputs are relative to.
    phases : indicator of each phase, one channel each.
    iterates : the last k + 1, the newest first, zero where there was none.
    state : what a recurrent network keeps; no channels if it keeps nothing.
    """

    amplitude: Float[Tensor, "b one"]
    phases: Float[Tensor, "b h *n"]
    iterates: Float[Tensor, "b t o *n"]
    state: Float[Tensor, "b s *n"]


class RLN(LearnedRule):
    """N passes of networks over the microstructure and the last k + 1 iterates.

    RLN with a network per pass, RLN-t with a ``tied`` one, FLN with one pass.

    Parameters
    ----------
    network : maps phases·(k+1)·components channels to one per component; a module, of
        which passes that are not tied take copies with new weights, or a function that
        makes one.
    passes, history : N and k.
    tied : one network for all passes.
    phases : phases of a microstructure.
    components : predicted components, as places in a Mandel vector.
    load : component of the mean strain that it is trained under.
    """

    def __init__(  # noqa: PLR0913 (what defines the rule)
        self,
        network: nn.Module | Factory,
        passes: int = 5,
        history: int = 2,
        tied: bool = False,
        *,
        phases: int = 2,
        components: tuple[int, ...] = (0,),
        load: int = 0,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("passes", passes, 1),
            ("history", history, 0),
            ("phases", phases, 1),
        ):
            if value < least:
                raise ValueError(f"RLN {name} = {value} must be {least} or more")
        count = 1 if tied else passes
        self.networks = nn.ModuleList(new(network, i) for i in range(count))
        self.parts = len(Past._fields)
        self.passes, self.history, self.tied = passes, history, tied
        self.phases, self.components, self.load = phases, tuple(components), load
        self._check_inputs()

    def start_from(self, other: "RLN") -> None:
        """Take the weights of another: of each pass, or of the one network it has.

        Raises
        ------
        ValueError
            It has other networks, or not as many.
        """
        theirs = list(other.networks) * (self.passes if other.tied else 1)
        if len(theirs) < len(self.networks):
            raise ValueError(
                f"an RLN of {len(self.networks)} networks cannot start from one of "
                f"{len(theirs)}"
            )
        for mine, network in zip(self.networks, theirs, strict=False):
            try:
                mine.load_state_dict(network.state_dict())
            except RuntimeError:
                raise ValueError(
                    f"the networks of the RLN to start from, {type(network).__name__}, "
                    f"are not those of this one, {type(mine).__name__}"
                ) from None

    def amplitudes(self, mean: Float[Tensor, "b c"]) -> Float[Tensor, "b l"]:
        """The mean strain along ``load``, which must be all there is."""
        return single(mean, self.load, type(self).__name__)

    def begin(
        self,
        labels: Integer[Tensor, "b *n"],
        amplitudes: Float[Tensor, "b l"],
        field: Field | None = None,
    ) -> Past:
        """Indicators, and y_0."""
        dtype = self._accepted(labels)
        phases = indicators(labels, self.phases).to(dtype)
        shape = len(labels), 1 + self.history, len(self.components), *labels.shape[1:]
        iterates = phases.new_zeros(shape)
        iterates[:, 0] = self._uniform(iterates)
        if field is not None:
            iterates[:, 0] = field / amplitudes.reshape(-1, *[1] * labels.ndim)
        kept = first.channels if isinstance(first := self.networks[0], Recurrent) else 0
        state = phases.new_zeros(len(labels), kept, *labels.shape[1:])
        return Past(amplitudes.to(dtype), phases, iterates, state)

    def advance(self, memory: Memory, k: int) -> Past:
        """y_R + f_k, shifted into the history."""
        past = Past(*memory)
        network: nn.Module = self.networks[0 if self.tied else k]
        products = past.iterates[:, :, :, None] * past.phases[:, None, None]
        features, state = packed(products.flatten(1, 3)), past.state
        if isinstance(network, Recurrent):
            change, state = network(features, state)
        else:
            change = network(features)
        self._check(change, past.iterates)
        axes = tuple(range(2, change.ndim))
        new = self._uniform(past.iterates) + change - change.mean(axes, keepdim=True)
        iterates = torch.cat([new[:, None], past.iterates[:, :-1]], 1)
        return past._replace(iterates=iterates, state=state)

    def output(self, memory: Memory) -> Field:
        """The newest iterate, in strain units."""
        past = Past(*memory)
        newest = past.iterates[:, 0]
        return newest * past.amplitude.reshape(-1, *[1] * (newest.ndim - 1))

    def _check_inputs(self) -> None:
        """Refuse a network of lsml that was made for other channels."""
        iterates, outputs = 1 + self.history, len(self.components)
        channels = self.phases * iterates * outputs
        for network in self.networks:
            inputs = stated(network, "in_channels") or channels
            if inputs != channels:
                raise ValueError(
                    f"the {type(network).__name__} has {inputs} input channels; "
                    f"{self.phases} phases, {iterates} iterates and {outputs} "
                    f"components make {channels}"
                )

    def _accepted(self, labels: Integer[Tensor, "b *n"]) -> torch.dtype:
        """The dtype of the weights, if labels have their axes and are where they are.

        A user's network may have no weights at all.
        """
        first, given = self.networks[0], labels.ndim - 1
        axes = stated(first, "ndim") or given
        if axes != given:
            raise ValueError(
                f"the {type(first).__name__} was made for {axes} axes; this "
                f"microstructure has {given}"
            )
        weight = next(self.parameters(), torch.empty(0, device=labels.device))
        if weight.device != labels.device:
            raise ValueError(
                f"the weights of {type(self).__name__} are on {weight.device} and the "
                f"problem is on {labels.device}: move one with .to(...)"
            )
        return weight.dtype

    def _uniform(self, iterates: Float[Tensor, "b t o *n"]) -> Float[Tensor, "o *one"]:
        """y_R: 1 in the component of the load, 0 in the others."""
        ones = [float(c == self.load) for c in self.components]
        return iterates.new_tensor(ones).reshape(-1, *[1] * (iterates.ndim - 3))

    def _check(self, change: Tensor, iterates: Tensor) -> None:
        wanted = iterates[:, 0].shape
        if change.shape != wanted:
            raise ValueError(
                f"the network of {type(self).__name__} returned shape "
                f"{tuple(change.shape)}; expected {tuple(wanted)}: one channel per "
                "predicted component, on the same grid"
            )


def stated(network: nn.Module, name: str) -> int | None:
    """One of the arguments that a network of lsml keeps; None for a user's own."""
    arguments = getattr(network, "arguments", None)
    return arguments.get(name) if isinstance(arguments, Mapping) else None


def new(network: nn.Module | Factory, i: int) -> nn.Module:
    """The network of pass i: the one given, a copy with other weights, or a new one."""
    if not isinstance(network, nn.Module):
        return network()
    if i == 0:
        return network
    copy = deepcopy(network)
    for module in copy.modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
    return copy
