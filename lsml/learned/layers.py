"""Layers for periodic fields in 2-D and 3-D."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

CONVOLUTION: dict[int, type[nn.Conv2d] | type[nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}
UPWARDS: dict[int, type[nn.ConvTranspose2d] | type[nn.ConvTranspose3d]] = {
    2: nn.ConvTranspose2d,
    3: nn.ConvTranspose3d,
}


LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def packed(v: Float[Tensor, "b c *n"]) -> Float[Tensor, "b c *n"]:
    """The same numbers, the channels of a voxel side by side in memory.

    Convolutions of few channels are several times as fast so, on a CPU.
    """
    return v.contiguous(memory_format=LAST[v.ndim])


def check_ndim(ndim: int) -> None:
    """Refuse what no network here is made for.

    Raises
    ------
    ValueError
        Neither 2 nor 3.
    """
    if ndim not in CONVOLUTION:
        raise ValueError(f"ndim = {ndim!r} must be 2 or 3, the axes of the grid")


def periodic(inputs: int, outputs: int, ndim: int, width: int = 3) -> nn.Module:
    """Convolution of odd width that wraps around."""
    return CONVOLUTION[ndim](
        inputs, outputs, width, padding=width // 2, padding_mode="circular"
    )


def activated(inputs: int, outputs: int, ndim: int) -> nn.Sequential:
    """Periodic convolution and PReLU with a slope for each channel."""
    return nn.Sequential(periodic(inputs, outputs, ndim), nn.PReLU(outputs))


def wrap(
    v: Float[Tensor, "b c *n"], margins: Sequence[tuple[int, int]]
) -> Float[Tensor, "b c *m"]:
    """Continue a periodic field by some voxels before and after each axis."""
    for axis, (before, after) in enumerate(margins, 2):
        n = v.shape[axis]
        if before or after:
            index = torch.arange(-before, n + after, device=v.device) % n
            v = v.index_select(axis, index)
    return v


def crop(
    v: Float[Tensor, "b c *m"], margins: Sequence[tuple[int, int]]
) -> Float[Tensor, "b c *n"]:
    """Undo ``wrap``."""
    for axis, (before, after) in enumerate(margins, 2):
        v = v.narrow(axis, before, v.shape[axis] - before - after)
    return v
