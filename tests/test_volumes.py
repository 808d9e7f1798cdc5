"""Many images in one table: every one has a row, and nothing done is lost."""

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import lsml
from lsml.cli import app
from lsml.data.parts import folder_beside
from lsml.io.image import Image
from lsml.volumes import Settings, homogenize_all
from lsml.volumes.effective import phases_of
from lsml.volumes.found import Volume, volumes_of
from lsml.volumes.journal import Journal

SHAPE = (4, 3, 5)
STACK = np.random.default_rng(2).integers(0, 2, (4, *SHAPE)).astype(np.uint8)
SETTINGS = Settings(contrast=7.0, discretization="hex8", tol=1e-8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current directory, with a folder of four images and their stack."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scans").mkdir()
    for name, labels in zip("dacb", STACK, strict=True):
        np.save(tmp_path / "scans" / f"{name}.npy", labels)
    with h5py.File("stack.h5", "w") as file:
        file["images"] = STACK
        file["other"] = STACK[0]
    return tmp_path


def run(command):
    return CliRunner().invoke(app, shlex.split(f"homogenize {command}"))


def alone(out):
    """Whether nothing is left beside the table."""
    return not folder_beside(Path(out)).exists()


@pytest.mark.parametrize("out", ["t.jsonl", "t.csv", "t.h5"])
def test_every_image_has_the_stiffness_that_it_has_alone(folder, out):
    """In each format, rows in the order of the names; catches mixed-up answers."""
    rows = homogenize_all(["scans"], out, SETTINGS)
    expected = lsml.homogenize(
        STACK[[1, 3, 2, 0]], contrast=7.0, discretization="hex8", tol=1e-8
    )
    named = [f"scans/{name}.npy" for name in "abcd"]
    assert [row.image for row in rows] == named
    assert alone(out)
    stiffness = np.array([row.stiffness for row in rows])
    np.testing.assert_allclose(stiffness, expected.stiffness, rtol=1e-12)
    read = {".jsonl": from_lines, ".csv": from_csv, ".h5": from_hdf5}[Path(out).suffix]
    told = read(Path(out))
    assert told["image"] == named
    assert told["status"] == ["CONVERGED"] * 4
    np.testing.assert_array_equal(told["stiffness"], stiffness)
    for name in ("lower", "upper"):
        np.testing.assert_allclose(told[name], getattr(expected, name), rtol=1e-12)
    fractions = STACK[[1, 3, 2, 0]].mean((1, 2, 3))
    np.testing.assert_allclose(np.array(told["fractions"])[:, 1], fractions)
    np.testing.assert_allclose(told["E"], expected.engineering().E, rtol=1e-12)


def by_image(path):
    lines = map(json.loads, Path(path).read_text("utf-8").splitlines())
    return {line["image"]: line for line in lines}


def from_lines(path):
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return {name: [line[name] for line in lines] for name in lines[0]}


def from_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    c = ("11", "22", "33", "23", "13", "12")
    heads = {
        "lower": c,
        "upper": c,
        "E": ("1", "2", "3"),
        "fractions": ("0", "1"),
        "stiffness": tuple(f"{i}_{j}" for i in c for j in c),
    }
    found = {name: [row[name] for row in rows] for name in ("image", "status")}
    for name, ends in heads.items():
        numbers = [[float(row[f"{name}_{end}"]) for end in ends] for row in rows]
        found[name] = np.array(numbers)
    return found | {"stiffness": found["stiffness"].reshape(-1, 6, 6)}


def from_hdf5(path):
    with h5py.File(path) as file:
        assert file.attrs["format"] == "lsml table 1"
        assert list(file.attrs["components"]) == ["11", "22", "33", "23", "13", "12"]
        assert json.loads(file.attrs["settings"])["contrast"] == 7.0
        texts = {name: file[name].asstr()[()].tolist() for name in ("image", "status")}
        return {name: values[()] for name, values in file.items()} | texts


