"""A cell in slabs on several processes has the answer of the cell in one piece."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from slab_runs import CASES, SCHEMES, SHAPES, SLOPES
from slab_runs import alone as run_alone

HERE = Path(__file__).parent
SOLVED = [(count, *case) for count, cases in CASES.items() for case in cases]
DERIVED = [(count, scheme) for count, schemes in SLOPES.items() for scheme in schemes]


@pytest.fixture(scope="module")
def alone():
    before = torch.get_num_threads()
    yield run_alone()
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def slabs(tmp_path_factory):
    """What two and four processes find, each of which has a slab."""
    folder = tmp_path_factory.mktemp("slabs")
    command = [sys.executable, str(HERE / "slab_runs.py")]
    running = [
        subprocess.Popen([*command, str(rank), str(folder / "store"), str(folder)])
        for rank in range(4)
    ]
    assert [each.wait(timeout=500) for each in running] == [0] * 4
    found = {p.stem: torch.load(p, weights_only=True) for p in folder.glob("*.pt")}
    return {4: found["4"], 2: found["2-0"] | found["2-1"]}


@pytest.mark.parametrize("count", [2, 4])
def test_nothing_is_left_out(count):
    """A case that is dropped with its discretization."""
    assert {scheme for _, scheme in CASES[count]} == set(SCHEMES)
    assert {shape for shape, _ in CASES[count]} == set(SHAPES)


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.parametrize(("count", "shape", "scheme"), SOLVED)
def test_one_operator_and_ten_steps_are_those_of_the_whole(
    alone, slabs, count, shape, scheme
):
    """A halo from the wrong side, or a column of frequencies at the wrong place."""
    for what in ("once", "ten"):
        name = f"{shape} {scheme} {what}"
        assert apart(slabs[count][name], alone[name]) <= 1e-12, what


@pytest.mark.parametrize(("count", "shape", "scheme"), SOLVED)
def test_conjugate_gradients_end_at_the_same_field(alone, slabs, count, shape, scheme):
    """A product that leaves out a slab, or counts the free mean once for each."""
    for what in ("strain", "displacement", "mean_stress", "iterations"):
        name = f"{shape} {scheme} {what}"
        assert apart(slabs[count][name].double(), alone[name].double()) <= 1e-9, what
    numbers = f"{shape} {scheme} numbers"
    torch.testing.assert_close(
        slabs[count][numbers][:, 0], alone[numbers][:, 0], rtol=1e-9, atol=0
    )
    assert bool((slabs[count][numbers][:, 1] <= 1e-12).all())


@pytest.mark.parametrize(("count", "scheme"), DERIVED)
def test_derivatives_are_those_of_the_whole(alone, slabs, count, scheme):
    """A sum over the processes that is differentiated as many times as there are."""
    name = f"slope {scheme}"
    torch.testing.assert_close(slabs[count][name], alone[name], rtol=1e-9, atol=0)


@pytest.mark.parametrize("count", [2, 4])
def test_a_network_predicts_what_it_predicts_alone(alone, slabs, count):
    """Convolutions that wrap around a slab."""
    assert apart(slabs[count]["network"], alone["network"]) <= 1e-6


@pytest.mark.parametrize("count", [2, 4])
def test_stiffness_and_its_bounds_are_those_of_the_whole(alone, slabs, count):
    """Load cases that take their averages from one slab."""
    torch.testing.assert_close(
        slabs[count]["effective"], alone["effective"], rtol=1e-8, atol=0
    )


@pytest.mark.parametrize("count", [2, 4])
def test_products_of_float32_fields_are_summed_in_float64(alone, slabs, count):
    """Sums of slabs that are rounded to float32, 1e-7, before they are added."""
    found = slabs[count]["products"]
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, alone["products"], rtol=1e-13, atol=0)
