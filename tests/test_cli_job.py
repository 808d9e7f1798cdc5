"""``lsml run``: run files reproduce results, and refuse what would not."""

import json
import shlex
import shutil
import tomllib
from pathlib import Path

import h5py
import numpy as np
import pytest
import tomli_w
import torch
from typer.testing import CliRunner

import lsml
from lsml.cli import app
from lsml.cli.read_job import parameters
from lsml.cli.solve import solve

LABELS = np.random.default_rng(3).integers(0, 2, (5, 4, 3)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current directory, with a label image."""
    monkeypatch.chdir(tmp_path)
    np.save("image.npy", LABELS)
    return tmp_path


def run(command):
    return CliRunner().invoke(app, shlex.split(command), catch_exceptions=False)


def works(command):
    result = run(command)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def refused(command):
    result = run(command)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    return line


def fields(path):
    with h5py.File(path) as file:
        return {n: np.asarray(file[n]) for n in ("strain", "stress", "history")}


def rewritten(path, change):
    """The run file with something else in it."""
    said = tomllib.loads(Path(path).read_text("utf-8"))
    change(said)
    Path(path).write_text(tomli_w.dumps(said), "utf-8")


def test_a_result_is_made_again_bit_by_bit(folder):
    """All options off their defaults; catches one that is left out or rounded."""
    given = (
        "--rule moulinec --contrast 0.1 --discretization hex8 --tol 1e-7 "
        "--max-iter 300 --spacing 1,2,0.3"
    )
    works(f"solve image.npy {given} --out first.h5")
    for name in ("second.h5", "third.h5"):
        works(f"run first.job.toml --out {name}")
    first, second, third = map(fields, ("first.h5", "second.h5", "third.h5"))
    for name, values in first.items():
        assert np.array_equal(values, second[name])
        assert np.array_equal(values, third[name])
    expected = lsml.solve(
        LABELS,
        "moulinec",
        contrast=0.1,
        discretization="hex8",
        tol=1e-7,
        max_iter=300,
        spacing=(1.0, 2.0, 0.3),
    )
    assert np.array_equal(first["strain"], expected.strain.numpy())
    again = tomllib.loads(Path("second.job.toml").read_text("utf-8"))
    whole = tomllib.loads(Path("first.job.toml").read_text("utf-8"))
    whole["options"]["out"] = "second.h5"
    assert again == whole


def test_every_option_is_written_out(folder):
    """What is not there is None, so that a changed default changes no old run."""
    works("solve image.npy --out r.h5")
    said = tomllib.loads(Path("r.job.toml").read_text("utf-8"))
    left = {n for n, p in parameters(solve).items() if n not in said["options"]}
    assert {parameters(solve)[n].default for n in left} <= {None, False}
    assert said["options"]["tol"] == 1e-6
    assert said["options"]["rule"] == "cg"
    assert said["threads"] == torch.get_num_threads()
    assert said["versions"]["lsml"] == lsml.__version__


def test_paths_are_relative_to_the_run_file(folder):
    """The folder may be moved, and run from elsewhere."""
    Path("a/out").mkdir(parents=True)
    shutil.move("image.npy", "a/image.npy")
    works("solve a/image.npy --out a/out/r.h5")
    said = tomllib.loads(Path("a/out/r.job.toml").read_text("utf-8"))
    assert said["options"]["file"] == "../image.npy"
    assert said["options"]["out"] == "r.h5"
    assert list(said["sha256"]) == ["../image.npy"]
    shutil.move("a", "b")
    works("run b/out/r.job.toml --overwrite")
    written = sorted(p.name for p in Path("b/out").iterdir())
    assert written == ["r.h5", "r.job.toml", "r.xdmf"]


def test_weights_are_held_to_their_content(folder):
    """NAME=FILE is a path too; a shipped name is none."""
    rule = lsml.load_rule("rln-t", "rln-t-c10")
    lsml.learned.save(rule, "own.safetensors")
    command = "solve image.npy --rule 'rln-t:1 > cg' --tol 1e-4"
    works(f"{command} --weights rln-t=own.safetensors --out r.h5")
    works(f"{command} --weights rln-t-c10 --out s.h5")
    said, other = (
        tomllib.loads(Path(f"{n}.job.toml").read_text("utf-8")) for n in "rs"
    )
    assert said["options"]["weights"] == ["rln-t=own.safetensors"]
    assert set(said["sha256"]) == {"image.npy", "own.safetensors"}
    assert other["options"]["weights"] == ["rln-t-c10"]
    assert set(other["sha256"]) == {"image.npy"}
    Path("own.safetensors").write_bytes(b"another")
    assert "own.safetensors is not the file that was read then" in refused(
        "run r.job.toml --overwrite"
    )


def test_another_input_is_refused_before_the_work(folder, monkeypatch):
    works("solve image.npy --out r.h5")
    before = Path("r.h5").read_bytes()
    monkeypatch.setattr("lsml.api.solve", pytest.fail)
    np.save("image.npy", 1 - LABELS)
    line = refused("run r.job.toml --overwrite")
    assert "r.job.toml: image.npy is not the file that was read then" in line
    assert "take its line out of [sha256]" in line
    Path("image.npy").unlink()
    assert "image.npy does not exist" in refused("run r.job.toml --overwrite")
    assert Path("r.h5").read_bytes() == before


def test_what_exists_is_kept(folder):
    works("solve image.npy --out r.h5")
    assert "r.h5 exists already" in refused("run r.job.toml")
    Path("s.job.toml").write_text("mine")
    line = refused("solve image.npy --out s.h5")
    assert "s.job.toml exists already and is no run file; --overwrite" in line
    assert Path("s.job.toml").read_text() == "mine"
    assert not Path("s.h5").exists()
    works("solve image.npy --out r.h5 --force --tol 1e-3")
    said = tomllib.loads(Path("r.job.toml").read_text("utf-8"))
    assert said["options"]["tol"] == 1e-3


def test_what_did_not_converge_has_a_run_file_and_what_was_refused_none(folder):
    assert run("solve image.npy --max-iter 1 --out r.h5").exit_code == 1
    assert Path("r.job.toml").exists()
    refused("solve image.npy --rule none --out s.h5")
    assert not Path("s.job.toml").exists()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"contrats": 3.0}, "unknown key 'contrats'; did you mean 'contrast'?"),
        ({"max-iter": 3}, "unknown key 'max-iter'; did you mean 'max_iter'?"),
        ({"contrast": "ten"}, "contrast must be a number, not 'ten'"),
        ({"contrast": True}, "contrast must be a number, not True"),
        ({"max_iter": 2.5}, "max_iter must be a whole number, not 2.5"),
        ({"file": 3}, "file must be the path of a file, as a text, not 3"),
        ({"weights": "w"}, "weights must be a list, each a text, not 'w'"),
        ({"weights": [1]}, "weights must be a list, each a text, not [1]"),
        ({"rule": "nothing"}, "rule 'nothing' is unknown; choose one of"),
        ({"file": "none.npy"}, "none.npy does not exist"),
    ],
)
def test_options_are_held_against_the_command(folder, change, expected):
    works("solve image.npy --out r.h5")
    rewritten("r.job.toml", lambda said: said["options"].update(change))
    line = refused("run r.job.toml --overwrite")
    assert expected in line
    assert line.startswith("lsml: ")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"comand": "solve"}, "unknown key 'comand'; did you mean 'command'?"),
        ({"command": "slove"}, "command 'slove' is unknown; did you mean 'solve'?"),
        ({"command": "data"}, "command 'data' cannot be run from a file"),
        ({"command": "run"}, "command 'run' cannot be run from a file"),
        ({"command": "data x"}, "command 'data x' is unknown"),
        ({"command": 3}, "command must be a text"),
        ({"threads": -1}, "threads = -1 must be from 0 to 1024"),
        ({"options": 3}, "options must be a table"),
        ({"options": {}}, "file is missing from [options]"),
    ],
)
def test_tables_are_known(folder, change, expected):
    works("solve image.npy --out r.h5")
    rewritten("r.job.toml", lambda said: said.update(change))
    assert expected in refused("run r.job.toml --overwrite")


def test_files_that_are_none(folder):
    Path("a.toml").write_text("command = ")
    Path("b.toml").write_bytes(b"\xff\xfe")
    Path("c.txt").write_text("")
    Path("d.toml").write_text("threads = 1")
    assert "a.toml is not readable TOML" in refused("run a.toml")
    assert "b.toml is not readable TOML" in refused("run b.toml")
    assert "expected one of .toml, .yaml, .yml" in refused("run c.txt")
    assert "command is missing" in refused("run d.toml")
    assert "none.toml does not exist" in refused("run none.toml")


def test_yaml_says_the_same(folder):
    yaml = pytest.importorskip("yaml", reason='needs pip install "lsml[yaml]"')
    works("solve image.npy --out r.h5")
    said = tomllib.loads(Path("r.job.toml").read_text("utf-8"))
    Path("r.yaml").write_text(yaml.safe_dump(said))
    works("run r.yaml --out s.h5")
    for name, values in fields("r.h5").items():
        assert np.array_equal(values, fields("s.h5")[name])
    Path("bad.yaml").write_text("- a\n- b")
    assert "must be a table of names and values" in refused("run bad.yaml")


def test_other_versions_are_a_warning(folder):
    works("solve image.npy --out r.h5")
    rewritten("r.job.toml", lambda said: said["versions"].update(torch="1.0"))
    result = run("run r.job.toml --overwrite")
    assert result.exit_code == 0
    said = " ".join(result.stderr.split())
    assert f"written by torch 1.0, this is {torch.__version__}" in said
    rewritten("r.job.toml", lambda said: said["versions"].update(torch="1.0"))
    assert run("-q run r.job.toml --overwrite").stderr == ""


def test_threads_are_those_of_the_first_time(folder, monkeypatch):
    """And of that run only."""
    works("solve image.npy --out r.h5")
    rewritten("r.job.toml", lambda said: said.update(threads=2))
    before, seen = torch.get_num_threads(), []
    true = lsml.api.solve

    def noting(*args, **options):
        seen.append(torch.get_num_threads())
        return true(*args, **options)

    monkeypatch.setattr("lsml.api.solve", noting)
    run("run r.job.toml --overwrite")
    assert seen == [2]
    assert torch.get_num_threads() == before


def test_homogenize_and_compare_have_run_files(folder):
    values = works("homogenize image.npy --contrast 3 --json --out h.json")
    printed, kept = json.loads(values), json.loads(Path("h.json").read_text("utf-8"))
    assert kept["stiffness"] == printed["stiffness"]
    works("run h.job.toml --out i.json")
    said = [tomllib.loads(Path(f"{n}.job.toml").read_text("utf-8")) for n in "hi"]
    assert said[0]["command"] == said[1]["command"] == "homogenize"
    works("compare image.npy --repeats 0 --rules cg --tol 1e-4 --out c.json")
    assert "c.json exists already" in refused("run c.job.toml")
    works("run c.job.toml --overwrite --json")


def test_data_and_training_have_run_files(folder):
    """A subcommand of two words, and a folder as result."""
    pytest.importorskip("pymks", reason='needs pip install "lsml[data]"')
    pytest.importorskip("lightning", reason='needs pip install "lsml[learn]"')
    works("data generate d.h5 --n 5 --realizations 1 --shape 6,6 --seed 3")
    works("run d.job.toml --out e.h5")
    assert Path("d.h5").read_bytes() == Path("e.h5").read_bytes()
    tiny = "--network three-layer --epochs 1 --accelerator cpu"
    works(f"train d.h5 first {tiny}")
    works("run first.job.toml --out second")
    for name in ("best.safetensors", "log.csv"):
        assert Path("first", name).read_bytes() == Path("second", name).read_bytes()
    said = tomllib.loads(Path("second.job.toml").read_text("utf-8"))
    assert said["options"]["data"] == "d.h5"
    assert said["sha256"].keys() == {"d.h5"}
    assert "second.job.toml" not in [p.name for p in Path("second").iterdir()]
