"""``lsml data``: what it writes, says and refuses."""

import json
import os
import shlex
import subprocess
import sys

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from lsml.cli import app
from lsml.data import LocalizationDataset, generate
from lsml.data.parts import Parts

STIFF = np.random.default_rng(5).integers(0, 2, (3, 4, 3, 2))
TINY = "--n 2 --realizations 3 --shape 4,3 --batch 2"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current directory, with the paper's kind of arrays."""
    monkeypatch.chdir(tmp_path)
    np.save("micro.npy", np.stack([1 - STIFF, STIFF], 1))
    np.save("strain.npy", np.full(STIFF.shape, 1e-3))
    return tmp_path


@pytest.fixture
def pymks():
    pytest.importorskip("pymks", reason='needs pip install "lsml[data]"')


def run(command):
    return CliRunner().invoke(app, shlex.split(f"data {command}"))


def refused(command, status=2):
    """The one line on stderr of a command that ends with an error."""
    result = run(command)
    assert result.exit_code == status
    (line,) = result.stderr.splitlines()
    assert line.startswith("lsml: ")
    return line


@pytest.mark.parametrize("name", ["generate", "convert-paper", "info"])
def test_help_fits_a_screen_and_has_an_example(name):
    result = run(f"{name} --help")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) <= 60
    assert f"Example: lsml data {name}" in result.stdout


@pytest.mark.usefixtures("pymks")
def test_generate_writes_what_the_library_writes(folder):
    result = run(
        f"generate a.h5 {TINY} --contrast 20 --seed 4 --tol 1e-5 --split random "
        "--discretization quad4 --components 12,22 --load 22 --workers 0"
    )
    assert result.exit_code == 0
    assert result.stderr == ""  # no progress line where there is no terminal
    assert result.stdout.startswith("a.h5: 6 samples of 4 × 3 voxels, certified error")
    options = {"contrast": 20, "seed": 4, "tol": 1e-5, "split": "random"}
    names = {"discretization": "quad4", "components": ["12", "22"], "load": "22"}
    generate("b.h5", 2, 3, (4, 3), **options, **names, batch=2)
    assert (folder / "a.h5").read_bytes() == (folder / "b.h5").read_bytes()


@pytest.mark.usefixtures("pymks")
def test_info_tells_recipe_splits_and_worst_error(folder):
    assert run(f"generate a.h5 {TINY}").exit_code == 0
    told = json.loads(run("info a.h5 --json").stdout)
    dataset = LocalizationDataset("a.h5", "all")
    assert told["samples"] == 6
    assert [told[s] for s in ("train", "validation", "test")] == [3, 0, 3]
    assert told["worst_error"] == dataset.error.max().item()
    assert told["recipe"] == dataset.recipe
    table = run("info a.h5").stdout
    assert f"certified error ≤ {told['worst_error']:.1e}" in table
    rows = [line.split() for line in table.splitlines()]
    assert ["train", "3"] in rows
    assert ["shape", "4,3"] in rows


@pytest.mark.usefixtures("pymks")
def test_a_file_is_kept_without_overwrite(folder):
    (folder / "a.h5").write_text("mine")
    line = refused(f"generate a.h5 {TINY}")
    assert line == (
        "lsml: a.h5 exists already; overwrite=True (--overwrite) replaces it"
    )
    assert (folder / "a.h5").read_text() == "mine"
    assert run(f"generate a.h5 {TINY} --overwrite").exit_code == 0
    before = (folder / "a.h5").read_bytes()
    assert run(f"generate a.h5 {TINY}").exit_code == 0  # the same again: nothing to do
    assert "its seed is 0 there and 1 here" in refused(f"generate a.h5 {TINY} --seed 1")
    assert (folder / "a.h5").read_bytes() == before


