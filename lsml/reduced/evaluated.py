"""What full displacements say of their own points: energies and residuals evaluated."""

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.reduced.affine import Affine, Coefficients, Vectors, matrices
from lsml.reduced.estimate import Estimate, Residuals, read
from lsml.spectrum import spectrum


def evaluated(
    affine: Affine,
    table: Coefficients,
    loads: Float[Tensor, "s l e"],
    found: Vectors,
    most: Float[Tensor, "s l"] | None,
    effective: bool,
) -> Estimate:
    """Energies and certificates of displacements found for s tables on s cells.

    Parameters
    ----------
    found : one displacement for each load case; its residual is that of the full
        problem.
    most : a bound of the energy that it misses, if a better one than that of the
        residual is known.
    """
    columns, images = affine.column_images(table), affine.images(table, found)
    across, own = affine.products(columns, found), affine.products(found, images)
    top = torch.cat([affine.column_products(table), across], 2)
    matrix = torch.cat([top, torch.cat([across.mT, (own + own.mT) / 2], 2)], 1)
    itself = torch.eye(found.shape[1]).to(own).expand_as(own)
    weights = torch.cat([loads.mT, itself], 1)
    start = loads @ columns
    tables = matrices(table, affine.law.entries)
    low, _ = spectrum(tables, affine.medium.expand(len(tables), -1, -1))
    square = _squares(affine, start + images)
    gap = torch.where(square > 0, square / low[:, None], 0.0)
    residuals = Residuals(
        square[:, None],
        _squares(affine, start).sqrt()[:, None],
        (gap if most is None else torch.minimum(gap, most))[:, None],
    )
    return read(
        matrix[:, None],
        weights[:, None],
        residuals,
        affine.law.components,
        effective,
    )


def _squares(affine: Affine, forces: Vectors) -> Float[Tensor, "s l"]:
    """Squared norms of residuals."""
    work = affine.products(forces, affine.steps(forces))
    return work.diagonal(dim1=1, dim2=2).clamp_min(0)
