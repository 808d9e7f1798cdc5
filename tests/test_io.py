"""Files: what is written is read back bit for bit, and nothing partial is left."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import lsml
from lsml.atomic import replacing
from lsml.io import read_labels
from lsml.io.hdf5 import write_solutions
from lsml.physics.discretization import DISCRETIZATIONS, name_of

# No axis like another, no symmetry: a swap or a flip of any axes shows.
SHAPE = (5, 4, 3)
LABELS = np.random.default_rng(1).integers(0, 3, SHAPE)
PHASES = [lsml.isotropic(E=float(k), nu=0.3) for k in (1, 4, 9)]


@pytest.fixture(scope="module")
def solution():
    return lsml.solve(
        np.stack([LABELS, LABELS[::-1]]), phases=PHASES, spacing=(1.0, 2.0, 0.5)
    )


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.uint16, np.int64])
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5", ".hdf5", ".NPY"])
def test_labels_come_back_as_they_were_stored(tmp_path, suffix, dtype):
    labels = LABELS.astype(dtype)
    path = tmp_path / f"image{suffix}"
    store(path, {"image": labels})
    read = read_labels(path)
    assert read.dtype == labels.dtype
    assert np.array_equal(read, labels)


def store(path, arrays):
    suffix = path.suffix.lower()
    if suffix == ".npy":
        with path.open("wb") as file:
            np.save(file, arrays["image"])
    elif suffix == ".npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file[name] = values


def test_fortran_order_is_only_storage(tmp_path):
    np.save(tmp_path / "m.npy", np.asfortranarray(LABELS))
    assert np.array_equal(read_labels(tmp_path / "m.npy"), LABELS)


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_the_only_label_image_among_other_data_is_found(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    other = {"field": np.ones(SHAPE), "ids": np.arange(7), "deep/image": LABELS}
    store(path, other)
    assert np.array_equal(read_labels(path), LABELS)
    assert np.array_equal(read_labels(path, "deep/image"), LABELS)


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_several_label_images_are_listed_and_chosen_by_name(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    store(path, {"a": LABELS, "b": LABELS[::-1]})
    with pytest.raises(ValueError, match=r"2 integer datasets.*a \(.*b \("):
        read_labels(path)
    assert np.array_equal(read_labels(path, "b"), LABELS[::-1])
    with pytest.raises(ValueError, match="has no dataset 'c'; it has a "):
        read_labels(path, "c")


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
@pytest.mark.parametrize("content", [b"", b"P" * 100, b"\x93NUMPY\x01\x00", b"PK\x03"])
def test_a_file_that_is_not_what_it_says_is_one_sentence(tmp_path, suffix, content):
    path = tmp_path / f"m{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a readable") as caught:
        read_labels(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
def test_a_truncated_file_is_refused(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    store(path, {"image": np.random.default_rng(0).integers(0, 9, (9, 9, 9))})
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ValueError, match=r"is not a readable|has no"):
        read_labels(path)


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_nothing_is_unpickled(tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"m{suffix}"
    store(path, {"image": np.array([Bomb()], dtype=object)})
    with pytest.raises(ValueError, match=str(path)):
        read_labels(path)
    with pytest.raises(ValueError, match=str(path)):
        read_labels(path, "image")
    assert not (tmp_path / "exploded").exists()


def test_other_bad_input_is_named(tmp_path):
    np.save(tmp_path / "m.npy", np.ones(SHAPE))
    with pytest.raises(ValueError, match="holds float64 numbers; expected integer"):
        read_labels(tmp_path / "m.npy")
    with pytest.raises(ValueError, match="single array; dataset='x'"):
        read_labels(tmp_path / "m.npy", "x")
    with pytest.raises(FileNotFoundError, match=r"none\.npy does not exist"):
        read_labels(tmp_path / "none.npy")
    (tmp_path / "m.png").touch()
    with pytest.raises(ValueError, match=r"extension '\.png'; expected one of \.npy"):
        read_labels(tmp_path / "m.png")
    (tmp_path / "folder.h5").mkdir()
    with pytest.raises(ValueError, match="is a folder"):
        read_labels(tmp_path / "folder.h5")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["field"] = np.ones(SHAPE)
    with pytest.raises(ValueError, match=r"no integer dataset.*it has field \(float"):
        read_labels(tmp_path / "m.h5")


def test_hdf5_holds_the_documented_datasets_bit_for_bit(solution, tmp_path):
    path = solution.save(tmp_path / "s.h5")
    with h5py.File(path) as file:
        for name in (
            "strain",
            "stress",
            "displacement",
            "mean_strain",
            "mean_stress",
            "energy",
            "status",
            "iterations",
            "error",
            "error_bound",
            "history",
        ):
            expected = getattr(solution, name).numpy()
            assert file[name].dtype == expected.dtype
            assert np.array_equal(file[name][()], expected), name
        assert np.array_equal(file["labels"][0], LABELS)
        assert np.array_equal(file["labels"][1], LABELS[::-1])
        assert file["spacing"][()].tolist() == [1.0, 2.0, 0.5]
        matrices = np.stack([phase.matrix().numpy() for phase in PHASES])
        assert np.array_equal(file["phases"][0], matrices)
        assert file["load/strain"][0].tolist() == [1e-3, 0, 0, 0, 0, 0]
        assert np.isnan(file["load/stress"][()]).all()
        assert file.attrs["components"].tolist() == ["11", "22", "33", "23", "13", "12"]
        assert file.attrs["lsml"] == lsml.__version__
        assert file.attrs["discretization"] == "rotated"
        assert file.attrs["rule"] == "ConjugateGradient"
        assert file.attrs["dtype"] == "float64"
        assert "1 CONVERGED" in file["status"].attrs["codes"]
    assert np.array_equal(read_labels(path)[0], LABELS)


def test_hdf5_of_mixed_load_eigenstrain_and_quadrature(tmp_path):
    load = lsml.load(strain=[1e-3, None, 0], stress=[None, 2.0, None])
    eigenstrain = [None, [1e-4, 0, 0], [0, 2e-4, 3e-4]]
    sol = lsml.solve(
        LABELS[:, :, 0],
        phases=PHASES,
        load=load,
        eigenstrain=eigenstrain,
        discretization="hex8",
        dtype=torch.float32,
        quadrature=True,
        tol=1e-3,
    )
    with h5py.File(sol.save(tmp_path / "s.h5")) as file:
        assert file["strain"].shape == (1, 4, 3, 5, 4)
        assert np.array_equal(file["strain"][()], sol.strain.numpy())
        np.testing.assert_array_equal(file["load/strain"][0, 1:2], [np.nan])
        np.testing.assert_array_equal(file["load/stress"][0], [np.nan, 2, np.nan])
        assert file["eigenstrain"][0, 2].tolist() == pytest.approx([0, 2e-4, 3e-4])
        assert file.attrs["dtype"] == "float32"
        assert file.attrs["discretization"] == "hex8"
        assert file.attrs["components"].tolist() == ["11", "22", "12"]


def test_several_solutions_are_groups_of_the_same_layout(solution, tmp_path):
    path = write_solutions({"a": solution, "b": solution}, tmp_path / "s.h5")
    with h5py.File(path) as file, h5py.File(solution.save(tmp_path / "one.h5")) as one:
        assert set(file) == {"a", "b"}
        assert set(file["a"]) == set(file["b"]) == set(one)


@pytest.mark.parametrize("name", DISCRETIZATIONS)
def test_a_discretization_knows_its_name(name):
    form = lsml.elasticity(
        LABELS, PHASES, lsml.load(strain=[0.0] * 6), discretization=name
    )
    assert name_of(form.discretization) == name.replace("quad4", "hex8")


def read_by_vtk(path):
    pytest.importorskip("vtkmodules", reason='needs pip install "lsml[plot]"')
    from vtkmodules.vtkIOXML import vtkXMLImageDataReader

    reader = vtkXMLImageDataReader()
    reader.SetFileName(str(path))
    reader.Update()
    return reader.GetOutput()


def test_vtk_itself_finds_every_voxel_in_its_place(solution, tmp_path):
    pytest.importorskip("pyvista", reason='needs pip install "lsml[plot]"')
    image = read_by_vtk(solution.to_vtk(tmp_path / "s.vti", sample=1))
    assert image.GetSpacing() == (1.0, 2.0, 0.5)
    assert image.GetDimensions() == tuple(n + 1 for n in SHAPE)
    cells, points = image.GetCellData(), image.GetPointData()
    order = [0, 1, 2, 5, 3, 4]
    weight = np.array([1, 1, 1, 2**0.5, 2**0.5, 2**0.5])
    shown = [cells.GetArray("stress").GetComponentName(k) for k in range(6)]
    assert shown == ["XX", "YY", "ZZ", "XY", "YZ", "XZ"]
    for i, j, k in np.ndindex(SHAPE):
        # The cell that contains the centre of voxel (i, j, k).
        cell = image.FindCell(
            (i + 0.5, 2 * j + 1.0, k / 2 + 0.25), None, 0, 0.0, *not_read()
        )
        assert cells.GetArray("labels").GetTuple(cell) == (LABELS[::-1][i, j, k],)
        for name in ("strain", "stress"):
            mandel = getattr(solution, name)[1, :, i, j, k].numpy()
            stored = cells.GetArray(name).GetTuple(cell)
            assert stored == tuple(mandel[order] / weight)
    u = solution.displacement[1].numpy()
    stored = points.GetArray("periodic_displacement")
    for i, j, k in np.ndindex(tuple(n + 1 for n in SHAPE)):
        point = image.FindPoint((1.0 * i, 2.0 * j, 0.5 * k))
        corner = u[:, i % SHAPE[0], j % SHAPE[1], k % SHAPE[2]]
        assert stored.GetTuple(point) == tuple(corner)


def not_read():
    """Arguments of FindCell that this test does not read."""
    from vtkmodules.vtkCommonCore import reference

    return reference(0), [0.0] * 3, [0.0] * 8


def test_vtk_of_a_plane_image_and_of_cell_centred_displacement(tmp_path):
    pytest.importorskip("pyvista", reason='needs pip install "lsml[plot]"')
    labels = LABELS[:, :, 0]
    sol = lsml.solve(labels, phases=PHASES, discretization="fourier", quadrature=True)
    image = read_by_vtk(sol.to_vtk(tmp_path / "s.vti"))
    assert image.GetDimensions() == (6, 5, 1)
    cells = image.GetCellData()
    assert image.GetPointData().GetNumberOfArrays() == 0
    strain, u = sol.strain[0].mean(0).numpy(), sol.displacement[0].numpy()
    for i, j in np.ndindex(labels.shape):
        cell = i + 5 * j
        assert cells.GetArray("labels").GetTuple(cell) == (labels[i, j],)
        expected = strain[:, i, j] / [1, 1, 2**0.5]
        assert cells.GetArray("strain").GetTuple(cell) == tuple(expected)
        moved = cells.GetArray("periodic_displacement").GetTuple(cell)
        assert moved == (*u[:, i, j], 0.0)


def test_vtk_refuses_other_extensions_and_absent_samples(solution, tmp_path):
    pytest.importorskip("pyvista", reason='needs pip install "lsml[plot]"')
    with pytest.raises(ValueError, match=r"must end in \.vti"):
        solution.to_vtk(tmp_path / "s.vtk")
    with pytest.raises(ValueError, match="sample = 2 must be one of the solution's 2"):
        solution.to_vtk(tmp_path / "s.vti", sample=2)
    assert not any(tmp_path.iterdir())


def write_half(path, error):
    with replacing(path) as temporary:
        temporary.write_text("half of the new")
        raise error


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "result.h5"
    path.write_text("old")
    with pytest.raises(OSError, match=r"cannot write .*result\.h5: no space left"):
        write_half(path, OSError(28, "no space left"))
    with pytest.raises(KeyboardInterrupt):
        write_half(path, KeyboardInterrupt())
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["result.h5"]


KILLED = """
import os, signal, sys
from lsml.atomic import replacing
with replacing(sys.argv[1]) as temporary:
    temporary.write_text("half of the new")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_what_killed_processes_leave_does_not_pile_up(tmp_path):
    """Half a file for each kill would fill the disk; what lives is at work on its own.

    Also not what a user has called nearly so, nor another file's half.
    """
    path = tmp_path / "result.h5"
    (tmp_path / ".result.mine.h5").write_text("kept")
    for _ in range(2):
        command = [sys.executable, "-c", KILLED, str(path)]
        assert subprocess.run(command, check=False).returncode == -9
        left = {p.name for p in tmp_path.iterdir()}
        assert len(left) == 2, left
    other = tmp_path / "result.json"
    with replacing(other) as temporary:
        temporary.write_text("{}")
        assert len(list(tmp_path.iterdir())) == 3
    with replacing(path) as mine:
        mine.write_text("mine")
        with replacing(path) as later:
            later.write_text("later")
        assert mine.exists()
    assert path.read_text() == "mine"
    left = {p.name for p in tmp_path.iterdir()}
    assert left == {"result.h5", "result.json", ".result.mine.h5"}


