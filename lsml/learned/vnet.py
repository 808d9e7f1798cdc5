"""V-Net: the proximal network of Kelly & Kalidindi (2021), figure 3.

After Milletari, Navab & Ahmadi (2016): one level down by a strided convolution and up
again, with the fine channels carried across. Where the authors' code and figure differ
it follows the code: the last convolution of width 3 has no activation.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lsml.learned.layers import (
    CONVOLUTION,
    UPWARDS,
    activated,
    check_ndim,
    crop,
    periodic,
    wrap,
)

MULTIPLE, MARGIN, STRIDE = 4, 4, 2
CONTINUED = ("always", "odd")


class VNet(nn.Module):
    """Fully convolutional and periodic, for grids of any size.

    Parameters
    ----------
    in_channels, out_channels : 6 and 1 in the paper: 132,801 parameters.
    ndim : axes of the grid, 2 or 3.
    dropout : share of the coarse channels dropped in training, 0 for none.
    continued : which axes get a margin, ``"always"`` as in the authors' code, or only
        those of ``"odd"`` edge: on a grid of even edges the network is then periodic
        exactly, at half the cost of 16³ voxels.

    Raises
    ------
    ValueError
        ``ndim`` or ``continued`` is neither of the two.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        ndim: int = 3,
        dropout: float = 0.0,
        continued: str = "always",
    ) -> None:
        super().__init__()
        check_ndim(ndim)
        if continued not in CONTINUED:
            raise ValueError(f"continued = {continued!r} must be 'always' or 'odd'")
        self.arguments = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "ndim": ndim,
            "dropout": dropout,
            "continued": continued,
        }
        self.continued = continued
        self.begin = nn.Sequential(
            activated(in_channels, 16, ndim), activated(16, 16, ndim)
        )
        self.down = nn.Sequential(CONVOLUTION[ndim](16, 32, 2, stride=2), nn.PReLU(32))
        self.coarse = nn.Sequential(activated(32, 32, ndim), activated(32, 32, ndim))
        self.drop = nn.Dropout1d(dropout) if dropout else nn.Identity()
        self.up = nn.Sequential(UPWARDS[ndim](32, 32, 2, stride=2), nn.PReLU(32))
        self.end = nn.Sequential(activated(48, 32, ndim), periodic(32, 16, ndim))
        self.out = CONVOLUTION[ndim](16, out_channels, 1)

    def forward(self, features: Float[Tensor, "b i *n"]) -> Float[Tensor, "b o *n"]:
        """Continued periodically where the stride or the authors ask for it."""
        extra = margins(features.shape[2:], self.continued)
        fine = self.begin(wrap(features, extra))
        coarse = self.coarse(self.down(fine))
        coarse = self.drop(coarse.flatten(2)).view_as(coarse)
        both = torch.cat([self.up(coarse), fine], 1)
        out: Tensor = crop(self.out(self.end(both)), extra)
        return out


def margins(shape: Sequence[int], continued: str = "always") -> list[tuple[int, int]]:
    """Voxels before and after each axis: to the first multiple of 4 that adds four.

    31 voxels become 36, by two before and three after, as in the authors' code.
    """
    extra = [-(-(n + MARGIN) // MULTIPLE) * MULTIPLE - n for n in shape]
    if continued == "odd":
        extra = [e * (n % STRIDE) for e, n in zip(extra, shape, strict=True)]
    return [(e // 2, e - e // 2) for e in extra]
