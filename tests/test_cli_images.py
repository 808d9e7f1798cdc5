"""Images on the command line: numbering, voxel edges, raw bytes, and ``lsml info``."""

import json
import shlex
import sys

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import lsml
from lsml.cli import app
from lsml.io.renumber import fitting, renumbered

LABELS = np.random.default_rng(3).integers(0, 2, (5, 4, 3)).astype(np.uint8)
EDGES = (1.0, 2.0, 0.5)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current directory, with images in several formats."""
    monkeypatch.chdir(tmp_path)
    np.save("image.npy", LABELS)
    np.save("grey.npy", LABELS * 254 + 1)
    np.save("grains.npy", np.arange(60_000).reshape(50, 40, 30))
    (tmp_path / "image.raw").write_bytes(LABELS.tobytes("F"))
    with h5py.File("a.dream3d", "w") as file:
        file["DataContainers/a/CellData/Phases"] = LABELS.T[..., None].astype("i4")
        file["DataContainers/a/CellData/FeatureIds"] = np.ones((3, 4, 5, 1), "i4")
        geometry = file.create_group("DataContainers/a/_SIMPL_GEOMETRY")
        geometry["DIMENSIONS"], geometry["SPACING"] = LABELS.shape, EDGES
        geometry["ORIGIN"] = np.zeros(3)
    return tmp_path


def run(command):
    return CliRunner().invoke(app, shlex.split(command), catch_exceptions=False)


def refused(command):
    """The one line on stderr of a command that ends with status 2."""
    result = run(command)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("lsml: ")
    return line


@pytest.mark.parametrize("command", ["solve", "homogenize"])
def test_other_labels_are_numbered_in_their_order_and_it_is_said(folder, command):
    found = run(f"{command} grey.npy --json --tol 1e-3")
    (line,) = found.stderr.splitlines()
    assert line == "lsml: grey.npy: label 1 is phase 0, label 255 is phase 1"
    plain = run(f"{command} image.npy --json --tol 1e-3")
    assert plain.stderr == ""
    one, two = (json.loads(text.stdout) for text in (found, plain))
    assert {**one, "seconds": 0} == {**two, "seconds": 0}


def test_voxel_edges_are_those_of_the_file_unless_given(folder):
    """Catches axes and edges that are swapped apart from each other."""
    command = "solve a.dream3d --dataset Phases --json --tol 1e-3"
    found = json.loads(run(command).stdout)
    expected = lsml.solve(LABELS, spacing=EDGES, tol=1e-3)
    assert found["mean_stress"] == expected.mean_stress.tolist()
    found = json.loads(run(f"{command} --spacing 2,1,1").stdout)
    expected = lsml.solve(LABELS, spacing=(2.0, 1.0, 1.0), tol=1e-3)
    assert found["mean_stress"] == expected.mean_stress.tolist()


def test_raw_bytes_and_compare(folder):
    found = json.loads(run("solve image.raw --raw 5,4,3,uint8,F --json").stdout)
    assert found["mean_stress"] == lsml.solve(LABELS).mean_stress.tolist()
    command = "compare image.raw --raw 5,4,3,uint8,F --tol 1e-2 --repeats 1 --rules cg"
    assert run(f"{command} --json").exit_code == 0


@pytest.mark.parametrize("command", ["solve", "homogenize", "compare", "info"])
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("none.tif", "none.tif does not exist"),
        ("image.png", "image.png does not exist"),
        ("a.dream3d", "has 2 integer datasets, name one of them as dataset: "),
        ("a.dream3d --dataset x", "a.dream3d has no dataset 'x'; it has DataCont"),
        ("image.raw", "has no header: give shape and type, such as --raw"),
        ("image.raw --raw 5,4,2,uint8", "has 60 bytes; 5 × 4 × 2 voxels of uint8 take"),
        ("image.raw --raw x", "the raw layout 'x' must be"),
        ("image.npy --raw 5,4,3,uint8", "says itself what it holds"),
        ("image.npy --spacing 1,x", "--spacing '1,x' must be numbers"),
    ],
)
def test_bad_images_are_one_line(folder, command, arguments, expected):
    assert expected in refused(f"{command} {arguments}")


@pytest.mark.parametrize("command", ["solve", "homogenize", "compare"])
def test_more_labels_than_phases(folder, command):
    line = refused(f"{command} grains.npy")
    assert "only 2 phases are given" in line
    assert "60000 different labels" in line


def test_several_plane_images_of_a_result_are_refused(folder):
    plane = np.stack([LABELS[:, :, 0], LABELS[:, :, 1]])
    problem = lsml.elasticity(
        plane,
        [lsml.isotropic(E=1, nu=0.3), lsml.isotropic(E=2, nu=0.3)],
        lsml.load(strain=[1e-3, 0, 0]),
    )
    lsml.solve(problem, tol=1e-2).save("planes.h5")
    assert "planes.h5 holds 2 plane images" in refused("solve planes.h5")


def test_renumbering():
    labels = np.array([[7, -3], [300, 7]])
    found = renumbered(labels)
    assert found.values.tolist() == [-3, 7, 300]
    assert found.counts.tolist() == [1, 2, 1]
    assert np.array_equal(found.values[found.labels], labels)
    assert renumbered(labels == 7).values.tolist() == [0, 1]
    # A phase that does not occur keeps its number.
    assert fitting(np.ones((2, 2), int), 2).labels.tolist() == [[1, 1], [1, 1]]
    assert fitting(np.full((2, 2), 9), 2).labels.tolist() == [[0, 0], [0, 0]]
    assert fitting(labels, 3).labels.tolist() == [[1, 0], [2, 1]]
    with pytest.raises(ValueError, match=r"contain 300 but only 2 .* 3 different"):
        fitting(labels, 2)


@pytest.mark.parametrize(
    "values",
    [[0, 255], [-3, 7, 300], [2**40, 2**41], [2**63, 2**63 + 5], [-(2**63), 2**63 - 1]],
)
def test_renumbering_and_counting_of_any_numbers(values):
    """Against sorting; catches numbers that wrap around."""
    dtype = np.uint64 if values[-1] >= 2**63 else np.int64
    place = np.random.default_rng(0).integers(0, len(values), (3, 4, 5))
    place.ravel()[: len(values)] = range(len(values))
    labels = np.array(values, dtype)[place]
    found = renumbered(labels)
    known, counts = np.unique(labels, return_counts=True)
    assert np.array_equal(found.labels, place)
    assert np.array_equal(found.values, known)
    assert np.array_equal(found.counts, counts)


def test_info_tells_phases_and_edges(folder):
    pytest.importorskip("pymks", reason='needs pip install "lsml[data]"')
    found = json.loads(run("info a.dream3d --dataset Phases --json").stdout)
    assert found["shape"] == [5, 4, 3]
    assert found["spacing"] == list(EDGES)
    assert found["layout"] == "DREAM.3D 6"
    assert found["result"] is None
    for label, phase in enumerate(found["phases"]):
        own = label == LABELS
        assert (phase["label"], phase["voxels"]) == (label, own.sum())
        assert phase["fraction"] == own.mean()
        across = lsml.percolates(LABELS, label, faces=True)[0].tolist()
        assert phase["percolates"] == across
        assert phase["surface"] > 0
    table = run("info a.dream3d --dataset Phases")
    assert table.exit_code == 0
    for text in ("5 × 4 × 3", "1, 2, 0.5", "DREAM.3D 6", "percolates", "surface"):
        assert text in table.stdout
    edges = json.loads(run("info image.npy --json --spacing 3,1,1").stdout)["spacing"]
    assert edges == [3.0, 1.0, 1.0]


def test_info_of_a_layered_image_says_along_which_axes(folder):
    layers = np.zeros((4, 3, 6), np.uint8)
    layers[:, :, 3:] = 5
    np.save("layers.npy", layers)
    phases = json.loads(run("info layers.npy --json").stdout)["phases"]
    assert [p["percolates"] for p in phases] == [[True, True, False]] * 2
    assert [p["label"] for p in phases] == [0, 5]


def test_info_of_a_result_says_how_it_was_made(folder):
    solution = lsml.solve(LABELS, spacing=EDGES, tol=1e-3)
    solution.save("r.h5")
    found = json.loads(run("info r.h5 --json").stdout)
    assert found["result"]["status"] == ["CONVERGED"]
    assert found["result"]["rule"] == solution.rule
    assert found["result"]["error"] == solution.error.tolist()
    assert found["result"]["fields"]["strain"] == [1, 6, 5, 4, 3]
    assert found["spacing"] == list(EDGES)
    table = run("info r.h5").stdout
    for text in ("CONVERGED", solution.rule, "1 × 6 × 5 × 4 × 3"):
        assert text in table


def test_info_of_waves_and_of_one_of_several_results(folder):
    source = np.zeros((1, 6, 5))
    source[:, 2] = 1.0
    index = np.full((1, 6, 5), 1.1)
    wave = lsml.helmholtz(index, 4.0, source=source, layers=1.0, spacing=(1.0, 1.2))
    lsml.solve(wave, "auto", tol=1e-2).save("wave.h5")
    found = json.loads(run("info wave.h5 --json").stdout)
    assert "phases" not in found
    assert found["result"]["status"] == ["CONVERGED"]
    lsml.io.hdf5.write_solutions(
        {k: lsml.solve(LABELS, tol=1e-2) for k in ("a", "b")}, "both.h5"
    )
    assert "a/labels" in refused("info both.h5")
    found = json.loads(run("info both.h5 --dataset b --json").stdout)
    assert found["result"]["group"] == "b"


def test_info_of_many_labels_is_short_and_without_pymks_says_so(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pymks.fmks.correlations", None)
    result = run("info grains.npy")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) < 40
    assert "60000 labels" in result.stdout
    (line,) = result.stderr.splitlines()
    assert 'pip install "lsml[data]"' in line
    phase = json.loads(run("info image.npy --json").stdout)["phases"][0]
    assert phase["surface"] is None
    assert phase["percolates"] is not None


def test_info_refuses_what_has_no_labels(folder):
    np.save("floats.npy", np.ones((3, 3)))
    assert "holds float64 numbers" in refused("info floats.npy")
    with h5py.File("floats.h5", "w") as file:
        file["field"] = np.ones((3, 3))
    assert "no integer dataset" in refused("info floats.h5")
