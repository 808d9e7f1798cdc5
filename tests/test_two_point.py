"""Two-point statistics: PyMKS against sums over pairs and faces, and exact cells."""

import sys

import numpy as np
import pytest

from lsml.data.two_point import autocorrelation, two_point

SHAPES = [(3, 4, 5), (2, 7, 4), (6, 5), (1, 8)]
EDGES = (1.0, 2.0, 0.5)


@pytest.fixture(autouse=True)
def pymks():
    pytest.importorskip("pymks", reason='needs pip install "lsml[data]"')


def phase_of(shape):
    return np.random.default_rng(1).random(shape) < 0.4


@pytest.mark.parametrize("shape", SHAPES)
def test_statistics_count_pairs(shape):
    """Theorem: S(r) is the share of points x with x and x + r in the phase.

    Catches a shift of r = 0 on odd or even axes, and a norm left out.
    """
    phase = phase_of(shape)
    stats = autocorrelation(phase)
    axes = tuple(range(phase.ndim))
    for r in np.ndindex(shape):
        pairs = phase & np.roll(phase, [-step for step in r], axes)
        assert stats[r] == pytest.approx(pairs.mean(), abs=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_surface_is_the_area_of_voxel_faces(shape):
    """Theorem: faces between phases, each of its own area, over the volume."""
    phase, edges = phase_of(shape), EDGES[: len(shape)]
    volume, area = phase.size * np.prod(edges), 0.0
    for axis, h in enumerate(edges):
        faces = (phase != np.roll(phase, -1, axis)).sum()
        area += faces * np.prod(edges) / h
    found = two_point(phase, edges)
    assert found.surface == pytest.approx(area / volume, abs=1e-12)
    assert found.fraction == pytest.approx(phase.mean(), abs=1e-12)
    other = two_point(~phase, edges)
    assert other.surface == pytest.approx(found.surface, abs=1e-12)
    assert other.lengths == pytest.approx(found.lengths, nan_ok=True)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_lengths_of_layers(axis):
    """Theorem: layers half a period L thick have the covariance 1 − 4 r/L, so that it
    is 1/e at L (1 − 1/e)/4, and never falls along the layers."""
    shape = [4, 3, 5]
    shape[axis] = 12
    layers = np.moveaxis(np.zeros(shape, bool), axis, 0)
    layers[3:9] = True
    found = two_point(np.moveaxis(layers, 0, axis), EDGES)
    period = 12 * EDGES[axis]
    expected = [np.nan] * 3
    expected[axis] = period * (1 - np.exp(-1)) / 4
    assert found.lengths == pytest.approx(expected, nan_ok=True)
    assert found.surface == pytest.approx(2 / period)


def test_an_image_of_one_phase_has_no_lengths():
    found = two_point(np.ones((3, 4), bool))
    assert (found.fraction, found.surface) == (1.0, 0.0)
    assert np.isnan(found.lengths).all()


def test_without_pymks_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymks.fmks.correlations", None)
    with pytest.raises(ImportError, match=r'pip install "lsml\[data\]"'):
        two_point(np.ones((3, 4), bool))


@pytest.mark.parametrize(("ndim", "share"), [(2, np.pi / 4), (3, 2 / 3)])
def test_a_smooth_isotropic_surface_has_that_share_of_the_faces(ndim, share):
    """A ball of radius r: 2 pi r and 4 pi r²; measured within 1.5 percent."""
    axes = np.meshgrid(*[np.arange(34) - 16.3] * ndim)
    ball = sum(x**2 for x in axes) < 13.2**2
    exact = {2: 2 * np.pi * 13.2, 3: 4 * np.pi * 13.2**2}[ndim] / 34**ndim
    assert two_point(ball).surface * share == pytest.approx(exact, rel=0.03)
