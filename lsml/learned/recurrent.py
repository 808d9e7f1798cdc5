"""Networks that keep a state from pass to pass, and a gated one.

Putzky & Welling (2017, Recurrent inference machines) let the iteration carry a latent
state; the gates are those of Cho et al. (2014) with convolutions (Ballas et al. 2016).
"""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lsml.learned.layers import CONVOLUTION, activated, check_ndim, periodic


class Recurrent(nn.Module, ABC):
    """A proximal network with a state of ``channels`` fields, zero at first."""

    channels: int

    @abstractmethod
    def forward(
        self, features: Float[Tensor, "b i *n"], state: Float[Tensor, "b s *n"]
    ) -> tuple[Float[Tensor, "b o *n"], Float[Tensor, "b s *n"]]:
        """Output, and the state that the next pass will see."""


class ConvGRU(Recurrent):
    """A convolutional gated recurrent unit between an encoder and a read-out.

    Parameters
    ----------
    in_channels, out_channels : of features and output.
    ndim : axes of the grid, 2 or 3.
    width : channels of the state.
    """

    def __init__(
        self, in_channels: int, out_channels: int, ndim: int = 3, width: int = 16
    ) -> None:
        super().__init__()
        check_ndim(ndim)
        self.arguments = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "ndim": ndim,
            "width": width,
        }
        self.channels = width
        self.encode = activated(in_channels, width, ndim)
        self.gates = periodic(2 * width, 2 * width, ndim)
        self.candidate = periodic(2 * width, width, ndim)
        self.read = nn.Sequential(
            activated(width, width, ndim), CONVOLUTION[ndim](width, out_channels, 1)
        )

    def forward(
        self, features: Float[Tensor, "b i *n"], state: Float[Tensor, "b s *n"]
    ) -> tuple[Float[Tensor, "b o *n"], Float[Tensor, "b s *n"]]:
        """State and output after one gated update."""
        seen = self.encode(features)
        both = torch.sigmoid(self.gates(torch.cat([seen, state], 1)))
        update, reset = both.chunk(2, 1)
        proposed = torch.tanh(self.candidate(torch.cat([seen, reset * state], 1)))
        new = state + update * (proposed - state)
        return self.read(new), new
