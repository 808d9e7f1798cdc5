"""The model of messages finds the line that it is given, and counts what was sent."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
pytestmark = pytest.mark.skipif(not BENCHMARKS.exists(), reason="not a clone")


@pytest.fixture
def plan(monkeypatch):
    """The script, and what it imports."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    import slab_plan

    return slab_plan


def test_latency_and_bandwidth_are_found_over_decades(plan):
    """Least squares of seconds, to which the small messages would be nothing."""
    import slabs

    sizes = 2.0 ** np.arange(10, 26, 2)
    noise = 1 + 0.05 * np.cos(np.arange(8))
    latency, slope = slabs.line(sizes, (50e-6 + sizes / 3e9) * noise)
    assert latency == pytest.approx(50e-6, rel=0.1)
    assert 1 / slope == pytest.approx(3e9, rel=0.1)


def test_an_iteration_sends_two_spectra(plan):
    """A plan that counts other messages than were measured."""
    results = sorted(plan.RESULTS.glob("slabs-*.json"))
    if not results:
        pytest.skip("nothing has been measured")
    for visit, found in json.loads(results[0].read_text())["visits"].items():
        count = int(visit.split()[1])
        for each in found["solves"].values():
            assert each["calls"] == (0 if count == 1 else 2)
            spectrum = 3 * each["rows"] * each["edge"] * (each["edge"] // 2 + 1)
            if count > 1 and each["rows"] % count == each["edge"] % count == 0:
                assert each["bytes"] == 2 * plan.NUMBER * spectrum / count


def test_a_cell_fits_the_devices_that_are_named(plan):
    """Rounding down."""
    for edge in (300, 1024, 4096):
        count = plan.devices(edge, 500.0)
        assert edge**3 * 500.0 <= count * plan.ROOM
        assert count == 2 or edge**3 * 500.0 > count / 2 * plan.ROOM
