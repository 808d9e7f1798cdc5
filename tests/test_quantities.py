"""Scalars by name are the numbers of the file, in their place."""

import numpy as np
import pytest

import lsml
from lsml.io.quantities import labels_of, leading, quantities, recorded, scalar
from lsml.io.saved import read_saved

LABELS = np.random.default_rng(4).integers(0, 2, (2, 5, 4, 3))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("results") / "r.h5"
    solution = lsml.solve(LABELS, load=lsml.load(strain=[0, 0, 0, 2e-3, 0, 0]))
    solution.save(path)
    return solution, read_saved(path)


def test_components_are_picked_by_their_names(saved):
    solution, read = saved
    for name, field in (("strain", solution.strain), ("stress", solution.stress)):
        quantity = quantities(read)[name]
        for c, component in enumerate(("11", "22", "33", "23", "13", "12")):
            picked = scalar(quantity, quantity.values[1], component)
            np.testing.assert_array_equal(picked, field[1, c].numpy())


def test_the_leading_component_is_the_loaded_one(saved):
    """Catches the component of the largest extreme, or of another sample."""
    for name in ("strain", "stress"):
        assert leading(quantities(saved[1])[name], 1) == "23"


@pytest.mark.parametrize(
    ("name", "factor"), [("strain", 2 / 3), ("stress", 3 / 2)], ids=str
)
def test_equivalents_are_those_of_whole_tensors(saved, name, factor):
    """From 3 × 3 tensors without Mandel's notation: catches a factor 2 on shear."""
    quantity = quantities(saved[1])[name]
    values = quantity.values[0]
    whole = np.zeros((*values.shape[1:], 3, 3))
    for c, (i, j) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
        whole[..., i, j] = whole[..., j, i] = values[c] / (1 if i == j else 2**0.5)
    trace = np.trace(whole, axis1=-2, axis2=-1)
    deviator = whole - trace[..., None, None] / 3 * np.eye(3)
    expected = np.sqrt(factor * np.square(deviator).sum((-2, -1)))
    found = scalar(quantity, values, "von Mises")
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_stress_of_a_plane_offers_no_equivalent(tmp_path):
    """σ33 is not in the file; without it the number would be too large."""
    lsml.solve(LABELS[0, :, :, 0]).save(tmp_path / "p.h5")
    found = quantities(read_saved(tmp_path / "p.h5"))
    assert found["strain"].choices == ("11", "22", "12", "von Mises")
    assert found["stress"].choices == ("11", "22", "12")


def test_vectors_have_a_length_and_complex_fields_two_parts(tmp_path):
    problem = lsml.conductivity(LABELS[0], phases=[1.0, 2.0 + 1j], load=[0, 1, 0])
    solution = lsml.solve(problem, "bicgstab")
    solution.save(tmp_path / "c.h5")
    found = quantities(read_saved(tmp_path / "c.h5"))
    assert list(found)[:3] == ["labels", "Re gradient", "Im gradient"]
    part = found["Im gradient"]
    assert part.choices == ("1", "2", "3", "length")
    imaginary = solution.gradient[0].numpy().imag
    expected = np.linalg.norm(imaginary, axis=0)
    np.testing.assert_allclose(scalar(part, part.values[0], "length"), expected)


def test_load_cases_share_the_labels_of_their_image(tmp_path):
    """The load case is the fastest: catches labels that alternate instead."""
    cases = np.eye(6)[None, :2].repeat(2, 0)
    problem = lsml.elasticity(
        LABELS,
        phases=[lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=9.0, nu=0.3)],
        load=lsml.load(strain=cases),
    )
    lsml.solve(problem).save(tmp_path / "l.h5")
    read = read_saved(tmp_path / "l.h5")
    assert len(read.status) == 4
    np.testing.assert_array_equal(labels_of(read), LABELS[[0, 0, 1, 1]])


def test_iterates_belong_to_the_field_that_was_solved_for(tmp_path):
    problem = lsml.conductivity(LABELS[0], phases=[1.0, 5.0], load=[1, 0, 0])
    solution = lsml.solve(problem, "cg", record=True)
    solution.save(tmp_path / "i.h5")
    found = recorded(read_saved(tmp_path / "i.h5"))
    assert list(found) == ["gradient"]
    np.testing.assert_array_equal(found["gradient"].values, solution.iterates.numpy())