def test_an_hdf5_that_fails_half_way_leaves_nothing(solution, tmp_path, monkeypatch):
    put, calls = h5py.Group.create_dataset, []

    def fails(self, name, **options):
        calls.append(name)
        if len(calls) == 3:
            raise OSError("disk full\nsecond line")
        return put(self, name, **options)

    monkeypatch.setattr(h5py.Group, "create_dataset", fails)
    with pytest.raises(OSError, match=r"cannot write .*s\.h5: disk full$"):
        solution.save(tmp_path / "s.h5")
    assert not any(tmp_path.iterdir())


def test_a_target_that_cannot_be_is_refused_in_one_sentence(solution, tmp_path):
    with pytest.raises(ValueError, match=r"the folder .*none does not exist"):
        solution.save(tmp_path / "none" / "s.h5")
    with pytest.raises(ValueError, match="it is a folder"):
        solution.save(tmp_path)


def waves(ndim):
    index = 1.0 + 0.3 * torch.rand(2, *(6, 5, 4)[:ndim], dtype=torch.float64)
    source = torch.zeros_like(index)
    source[:, 2] = 1.0
    return lsml.helmholtz(
        index, 4.0, source=source, layers=1.0, spacing=(1.0, 1.2, 0.5)[:ndim]
    )


def flow():
    return lsml.stokes(LABELS[None] == 1, [1.0, -0.4, 0.7], True, (1.0, 2.0, 0.5))


