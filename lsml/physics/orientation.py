"""Orientations of grains, and the stiffness that a crystal has in each of them.

A rotation R takes crystal axes to the axes of the grid, v = R v_crystal.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.mandel import DIMENSION, rotation
from lsml.physics.moduli import Stiffness, anisotropic, numbers
from lsml.physics.phases import Phase

TOLERANCE = 1e-6  # of an entry of RᵀR, so that matrices printed in float32 will do


def polycrystal(stiffness: Phase, rotations: object) -> Float[Tensor, "p c c"]:
    """Mandel stiffness of each grain, ready to be the phases of a problem.

    Labels then number the grains. Differentiable in stiffness and rotations.

    Parameters
    ----------
    stiffness : of the crystal in its own axes, or of each of the p grains.
    rotations : (p, 3, 3) matrices, (p, 2, 2) in 2-D, from crystal to grid axes; see
        :func:`bunge` and :func:`quaternion`.

    Raises
    ------
    ValueError
        An orientation is not a rotation, or crystals are neither one nor as many.
    """
    r = as_rotations(rotations)
    ndim = r.shape[-1]
    crystal = stiffness if isinstance(stiffness, Stiffness) else anisotropic(stiffness)
    if ndim == 2:
        crystal = crystal.plane_strain()
    c = crystal.matrix()
    if DIMENSION[c.shape[-1]] != ndim:
        raise ValueError(
            f"rotations are {ndim}-D but the stiffness is {tuple(c.shape[-2:])}: give "
            "(p, 3, 3) rotations for (6, 6) matrices and (p, 2, 2) for (3, 3)"
        )
    if c.ndim == 3 and len(c) not in (1, len(r)):
        raise ValueError(
            f"stiffness holds {len(c)} crystals but there are {len(r)} orientations: "
            "give as many, or one"
        )
    dtype = torch.promote_types(c.dtype, r.dtype)
    q = rotation(r.to(c.device, dtype))
    turned = q @ c.to(dtype) @ q.mT
    return (turned + turned.mT) / 2


def as_rotations(given: object) -> Float[Tensor, "p d d"]:
    """Rotation matrices, checked.

    Raises
    ------
    ValueError
        Wrong shape, not orthogonal, or a reflection.
    """
    r = numbers("rotations", given)
    if (
        r.ndim != 3
        or r.shape[1] != r.shape[2]
        or r.shape[1] not in (2, 3)
        or not len(r)
    ):
        raise ValueError(
            f"rotations of shape {tuple(r.shape)} must be (p, 3, 3), one matrix for "
            "each grain, or (p, 2, 2) in 2-D"
        )
    unit = torch.eye(r.shape[-1]).to(r)
    off = (r.detach().mT @ r.detach() - unit).abs().amax((1, 2))
    reflects = torch.linalg.det(r.detach()) < 0
    bad = ~(off <= TOLERANCE) | reflects
    if bool(bad.any()):
        k = int(bad.nonzero()[0])
        why = (
            "it is a reflection, of determinant −1"
            if bool(off[k] <= TOLERANCE)
            else f"RᵀR differs from the identity by {float(off[k]):.2g}"
        )
        raise ValueError(f"orientation {k} (from 0) is not a rotation: {why}")
    return r


def bunge(angles: object) -> Float[Tensor, "p 3 3"]:
    """Rotations from Euler angles (φ₁, Φ, φ₂) in Bunge's convention, in radians.

    R = R_z(φ₁) R_x(Φ) R_z(φ₂), the transpose of Bunge's g, which takes grid axes to
    crystal axes (Bunge 1982, Texture Analysis in Materials Science).

    Raises
    ------
    ValueError
        Not (p, 3), or not finite.
    """
    a = numbers("Euler angles", angles)
    if a.ndim != 2 or a.shape[1] != 3 or not bool(a.isfinite().all()):
        raise ValueError(
            f"Euler angles of shape {tuple(a.shape)} must be (p, 3) and finite, one "
            "row (φ₁, Φ, φ₂) in radians for each grain"
        )
    first, tilt, second = (about(a[:, i], axis) for i, axis in enumerate((2, 0, 2)))
    return first @ tilt @ second


def about(angle: Float[Tensor, " p"], axis: int) -> Float[Tensor, "p 3 3"]:
    """Rotations by an angle about a coordinate axis."""
    c, s = angle.cos(), angle.sin()
    i, j = (axis + 1) % 3, (axis + 2) % 3
    r = torch.zeros(len(angle), 3, 3, dtype=angle.dtype, device=angle.device)
    places = [
        (axis, axis, torch.ones_like(c)),
        (i, i, c),
        (j, j, c),
        (i, j, -s),
        (j, i, s),
    ]
    for row, column, value in places:
        r = r.index_put(
            (torch.arange(len(r)), torch.tensor(row), torch.tensor(column)), value
        )
    return r


def quaternion(components: object) -> Float[Tensor, "p 3 3"]:
    """Rotations from unit quaternions (w, x, y, z), w the cosine of half the angle.

    Raises
    ------
    ValueError
        Not (p, 4), or not of length 1.
    """
    q = numbers("quaternions", components)
    if q.ndim != 2 or q.shape[1] != 4:
        raise ValueError(f"quaternions of shape {tuple(q.shape)} must be (p, 4)")
    length = torch.linalg.vector_norm(q.detach(), dim=1)
    bad = ~((length - 1).abs() <= TOLERANCE)
    if bool(bad.any()):
        k = int(bad.nonzero()[0])
        raise ValueError(
            f"orientation {k} (from 0) is not a rotation: the quaternion has length "
            f"{float(length[k]):.6g}, not 1"
        )
    q = q / torch.linalg.vector_norm(q, dim=1, keepdim=True)
    w, v = q[:, :1, None], q[:, 1:]
    unit = torch.eye(3).to(q)
    cross = torch.linalg.cross(v[:, None, :], unit.expand(len(q), 3, 3), dim=2).mT
    return unit + 2 * w * cross + 2 * cross @ cross
