"""Random two-phase microstructures: PyMKS (Brough, Wheeler, Kalidindi 2017, IMMI).

Independent uniform noise in every voxel is convolved, periodically, with a Gaussian
of standard deviation g/2π along an axis of grain size g, then cut at a quantile.
For g ≥ 5 the uncut field's autocorrelation at distance r is exp(−(π r/g)²) within
0.01; the kernel ends at g voxels, so that g = 1 is the noise itself.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import SupportsFloat, TypeAlias

import numpy as np
from jaxtyping import Float, Int, Num, UInt8
from scipy.stats import qmc

from lsml.extras import needed

Numbers: TypeAlias = SupportsFloat | Sequence[SupportsFloat] | Num[np.ndarray, "..."]

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Design:
    """Parameters of n microstructures, one row each; see `latin_hypercube`.

    Attributes
    ----------
    grain_size
        Grain size along each of the d axes, in voxels.
    volume_fraction
        Fraction of the voxels that are stiff (label 1).
    """

    grain_size: Int[np.ndarray, "n d"]
    volume_fraction: Float[np.ndarray, " n"]


def microstructures(
    n: int,
    shape: Sequence[int] = (31, 31, 31),
    grain_size: Numbers = 8,
    volume_fraction: Numbers = 0.5,
    seed: int = 0,
    start: int = 0,
) -> UInt8[np.ndarray, "n *shape"]:
    """Draw n periodic two-phase microstructures with `pymks.datasets`.

    Parameters
    ----------
    n
        Number of microstructures.
    shape
        Voxels along each axis, 2-D or 3-D.
    grain_size
        Grain size in whole voxels, between 1 and the axis's length: one number,
        one per axis, or an (n, d) table with a row per microstructure.
    volume_fraction
        Fraction of stiff voxels, strictly between 0 and 1: one number or n of them.
        It is met to within one voxel, from below.
    seed
        Microstructure i depends on `seed`, i and its own parameters only.
    start
        i of the first one: a long series can be drawn in parts.

    Returns
    -------
    labels
        0 soft, 1 stiff.

    Raises
    ------
    ValueError
        An argument outside the ranges above.
    ImportError
        PyMKS is not installed; the message names the extra that installs it.
    """
    counts = _check_shape(shape)
    grains, fractions = _check(n, counts, grain_size, volume_fraction, seed)
    if start < 0:
        raise ValueError(f"start is {start}; expected a non-negative integer.")
    make = _make_microstructure()
    labels = np.empty((n, *counts), dtype=np.uint8)
    with _global_random_state_kept(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of pymks 0.4, all of it
        for i in range(n):
            labels[i] = make(
                n_samples=1,
                size=counts,
                n_phases=2,
                grain_size=tuple(grains[i]),
                volume_fraction=(1.0 - fractions[i], fractions[i]),
                # Four words: one word of 32 bits would repeat within 10⁵ samples.
                seed=np.random.SeedSequence((seed, start + i)).generate_state(4),
            )[0]
    return labels


def latin_hypercube(
    n: int, shape: Sequence[int] = (31, 31, 31), seed: int = 0
) -> Design:
    """Draw the design of Kelly & Kalidindi 2021, Comput. Mater. Sci. 192, 110356.

    A Latin hypercube u in (0, 1)^(d+1): grain sizes ⌈N_a u_a⌉ voxels on an axis of
    N_a voxels, and the volume fraction u_{d+1}. Each of the n equal strata of every
    parameter is hit once. The fraction is the stiff phase's; the authors name the
    soft phase's, which has the same distribution.

    Raises
    ------
    ValueError
        n below 1, a shape that is not 2 or 3 positive integers, a negative seed.
    """
    counts = _check_shape(shape)
    _check_count_and_seed(n, seed)
    sampler = qmc.LatinHypercube(len(counts) + 1, rng=np.random.default_rng(seed))
    # The sampler may return 0, which is neither a grain nor a two-phase fraction.
    u = np.clip(sampler.random(n), _EPS, 1.0 - _EPS)
    return Design(np.ceil(u[:, :-1] * counts).astype(np.int64), u[:, -1])


def _make_microstructure() -> Callable[..., np.ndarray]:
    """PyMKS's generator, imported when first needed: it takes seconds."""
    with (
        needed("lsml.data.microstructures needs PyMKS with all it imports", "data"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # pkg_resources, scipy.ndimage.fourier
        from pymks.datasets import make_microstructure
    generator: Callable[..., np.ndarray] = make_microstructure
    return generator


@contextmanager
def _global_random_state_kept() -> Iterator[None]:
    """PyMKS seeds NumPy's global generator; the caller's is put back."""
    state = np.random.get_state()
    try:
        yield
    finally:
        np.random.set_state(state)


def _check_shape(shape: Sequence[int]) -> tuple[int, ...]:
    counts = tuple(int(k) for k in shape)
    if len(counts) not in (2, 3) or counts != tuple(shape) or min(counts) < 1:
        raise ValueError(f"shape is {shape}; expected 2 or 3 positive integers.")
    return counts


def _check_count_and_seed(n: int, seed: int) -> None:
    if n < 1:
        raise ValueError(f"n is {n}; expected at least 1.")
    if seed < 0:
        raise ValueError(f"seed is {seed}; expected a non-negative integer.")


def _check(
    n: int,
    counts: tuple[int, ...],
    grain_size: Numbers,
    volume_fraction: Numbers,
    seed: int,
) -> tuple[Int[np.ndarray, "n d"], Float[np.ndarray, " n"]]:
    _check_count_and_seed(n, seed)
    grains = _broadcast("grain_size", grain_size, (n, len(counts)))
    whole = np.rint(grains)
    if not np.all((grains == whole) & (whole >= 1) & (whole <= counts)):
        raise ValueError(
            f"grain_size is {grain_size}; expected whole numbers of voxels "
            f"between 1 and {counts}, the shape."
        )
    fractions = _broadcast("volume_fraction", volume_fraction, (n,))
    if not np.all((fractions >= _EPS) & (fractions <= 1.0 - _EPS)):
        raise ValueError(
            f"volume_fraction is {volume_fraction}; "
            "expected numbers strictly between 0 and 1."
        )
    return whole.astype(np.int64), fractions


def _broadcast(
    name: str, value: Numbers, shape: tuple[int, ...]
) -> Float[np.ndarray, "..."]:
    try:
        return np.broadcast_to(np.asarray(value, dtype=np.float64), shape)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} is {value}; expected numbers that broadcast to {shape}."
        ) from None
