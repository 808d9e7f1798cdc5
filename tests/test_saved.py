"""Result files read back by h5py: what was saved is what is read."""

import h5py
import numpy as np
import pytest
import torch

import lsml
from lsml.io.hdf5 import write_solutions
from lsml.io.saved import groups, read_saved

# No axis like another, no symmetry: a swap or a flip of any axes shows.
SHAPE, SPACING = (5, 4, 3), (1.0, 2.0, 0.5)
LABELS = np.random.default_rng(1).integers(0, 3, SHAPE)
BATCH = np.stack([LABELS, LABELS[::-1]])
PHASES = [lsml.isotropic(E=float(k), nu=0.3) for k in (1, 4, 9)]


@pytest.fixture(scope="module")
def solution():
    return lsml.solve(BATCH, phases=PHASES, spacing=SPACING)


def test_a_solution_comes_back_bit_for_bit(solution, tmp_path):
    path = solution.save(tmp_path / "s.h5")
    saved = read_saved(str(path))
    assert (saved.path, saved.group, saved.spacing) == (path, "", SPACING)
    assert np.array_equal(saved.labels, BATCH)
    for name, components in {
        "strain": ("11", "22", "33", "23", "13", "12"),
        "stress": ("11", "22", "33", "23", "13", "12"),
        "displacement": ("1", "2", "3"),
    }.items():
        assert np.array_equal(saved.fields[name], getattr(solution, name).numpy())
        assert saved.components[name] == components
    assert set(saved.fields) == {"strain", "stress", "displacement"}
    for name in ("iterations", "error", "error_bound", "energy", "mean_strain"):
        assert np.array_equal(saved.numbers[name], getattr(solution, name).numpy())
    assert np.array_equal(
        saved.numbers["history"], solution.history.numpy(), equal_nan=True
    )
    assert saved.numbers["load/strain"].shape == (2, 6)
    assert saved.status == ("CONVERGED", "CONVERGED")
    assert saved.attributes["discretization"] == "rotated"
    assert saved.attributes["faces"] == ("periodic",) * 3
    assert not set(saved.fields) & set(saved.numbers)


@pytest.mark.parametrize("shape", [(4, 3), (3, 4, 5)])
def test_fields_are_averages_over_the_quadrature_points(shape, tmp_path):
    """Catches a mean over components or samples, and a lost point axis."""
    rng, kind = np.random.default_rng(2), {"discretization": "hex8", "phases": PHASES}
    batch, h = rng.integers(0, 3, (2, *shape)), (1.0, 2.0, 0.5)[: len(shape)]
    points = lsml.solve(batch, quadrature=True, spacing=h, **kind)
    average = lsml.solve(batch, spacing=h, **kind)
    saved = read_saved(points.save(tmp_path / "s.h5"))
    for name in ("strain", "stress"):
        np.testing.assert_allclose(
            saved.fields[name], getattr(average, name), rtol=1e-12, atol=1e-16
        )
    assert len(saved.components["strain"]) == saved.fields["strain"].shape[1]


def test_conduction_has_vectors_and_a_scalar(tmp_path):
    problem = lsml.conductivity(BATCH, [1.0, 2.0, 5.0], [1.0, 0, 0], spacing=SPACING)
    saved = read_saved(lsml.solve(problem).save(tmp_path / "s.h5"))
    assert saved.components == {
        "gradient": ("1", "2", "3"),
        "flux": ("1", "2", "3"),
        "potential": ("",),
    }
    assert saved.fields["potential"].shape == (2, 1, *SHAPE)


def test_corners_beyond_the_voxels_are_numbers(tmp_path):
    """Between walls there are n + 1 corners along an axis, which are no voxel field."""
    faces = ("dirichlet", "periodic", "periodic")
    solution = lsml.solve(LABELS, phases=PHASES, faces=faces)
    saved = read_saved(solution.save(tmp_path / "s.h5"))
    assert set(saved.fields) == {"strain", "stress"}
    assert saved.numbers["displacement"].shape == (1, 3, 6, 4, 3)
    assert np.array_equal(saved.numbers["displacement"], solution.displacement)


