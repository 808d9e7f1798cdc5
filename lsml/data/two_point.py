"""Two-point statistics of one phase, by PyMKS (Brough, Wheeler, Kalidindi 2017, IMMI).

S(r) is the chance that two points r apart, in a periodic cell, both lie in the phase.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from lsml.extras import needed

DECAY = float(np.exp(-1.0))


@dataclass(frozen=True)
class TwoPoint:
    """What the statistics of one phase along the axes of the cell say.

    Attributes
    ----------
    fraction : S(0), its share of the volume.
    lengths : along each axis, the distance at which S − S(0)² has fallen to 1/e of
        what it is at r = 0; NaN where it has not within half the cell.
    surface : faces of voxels between the phase and others, area per volume (in 2-D
        length per area). A smooth isotropic surface has 2/3 of it, in 2-D π/4.
    """

    fraction: float
    lengths: tuple[float, ...]
    surface: float


def two_point(
    phase: Bool[np.ndarray, "*n"], spacing: Sequence[float] | None = None
) -> TwoPoint:
    """Statistics of the voxels of one phase.

    Parameters
    ----------
    spacing : voxel edges; 1 by default.

    Raises
    ------
    ImportError
        PyMKS is missing; the message names the extra.
    """
    edges = (1.0,) * phase.ndim if spacing is None else tuple(spacing)
    stats = autocorrelation(phase)
    lines = [np.moveaxis(stats, axis, 0) for axis in range(phase.ndim)]
    for _ in range(phase.ndim - 1):
        lines = [line[:, 0] for line in lines]
    share = float(stats.flat[0])
    lengths = [_length(s, share) * h for s, h in zip(lines, edges, strict=True)]
    # A pair of neighbours of which one is in the phase has a face between them.
    faces = [
        2 * (share - float(s[1])) / h
        for s, h in zip(lines, edges, strict=True)
        if len(s) > 1
    ]
    return TwoPoint(share, tuple(lengths), max(sum(faces), 0.0))


def autocorrelation(phase: Bool[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """S(r) of a periodic cell; r = 0 comes first, as FFTs have it.

    Raises
    ------
    ImportError
        PyMKS is missing; the message names the extra.
    """
    counts = np.asarray(_auto_correlation()(phase[None].astype(np.float64)))[0]
    stats: NDArray[np.float64] = np.fft.ifftshift(counts) / phase.size
    return stats


def _auto_correlation() -> Callable[..., object]:
    with (
        needed("two-point statistics need PyMKS with all it imports", "data"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # pkg_resources, scipy.ndimage.fourier
        from pymks.fmks.correlations import auto_correlation
    found: Callable[..., object] = auto_correlation
    return found


def _length(line: Float[np.ndarray, " n"], share: float) -> float:
    """Voxels until the covariance is down to 1/e, by linear interpolation."""
    spread = share - share**2
    if spread <= 1e-12:
        return float("nan")
    half = (line[: len(line) // 2 + 1] - share**2) / spread
    below = np.flatnonzero(half < DECAY)
    if not len(below):
        return float("nan")
    k = int(below[0])
    return k - 1 + float((half[k - 1] - DECAY) / (half[k - 1] - half[k]))
