"""Volume fractions, and what every closed form does with them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lsml.physics.labels import as_labels

Values = Tensor | np.ndarray | Sequence[float] | Sequence[Sequence[float]]


class Interval(NamedTuple):
    """Lower and upper bound of a modulus, in its unit."""

    lower: Tensor
    upper: Tensor


def volume_fractions(
    labels: object, phases: int, ndim: int | None = None
) -> Float[Tensor, "b p"]:
    """Share of the voxels that each of ``phases`` labels takes.

    Parameters
    ----------
    labels : image (*n) or batch (b, *n), as in :func:`lsml.elasticity`.
    ndim : spatial axes; None reads three axes as one 3-D image.
    """
    image = as_labels(labels, ndim, None).flatten(1)
    inside = [(image == h).double().mean(1) for h in range(phases)]
    return torch.stack(inside, 1)


def shifted_mean(values: Tensor, shift: Tensor | float, shares: Tensor) -> Tensor:
    """<1/(values + shift)>⁻¹ − shift over the phases, the last axis."""
    moved = torch.as_tensor(shift, dtype=torch.float64)
    return 1 / (shares / (values + moved[..., None])).sum(-1) - moved


def check_shares(shares: Tensor, phases: int) -> None:
    """Refuse fractions that are none of so many phases."""
    if shares.ndim not in (1, 2) or shares.shape[-1] != phases:
        raise ValueError(
            f"fractions of shape {tuple(shares.shape)} must have one entry for each "
            f"of the {phases} phases, ({phases},) or (t, {phases})"
        )
    if bool((shares < 0).any()) or bool(((shares.sum(-1) - 1).abs() > 1e-9).any()):
        raise ValueError(
            f"fractions {shares.tolist()} must be 0 or more and sum up to 1"
        )


def as64(values: object) -> Tensor:
    """As a float64 tensor."""
    if isinstance(values, Tensor):
        return values.double()
    return torch.from_numpy(np.asarray(values, dtype=np.float64))
