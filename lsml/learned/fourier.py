"""A network of Fourier layers (Li et al. 2021, Fourier neural operator, ICLR).

A layer multiplies the lowest frequencies by a matrix each and adds a pointwise map. The
matrices are stored for a cube of frequencies, so the same weights serve any grid.
"""

from itertools import product
from types import EllipsisType
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lsml.learned.layers import CONVOLUTION, check_ndim

Index: TypeAlias = tuple[EllipsisType | slice, ...]


class SpectralLayer(nn.Module):
    """Convolution by the frequencies below ``modes`` along each axis."""

    def __init__(self, width: int, modes: int, ndim: int) -> None:
        super().__init__()
        self.modes, self.ndim = modes, ndim
        corners = 2 ** (ndim - 1)  # signs of all frequencies but the last
        shape = corners, width, width, *[modes] * ndim, 2
        self.weight = nn.Parameter(torch.empty(shape))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """New weights."""
        nn.init.normal_(self.weight, std=1 / self.weight.shape[1])

    def forward(self, v: Float[Tensor, "b w *n"]) -> Float[Tensor, "b w *n"]:
        """The frequencies that the grid has are used, the others are left."""
        axes = tuple(range(-self.ndim, 0))
        hat = torch.fft.rfftn(v, dim=axes)
        out = torch.zeros_like(hat)
        signs = product((1, -1), repeat=self.ndim - 1)
        weights = torch.view_as_complex(self.weight)
        for matrix, sign in zip(weights, signs, strict=True):
            pairs = [self._low(n, s) for n, s in zip(v.shape[2:-1], sign, strict=True)]
            last = slice(0, min(self.modes, hat.shape[-1]))
            low, own = zip(*pairs, (last, last), strict=True)
            part = matrix[..., *own]
            out[..., *low] = torch.einsum("bi...,io...->bo...", hat[..., *low], part)
        result: Tensor = torch.fft.irfftn(out, s=v.shape[2:], dim=axes)
        return result

    def _low(self, n: int, sign: int) -> tuple[slice, slice]:
        """Frequencies of one sign along an axis of n voxels, zero with the positive.

        Their places in the spectrum and in the weights, where -1 is always the last.
        """
        if sign > 0:
            both = slice(0, min(self.modes, (n + 1) // 2))
            return both, both
        count = min(self.modes, n // 2)
        return slice(n - count, n), slice(self.modes - count, self.modes)


class FourierNet(nn.Module):
    """Lifting, Fourier layers with pointwise shortcuts, projection.

    Parameters
    ----------
    in_channels, out_channels : of features and output.
    ndim : axes of the grid, 2 or 3.
    width : channels of the layers.
    modes : frequencies kept along each axis.
    depth : layers.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        ndim: int = 3,
        width: int = 16,
        modes: int = 8,
        depth: int = 3,
    ) -> None:
        super().__init__()
        check_ndim(ndim)
        self.arguments = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "ndim": ndim,
            "width": width,
            "modes": modes,
            "depth": depth,
        }
        pointwise = CONVOLUTION[ndim]
        self.lift = pointwise(in_channels, width, 1)
        self.spectral = nn.ModuleList(
            SpectralLayer(width, modes, ndim) for _ in range(depth)
        )
        self.local = nn.ModuleList(pointwise(width, width, 1) for _ in range(depth))
        self.project = nn.Sequential(
            pointwise(width, 4 * width, 1),
            nn.GELU(),
            pointwise(4 * width, out_channels, 1),
        )

    def forward(self, features: Float[Tensor, "b i *n"]) -> Float[Tensor, "b o *n"]:
        """On the grid of the features."""
        v = self.lift(features)
        for spectral, local in zip(self.spectral, self.local, strict=True):
            v = v + nn.functional.gelu(spectral(v) + local(v))
        out: Tensor = self.project(v)
        return out