def test_images_are_found_in_folders_patterns_and_stacks(folder):
    def names(*given):
        return [volume.name for volume in volumes_of([Path(each) for each in given])]

    scans = [f"scans/{name}.npy" for name in "abcd"]
    (folder / "scans" / "notes.txt").write_text("not an image")
    assert names("scans") == names("scans/*.npy") == scans
    assert names("scans/[bc].npy", "scans/a.npy", "scans") == [
        *(scans[1], scans[2]),
        *(scans[0], scans[3]),  # each once
    ]
    assert names(folder / "scans/?.npy") == [str(folder / scan) for scan in scans]
    stacked = volumes_of([Path("stack.h5")], dataset="images")
    assert [v.name for v in stacked] == [f"stack.h5[{k}]" for k in range(4)]
    assert np.array_equal(stacked[2].image.labels, STACK[2])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("none.npy", "none.npy does not exist"),
        ("none/*.npy", r"the pattern none/\*.npy names no file"),
        ("empty", "the folder empty holds no image; expected .npy"),
    ],
)
def test_no_images_are_refused_before_any_work(folder, given, message):
    (folder / "empty").mkdir()
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        homogenize_all([given], "t.csv")
    assert not Path("t.csv").exists()


def spoil(folder):
    """Images of the folder that cannot be solved, and what is said of each."""
    scans = folder / "scans"
    (scans / "a.npy").write_bytes(b"cut")
    np.save(scans / "e.npy", np.full(SHAPE, 255, np.uint8))
    np.save(scans / "f.npy", STACK[0, 0])
    np.save(scans / "g.npy", STACK)
    np.save(scans / "h.npy", np.arange(60).reshape(SHAPE))
    return {
        "a": "a.npy is not a readable NumPy array",
        "e": "has the label 255 only, which does not say what phase that is",
        "f": "has 2 axes; the first image of the batch has 3",
        "g": "holds 4 images; a stack is a batch of its own",
        "h": "labels contain 59 but only 2 phases are given",
    }


def test_an_image_that_cannot_be_solved_is_named_and_the_others_go_on(folder):
    expected = spoil(folder)
    result = run("scans --batch --out t.jsonl --contrast 7")
    assert result.exit_code == 1
    assert result.stdout == "t.jsonl: 8 images, 3 solved\n"
    lines = result.stderr.splitlines()
    assert len(lines) == len(expected)
    told = from_lines(Path("t.jsonl"))
    for line, (name, sentence) in zip(lines, expected.items(), strict=True):
        assert line.startswith("lsml: ")
        assert sentence in line
        k = told["image"].index(f"scans/{name}.npy")
        assert (told["status"][k], told["stiffness"][k]) == ("REFUSED", [])
        assert sentence in told["message"][k]
    # What was wrong is mended: the same command solves that, and nothing twice.
    before = by_image("t.jsonl")
    np.save("scans/a.npy", STACK[1])
    for name in "efgh":
        Path(f"scans/{name}.npy").unlink()
    result = run("scans --batch --out t.jsonl --contrast 7")
    assert (result.exit_code, result.stderr) == (0, "")
    after = by_image("t.jsonl")
    assert [after[f"scans/{n}.npy"] for n in "bcd"] == [
        before[f"scans/{n}.npy"] for n in "bcd"
    ]  # with the seconds that it took then
    assert after["scans/a.npy"]["status"] == "CONVERGED"
    assert alone("t.jsonl")


