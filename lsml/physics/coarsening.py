"""Coarser images whose mixed voxels are phases of their own: composite voxels.

Kabel, Merkert & Schneider (2015, CMAME); Gélébart & Ouaki (2015, C. R. Mécanique).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from lsml.mandel import PAIRS, rotation
from lsml.physics.cell import Spacing, edges
from lsml.physics.conductivity import Conductivities, tensor
from lsml.physics.labels import as_labels, check_range
from lsml.physics.layers import layered
from lsml.physics.moduli import Stiffness
from lsml.physics.phases import Phases, Table, phase_table, table_of

TableOf = Float[Tensor, "q c c"]


@dataclass(frozen=True)
class Coarse:
    """An image in which voxels of one phase keep their label and others get a new one.

    Attributes
    ----------
    labels : (b, *n), or (*n) if one image was given.
    fractions : volume fraction of each phase in a voxel of each label, (q, p).
    normals : unit normal of the interface in it, 0 where there is none.
    """

    labels: Integer[Tensor, "*n"]
    fractions: Float[Tensor, "q p"]
    normals: Float[Tensor, "q d"]

    def stiffness(self, phases: Phases, rule: str = "laminate") -> TableOf:
        """Mandel stiffness of each label, for :func:`lsml.elasticity`.

        Parameters
        ----------
        phases : as given to :func:`lsml.elasticity`, one table for all samples.
        rule : ``"voigt"`` (uniform strain), ``"reuss"`` (uniform stress) or
            ``"laminate"``: layers across the normal; Voigt where there is no normal.

        Raises
        ------
        ValueError
            Unknown rule, several tables, or other phases than the labels have.
        """
        ndim = self.normals.shape[1]
        across = [c for c, pair in enumerate(PAIRS[ndim]) if 0 in pair]
        return self._mixed(phase_table(phases, ndim), rule, rotation, across)

    def conductivity(self, phases: Conductivities, rule: str = "laminate") -> TableOf:
        """Conductivity of each label, for :func:`lsml.conductivity`; as `stiffness`."""
        ndim = self.normals.shape[1]
        table = table_of(phases, partial(tensor, ndim=ndim), "conductivity")
        return self._mixed(table, rule, lambda r: r, [0])

    def _mixed(
        self,
        table: Table,
        rule: str,
        turn: Callable[[Tensor], Tensor],
        across: list[int],
    ) -> TableOf:
        if rule not in RULES:
            raise ValueError(
                f"rule {rule!r} is unknown; choose one of {', '.join(RULES)}"
            )
        coefficients, entries = table
        wanted = self.fractions.shape[1]
        if coefficients.shape[:2] != (1, wanted):
            raise ValueError(
                f"phases hold {coefficients.shape[0]} tables of "
                f"{coefficients.shape[1]}: give one table of {wanted} phases"
            )
        matrix = Stiffness(coefficients, entries).matrix()[0]
        shares = self.fractions.to(matrix)
        normals = self.normals.to(matrix)
        mixture = Mixture(matrix, shares, normals, turn(frames(normals)), across)
        one = shares == 1
        pure = one.any(1)[:, None, None]
        return torch.where(pure, matrix[one.int().argmax(1)], RULES[rule](mixture))


class Mixture(NamedTuple):
    """What a rule mixes.

    Phases (p, c, c), their shares (q, p), normals (q, d) and what turns the first axis
    to them; ``across`` are the components of flux that layers share.
    """

    matrix: Tensor
    shares: Tensor
    normals: Tensor
    axes: Tensor
    across: list[int]


def voigt(m: Mixture) -> Float[Tensor, "q c c"]:
    """<C>."""
    return torch.einsum("qp,pcd->qcd", m.shares, m.matrix)


def reuss(m: Mixture) -> Float[Tensor, "q c c"]:
    """<C⁻¹>⁻¹, and nothing where one of the phases is empty."""
    empty = (m.matrix == 0).flatten(1).all(1)
    unit = torch.eye(m.matrix.shape[-1]).to(m.matrix)
    soft = torch.linalg.inv(torch.where(empty[:, None, None], unit, m.matrix))
    mixed = torch.linalg.inv(torch.einsum("qp,pcd->qcd", m.shares, soft))
    broken = (m.shares[:, empty] > 0).any(1)
    return mixed.masked_fill(broken[:, None, None], 0)


def laminate(m: Mixture) -> Float[Tensor, "q c c"]:
    """Layers across the normal; Voigt where there is none."""
    turned = m.axes.mT[:, None] @ m.matrix @ m.axes[:, None]
    mixed = m.axes @ layered(turned, m.shares, m.across) @ m.axes.mT
    bare = (m.normals == 0).all(1)[:, None, None]
    return torch.where(bare, voigt(m), mixed)


RULES: Mapping[str, Callable[[Mixture], Tensor]] = {
    "voigt": voigt,
    "reuss": reuss,
    "laminate": laminate,
}


def coarsen(
    labels: object,
    factor: int,
    *,
    phases: int | None = None,
    spacing: Spacing | None = None,
) -> Coarse:
    """Join ``factor`` voxels along each axis to one.

    The normal of a mixed voxel points along the line between the centres of mass of its
    most frequent phase and of the others; where they coincide there is none.

    Parameters
    ----------
    labels : image (*n) or batch (b, *n); three axes are one 3-D image unless spacing is
        2-D.
    factor : a divisor of every axis.
    phases : how many there are; by default as many as the labels name.
    spacing : edges of the fine voxels, 1 by default.

    Raises
    ------
    ValueError
        Bad labels, or a factor that does not divide the image.
    """
    known = None if spacing is None else len(edges(spacing, 3))
    image = as_labels(labels, known, None)
    ndim, shape = image.ndim - 1, tuple(image.shape[1:])
    whole = isinstance(factor, int) and factor > 0
    if not whole or any(n % factor for n in shape):
        raise ValueError(
            f"factor = {factor!r} must be a whole number that divides the image {shape}"
        )
    count = int(image.max()) + 1 if phases is None else phases
    check_range(image, count)
    blocks = _blocks(image, factor)
    fractions = torch.stack([(blocks == h).double().mean(1) for h in range(count)], 1)
    normals = _normals(blocks, fractions, factor, edges(spacing, ndim))
    coarse, fractions, normals = _numbered(fractions, normals)
    coarse = coarse.reshape(-1, *(n // factor for n in shape))
    single = np.ndim(labels) == ndim  # type: ignore[arg-type]
    return Coarse(coarse[0] if single else coarse, fractions, normals)


def _blocks(image: Tensor, factor: int) -> Integer[Tensor, "v k"]:
    """The fine labels in each coarse voxel."""
    d = image.ndim - 1
    for axis in range(d):
        image = image.unflatten(1 + 2 * axis, (-1, factor))
    order = [0, *range(1, 2 * d, 2), *range(2, 2 * d + 1, 2)]
    split = image.permute(order)
    return split.reshape(-1, factor**d)


def _normals(
    blocks: Tensor, fractions: Tensor, factor: int, spacing: tuple[float, ...]
) -> Float[Tensor, "v d"]:
    place = torch.arange(factor, dtype=torch.float64) - (factor - 1) / 2
    axes = [place * h for h in spacing]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, -2)
    first = fractions.argmax(1, keepdim=True)
    inside = (blocks == first).double()
    line = inside @ points.to(inside.device)  # the centre of the whole is 0
    length = torch.linalg.vector_norm(line, dim=1, keepdim=True)
    small = length <= 1e-9 * max(spacing) * len(points)
    unit = torch.where(small, 0.0, line / torch.where(small, 1.0, length))
    lead = (unit != 0).to(torch.uint8).argmax(1, keepdim=True)
    return unit * torch.sign(unit.gather(1, lead))


def _numbered(
    fractions: Tensor, normals: Tensor
) -> tuple[Tensor, Float[Tensor, "q p"], Float[Tensor, "q d"]]:
    """Labels of voxels: those of the phases, then one for each kind of mixture."""
    p = fractions.shape[1]
    pure = fractions == 1
    kinds = torch.cat([fractions, normals], 1)[~pure.any(1)].round(decimals=9) + 0.0
    mixtures, which = torch.unique(kinds, dim=0, return_inverse=True)
    labels = pure.int().argmax(1)
    labels[~pure.any(1)] = p + which
    unit = torch.eye(p, dtype=fractions.dtype, device=fractions.device)
    none = normals.new_zeros(p, normals.shape[1])
    return (
        labels.to(torch.int32),
        torch.cat([unit, mixtures[:, :p]]),
        torch.cat([none, mixtures[:, p:]]),
    )


def frames(normals: Float[Tensor, "q d"]) -> Float[Tensor, "q d d"]:
    """Rotations that take the first axis to the normal; the identity without one."""
    d = normals.shape[1]
    unit = torch.eye(d).to(normals)
    bare = (normals == 0).all(1, keepdim=True)
    n = torch.where(bare, unit[0], normals)
    rest = unit[n.abs().argmin(1)]
    if d == 2:
        return torch.stack([n, torch.stack([-n[:, 1], n[:, 0]], 1)], 2)
    second = torch.linalg.cross(n, rest, dim=1)
    second = second / torch.linalg.vector_norm(second, dim=1, keepdim=True)
    return torch.stack([n, second, torch.linalg.cross(n, second, dim=1)], 2)
