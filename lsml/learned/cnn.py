"""Three convolutions: the proximal network of Adler & Öktem (2018, IEEE TMI)."""

from jaxtyping import Float
from torch import Tensor, nn

from lsml.learned.layers import activated, check_ndim, periodic


class ThreeLayer(nn.Module):
    """Three periodic convolutions of width 3 with PReLU between them.

    Parameters
    ----------
    in_channels, out_channels : of features and output.
    ndim : axes of the grid, 2 or 3.
    width : channels in between, 32 in the paper.
    """

    def __init__(
        self, in_channels: int, out_channels: int, ndim: int = 3, width: int = 32
    ) -> None:
        super().__init__()
        check_ndim(ndim)
        self.arguments = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "ndim": ndim,
            "width": width,
        }
        self.layers = nn.Sequential(
            activated(in_channels, width, ndim),
            activated(width, width, ndim),
            periodic(width, out_channels, ndim),
        )

    def forward(self, features: Float[Tensor, "b i *n"]) -> Float[Tensor, "b o *n"]:
        """On the grid of the features."""
        out: Tensor = self.layers(features)
        return out
