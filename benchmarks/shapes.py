"""Microstructures that no training recipe draws; label 1 is the stiff phase."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint8]
Generator = np.random.Generator
FRACTION, RADIUS, GRAINS = 0.3, 0.12, 40  # volume; radius over the edge; seeds


def periodic_distance2(
    shape: Sequence[int], centre: NDArray[np.float64], axes: Sequence[int]
) -> NDArray[np.float64]:
    """Squared distance of voxel centres from a point, in edges, along some axes."""
    found = np.zeros(tuple(shape))
    for axis in axes:
        n = shape[axis]
        gap = (np.arange(n) + 0.5) / n - centre[axis]
        gap -= np.rint(gap)
        found += (gap**2).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return found


def inclusions(
    shape: Sequence[int], generator: Generator, axes: Sequence[int]
) -> Labels:
    """Overlapping balls in the given axes, until they fill their share."""
    labels = np.zeros(tuple(shape), np.uint8)
    while labels.mean() < FRACTION:
        centre = generator.random(len(shape))
        labels |= periodic_distance2(shape, centre, axes) <= RADIUS**2
    return labels


def spheres(shape: Sequence[int], generator: Generator) -> Labels:
    """Overlapping spheres."""
    return inclusions(shape, generator, range(len(shape)))


def fibres_along(axis: int) -> Callable[[Sequence[int], Generator], Labels]:
    """Overlapping cylinders through the whole cell."""

    def fibres(shape: Sequence[int], generator: Generator) -> Labels:
        across = [a for a in range(len(shape)) if a != axis]
        return inclusions(shape, generator, across)

    return fibres


def laminate_across(axis: int) -> Callable[[Sequence[int], Generator], Labels]:
    """Layers of random thickness, normal to an axis."""

    def laminate(shape: Sequence[int], generator: Generator) -> Labels:
        n = shape[axis]
        layers = (np.arange(n) // generator.integers(2, max(3, n // 4))) % 2
        places = [-1 if a == axis else 1 for a in range(len(shape))]
        return np.broadcast_to(layers.reshape(places), shape).astype(np.uint8)

    return laminate


def mosaic(shape: Sequence[int], generator: Generator) -> Labels:
    """Voronoi cells, each of one phase: a polycrystal of two kinds of grain."""
    seeds = generator.random((GRAINS, len(shape)))
    axes = range(len(shape))
    distance = [periodic_distance2(shape, seed, axes) for seed in seeds]
    kinds = generator.permutation(np.arange(GRAINS) % 2).astype(np.uint8)
    return kinds[np.argmin(distance, axis=0)]


SHAPES: Mapping[str, Callable[[Sequence[int], Generator], Labels]] = {
    "spheres": spheres,
    "fibres along the load": fibres_along(0),
    "fibres across the load": fibres_along(2),
    "layers across the load": laminate_across(0),
    "layers along the load": laminate_across(1),
    "polycrystal of two kinds of grain": mosaic,
}


def drawn(name: str, n: int, shape: Sequence[int], seed: int) -> Labels:
    """Several of one kind."""
    return np.stack(
        [SHAPES[name](shape, np.random.default_rng((seed, i))) for i in range(n)]
    )
