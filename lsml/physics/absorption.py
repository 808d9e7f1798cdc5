"""Layers around an image that let waves out and send none back.

Osnabrugge, Leedumrongwatthanakun & Vellekoop (2016, J. Comput. Phys. 322, 113-124):
with k² − k₀² = α² (N − s + 2i k₀ x) s^(N−1) / (N! P(s)) and s = αx, a plane wave is
P(s) exp((i k₀ − α) x), P being the first N + 1 terms of exp(s): exactly, and without
reflection, if it comes straight on.
"""

from math import ceil, factorial
from typing import NamedTuple

import torch
from jaxtyping import Complex, Inexact
from scipy.fft import next_fast_len
from scipy.special import pdtri
from torch import Tensor

from lsml.grid import Grid

ORDER = 4  # N
LEAK = 1e-3  # amplitude that is left of a wave that has crossed two layers


class Frame(NamedTuple):
    """An image in the middle of a larger periodic cell.

    Attributes
    ----------
    grid : the whole cell.
    margins : voxels that are added on either side of each axis.
    inner : voxels of the image along each axis.
    """

    grid: Grid
    margins: tuple[int, ...]
    inner: tuple[int, ...]

    @property
    def window(self) -> tuple[slice, ...]:
        """Where the image is."""
        pairs = zip(self.margins, self.inner, strict=True)
        return tuple(slice(p, p + n) for p, n in pairs)

    def extended(self, image: Inexact[Tensor, "b *n"]) -> Inexact[Tensor, "b *e"]:
        """The image, its border voxels repeated outwards."""
        for axis, (p, n) in enumerate(zip(self.margins, self.inner, strict=True), 1):
            places = torch.arange(-p, n + p, device=image.device).clamp(0, n - 1)
            image = image.index_select(axis, places)
        return image

    def surrounded(self, image: Inexact[Tensor, "b *n"]) -> Inexact[Tensor, "b *e"]:
        """The image, with zeros around it."""
        padding = [p for margin in reversed(self.margins) for p in (margin, margin)]
        return torch.nn.functional.pad(image, padding)


def framed(inner: Grid, thickness: tuple[float, ...]) -> Frame:
    """The image with margins that are at least so thick, and sizes that suit FFTs."""
    margins = []
    for n, h, depth in zip(inner.shape, inner.spacing, thickness, strict=True):
        p = ceil(depth / h)
        while p and next_fast_len(n + 2 * p) != n + 2 * p:
            p += 1
        margins.append(p)
    shape = tuple(n + 2 * p for n, p in zip(inner.shape, margins, strict=True))
    return Frame(Grid(shape, inner.spacing), tuple(margins), inner.shape)


def absorption(frame: Frame, k: float, thickness: float) -> Complex[Tensor, "*e"]:
    """What is added to k² around the image, by the distance x to it.

    α is such that ``LEAK`` remains behind two layers of the given thickness.
    """
    alpha = float(pdtri(ORDER, LEAK**0.5)) / thickness
    square = torch.zeros((), dtype=torch.float64)
    parts = zip(frame.inner, frame.margins, frame.grid.spacing, strict=True)
    for n, p, h in parts:
        place = torch.arange(-p, n + p, dtype=torch.float64)
        outside = torch.maximum(-place, place - (n - 1)) - 0.5
        square = square[..., None] + (outside.clamp_min(0) * h).square()
    s = alpha * square.sqrt()
    series = torch.stack([s**n / factorial(n) for n in range(ORDER + 1)]).sum(0)
    scale = alpha**2 * s ** (ORDER - 1) / (factorial(ORDER) * series)
    return torch.complex(scale * (ORDER - s), scale * 2 * k * s / alpha)
