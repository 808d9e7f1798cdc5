"""Label images: one phase number per voxel, checked before any work."""

import numpy as np
import torch
from jaxtyping import Integer
from torch import Tensor

from lsml.grid import Piece

LARGEST = 2**31 - 1  # as far as an int32 counts


def as_labels(
    labels: object, ndim: int | None, device: object
) -> Integer[Tensor, "s *n"]:
    """Labels (*n) or (b, *n) as a batch of the smallest integer type that holds them.

    Parameters
    ----------
    ndim : spatial axes if known (2 or 3); None reads three axes as one 3-D image.

    Raises
    ------
    ValueError
        Not integer or bool, wrong rank, an empty axis, or negative.
    """
    image = _as_tensor(labels, device)
    if image.is_floating_point() or image.is_complex():
        raise ValueError(f"labels must be integer or bool, got {image.dtype}")
    ranks = (2, 3, 4) if ndim is None else (ndim, ndim + 1)
    if image.ndim not in ranks:
        raise ValueError(
            f"labels of shape {tuple(image.shape)} must have {_either(ranks)} axes: "
            "(nx, ny) for loads of 3 components or (nx, ny, nz) for 6, with the sample "
            "first in a batch"
        )
    if 0 in image.shape:
        raise ValueError(f"labels of shape {tuple(image.shape)} have an empty axis")
    single = min(image.ndim, 3) if ndim is None else ndim
    image = image[None] if image.ndim == single else image
    low, high = int(image.min()), int(image.max())
    if low < 0:
        raise ValueError(f"labels contain {low}; phases are numbered from 0")
    if high > LARGEST:
        raise ValueError(f"labels contain {high}, must be at most {LARGEST}")
    return image.to(torch.uint8 if high < 256 else torch.int32)


def voxels_of(labels: object) -> object:
    """Labels themselves, or those that a part of a cell has."""
    return labels.labels if isinstance(labels, Piece) else labels


def check_range(labels: Integer[Tensor, "s *n"], phases: int) -> None:
    """Refuse labels without a phase.

    Raises
    ------
    ValueError
        A label is at least ``phases``.
    """
    high = int(labels.max())
    if high >= phases:
        raise ValueError(
            f"labels contain {high} but only {phases} phases are given, "
            f"for labels 0 to {phases - 1}"
        )


def _as_tensor(labels: object, device: object) -> Tensor:
    target = None if device is None else place(device)
    if isinstance(labels, Tensor):
        if labels.layout != torch.strided or labels.is_meta:
            raise ValueError(
                f"labels are a tensor of layout {labels.layout} on {labels.device}; "
                "expected one number per voxel in memory"
            )
        whole = not (labels.is_floating_point() or labels.is_complex())
        wide = torch.int64 if whole and labels.itemsize > 1 else labels.dtype
        return labels.to(target, wide)  # torch cannot compare unsigned 16 bits and up
    if np.ma.is_masked(labels):
        raise ValueError("labels are masked in places; give every voxel a phase")
    try:
        array = np.asarray(labels)
    except ValueError:
        raise ValueError(
            "labels must be an array; these rows differ in length"
        ) from None
    if array.dtype.kind not in "iub":
        raise ValueError(f"labels must be integer or bool, got {array.dtype}")
    array = array.astype(np.int64 if array.itemsize > 1 else array.dtype)
    return torch.as_tensor(np.ascontiguousarray(array), device=target)


def place(device: object) -> torch.device:
    """A device by name.

    Raises
    ------
    ValueError
        Unknown, or not on this machine.
    """
    try:
        return torch.empty(0, device=torch.device(str(device))).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device {device!r} cannot be used: {reason}") from None


def _either(ranks: tuple[int, ...]) -> str:
    return f"{', '.join(map(str, ranks[:-1]))} or {ranks[-1]}"
