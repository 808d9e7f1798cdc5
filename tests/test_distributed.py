"""A cell in slabs on several processes has the answer of the cell in one piece."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from slab_runs import SCHEMES, SHAPES, everything

HERE = Path(__file__).parent
CASES = [(shape, scheme) for shape in SHAPES for scheme in SCHEMES]


@pytest.fixture(scope="module")
def alone():
    return everything(None)


@pytest.fixture(scope="module", params=[2, 4])
def slabs(request, tmp_path_factory):
    """What so many processes find, each of which has a slab."""
    folder, count = tmp_path_factory.mktemp("slabs"), request.param
    command = [sys.executable, str(HERE / "slab_runs.py")]
    store, out = folder / "store", folder / "found.pt"
    running = [
        subprocess.Popen([*command, str(rank), str(count), str(store), str(out)])
        for rank in range(count)
    ]
    assert [each.wait(timeout=500) for each in running] == [0] * count
    return torch.load(out, weights_only=True)


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.parametrize(("shape", "scheme"), CASES)
def test_one_operator_and_ten_steps_are_those_of_the_whole(alone, slabs, shape, scheme):
    """A halo from the wrong side, or a column of frequencies at the wrong place."""
    for what in ("once", "ten"):
        name = f"{shape} {scheme} {what}"
        assert apart(slabs[name], alone[name]) <= 1e-12, what


@pytest.mark.parametrize(("shape", "scheme"), CASES)
def test_conjugate_gradients_end_at_the_same_field(alone, slabs, shape, scheme):
    """A product that leaves out a slab, or counts the free mean once for each."""
    for what in ("strain", "displacement", "mean_stress", "iterations"):
        name = f"{shape} {scheme} {what}"
        assert apart(slabs[name].double(), alone[name].double()) <= 1e-9, what
    numbers = f"{shape} {scheme} numbers"
    torch.testing.assert_close(
        slabs[numbers][:, 0], alone[numbers][:, 0], rtol=1e-9, atol=0
    )
    assert bool((slabs[numbers][:, 1] <= 1e-12).all())


@pytest.mark.parametrize("scheme", ["fourier", "rotated", "staggered"])
def test_derivatives_are_those_of_the_whole(alone, slabs, scheme):
    """A sum over the processes that is differentiated as many times as there are."""
    name = f"slope {scheme}"
    torch.testing.assert_close(slabs[name], alone[name], rtol=1e-9, atol=0)


def test_a_network_predicts_what_it_predicts_alone(alone, slabs):
    """Convolutions that wrap around a slab."""
    assert apart(slabs["network"], alone["network"]) <= 1e-6


def test_stiffness_and_its_bounds_are_those_of_the_whole(alone, slabs):
    """Load cases that take their averages from one slab."""
    torch.testing.assert_close(
        slabs["effective"], alone["effective"], rtol=1e-8, atol=0
    )