def test_plastic_strain_has_its_normal_component_in_the_plane(tmp_path):
    """In plane strain 33 is there; accumulated strain is a scalar."""
    steel = lsml.j2(lsml.isotropic(E=200.0, nu=0.3), lsml.voce(0.1, H=1.0))
    soft = lsml.j2(lsml.isotropic(E=50.0, nu=0.3), lsml.voce(0.02, H=0.5))
    load = lsml.load(strain=[4e-3, 0, 0])
    problem = lsml.plasticity(LABELS[:, :, 0] > 0, [steel, soft], load)
    solution = lsml.solve(problem, "auto")
    saved = read_saved(solution.save(tmp_path / "s.h5"))
    assert saved.components["plastic_strain"] == ("11", "22", "33", "12")
    assert saved.components["accumulated_plastic_strain"] == ("",)
    assert saved.fields["accumulated_plastic_strain"].shape == (1, 1, 5, 4)
    for name, values in solution.internal.items():
        assert np.array_equal(saved.fields[name].reshape(values.shape), values)
    trace = saved.fields["plastic_strain"][:, :3].sum(1)
    assert np.abs(saved.fields["plastic_strain"]).max() > 1e-5
    np.testing.assert_allclose(trace, 0, atol=1e-15)


def test_finite_strain_has_all_components(tmp_path):
    rubber = [lsml.neo_hooke(E=e, nu=0.3) for e in (1.0, 5.0, 9.0)]
    load = lsml.load(deformation=[1.1, 0.02, 0, 0, 1, 0, 0, 0, 1])
    problem = lsml.hyperelasticity(LABELS, rubber, load)
    saved = read_saved(lsml.solve(problem, "auto").save(tmp_path / "s.h5"))
    every = tuple(f"{i}{j}" for i in (1, 2, 3) for j in (1, 2, 3))
    assert saved.components["displacement gradient"] == every
    assert saved.components["stress"] == every


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_waves_have_no_labels_and_complex_fields(ndim, tmp_path):
    """In 1-D a history is as long as the image may be; it must not become a field."""
    index = 1.0 + 0.3 * torch.rand(2, *(6, 5, 4)[:ndim], dtype=torch.float64)
    source = torch.zeros_like(index)
    source[:, 2] = 1.0
    h = (1.0, 1.2, 0.5)[:ndim]
    problem = lsml.helmholtz(index, 4.0, source=source, layers=1.0, spacing=h)
    solution = lsml.solve(problem, "auto", tol=1e-4)
    saved = read_saved(solution.save(tmp_path / "s.h5"))
    assert saved.labels is None
    assert saved.spacing == h
    assert list(saved.fields) == ["field"]
    assert saved.components["field"] == ("",)
    assert np.iscomplexobj(saved.fields["field"])
    _, shown = problem.shown(solution.state.x)
    assert np.array_equal(saved.fields["field"], shown["field"])


def test_flow_has_velocity_and_pressure(tmp_path):
    problem = lsml.stokes(LABELS[None] == 1, [1.0, -0.4, 0.7], True, SPACING)
    solution = lsml.solve(problem, "auto", tol=1e-4)
    saved = read_saved(solution.save(tmp_path / "s.h5"))
    assert saved.components == {"velocity": ("1", "2", "3"), "pressure": ("",)}
    assert saved.fields["pressure"].shape == (1, 1, *SHAPE)


def test_a_file_of_several_results_names_them(solution, tmp_path):
    path = write_solutions({"b": solution, "deep/a": solution}, tmp_path / "s.h5")
    assert sorted(groups(path)) == ["b", "deep/a"]
    assert groups(solution.save(tmp_path / "one.h5")) == [""]
    with pytest.raises(ValueError, match=r"holds 2 results, name one of .* b, deep/a$"):
        read_saved(path)
    saved = read_saved(path, "/deep/a")
    assert saved.group == "deep/a"
    assert np.array_equal(saved.fields["stress"], solution.stress)
    with pytest.raises(ValueError, match="has no result in a group 'c'; it has b, "):
        read_saved(path, "c")
    with pytest.raises(ValueError, match="it has one result, at its root"):
        read_saved(tmp_path / "one.h5", "c")
    assert read_saved(tmp_path / "one.h5", "").group == ""


def test_what_is_no_result_is_one_sentence(solution, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.h5 does not exist"):
        read_saved(tmp_path / "none.h5")
    with pytest.raises(ValueError, match="is a folder; expected a file"):
        groups(tmp_path)
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(ValueError, match="is not a readable HDF5 file") as caught:
        read_saved(tmp_path / "text.h5")
    assert "\n" not in str(caught.value)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["strain"] = np.ones((1, 6, 2, 2, 2))
    with pytest.raises(ValueError, match="no result of lsml: it has no format, expec"):
        read_saved(tmp_path / "other.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["format"] = "lsml solution 99"
    with pytest.raises(ValueError, match="the format 'lsml solution 99', expected 'ls"):
        groups(tmp_path / "other.h5")
    whole = solution.save(tmp_path / "s.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="is not a readable HDF5 file"):
        read_saved(tmp_path / "cut.h5")