def test_an_image_above_the_tolerance_keeps_its_numbers(folder):
    result = run("scans --batch --out t.csv --max-iter 1 --contrast 1000 --json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["images"] == 4
    assert "scans/a.npy: MAX_ITER: ran out of iterations" in result.stderr
    with open("t.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert all(float(r["lower_11"]) < float(r["upper_11"]) for r in rows)


def test_goes_on_where_it_was_interrupted(folder, monkeypatch):
    whole = homogenize_all(["scans"], "whole.jsonl", SETTINGS)
    add, added = Journal.add, []

    def limited(self, volume, row):
        if len(added) == 2:
            raise KeyboardInterrupt
        added.append(volume.name)
        add(self, volume, row)

    command = "scans --batch --out t.jsonl --contrast 7 --tol 1e-8 --discretization "
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", limited)
        result = run(command + "hex8")
    assert result.exit_code == 130
    assert result.stderr == "lsml: interrupted; the same command goes on from here\n"
    assert not Path("t.jsonl").exists()
    journal = folder_beside(Path("t.jsonl")) / "images.jsonl"
    with journal.open("ab") as file:
        file.write(b'{"stamp": "half of a line')  # by a crash
    line = run(command + "rotated").stderr
    assert "its discretization is hex8 there and rotated here; overwrite" in line
    np.save("scans/a.npy", STACK[0])  # was done, and is another one now
    with monkeypatch.context() as patch:
        again = []
        patch.setattr(
            Journal, "add", lambda s, v, row: (again.append(v.name), add(s, v, row))
        )
        assert run(command + "hex8").exit_code == 0
    assert added == ["scans/a.npy", "scans/b.npy"]
    assert again == ["scans/a.npy", "scans/c.npy", "scans/d.npy"]
    assert alone("t.jsonl")
    told = from_lines(Path("t.jsonl"))
    expected = np.array([whole[k].stiffness for k in (3, 1, 2, 3)])
    np.testing.assert_array_equal(told["stiffness"], expected)


KILLED = """
import sys
from lsml.volumes import homogenize_all
homogenize_all(["scans"], "t.jsonl", progress=False)
"""


@pytest.mark.slow
def test_a_killed_process_has_lost_no_row(folder):
    for k in range(4, 90):
        np.save(f"scans/{k:03d}.npy", STACK[k % 4])
    main = subprocess.Popen([sys.executable, "-c", KILLED])
    journal = folder_beside(Path("t.jsonl")) / "images.jsonl"
    while main.poll() is None:
        if journal.exists() and len(journal.read_bytes().splitlines()) > 3:
            break
        time.sleep(0.02)
    os.kill(main.pid, signal.SIGKILL)
    main.wait()
    rows = Journal(journal).rows(volumes_of([Path("scans")]))
    assert 3 <= len(rows) < 90
    assert all(row.solved for row in rows.values())


def test_a_table_is_kept_without_overwrite(folder):
    Path("t.csv").write_text("mine")
    result = run("scans --batch --out t.csv")
    assert result.exit_code == 2
    assert result.stderr == (
        "lsml: t.csv exists already; overwrite=True (--overwrite) replaces it\n"
    )
    assert Path("t.csv").read_text() == "mine"
    assert alone("t.csv")
    assert run("scans --batch --out t.csv --overwrite").exit_code == 0
    assert Path("t.csv").read_text("utf-8").startswith("image,status,message,labels_0")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("scans --batch", "--batch needs --out TABLE: a .jsonl, .csv or .h5"),
        ("scans --batch --out t.xlsx", "has the extension '.xlsx'; expected one of"),
        ("scans --batch --out t.csv --rule cgg", "'cgg'"),
        ("scans --batch --out t.csv --contrast -1", "contrast"),
        ("scans --batch --out t.csv --workers -1", "workers is -1; expected a whole"),
        ("scans --batch --out t.csv --limit 0", "limit = 0.0 must be a positive"),
        ("scans --batch --out t.csv --device tpu", "device 'tpu' is unknown; choose"),
        ("scans/a.npy scans/b.npy", "2 images are given; --batch takes more than one"),
        ("scans/a.npy --workers 2", "--workers, --scheduler and --limit are for"),
        ("scans/a.npy --device tpu", "device 'tpu' is unknown; choose one of cpu"),
    ],
)
def test_bad_input_is_one_sentence_before_any_work(folder, command, expected):
    before = sorted(folder.rglob("*"))
    result = run(command)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert expected in line
    assert sorted(folder.rglob("*")) == before


def test_a_batch_has_a_run_file_that_makes_it_again(folder):
    assert run("scans/a.npy scans/b.npy --batch --out t.csv").exit_code == 0
    said = Path("t.job.toml").read_text("utf-8")
    assert "file = [" in said
    assert said.count("scans/b.npy") == 2  # with its hash
    again = CliRunner().invoke(app, ["run", "t.job.toml", "--out", "again.csv"])
    assert again.exit_code == 0
    cut = [
        [line.rpartition(",")[0] for line in Path(name).read_text("utf-8").split("\n")]
        for name in ("t.csv", "again.csv")
    ]  # without the seconds
    assert cut[0] == cut[1]


def test_a_run_file_may_name_a_single_file_as_a_text(folder):
    """As those do that were written when the command took one only."""
    Path("own.job.toml").write_text(
        'command = "homogenize"\n[options]\nfile = "scans/a.npy"\ncontrast = 3.0\n'
    )
    ran = CliRunner().invoke(app, ["run", "own.job.toml"])
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert ran.stdout == run("scans/a.npy --contrast 3").stdout


def test_two_other_labels_are_phases_in_their_order():
    volume = Volume("a", Path("a"))
    labels = np.where(STACK[0] == 1, 255, 7).astype(np.int32)
    phases = phases_of(Image(labels), volume)
    assert np.array_equal(phases.labels, STACK[0])
    assert phases.values.tolist() == [7, 255]
    ones = phases_of(Image(np.ones(SHAPE, np.uint8)), volume)
    assert int(ones.labels.min()) == 1  # a cell of the stiff phase alone stays that
