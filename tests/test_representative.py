"""Error bars over realizations against statistics done otherwise."""

import numpy as np
import pytest
import torch
from scipy import stats

import lsml
from lsml import exact
from lsml.realizations import Moments, RepresentativeEstimate, representative

KAPPA = [1.0, 6.0]


def layers(n=9, seed=0, batch=None):
    """Random layers, whose effective conductivity is known: (b, n, 2) labels."""
    draw = np.random.default_rng(seed).integers(0, 2, (batch or 1, n, 1))
    image = np.repeat(draw, 2, 2)
    return image if batch else image[0]


def problems(count, seed=0):
    """One conduction problem after the other."""
    for k in range(count):
        yield lsml.conductivity(layers(seed=seed + k), KAPPA, [1.0, 0.0])


def closed_forms(count, seed=0):
    """Series and parallel conductivity of the same realizations."""
    share = [
        exact.volume_fractions(layers(seed=seed + k), 2, 2)[0] for k in range(count)
    ]
    across = [float(1 / (f / torch.tensor(KAPPA)).sum()) for f in share]
    along = [float((f * torch.tensor(KAPPA)).sum()) for f in share]
    return np.array([across, along])


def test_mean_and_interval_of_laminates():
    """Theorem: realizations with closed forms have these means, deviations and
    intervals, by NumPy and by SciPy's t-interval.

    Catches n for n − 1, and a standard error that is a deviation.
    """
    found = representative(problems(7), tol=1e-12)
    values = closed_forms(7)
    assert found.count == 7
    assert np.allclose(np.diag(found), values.mean(1), rtol=1e-10)
    assert np.allclose(found.deviation.diagonal(), values.std(1, ddof=1), rtol=1e-8)
    for i, row in enumerate(values):
        low, high = stats.t.interval(0.95, 6, row.mean(), stats.sem(row))
        assert float(found.half_width[i, i]) == pytest.approx((high - low) / 2)
    assert bool((found.numerical < 1e-10).all())
    assert "7 realizations" in repr(found)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_batches_do_not_matter(batch):
    """Theorem: an array in batches of any size, uneven ones too, is the whole array.

    Catches means of means.
    """
    phases = [lsml.isotropic(E=1.0, nu=0.2), lsml.isotropic(E=4.0, nu=0.3)]
    images = layers(5, 3, 5)
    found = representative(images, phases=phases, batch=batch, tol=1e-12)
    whole = lsml.homogenize(images, phases=phases, spacing=(1.0, 1.0), tol=1e-12)
    each = np.asarray(whole)
    assert found.count == 5
    assert np.allclose(found, each.mean(0), rtol=1e-9, atol=1e-12)
    assert np.allclose(found.deviation, each.std(0, ddof=1), rtol=1e-7, atol=1e-12)


def test_moments_keep_their_digits():
    """Theorem: merging is exact to rounding where the mean is 1e8 times the deviation;
    complex values scatter by their modulus.

    Catches the textbook formula <x²> − <x>², which loses all digits here.
    """
    rng = np.random.default_rng(1)
    values = torch.from_numpy(1e8 + rng.normal(size=(30, 2)))
    seen = Moments(0, values[0], values[0])
    for part in values.split([1, 12, 10, 7]):
        seen = seen.merged(part)
    assert torch.allclose(seen.square / 29, values.var(0), rtol=1e-6)
    twisted = torch.complex(values[:, 0], values[:, 1])
    spread = Moments(0, twisted[0], values[0, 0]).merged(twisted).square / 29
    assert float(spread) == pytest.approx(float(values.var(0).sum()), rel=1e-6)


def synthetic(values):
    """An estimate from numbers, as from one-component conduction."""
    seen = Moments(0, values[0], values[0]).merged(values[:, None, None])
    deviation = (seen.square / (len(values) - 1)).sqrt()
    return RepresentativeEstimate(
        seen.mean, deviation, len(values), 0.9, torch.zeros(1)
    )


def test_intervals_cover_as_often_as_they_say():
    """Theorem: of normal samples of five, 90 % of the intervals hold the true mean.

    Catches the normal quantile for Student's, which covers 81 % here.
    """
    draw = torch.Generator().manual_seed(0)
    values = 3 + torch.randn(4000, 5, generator=draw, dtype=torch.float64)
    inside = [
        abs(float(e.mean) - 3) <= float(e.half_width) for e in map(synthetic, values)
    ]
    share = sum(inside) / len(inside)
    assert abs(share - 0.9) < 4 * (0.9 * 0.1 / len(inside)) ** 0.5


@pytest.mark.parametrize("accuracy", [0.3, 0.05, 0.001])
def test_needed_is_the_least_number(accuracy):
    """Theorem: with so many realizations the interval is small enough, with one less it
    is not; for many it is Kanit's (2 D/(ε Z))² with the normal quantile for 2.
    """
    draw = torch.Generator().manual_seed(2)
    found = synthetic(3 + torch.randn(40, generator=draw, dtype=torch.float64))
    n, scatter = found.needed(accuracy), float(found.deviation / found.mean)
    for k, enough in ((n, True), (n - 1, False)):
        width = stats.t.ppf(0.95, k - 1) * scatter / k**0.5
        assert bool(width <= accuracy) is enough
    if n > 1000:
        kanit = (stats.norm.ppf(0.95) * scatter / accuracy) ** 2
        assert n == pytest.approx(kanit, rel=1e-2)


def test_stops_when_accurate_enough():
    """What an accuracy asks for is what is solved, and no cell more.

    Catches a stream that is drained first, and one that goes on for ever.
    """
    drawn = []

    def cell(k):
        drawn.append(k)
        return lsml.conductivity(layers(40, seed=k), KAPPA, [1.0, 0.0])

    found = representative(cell, accuracy=0.15, tol=1e-8)
    assert found.relative <= 0.15
    assert found.count == len(drawn) >= 8
    before = representative(problems_of(cell, found.count - 1), tol=1e-8)
    assert found.count == 8 or before.relative > 0.15
    assert found.needed(0.15) <= found.count
    few = representative(cell, accuracy=1e-9, most=3)
    assert few.count == 3


def problems_of(cell, count):
    return [cell(k) for k in range(count)]


def test_identical_cells_have_no_scatter():
    """Two equal cells are enough for any accuracy; one tells no deviation."""
    image = np.stack([layers()] * 3)
    found = representative(image, contrast=5.0, tol=1e-10)
    assert float(found.half_width.max()) < 1e-12
    assert found.needed(1e-6) == 2
    alone = representative(image[:1], contrast=5.0)
    assert bool(alone.half_width.isinf().all())
    with pytest.raises(ValueError, match="one realization"):
        alone.needed(0.1)


@pytest.mark.parametrize(
    ("cells", "options", "message"),
    [
        ([], {}, "no realization"),
        (np.zeros((3, 3), int), {}, "realization first"),
        (3, {}, "must be an array"),
        (lambda k: layers(), {}, "without end"),
        (layers(batch=2), {"accuracy": 0.0}, "accuracy = 0.0"),
        (layers(batch=2), {"confidence": 95}, "confidence = 95"),
        (layers(batch=2), {"batch": 0}, "batch = 0"),
    ],
)
def test_refusals(cells, options, message):
    """One sentence each."""
    with pytest.raises(ValueError, match=message):
        representative(cells, **options)


def test_cells_must_be_of_one_kind():
    """A stiffness is not averaged with a conductivity."""
    mixed = [layers(), next(problems(1))]
    with pytest.raises(ValueError, match="one kind"):
        representative(mixed)
