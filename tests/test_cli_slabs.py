"""Commands that several processes run together end as those of one process do."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from lsml.cli import app
from lsml.io import Image, Raw, read_image, read_saved
from lsml.io.label_files import write_image
from lsml.io.saved import read_content

HERE, COUNT = Path(__file__).parent, 3
DRAW = np.random.default_rng(3)
LABELS = DRAW.integers(0, 2, (7, 6, 5)).astype(np.uint8)
# The first slab has one label only, and the others know nothing of it.
SPLIT = np.where(np.arange(7)[:, None, None] < 3, 9, 4 + 2 * LABELS[:, :, :4])
SPLIT = np.where(SPLIT == 6, 9, SPLIT).astype(np.int16)
SOLVE = "solve image.h5 --contrast 50 --tol 1e-12"
COMMANDS = {
    "solve": f"{SOLVE} --out solved.h5 --json",
    "again": "solve image.h5 --contrast 50 --start solved.h5 --max-iter 0",
    "batch": "solve batch.h5 --discretization hex8 --out batched.h5",
    "homogenize": "homogenize split.npy --tol 1e-9 --out stiffness.h5",
    "missing": ["solve image.h5", "solve nix.h5", "solve image.h5"],
    "narrow": "solve narrow.npy",
    "existing": "solve image.h5 --out image.h5",
    "format": "solve image.h5 --out result.vti",
    "rule": "solve image.h5 --rule mpcg",
    "early": "solve image.h5 --max-iter 2 --out early.h5",
    "killed": [SOLVE, f"{SOLVE} dies", SOLVE],
}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start(folder: Path, rank: int) -> subprocess.Popen:
    """One process, as torchrun starts it."""
    known = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": COUNT}
    known |= {"LOCAL_WORLD_SIZE": COUNT, "MASTER_ADDR": "127.0.0.1"}
    env = os.environ | {name: str(value) for name, value in known.items()}
    program = [sys.executable, str(HERE / "slab_commands.py")]
    return subprocess.Popen(program, cwd=folder, env=env)


def write_images(folder: Path) -> None:
    with h5py.File(folder / "image.h5", "w") as file:
        file["labels"] = LABELS
    with h5py.File(folder / "batch.h5", "w") as file:
        file["images"] = np.stack([LABELS, 1 - LABELS])
    np.save(folder / "split.npy", SPLIT)
    np.save(folder / "narrow.npy", LABELS[:2])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where all commands were run, by three processes and by one."""
    folder = tmp_path_factory.mktemp("commands")
    write_images(folder)
    listed = []
    for words in COMMANDS.values():
        each = [words] * COUNT if isinstance(words, str) else words
        listed.append([free_port(), [shlex.split(one) for one in each]])
    (folder / "commands.json").write_text(json.dumps(listed))
    running = [start(folder, rank) for rank in range(COUNT)]
    ended = [each.wait(timeout=300) for each in running]
    assert ended == [0, -signal.SIGKILL, 0]
    return folder


