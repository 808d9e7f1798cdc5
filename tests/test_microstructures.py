"""Two-phase microstructures by PyMKS, and the Latin hypercube of the paper."""

import subprocess
import sys

import numpy as np
import pytest

from lsml.data import latin_hypercube, microstructures

# Odd and even, cubic and not, 2-D and 3-D, a one-voxel axis: (shape, grain size).
CASES = {
    "2d": ((48, 33), (16, 5)),
    "2d-swapped": ((48, 33), (5, 16)),
    "3d-odd-cube-x": ((31, 31, 31), (15, 6, 3)),
    "3d-odd-cube-z": ((31, 31, 31), (3, 6, 15)),
    "3d-even-odd": ((32, 21, 16), (4, 12, 7)),
    "3d-one-voxel-axis": ((1, 40, 32), (1, 5, 12)),
}


@pytest.fixture
def pymks():
    pytest.importorskip("pymks", reason='needs pip install "lsml[data]"')


def autocorrelation(labels, axis):
    """Of a batch, at each distance along one axis; 1 at distance 0."""
    x = labels - labels.mean(axis=tuple(range(1, labels.ndim)), keepdims=True)
    power = np.abs(np.fft.fft(x, axis=1 + axis)) ** 2
    kept = 1 + axis
    others = tuple(a for a in range(labels.ndim) if a != kept)
    correlation = np.fft.ifft(power.mean(axis=others)).real
    return correlation / correlation[0]