@pytest.mark.parametrize("make", [lambda: waves(1), lambda: waves(3), flow])
def test_waves_and_flow_are_written_under_their_own_names(tmp_path, make):
    """Theorem: what a file has is what the solution has, complex numbers included.

    Catches writers that know fields of a law only, swapped axes, and a lost sample.
    """
    pyvista = pytest.importorskip("pyvista", reason='needs pip install "lsml[plot]"')
    solution = lsml.solve(make(), "auto", tol=1e-4)
    spacing, fields = solution.problem.shown(solution.state.x)
    with h5py.File(solution.save(tmp_path / "s.h5")) as file:
        assert set(fields) < set(file)
        for name, values in fields.items():
            assert np.array_equal(file[name], values.numpy())
        assert tuple(file["spacing"]) == spacing
        assert file.attrs["rule"] == solution.rule
    last = len(solution.status) - 1
    image = pyvista.read(solution.to_vtk(tmp_path / "s.vti", last))
    assert image.spacing[: len(spacing)] == spacing
    for name, values in fields.items():
        value = values[last].numpy()
        parts = [(f"Re {name}", value.real), (f"Im {name}", value.imag)]
        for part, numbers in parts if np.iscomplexobj(value) else [(name, value)]:
            stored = image.cell_data[part].reshape(image.n_cells, -1).T
            flat = [f.flatten(order="F") for f in numbers]
            assert np.array_equal(stored[: len(flat)], flat)


def test_complex_conduction_is_two_images(tmp_path):
    """Catches a file that keeps the real part without saying so."""
    pyvista = pytest.importorskip("pyvista", reason='needs pip install "lsml[plot]"')
    problem = lsml.conductivity(LABELS, [1.0, 2.0 + 1j, 3.0], [1.0, 0.0, 0.0])
    solution = lsml.solve(problem, "bicgstab")
    image = pyvista.read(solution.to_vtk(tmp_path / "s.vti"))
    stored = image["Re flux"] + 1j * image["Im flux"]
    expected = [f.flatten(order="F") for f in solution.flux[0].numpy()]
    assert np.array_equal(stored.T, expected)