@pytest.fixture(scope="module")
def told(folder):
    """What each process says of a command: how it ends, what it prints."""
    ranks = [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1, 2)]
    by_name = {}
    for i, name in enumerate(COMMANDS):
        by_name[name] = [found[i] for found in ranks if i < len(found)]
    return by_name


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The same commands by one process, in another folder."""
    folder, before = tmp_path_factory.mktemp("alone"), os.getcwd()
    write_images(folder)
    os.chdir(folder)
    try:
        for name in ("solve", "batch", "homogenize"):
            done = CliRunner().invoke(app, shlex.split(COMMANDS[name]))
            assert done.exit_code == 0, done.output
    finally:
        os.chdir(before)
    return folder


def lines(told):
    """Of all processes, on stderr, without what torch says."""
    said = "".join(each["err"] for each in told).splitlines()
    return [line for line in said if line.startswith("lsml: ")]


@pytest.mark.parametrize("name", ["solved.h5", "batched.h5", "stiffness.h5"])
def test_the_file_is_that_of_one_process(folder, alone, name):
    """A slab at the wrong rows, one that is left out, labels numbered by each alone."""
    found, expected = read_content(folder / name), read_content(alone / name)
    assert found.components == expected.components
    assert found.attributes == expected.attributes
    assert list(found.arrays) == list(expected.arrays)
    for key, values in expected.arrays.items():
        same = found.arrays[key]
        assert (same.shape, same.dtype) == (values.shape, values.dtype), key
        largest = np.nanmax(np.abs(values), initial=0)
        if key not in ("error", "error_bound", "history"):  # of the order of rounding
            np.testing.assert_allclose(same, values, rtol=1e-9, atol=1e-9 * largest)
    shared = set(found.provenance) - {"created", "certified_error", "error_bound"}
    for key in shared:
        assert found.provenance[key] == expected.provenance[key], key
    with h5py.File(folder / name) as file:
        assert all(item in file for item in read_content(alone / name).arrays)


def test_results_have_no_partial_file_and_one_run_file(folder):
    """Every process that writes, or a temporary file that stays."""
    left = {path.name for path in folder.iterdir() if path.name.startswith(".")}
    jobs = {path.name for path in folder.glob("*.job.toml")}
    assert left == set()
    expected = {"solved", "batched", "stiffness", "early"}
    assert jobs == {f"{name}.job.toml" for name in expected}
    assert read_saved(folder / "solved.h5").status == ("CONVERGED",)


def test_one_process_speaks(told):
    """A table from every process."""
    first, *others = told["solve"]
    assert json.loads(first["out"])["status"] == ["CONVERGED"]
    assert [each["out"] + each["err"] for each in others] == ["", ""]
    assert lines(told["homogenize"]) == [
        "lsml: split.npy: label 4 is phase 0, label 9 is phase 1"
    ]


def test_a_solve_goes_on_from_a_file(told):
    """The rows of another process as a start, which would not be the solution."""
    assert [each["status"] for each in told["again"]] == [0, 0, 0]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("missing", "nix.h5 does not exist"),
        ("narrow", "3 processes cannot share a cell of 2 × 6 × 5 voxels"),
        ("existing", "image.h5 exists already"),
        ("format", "expected one of .h5, .hdf5"),
        ("rule", "whole"),
    ],
)
def test_bad_input_is_one_sentence_for_all(told, name, sentence):
    """A process that waits for one that has refused, or says it once more."""
    assert [each["status"] for each in told[name]] == [2, 2, 2]
    (line,) = lines(told[name])
    assert sentence in line
    assert not any("Traceback" in each["err"] for each in told[name])


def test_what_does_not_converge_is_kept_and_ends_alike(told, folder):
    assert [each["status"] for each in told["early"]] == [1, 1, 1]
    assert len(lines(told["early"])) == 1
    assert read_saved(folder / "early.h5").status == ("MAX_ITER",)


def test_a_killed_process_ends_the_others(told):
    """A solve that waits for a process that is no more."""
    assert [each["status"] for each in told["killed"]] == [3, 3]
    (line,) = lines(told["killed"])
    assert "has ended or does not answer" in line
    assert max(each["seconds"] for each in told["killed"]) <= 60


@pytest.mark.parametrize("name", ["solve", "homogenize"])
def test_a_gpu_for_each_is_needed(name, folder, monkeypatch):
    """NCCL that hangs without a GPU."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.chdir(folder)
    for rank, said in (("0", 1), ("1", 0)):
        for key, value in (("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", "2")):
            monkeypatch.setenv(key, value)
        monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
        done = CliRunner().invoke(app, [name, "image.h5", "--device", "cuda"])
        assert done.exit_code == 2
        assert done.stderr.count("needs a GPU for each process") == said


def rows_of(cell):
    return slice(2, 5)


def wholes():
    """Images of every layout, by name; z first where the layout says so."""
    fans, dream = LABELS.T.copy(), LABELS.T[..., None].copy()
    return {"plain": LABELS, "lsml": LABELS[None], "fans": fans, "dream": dream}


@pytest.mark.parametrize("name", ["plain", "lsml", "fans", "dream"])
def test_rows_of_hdf5_are_read_without_the_others(tmp_path, name):
    """A reader that reads all: here the other rows are damaged, and it would fail."""
    path = tmp_path / "image.h5"
    values = wholes()[name]
    axis = {"plain": 0, "lsml": 1, "fans": 2, "dream": 2}[name]
    chunk = tuple(1 if k == axis else n for k, n in enumerate(values.shape))
    with h5py.File(path, "w") as file:
        where = {"dream": "cell/data/labels"}.get(name, "labels")
        made = file.create_dataset(where, data=values, chunks=chunk, fletcher32=True)
        if name == "lsml":
            file.attrs["format"] = "lsml labels 1"
        if name == "fans":
            made.attrs["permute_order"] = "zyx"
        if name == "dream":
            file["cell"].attrs["_DIMENSIONS"] = LABELS.shape
            file["cell"].attrs["_SPACING"] = (1.0, 1.0, 1.0)
            file["cell"].attrs["_ORIGIN"] = (0.0, 0.0, 0.0)
        at = tuple(6 if k == axis else 0 for k in range(values.ndim))
        place = made.id.get_chunk_info_by_coord(at).byte_offset
    raw = bytearray(path.read_bytes())
    raw[place] ^= 255
    path.write_bytes(raw)
    with pytest.raises(ValueError, match="not a readable HDF5 file"):
        read_image(path)
    part = read_image(path, rows=rows_of)
    np.testing.assert_array_equal(part.labels, LABELS[2:5])
    assert part.n == 7


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".tif", ".vti", ".raw"])
def test_rows_of_other_files_are_those_of_the_array(tmp_path, suffix):
    """Rows of z, where a file has z first."""
    pytest.importorskip({".tif": "tifffile", ".vti": "pyvista"}.get(suffix, "numpy"))
    path = write_image(Image(LABELS), tmp_path / f"image{suffix}")
    raw = Raw(LABELS.shape, np.dtype(np.uint8)) if suffix == ".raw" else None
    part = read_image(path, raw=raw, rows=rows_of)
    np.testing.assert_array_equal(part.labels, LABELS[2:5])
    assert part.n == 7