def expected_autocorrelation(grain_size, count):
    """Of the generator at volume fraction ½: arcsine law of a cut Gaussian field."""
    k = np.arange(-(grain_size // 2), -(-grain_size // 2))
    kernel = np.zeros(count)
    kernel[k] = np.exp(-0.5 * (2 * np.pi * k / grain_size) ** 2)
    correlation = np.fft.ifft(np.abs(np.fft.fft(kernel)) ** 2).real
    return 2 / np.pi * np.arcsin(np.clip(correlation / correlation[0], -1, 1))


@pytest.mark.usefixtures("pymks")
@pytest.mark.parametrize("case", CASES)
def test_grain_size_is_the_correlation_length_along_its_own_axis(case):
    # Largest deviation over 20 seeds: 0.047. Two axes swapped: 0.25 at least.
    shape, grain_size = CASES[case]
    labels = microstructures(24, shape, grain_size, seed=5)
    assert labels.shape == (24, *shape)
    assert labels.dtype == np.uint8
    for axis, (count, grain) in enumerate(zip(shape, grain_size, strict=True)):
        near = slice(0, max(1, min(grain, count // 2)))
        found = autocorrelation(labels, axis)[near]
        expected = expected_autocorrelation(grain, count)[near]
        np.testing.assert_allclose(found, expected, atol=0.08)


@pytest.mark.usefixtures("pymks")
def test_wraps_around_periodically():
    labels = microstructures(24, (31, 31), 16, seed=1).astype(float) - 0.5
    across_the_edge = np.mean(labels[:, 0] * labels[:, -1]) / 0.25
    inside = np.mean(labels[:, 1:] * labels[:, :-1]) / 0.25
    assert inside > 0.7
    assert across_the_edge == pytest.approx(inside, abs=0.1)


@pytest.mark.usefixtures("pymks")
@pytest.mark.parametrize("volume_fraction", [1e-4, 0.03, 0.3, 0.5, 0.777, 0.999])
@pytest.mark.parametrize("shape", [(31, 31, 31), (16, 9), (8, 6, 4)])
def test_volume_fraction_of_phase_one_is_met_within_a_voxel_from_below(
    shape, volume_fraction
):
    labels = microstructures(2, shape, 3, volume_fraction)
    voxels = np.prod(shape)
    count = labels.reshape(2, -1).sum(axis=1, dtype=np.int64)
    deviation = count - volume_fraction * voxels
    assert np.all(deviation <= 1e-6)
    assert np.all(deviation >= -1 - 1e-6)
    assert labels.max() <= 1


@pytest.mark.usefixtures("pymks")
def test_default_fraction_follows_the_stiff_phase():
    assert microstructures(1, (31, 31), 4, 0.2).mean() == pytest.approx(0.2, abs=2e-3)


@pytest.mark.usefixtures("pymks")
def test_same_seed_same_labels_and_each_sample_its_own():
    a = microstructures(4, (16, 12), 4, seed=7)
    assert np.array_equal(a, microstructures(4, (16, 12), 4, seed=7))
    assert np.array_equal(a[:2], microstructures(2, (16, 12), 4, seed=7))
    b = microstructures(4, (16, 12), 4, seed=8)
    every = [*a, *b]
    assert all(
        not np.array_equal(every[i], every[j]) for i in range(8) for j in range(i)
    )


@pytest.mark.usefixtures("pymks")
def test_parameters_of_one_sample_leave_the_others_alone():
    grains = np.array([[4, 4], [4, 4], [4, 4]])
    fractions = np.array([0.5, 0.5, 0.5])
    a = microstructures(3, (16, 12), grains, fractions, seed=7)
    grains[1], fractions[1] = (9, 2), 0.3
    b = microstructures(3, (16, 12), grains, fractions, seed=7)
    assert np.array_equal(a[[0, 2]], b[[0, 2]])
    assert b[1].mean() == pytest.approx(0.3, abs=1 / 192)


@pytest.mark.usefixtures("pymks")
def test_global_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()
    microstructures(2, (8, 8), 2)
    assert np.array_equal(before, np.random.get_state()[1])


@pytest.mark.usefixtures("pymks")
def test_draws_a_latin_hypercube_design():
    design = latin_hypercube(5, (31, 17), seed=2)
    labels = microstructures(
        5, (31, 17), design.grain_size, design.volume_fraction, seed=2
    )
    found = labels.mean(axis=(1, 2))
    np.testing.assert_allclose(found, design.volume_fraction, atol=1 / (31 * 17))


@pytest.mark.parametrize("shape", [(31, 31, 31), (10, 64)])
def test_latin_hypercube_hits_every_stratum_once(shape):
    n = 64
    design = latin_hypercube(n, shape, seed=3)
    assert design.grain_size.shape == (n, len(shape))
    assert np.array_equal(np.sort(design.volume_fraction * n // 1), np.arange(n))
    for axis, count in enumerate(shape):
        # ⌈count u⌉ with one u in each stratum (s/n, (s + 1)/n) of s = 0 … n − 1.
        grains = np.sort(design.grain_size[:, axis])
        s = np.arange(n)
        assert np.all(grains >= np.maximum(1, np.ceil(count * s / n)))
        assert np.all(grains <= np.ceil(count * (s + 1) / n))
    again = latin_hypercube(n, shape, seed=3)
    assert np.array_equal(design.grain_size, again.grain_size)
    assert np.array_equal(design.volume_fraction, again.volume_fraction)
    other = latin_hypercube(n, shape, seed=4)
    assert not np.array_equal(design.volume_fraction, other.volume_fraction)


BAD = {
    "n": ({"n": 0}, "n is 0; expected at least 1"),
    "seed": ({"seed": -1}, "seed is -1; expected a non-negative"),
    "rank": ({"shape": (8,)}, r"shape is \(8,\); expected 2 or 3 positive"),
    "empty": ({"shape": (8, 0)}, r"shape is \(8, 0\); expected 2 or 3 positive"),
    "grain-too-large": ({"grain_size": (9, 2)}, r"grain_size is \(9, 2\); .* \(8, 6\)"),
    "grain-zero": ({"grain_size": 0}, "grain_size is 0; expected whole numbers"),
    "grain-broken": ({"grain_size": 2.5}, "grain_size is 2.5; expected whole"),
    "grain-nan": ({"grain_size": np.nan}, "grain_size is nan; expected whole"),
    "grain-rank": ({"grain_size": (2, 2, 2)}, r"grain_size is .* to \(2, 2\)"),
    "fraction-0": ({"volume_fraction": 0.0}, "volume_fraction is 0.0; .* strictly"),
    "fraction-1": ({"volume_fraction": 1.0}, "volume_fraction is 1.0; .* strictly"),
    "fraction-nan": ({"volume_fraction": np.nan}, "volume_fraction is nan; .* stri"),
    "fraction-n": ({"volume_fraction": [0.5] * 3}, r"volume_fraction is .* to \(2,\)"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_argument_is_named(case, monkeypatch):
    monkeypatch.setitem(sys.modules, "pymks", None)  # refused before any work
    given, message = BAD[case]
    good = {"n": 2, "shape": (8, 6), "grain_size": 2, "volume_fraction": 0.5}
    with pytest.raises(ValueError, match=message):
        microstructures(**(good | given))


@pytest.mark.parametrize(
    "arguments", [{"n": 0}, {"n": 4, "shape": (5,)}, {"n": 4, "seed": -2}]
)
def test_bad_design_is_refused(arguments):
    with pytest.raises(ValueError, match=r" is .*; expected "):
        latin_hypercube(**arguments)


def test_missing_generator_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymks", None)
    monkeypatch.setitem(sys.modules, "pymks.datasets", None)
    with pytest.raises(ImportError, match=r'pip install "lsml\[data\]"'):
        microstructures(1, (8, 8), 2)


def test_import_is_free_of_pymks():
    code = (
        "import sys, lsml.data; "
        "sys.exit(any(m in sys.modules for m in ('pymks', 'dask', 'pyarrow')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
