"""Builder of Stokes flow through the voxels of an image that are not solid."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lsml.grid import Grid
from lsml.physics.cell import FLOATS, Spacing, edges
from lsml.physics.incident import number
from lsml.physics.labels import as_labels
from lsml.physics.stokes import StokesForm, StokesGreen, faces_of


def stokes(  # noqa: PLR0913 (the public builder)
    labels: object,
    load: object,
    solid: object = 1,
    spacing: Spacing | None = None,
    *,
    viscosity: float = 1.0,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> StokesForm:
    """Creeping flow −μ∇²u + ∇p = e between solid voxels, periodic u and p.

    Parameters
    ----------
    labels : phase of each voxel, integer or bool, (*n) or a batch (b, *n); 2-D or 3-D
        by the length of the load.
    load : e, minus the mean pressure gradient: d numbers, one row for each sample, or
        (1, l, d) for l cases on each image.
    solid : label, or list of labels, of what the fluid does not enter.
    spacing : voxel edges, any unit; 1 by default.
    viscosity : μ.
    dtype : float32 or float64, the default.
    device : of the whole problem; by default that of the labels.

    Returns
    -------
    StokesForm
        Its solution has ``field``, the velocity at the centres of voxels; velocity on
        the faces and pressure are ``solution.problem.field(solution.state.x)`` and
        ``solution.problem.pressure(solution.state.x)``. Walls stand on the faces of
        voxels; the scheme is of second order where they are flat.

    Raises
    ------
    ValueError
        One sentence naming the argument, what was given and what was expected; no
        solid voxel in an image, where nothing resists.
    """
    precision = torch.float64 if dtype is None else dtype
    if precision not in FLOATS:
        raise ValueError(f"dtype {precision} must be torch.float32 or torch.float64")
    gradient = _gradient(load, precision)
    ndim = gradient.shape[-1]
    image = as_labels(labels, ndim, device)
    filled = held_by(image, solid).to(precision)
    grid = Grid(tuple(image.shape[1:]), edges(spacing, ndim))
    mu = number("viscosity", viscosity)
    cases = _cases(gradient.to(image.device), len(filled))
    held, slack = faces_of(filled, grid, mu)
    return StokesForm(StokesGreen(grid, mu), held, slack, cases)


def held_by(image: Tensor, solid: object) -> Bool[Tensor, "s *n"]:
    """Where an image is solid.

    Raises
    ------
    ValueError
        Labels that are none, or an image without solid.
    """
    try:
        chosen = torch.as_tensor(solid).reshape(-1)
    except (TypeError, ValueError, RuntimeError):
        chosen = torch.empty(0)
    if chosen.numel() == 0 or chosen.is_floating_point() or chosen.is_complex():
        raise ValueError(f"solid = {solid!r} must be a label, or a list of labels")
    filled = torch.isin(image.long(), chosen.long().to(image.device))
    empty = ~filled.flatten(1).any(1)
    if bool(empty.any()):
        raise ValueError(
            f"sample {int(empty.nonzero()[0])} has no voxel of label {solid!r}: "
            "nothing resists the flow, and the permeability is infinite"
        )
    return filled


def _gradient(load: object, dtype: torch.dtype) -> Float[Tensor, "*b d"]:
    try:
        given = torch.as_tensor(load, dtype=dtype)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError("load must be 3 numbers (2 in 2-D), or rows of them") from None
    if not 1 <= given.ndim <= 3 or given.shape[-1] not in (2, 3) or not given.numel():
        raise ValueError(
            f"load of shape {tuple(given.shape)} must be (d,), (b, d) or (1, l, d), "
            "with d = 2 or 3"
        )
    if not bool(given.isfinite().all()):
        raise ValueError("load is not finite")
    return given


def _cases(load: Float[Tensor, "*b d"], samples: int) -> Float[Tensor, "b d"]:
    rows = load[None] if load.ndim == 1 else load
    if rows.ndim == 3:
        if len(rows) not in (1, samples):
            raise ValueError(
                f"load of shape {tuple(load.shape)} must have 1 or {samples} as first "
                "length"
            )
        return rows.expand(samples, -1, -1).flatten(0, 1)
    if samples > 1 and len(rows) not in (1, samples):
        raise ValueError(
            f"load holds {len(rows)} cases but there are {samples} samples"
        )
    return rows.expand(max(samples, len(rows)), -1)
