"""Refractive index, incident waves and sources, checked before any work."""

from collections.abc import Sequence
from math import pi
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Complex
from torch import Tensor

from lsml.physics.cell import Spacing, edges
from lsml.physics.labels import place


class Waves(NamedTuple):
    """Index n, source, and incident wave if any; a batch or one for all."""

    medium: Complex[Tensor, "s *n"]
    source: Complex[Tensor, "t *n"]
    incident: Complex[Tensor, "t *n"] | None


def plane_wave(
    shape: Sequence[int],
    wavelength: float,
    direction: Sequence[float],
    spacing: Spacing | None = None,
    host: float = 1.0,
) -> Complex[Tensor, "*n"]:
    """exp(i k·x) at the centres of voxels, 1 in the middle of the image.

    Parameters
    ----------
    shape : voxels along each axis.
    wavelength : λ where the index is 1, in the unit of the spacing.
    direction : in which it travels, one number for each axis; its length is free.
    host : index of the medium it travels in.

    Raises
    ------
    ValueError
        A direction of no length or of another dimension, or a bad number.
    """
    k = 2 * pi * number("host", host) / number("wavelength", wavelength)
    way = torch.as_tensor(direction, dtype=torch.float64)
    if way.shape != (len(shape),) or not 0 < float(way.norm()) < float("inf"):
        raise ValueError(
            f"direction {direction!r} must be {len(shape)} numbers, not all zero"
        )
    phase = torch.zeros((), dtype=torch.float64)
    parts = zip(shape, edges(spacing, len(shape)), way / way.norm(), strict=True)
    for n, h, cosine in parts:
        x = h * (torch.arange(n, dtype=torch.float64) - (n - 1) / 2)
        phase = phase[..., None] + k * cosine * x
    return torch.polar(torch.ones_like(phase), phase)


def number(name: str, value: object) -> float:
    """A positive finite number.

    Raises
    ------
    ValueError
        It is none.
    """
    try:
        given = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        given = float("nan")
    if not 0 < given < float("inf"):
        raise ValueError(f"{name} = {value!r} must be a number, positive and finite")
    return given


def as_waves(
    index: object,
    incident: object,
    source: object,
    spacing: Spacing | None,
    device: torch.device | str | None,
) -> Waves:
    """Tensors (b, *n) of what a user gives.

    Raises
    ------
    ValueError
        One sentence naming the argument, what was given and what was expected.
    """
    medium = _numbers("index", index, device)
    ndim = min(medium.ndim, 3) if spacing is None else len(edges(spacing, 3))
    medium = _batched("index", medium, tuple(medium.shape[medium.ndim - ndim :]))
    shape = tuple(medium.shape[1:])
    if 0 in medium.shape or not 1 <= ndim <= 3:
        raise ValueError(f"index of shape {tuple(medium.shape)} must have 1 to 3 axes")
    known = medium.detach()
    if not bool((known.real > 0).all()) or not bool((known.imag >= 0).all()):
        raise ValueError(
            "index must have a positive real part and no negative imaginary part, "
            "which would amplify"
        )
    if incident is None and source is None:
        raise ValueError("nothing makes a wave: give incident= or source=")
    nothing = torch.zeros(1, *shape, dtype=torch.complex128, device=medium.device)
    drives = [
        nothing
        if given is None
        else _batched(name, _numbers(name, given, medium.device), shape)
        for name, given in (("source", source), ("incident", incident))
    ]
    sizes = {len(t) for t in (medium, *drives)} - {1}
    if len(sizes) > 1:
        raise ValueError(
            f"index holds {len(medium)} samples, incident {len(drives[1])} and source "
            f"{len(drives[0])}: give as many, or one"
        )
    return Waves(medium, drives[0], None if incident is None else drives[1])


def _numbers(name: str, value: object, device: object) -> Tensor:
    """Complex numbers in double precision, all finite."""
    target = None if device is None else place(device)
    try:
        whole = value if isinstance(value, Tensor) else torch.as_tensor(np.array(value))
        given = whole.to(target, torch.complex128)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} must be an array of numbers") from None
    if not bool(given.detach().isfinite().all()):
        raise ValueError(f"{name} is not finite")
    return given


def _batched(name: str, given: Tensor, shape: tuple[int, ...]) -> Tensor:
    batch = given[None] if given.ndim == len(shape) else given
    if batch.ndim != len(shape) + 1 or tuple(batch.shape[1:]) != shape:
        raise ValueError(
            f"{name} of shape {tuple(given.shape)} must be {shape}, or a batch of that"
        )
    return batch
