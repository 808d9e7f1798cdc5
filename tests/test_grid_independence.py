"""Refining the cell does not make the problem harder for conjugate gradients."""

import pytest

import lsml
from lsml.data import microstructures

GRAIN, SEEDS = 8, (0, 1)


def mean_iterations(n):
    """Of CG on cells of n³ voxels at the default tolerance, contrast 10, rotated."""
    counts = []
    for seed in SEEDS:
        labels = microstructures(1, (n, n, n), GRAIN, volume_fraction=0.5, seed=seed)
        solution = lsml.solve(
            labels, rule="cg", contrast=10.0, discretization="rotated"
        )
        assert solution.converged.all()
        counts.append(int(solution.iterations[0]))
    return sum(counts) / len(counts)


@pytest.mark.slow
def test_iterations_of_cg_hardly_grow_with_the_grid():
    """Theorem: the reference medium bounds the condition number by the contrast.

    Whatever the number of voxels; with the grain size fixed in voxels, 127³ is a
    larger sample of the same material as 31³. Catches a preconditioner whose symbol is
    not that of the stencil, a frequency left out or scaled with the grid, and a norm
    of the residual that is not relative to its own start.
    """
    pytest.importorskip("pymks", reason='needs pip install "lsml[data]"')
    assert mean_iterations(127) <= 1.25 * mean_iterations(31)