@pytest.mark.usefixtures("pymks")
def test_a_sample_that_does_not_converge_is_status_one(folder, monkeypatch):
    monkeypatch.setattr("lsml.data.shards.MAX_ITER", 1)
    before = sorted(folder.iterdir())
    line = refused(f"generate a.h5 {TINY} --contrast 100", status=1)
    assert "(design point 0, realization" in line
    assert "ended MAX_ITER after 1 iterations" in line
    assert sorted(folder.iterdir()) == before


@pytest.mark.usefixtures("pymks")
def test_an_interruption_says_how_to_go_on(folder, monkeypatch):
    def interrupted(self, k, packed):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Parts, "keep", interrupted)
        line = refused(f"generate a.h5 {TINY}", status=130)
    assert line == "lsml: interrupted; the same command goes on from here"
    assert run(f"generate a.h5 {TINY}").exit_code == 0


def test_convert_paper(folder):
    result = run("convert-paper micro.npy strain.npy p.h5 --contrast 50 --split test")
    assert result.exit_code == 0
    assert result.stdout == "p.h5: 3 samples of 2 × 3 × 4 voxels, not certified\n"
    dataset = LocalizationDataset("p.h5", "test")
    assert dataset.contrast == 50
    assert np.array_equal(dataset[1].labels, STIFF[1].T)
    assert json.loads(run("info p.h5 --json").stdout)["worst_error"] is None
    assert "exists already" in refused("convert-paper micro.npy strain.npy p.h5")
    again = "convert-paper micro.npy strain.npy p.h5 --overwrite"
    assert run(again).exit_code == 0


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("info none.h5", "none.h5 does not exist"),
        ("info bad.h5", "bad.h5 is not a readable HDF5 file"),
        (
            "info foreign.h5",
            "foreign.h5 has the format none; expected 'lsml dataset 1'",
        ),
        ("generate none/a.h5", "the folder none does not exist"),
        ("generate a.h5 --n 0", "n is 0; expected a whole number from 1"),
        ("generate a.h5 --shape 4x4", "--shape '4x4' must be whole numbers between"),
        ("generate a.h5 --shape 4", "shape is (4,); expected 2 or 3 positive integers"),
        ("generate a.h5 --split dev", "split 'dev' is unknown; choose one of design"),
        ("generate a.h5 --components 11,1", "component '1' is unknown; choose one of"),
        ("generate a.h5 --load x", "load 'x' is unknown; choose one of 11, 22"),
        ("generate a.h5 --tol 0", "tol = 0.0 must be positive"),
        ("generate a.h5 --contrast -1", "contrast = -1.0 must be"),
        ("generate a.h5 --workers -1", "workers is -1; expected"),
        (
            "convert-paper bad.h5 strain.npy p.h5",
            "bad.h5 is not a readable NumPy array",
        ),
        ("convert-paper strain.npy strain.npy p.h5", "expected one-hot"),
        ("convert-paper micro.npy none.npy p.h5", "none.npy does not exist"),
        (
            "convert-paper micro.npy strain.npy p.h5 --mean-strain 1",
            "has the mean 0.001",
        ),
    ],
)
def test_bad_input_is_status_two_one_line_and_nothing_written(
    folder, command, expected
):
    (folder / "bad.h5").write_bytes(b"nothing of the kind")
    h5py.File("foreign.h5", "w").close()
    before = sorted(folder.iterdir())
    assert expected in refused(command)
    assert sorted(folder.iterdir()) == before


# As `ulimit -f` does it: no file may become longer than a kilobyte.
LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
from lsml.cli import app
app()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    ["data convert-paper micro.npy strain.npy p.h5", "solve image.npy --out p.h5"],
)
def test_a_full_disk_is_status_two_to_the_end_of_the_process(folder, command):
    """HDF5 crashes, as the process ends, on a file that could not be written."""
    pytest.importorskip("resource", reason="needs a POSIX system")
    np.save("image.npy", np.arange(24).reshape(2, 3, 4) % 2)
    before = sorted(folder.iterdir())
    done = subprocess.run(
        [sys.executable, "-B", "-c", LIMITED, *command.split()],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == "lsml: cannot write p.h5: File too large\n"
    assert sorted(folder.iterdir()) == before
