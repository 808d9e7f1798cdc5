"""Samples in memory: microstructures solved for a data set of a few."""

import torch
from jaxtyping import Integer
from torch import Tensor

from lsml.api import solve
from lsml.learned.sample import Sample

MEAN = 1e-3  # mean strain along the first axis
TOGETHER = 16


def solved(
    labels: Integer[Tensor, "n *m"], contrast: float = 10.0, tol: float = 1e-6
) -> list[Sample]:
    """Strain 11 of microstructures under mean strain 11, over that mean.

    By CG on `hex8-bbar`, as in :func:`lsml.data.generate`.

    Parameters
    ----------
    labels : phase of each voxel, 0 soft and 1 stiff.
    contrast : Young's modulus of phase 1; that of phase 0 is 1.
    tol : certified relative residual.
    """
    samples: list[Sample] = []
    for part in labels.split(TOGETHER):
        solution = solve(part, contrast=contrast, discretization="hex8-bbar", tol=tol)
        strain = (solution.strain[:, :1] / MEAN).float()
        pairs = zip(part.to(torch.uint8), strain, strict=True)
        samples += [Sample(image, field) for image, field in pairs]
    return samples
