"""The command line: exit statuses, one-line errors, and files that are kept."""

import json
import shlex
import subprocess
import sys

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import lsml
from lsml.cli import app

LABELS = np.random.default_rng(3).integers(0, 2, (5, 4, 3)).astype(np.uint8)
COMMANDS = ("demo", "solve", "homogenize")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current directory, with a label image in two formats."""
    monkeypatch.chdir(tmp_path)
    np.save("image.npy", LABELS)
    with h5py.File("image.h5", "w") as file:
        file["labels"] = LABELS
    return tmp_path


def run(command):
    return CliRunner().invoke(app, shlex.split(command), catch_exceptions=False)


def refused(command):
    """The one line on stderr of a command that ends with status 2."""
    result = run(command)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("lsml: ")
    assert "Traceback" not in result.output
    return line


def test_version():
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout == f"lsml {lsml.__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_a_screen_and_its_example_works(folder, name):
    result = run(f"{name} --help")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) <= 50
    example = result.stdout.partition("Example: lsml ")[2].strip()
    assert example.startswith(name)
    if name == "demo":
        pytest.importorskip("pymks", reason='needs pip install "lsml[data]"')
        example += " --size 5 --contrast 2"
    assert run(" ".join(example.split())).exit_code == 0


@pytest.mark.parametrize("image", ["image.npy", "image.h5"])
def test_solve_writes_what_the_library_computes(folder, image):
    result = run(f"solve {image} --contrast 20 --discretization hex8 --out r.h5")
    assert result.exit_code == 0
    assert "CONVERGED" in result.stdout
    expected = lsml.solve(LABELS, contrast=20.0, discretization="hex8")
    with h5py.File("r.h5") as file:
        assert np.array_equal(file["strain"][()], expected.strain.numpy())
        assert np.array_equal(file["labels"][0], LABELS)


def test_json_is_one_object_with_the_solution_and_strict(folder):
    result = run("solve image.npy --contrast 0 --json --max-iter 3000")
    values = json.loads(result.stdout, parse_constant=pytest.fail)
    assert values["error_bound"] == [None]  # infinite with pores
    result = run("solve image.npy --json --spacing 1,2,0.5")
    values = json.loads(result.stdout)
    expected = lsml.solve(LABELS, spacing=(1.0, 2.0, 0.5))
    assert values["status"] == ["CONVERGED"]
    assert values["mean_stress"] == expected.mean_stress.tolist()
    assert values["iterations"] == expected.iterations.tolist()


def test_homogenize_prints_the_stiffness(folder):
    result = run("homogenize image.npy --json")
    assert result.exit_code == 0
    expected = lsml.homogenize(LABELS)
    values = json.loads(result.stdout)
    assert values["stiffness"] == expected.stiffness.tolist()
    assert values["E"] == expected.engineering().E.tolist()
    table = run("homogenize image.npy").stdout
    for number in np.asarray(expected)[0].ravel():
        assert f"{number:.4g}" in table
    for number in expected.engineering().nu[0].flatten():
        assert number.isnan() or f"{number:.4g}" in table


def test_homogenize_of_a_plane_image(folder):
    np.save("plane.npy", LABELS[:, :, 0])
    result = run("homogenize plane.npy")
    assert result.exit_code == 0
    assert "plane strain" in result.stdout


@pytest.mark.parametrize("command", ["solve", "homogenize"])
def test_not_converged_is_status_one_with_advice(folder, command):
    result = run(f"{command} image.npy --max-iter 1 --tol 1e-10")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "MAX_ITER after 1 iterations" in line
    assert lsml.Status.MAX_ITER.advice in line


def test_what_did_not_converge_is_kept_and_says_so(folder):
    assert run("solve image.npy --max-iter 1 --out r.h5").exit_code == 1
    with h5py.File("r.h5") as file:
        assert file["status"][()].tolist() == [lsml.Status.MAX_ITER]


@pytest.mark.parametrize("command", ["solve", "homogenize"])
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("none.npy", "none.npy does not exist"),
        ("bad.npy", "bad.npy is not a readable NumPy array"),
        ("bad.h5", "bad.h5 is not a readable HDF5 file"),
        ("image.png", "expected one of .npy, .npz, .h5, .hdf5"),
        ("image.h5 --dataset other", "has no dataset 'other'; it has labels"),
        ("three.npy", "labels contain 2 but only 2 phases are given"),
        ("floats.npy", "holds float64 numbers; expected integer"),
        ("image.npy --rule nothing", "rule 'nothing' is unknown; choose one of"),
        ("image.npy --discretization x", "discretization 'x' is unknown"),
        ("image.npy --tol 0", "tol = 0.0 must be positive"),
        ("image.npy --max-iter -1", "max_iter = -1 must be"),
        ("image.npy --contrast -1", "contrast = -1.0 must be"),
        ("image.npy --spacing 1,0,1", "spacing (1.0, 0.0, 1.0) must be positive"),
        ("image.npy --spacing 1,x,1", "--spacing '1,x,1' must be numbers"),
    ],
)
def test_bad_input_is_status_two_and_one_line(folder, command, arguments, expected):
    for name in ("bad.npy", "bad.h5", "image.png"):
        (folder / name).write_bytes(b"nothing of the kind")
    np.save("three.npy", np.where(LABELS == 0, 0, 1 + np.arange(3) % 2))
    np.save("floats.npy", LABELS / 2)
    before = sorted(folder.iterdir())
    assert expected in refused(f"{command} {arguments}")
    assert sorted(folder.iterdir()) == before


def test_existing_output_is_kept_without_force(folder):
    (folder / "r.h5").write_text("mine")
    line = refused("solve image.npy --out r.h5")
    assert line == "lsml: r.h5 exists already; --overwrite replaces it"
    assert (folder / "r.h5").read_text() == "mine"
    assert run("solve image.npy --out r.h5 --force").exit_code == 0
    assert h5py.is_hdf5("r.h5")


def test_output_that_cannot_be_written_is_refused_before_the_work(folder, monkeypatch):
    monkeypatch.setattr("lsml.api.solve", pytest.fail)
    assert "the folder none does not exist" in refused(
        "solve image.npy --out none/r.h5"
    )
    (folder / "sub").mkdir()
    assert "it is a folder" in refused("solve image.npy --force --out sub")


def test_a_failing_write_leaves_nothing(folder, monkeypatch):
    def fails(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(h5py.Group, "create_dataset", fails)
    before = sorted(folder.iterdir())
    line = refused("solve image.npy --out r.h5")
    assert line == "lsml: cannot write r.h5: No space left on device"
    assert sorted(folder.iterdir()) == before


def test_demo_prints_one_table_and_writes_its_two_files(folder):
    pytest.importorskip("matplotlib", reason='needs pip install "lsml[plot]"')
    result = run("demo image.npy --contrast 2 --contrast 3 --out new/folder")
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    for contrast in (2, 3):
        modulus = lsml.solve(LABELS, contrast=contrast).mean_stress[0, 0] / 1e-3
        shown = [row for row in rows if row and row[0] == str(contrast)]
        assert len(shown) == 3
        for row in shown:
            assert float(row[-1]) == pytest.approx(float(modulus), rel=1e-5)
            assert float(row[-2]) <= 1e-6
    files = folder / "new" / "folder"
    assert sorted(p.name for p in files.iterdir()) == ["demo.h5", "demo.png"]
    with h5py.File(files / "demo.h5") as file:
        assert sorted(file) == ["contrast_2", "contrast_3"]
        assert np.array_equal(file["contrast_3/labels"][0], LABELS)
    line = refused("demo image.npy --out new/folder")
    assert "demo.png exists already; --overwrite replaces it" in line


def test_demo_without_its_extras_names_them(folder, monkeypatch):
    pytest.importorskip("matplotlib", reason='needs pip install "lsml[plot]"')
    monkeypatch.setitem(sys.modules, "pymks.datasets", None)
    assert 'pip install "lsml[data]"' in refused("demo")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert 'pip install "lsml[plot]"' in refused("demo image.npy")
    assert sorted(p.name for p in folder.iterdir()) == ["image.h5", "image.npy"]


def test_demo_takes_one_image(folder):
    pytest.importorskip("matplotlib", reason='needs pip install "lsml[plot]"')
    np.save("batch.npy", np.stack([LABELS, LABELS]))
    assert "the demo takes one 2-D or 3-D image" in refused("demo batch.npy")


def test_as_a_process_of_a_terminal_without_greek_letters(folder):
    command = [sys.executable, "-m", "lsml", "solve", "image.npy"]
    ascii_only = {"PYTHONIOENCODING": "ascii", "PATH": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, env=ascii_only, check=False)
    assert done.returncode == 0
    assert b"CONVERGED" in done.stdout
    assert done.stderr == b""
    command[-1] = "none.npy"
    done = subprocess.run(command, capture_output=True, env=ascii_only, check=False)
    assert done.returncode == 2
    assert done.stderr == b"lsml: none.npy does not exist\n"
