"""``lsml train``, ``evaluate`` and ``convert``: what they write, say and refuse."""

import csv
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import lsml
from lsml.cli import app
from lsml.cli.weights import short_names
from lsml.data import LocalizationDataset, generate
from lsml.data.rules import mks_for, rule_for
from lsml.learned import RLN, Plan, Symmetrized, ThreeLayer, VNet, evaluate, save
from lsml.learned.published import LAYERS, PREFIX

PICTURES = ("errors.png", "microstructures.png", "{}-iterates.png", "{}-worst.png")
TINY = "--network three-layer --epochs 2 --batch 2 --accelerator cpu"


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Datasets in 2-D and 3-D, and weights that fit them, to be copied."""
    pytest.importorskip("pymks", reason='needs pip install "lsml[data]"')
    pytest.importorskip("lightning", reason='needs pip install "lsml[learn]"')
    folder = tmp_path_factory.mktemp("learned")
    generate(folder / "d2.h5", 5, 2, (8, 8))
    generate(folder / "d3.h5", 5, 1, (7, 7, 7), batch=5)
    generate(folder / "all.h5", 5, 1, (4, 4), components=("11", "22", "12"))
    generate(folder / "12.h5", 5, 1, (4, 4), components=("12",), load="12")
    generate(folder / "22.h5", 5, 1, (4, 4), components=("22",))
    generate(folder / "c50.h5", 5, 1, (4, 4), 50.0)
    generate(folder / "soft.h5", 5, 1, (4, 4), 0.1)
    for name in ("fln", "rln-t"):
        for d in (2, 3):
            data = LocalizationDataset(folder / f"d{d}.h5")
            rule = rule_for(data, name, "three-layer", seed=d)
            save(rule.eval(), folder / f"{name}-{d}.safetensors")
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    """The current directory, with these files and some that are nothing."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    Path("text.h5").write_text("nothing of the kind")
    h5py.File("foreign.h5", "w").close()
    Path("cut.h5").write_bytes(Path("d2.h5").read_bytes()[:3000])
    Path("text.pt").write_text("nothing of the kind")
    torch.save({"a": torch.ones(2)}, "other.pt")
    Path("theirs").mkdir()
    Path("theirs/log.csv").write_text("mine")
    return tmp_path


def run(command):
    return CliRunner().invoke(app, shlex.split(command), catch_exceptions=False)


def works(command):
    """What a command says that ends well, without a word on stderr."""
    result = run(command)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def refused(command, status=2):
    """The one line on stderr of a command that ends with an error."""
    result = run(command)
    assert result.exit_code == status
    (line,) = result.stderr.splitlines()
    assert line.startswith("lsml: ")
    assert result.stdout == ""
    return line


def files(folder):
    """Names and contents."""
    return {p: p.is_dir() or p.read_bytes() for p in sorted(folder.rglob("*"))}


def rule_file(path, rule, contrast=None):
    rule.contrast = contrast
    return save(rule.eval(), path)


@pytest.mark.parametrize("name", ["train", "evaluate", "convert"])
def test_help_fits_a_screen_and_has_an_example(name):
    result = run(f"{name} --help")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) <= 60
    assert f"Example: lsml {name}" in result.stdout


# Training


def test_train_is_the_librarys_and_says_where_things_are(folder):
    """Bit for bit, all options off their defaults; catches one that is not passed."""
    said = works(
        "train d2.h5 run --rule rln --network three-layer --epochs 2 --batch 3 "
        "--learning-rate 0.01 --loss rmse --weights rising --seed 7 --accelerator cpu"
    )
    sets = [LocalizationDataset("d2.h5", s) for s in ("train", "validation")]
    plan = Plan(2, 3, 1e-2, "rmse", "rising", seed=7, accelerator="cpu")
    rule = rule_for(sets[0], "rln", "three-layer", seed=7)
    rows = lsml.learned.train(rule, *sets, "own", plan)
    for name in ("best.safetensors", "log.csv"):
        assert Path("run", name).read_bytes() == Path("own", name).read_bytes()
    best = min(rows, key=lambda row: row.validation)
    assert said.splitlines() == [
        f"run/best.safetensors: of epoch {best.epoch + 1}, "
        f"validation MASE {best.validation:.3g} %",
        "run/log.csv: loss and validation MASE of each epoch",
        "run/learning.png: their curves",
    ]
    assert Path("run/learning.png").read_bytes().startswith(b"\x89PNG")
    assert works("evaluate d2.h5 --weights run/best.safetensors")


@pytest.fixture(scope="session")
def whole(made):
    """The weights of a run that nobody stops."""
    assert run(f"train {made}/d2.h5 {made}/whole {TINY}").exit_code == 0
    weights = (made / "whole" / "best.safetensors").read_bytes()
    shutil.rmtree(made / "whole")
    return weights


def test_a_run_out_of_time_goes_on_with_the_same_command(folder, whole):
    """A batch at a sitting, and the end is the same; one more changes nothing."""
    said = [works(f"train d2.h5 run {TINY} --minutes 0") for _ in range(5)]
    epochs = [line.splitlines()[0] for line in said]
    stopped = "run: stopped in epoch {} of 2; the same command goes on"
    assert epochs[:4] == [stopped.format(k) for k in (1, 1, 2, 2)]
    assert "learning.png" not in said[0]  # there is no curve yet
    assert "run/learning.png: their curves" in said[2]
    assert epochs[4].startswith("run/best.safetensors: of epoch ")
    assert Path("run/best.safetensors").read_bytes() == whole
    assert works(f"train d2.h5 run {TINY}") == said[4]
    assert Path("run/best.safetensors").read_bytes() == whole


def test_an_interrupted_run_is_kept_and_says_how_to_go_on(folder, whole, monkeypatch):
    """Ctrl-C in the third batch: status 130, one line, and the same end afterwards."""
    step, seen = lsml.learned.training.Training._step, []

    def interrupted(self, samples):
        seen.append(samples)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return step(self, samples)

    with monkeypatch.context() as patch:
        patch.setattr("lsml.learned.training.Training._step", interrupted)
        line = refused(f"train d2.h5 run {TINY}", 130)
    assert line == ("lsml: interrupted; the same command goes on from run/last.ckpt")
    assert not Path("run/best.safetensors").exists()
    works(f"train d2.h5 run {TINY}")
    assert Path("run/best.safetensors").read_bytes() == whole


def test_ctrl_c_ends_training_at_its_next_batch(folder, whole, monkeypatch):
    """With a checkpoint of that very batch: nothing is learned twice."""
    step, seen = lsml.learned.training.Training._step, []

    def pressed(self, samples):
        seen.append(samples)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, samples)

    with monkeypatch.context() as patch:
        patch.setattr("lsml.learned.training.Training._step", pressed)
        result = run(f"train d2.h5 run {TINY}")
        assert result.exit_code == 130
        assert result.stderr == (
            "lsml: interrupted; the same command goes on from here\n"
        )
        assert len(seen) == 2
        works(f"train d2.h5 run {TINY}")
        assert len(seen) == 4
    assert Path("run/best.safetensors").read_bytes() == whole


def test_a_loss_that_is_not_finite_is_status_one(folder):
    line = refused(f"train d2.h5 run {TINY} --learning-rate inf", 1)
    assert "the loss is nan in batch" in line
    assert line.endswith("lower the learning rate")


def test_validation_may_be_in_another_file(folder):
    """As the paper's data are; catches one that is always looked for in DATA."""
    with h5py.File("d2.h5") as file:
        codes = file["split"][()]
    for name, split in (("only", 0), ("held-out", 1)):
        shutil.copy("d2.h5", f"{name}.h5")
        with h5py.File(f"{name}.h5", "r+") as file:
            file["split"][...] = np.where(codes == split, split, 2)
    assert "has no sample in the split 'validation'; it has" in refused(
        f"train only.h5 run {TINY}"
    )
    assert not Path("run").exists()
    works(f"train only.h5 run {TINY} --validation held-out.h5")
    works(f"train d2.h5 same {TINY}")
    log = Path("run/log.csv").read_bytes()
    assert log == Path("same/log.csv").read_bytes()


def test_mks_is_fitted_and_kept(folder):
    """The library's, and never written over, by itself or by a run."""
    said = works("train d3.h5 run --rule mks")
    assert said == "run/best.safetensors: mks, fitted to 2 samples\n"
    before = files(folder)
    data = LocalizationDataset("d3.h5")
    kernel = load_file("run/best.safetensors")["kernel"]
    assert torch.equal(kernel, mks_for(data).kernel)
    for again in ("--rule mks", TINY):
        line = refused(f"train d3.h5 run {again}")
        assert "run/best.safetensors exists already" in line
        assert files(folder) == before


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("none.h5 run", "none.h5 does not exist"),
        ("text.h5 run", "text.h5 is not a readable HDF5 file"),
        ("cut.h5 run", "cut.h5 is not a readable HDF5 file (Unable"),
        ("foreign.h5 run", "foreign.h5 has the format none; expected"),
        ("22.h5 run", "22.h5 stores the strains 22 under the load 11; a learned rule"),
        ("soft.h5 run", "soft.h5 has contrast 0.1; learned rules need phase 1 to be"),
        ("d2.h5 run --validation c50.h5", "contrast is 10.0 in d2.h5 and 50.0 in c50"),
        ("d2.h5 run --validation d3.h5", "d2.h5 has 2 axes and d3.h5 3"),
        ("d2.h5 run --validation all.h5", "components is ('11',) in d2.h5 and ('11',"),
        (
            "d2.h5 run --rule rnl",
            "rule 'rnl' is unknown; choose one of fln, rln-t, rln",
        ),
        ("d2.h5 run --network x", "network 'x' is unknown; choose one of vnet, three"),
        ("d2.h5 run --loss x", "loss 'x' is unknown; choose one of mse, rmse"),
        ("d2.h5 run --weights x", "iterate weights 'x' are unknown; choose one of"),
        ("d2.h5 run --accelerator x", "accelerator 'x' is unknown; choose one of auto"),
        ("d2.h5 run --seed -1", "seed = -1 must be a whole number from 0"),
        ("d2.h5 run --seed 99999999999999999999", "seed = 99999999999999999999 must"),
        ("d2.h5 run --epochs 0", "epochs = 0 must be positive"),
        ("d2.h5 run --batch -1", "batch = -1 must be positive"),
        ("d2.h5 run --learning-rate nan", "learning_rate = nan must be positive"),
        ("d2.h5 run --workers -1", "workers = -1 must not be negative"),
        ("d2.h5 run --minutes nan", "minutes = nan must be a number"),
        ("d2.h5 run --minutes -1", "minutes = -1.0 must be a number"),
        ("d2.h5 text.pt", "text.pt is a file; a training run needs a folder"),
        ("d2.h5 none/run", "cannot make none/run: the folder none does not exist"),
        ("d2.h5 theirs", "theirs/log.csv exists already, and is of no run that could"),
    ],
)
def test_training_refuses_bad_input_before_the_work(
    folder, arguments, expected, monkeypatch
):
    """Status 2 and one line, nothing written, no folder made, no batch computed."""
    monkeypatch.setattr("lsml.learned.training.Training._step", pytest.fail)
    before = files(folder)
    assert expected in refused(f"train {arguments}")
    assert files(folder) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(folder):
    """Catches the RuntimeError of Lightning, with its traceback."""
    for command in ("train d2.h5 run", "evaluate d2.h5 --weights fln-2.safetensors"):
        line = refused(f"{command} --accelerator cuda")
        assert line == "lsml: accelerator 'cuda': PyTorch finds no GPU here"


def test_the_folder_of_another_run_is_refused(folder):
    """Another rule, other options, a damaged checkpoint: what is there is kept."""
    works(f"train d2.h5 run {TINY} --minutes 0")
    before = files(folder)
    for other in ("--epochs 3", "--seed 1", "--rule fln", "--network vnet"):
        line = refused(f"train d2.h5 run {TINY} {other}")
        assert line.startswith("lsml: run holds a run with ")
        assert line.endswith(": choose another folder")
        assert files(folder) == before
    assert "run/last.ckpt exists already" in refused("train d2.h5 run --rule mks")
    assert files(folder) == before
    Path("run/last.ckpt").write_bytes(before[folder / "run" / "last.ckpt"][:5000])
    line = refused(f"train d2.h5 run {TINY}")
    assert line.startswith("lsml: run/last.ckpt is no checkpoint of lsml")


def damage(path, place):
    """Spoil one of the training samples; its number in the file."""
    with h5py.File(path) as file:
        row = int(np.flatnonzero(file["split"][()] == 0)[place])
        chunk = file["strain"].id.get_chunk_info_by_coord((row, 0, 0, 0))
    with Path(path).open("r+b") as stream:
        stream.seek(chunk.byte_offset)
        stream.write(b"\xff" * chunk.size)
    return row


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_sample_is_one_sentence(folder, workers):
    """Of a worker too; catches its traceback on one line."""
    row = damage("d2.h5", 1)
    line = refused(f"train d2.h5 run {TINY} --workers {workers}")
    assert line.startswith(f"lsml: sample {row} of d2.h5 cannot be read (")


def test_without_their_packages_commands_name_the_extra(folder, monkeypatch):
    """Pictures too, before the work; but training is not lost for want of one."""
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "lightning.fabric", None)
        line = refused(f"train d2.h5 run {TINY}")
        assert line.endswith('install it with: pip install "lsml[learn]"')
        assert not Path("run").exists()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    said = works(f"train d2.h5 run {TINY}").splitlines()
    assert said[0].startswith("run/best.safetensors: of epoch ")
    assert said[2].startswith("run/learning.png is not drawn: pictures need matplotlib")
    monkeypatch.setattr("lsml.learned.evaluate", pytest.fail)
    line = refused("evaluate d2.h5 --weights fln-2.safetensors --figures out")
    assert line.endswith('install it with: pip install "lsml[plot]"')
    assert not Path("out").exists()


@contextmanager
def limited(length):
    """No file may become longer, as on a full disk."""
    resource = pytest.importorskip("resource", reason="needs a POSIX system")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_one_sentence_and_leaves_no_halves(folder):
    """At the first checkpoint, before any batch; nothing else is left."""
    before = files(folder)
    with limited(1024):
        lines = [
            refused(f"train d2.h5 run {TINY}"),
            refused("convert fln-2.safetensors out.safetensors"),
            refused("evaluate d2.h5 --weights fln-2.safetensors --figures run"),
            refused("train d2.h5 mks --rule mks"),
        ]
    targets = ("run", "out.safetensors", "run/microstructures.png", "mks")
    for line, target in zip(lines, targets, strict=True):
        assert line.startswith(f"lsml: cannot write {target}")
    made = {folder / "run": True, folder / "mks": True}
    assert files(folder) == before | made


# Evaluation


def test_evaluate_prints_the_librarys_numbers(folder):
    """Of both rules, as a table and as JSON; catches the numbers of another split."""
    weights = "--weights fln-3.safetensors --weights rln-t-3.safetensors"
    said = works(f"evaluate d3.h5 {weights} --split train --batch 3")
    told = json.loads(works(f"evaluate d3.h5 {weights} --split train --json"))
    assert list(told) == ["fln-3", "rln-t-3"]
    assert "on 2 samples (train) of d3.h5" in said
    lines = said.splitlines()
    for name, kind in (("fln-3", "fln"), ("rln-t-3", "rln-t")):
        rule = lsml.load_rule(kind, f"{name}.safetensors")
        want = evaluate(rule, LocalizationDataset("d3.h5", "train"))
        summary, mine = want.summary(), told[name]
        assert mine.pop("seconds_per_microstructure") > 0
        summary.pop("seconds_per_microstructure")
        passes = pytest.approx(summary.pop("mase_per_pass"), rel=1e-5)
        assert mine.pop("mase_per_pass") == passes
        assert [mine.pop(key) for key in summary] == pytest.approx(
            list(summary.values()), rel=1e-5
        )
        assert mine == {
            "weights": f"{name}.safetensors",
            "rule": kind,
            "contrast": 10.0,
            "symmetrized": False,
        }
        (row,) = (line.split() for line in lines if line.split()[:1] == [name])
        worst = float(want.mase.max())
        numbers = [f"{v:.2f}" for v in (want.mean, want.std, worst)]
        assert row[1:5] == [*numbers, str(want.worst)]
        assert float(row[5]) > 0
    passes = " ".join(f"{v:.2f}" for v in want.errors.mean(0).tolist())
    assert lines[-1] == f"rln-t-3, mean after each pass: {passes}"


def test_symmetrized_numbers_and_pictures_are_of_the_same_rule(folder, monkeypatch):
    """Errors, worst sample and its fields; catches pictures of the plain rule."""
    shown = {}

    def plotted(labels, iterates, true, path):
        shown.update(labels=labels, iterates=iterates, true=true)
        path.write_text("a picture")

    module = sys.modules["lsml.cli.evaluate"]  # hidden by the command
    monkeypatch.setattr(module, "plot_iterates", plotted)
    command = "evaluate d2.h5 --weights rln-t-2.safetensors --symmetrize --json"
    told = json.loads(works(f"{command} --figures out"))["rln-t-2"]
    data = LocalizationDataset("d2.h5", "test")
    rule = Symmetrized(lsml.load_rule("rln-t", "rln-t-2.safetensors"), 2)
    want = evaluate(rule, data)
    assert told["symmetrized"] is True
    assert told["rule"] == "rln-t"
    assert told["mase_per_pass"] == pytest.approx(want.errors.mean(0).tolist())
    assert told["worst_sample"] == want.worst
    sample = data[want.worst]
    with torch.no_grad():
        iterates = rule(sample.labels[None])[0, :, 0].numpy()
    assert np.array_equal(shown["labels"], sample.labels.numpy())
    assert np.array_equal(shown["true"], sample.strain[0].numpy())
    np.testing.assert_allclose(shown["iterates"], iterates, rtol=1e-6)


def test_json_is_strict_for_weights_that_predict_nothing(folder):
    """NaN becomes null; a program that reads it needs no exception."""
    tensors = load_file("fln-2.safetensors")
    rule = lsml.load_rule("fln", "fln-2.safetensors")
    for tensor in rule.state_dict().values():
        tensor.fill_(float("nan"))
    assert list(tensors) == sorted(rule.state_dict())
    save(rule, "nan.safetensors")
    said = works("evaluate d2.h5 --weights nan.safetensors --json --figures out")
    told = json.loads(said, parse_constant=pytest.fail)["nan"]
    assert told["mase_mean"] is None
    assert told["mase_per_pass"] == [None]


def test_figures_are_written_once(folder):
    """Two pictures of the data and two of each rule; kept without --overwrite."""
    command = "evaluate d3.h5 --weights fln-3.safetensors --figures deep/out"
    assert works(command).splitlines()[-1] == "deep/out: 4 pictures"
    pictures = files(folder / "deep" / "out")
    assert [p.name for p in pictures] == sorted(p.format("fln-3") for p in PICTURES)
    assert all(content.startswith(b"\x89PNG") for content in pictures.values())
    (folder / "deep" / "out" / "errors.png").write_text("mine")
    before = files(folder)
    line = refused(command)
    assert line.endswith(".png exists already; --overwrite replaces it")
    assert files(folder) == before
    works(f"{command} --overwrite")
    assert files(folder / "deep" / "out") == pictures


def test_weights_of_another_contrast_are_a_warning_of_one_line(folder):
    """It names both, and is no Python warning with its source; JSON stays JSON."""
    source = "fln-2.safetensors"
    result = run(f"evaluate c50.h5 --weights {source} --json")
    assert result.exit_code == 0
    assert result.stderr == (
        f"lsml: warning: {source} was trained at contrast 10; c50.h5 has contrast 50\n"
    )
    assert json.loads(result.stdout)["fln-2"]["contrast"] == 10
    rule = rule_for(LocalizationDataset("d2.h5"), "fln", "three-layer")
    rule_file("unknown.safetensors", rule)
    works("evaluate c50.h5 --weights unknown.safetensors")


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["a/rln.safetensors", "a/fln.pt"], ["rln", "fln"]),
        (["a/best.safetensors", "b/best.safetensors"], ["a", "b"]),
        (["x/a/best.safetensors", "y/a/best.safetensors"], ["x-a", "y-a"]),
        (["x/rln.safetensors", "y/rln.safetensors"], ["x-rln", "y-rln"]),
        (["x/rln.safetensors", "x/rln.pt"], ["rln.safetensors", "rln.pt"]),
        (["run.pt", "run/best.safetensors"], ["run.pt", "best.safetensors"]),
        (["rln.v1.safetensors", "rln.v2.safetensors"], ["rln.v1", "rln.v2"]),
        (["a/b/c.pt", "a-b/c.pt", "b/c.pt"], 3),
    ],
)
def test_names_tell_weights_apart(tmp_path, monkeypatch, given, names):
    """As short as they can be, and never the same; a run's are called as the run.

    They are names of pictures too: catches two rules of which one hides the other.
    """
    monkeypatch.chdir(tmp_path)
    for name in given:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    found = short_names(given)
    assert len(set(found)) == len(given)
    assert not any(os.sep in name for name in found)
    assert names in (found, len(found))


def test_runs_with_files_of_the_same_name_are_both_evaluated(folder):
    for name in ("one", "two"):
        Path(name).mkdir()
        shutil.copy("fln-2.safetensors", f"{name}/best.safetensors")
    weights = "--weights one/best.safetensors --weights two/best.safetensors"
    assert list(json.loads(works(f"evaluate d2.h5 {weights} --json"))) == ["one", "two"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("none.h5 --weights fln-2.safetensors", "none.h5 does not exist"),
        ("text.h5 --weights fln-2.safetensors", "text.h5 is not a readable HDF5 file"),
        ("d2.h5 --weights none", "weights 'none' are neither a file nor shipped"),
        ("d2.h5 --weights text.pt", "text.pt is not a readable file of torch.save"),
        ("d2.h5 --weights other.pt", "other.pt: neither saved by lsml nor with the"),
        ("d2.h5 --weights cut.safetensors", "cut.safetensors: not a complete"),
        ("d2.h5 --weights own.safetensors", "network 'Own' is not one of vnet"),
        ("d2.h5 --weights fln-3.safetensors", "fln-3.safetensors is for 3 axes; d2.h5"),
        ("d3.h5 --weights mks.safetensors", "mks.safetensors is for 2 axes; d3.h5 has"),
        ("d2.h5 --weights three.safetensors", "is for 3 phases; d2.h5 has 2"),
        (
            "all.h5 --weights fln-2.safetensors",
            "predicts the strains 11 under the load",
        ),
        ("12.h5 --weights fln-2.safetensors", "12.h5 holds 12 under 12"),
        ("22.h5 --weights fln-2.safetensors", "22.h5 stores the strains 22 under"),
        ("d2.h5 --weights fln-2.safetensors --split dev", "split 'dev' is unknown"),
        ("empty.h5 --weights fln-2.safetensors", "has no sample in the split 'test'"),
        ("d2.h5 --weights fln-2.safetensors --batch 0", "batch_size should be a pos"),
        ("d2.h5 --weights fln-2.safetensors --figures text.pt", "text.pt is a file"),
        (
            "d2.h5 --weights fln-2.safetensors --weights ./fln-2.safetensors",
            "weights are given twice",
        ),
    ],
)
def test_evaluation_refuses_bad_input_before_the_work(
    folder, arguments, expected, monkeypatch
):
    """Status 2 and one line, nothing written, nothing predicted."""
    half = Path("fln-2.safetensors").read_bytes()[:-100]
    Path("cut.safetensors").write_bytes(half)
    rule_file("own.safetensors", RLN(Own(), 1, 0))
    rule_file("three.safetensors", RLN(ThreeLayer(9, 1, 2), 1, phases=3))
    rule_file("mks.safetensors", lsml.learned.MKS((4, 4)))
    shutil.copy("d2.h5", "empty.h5")
    with h5py.File("empty.h5", "r+") as file:
        file["split"][...] = 0
    monkeypatch.setattr(LocalizationDataset, "__getitem__", pytest.fail)
    before = files(folder)
    assert expected in refused(f"evaluate {arguments}")
    assert files(folder) == before


class Own(torch.nn.Conv2d):
    """A user's network, which the command line cannot make."""

    def __init__(self):
        super().__init__(2, 1, 1)


# Conversion


def authors(rule):
    """The tensors of a tied rule by the authors' names, in their order of axes."""
    theirs = {ours: name for name, ours in LAYERS.items()}
    found = {}
    for name, tensor in rule.networks[0].state_dict().items():
        layer, _, kind = name.rpartition(".")
        axes = range(tensor.ndim - 1, 1, -1)
        whole = tensor.permute(0, 1, *axes) if tensor.ndim > 2 else tensor
        found[f"{PREFIX}{theirs[layer]}.{kind}"] = whole.clone()
    return found


@pytest.fixture
def published(folder):
    """An RLN-t, and files as the authors' code and others have written it."""
    torch.manual_seed(3)
    rule = RLN(partial(VNet, 6, 1), tied=True).eval()
    tensors = authors(rule)
    notes = {"npasses": 5, "nprev": 2, "reuse_net": True}
    torch.save({"net": tensors} | notes, "RLN_t_c50.pt")
    save_file({k: v.contiguous() for k, v in tensors.items()}, "silent.safetensors")
    return rule


@torch.no_grad()
def test_convert_keeps_every_prediction(published):
    """Of a pickle that tells, and of tensors that do not; in lsml's own format.

    Catches axes that are turned twice, or passes and contrast that get lost.
    """
    said = works("convert RLN_t_c50.pt new.safetensors")
    assert said == "new.safetensors: rln-t, 132,801 parameters, contrast 50\n"
    said = works("convert silent.safetensors two.safetensors --rule rln-t --contrast 4")
    assert said == "two.safetensors: rln-t, 132,801 parameters, contrast 4\n"
    labels = torch.arange(60).reshape(1, 5, 4, 3) % 7 % 2
    for name, contrast in (("new", 50), ("two", 4)):
        rule = lsml.load_rule("rln-t", f"{name}.safetensors")
        assert torch.equal(rule(labels), published(labels))
        assert rule.contrast == contrast
    assert rule.record["source"] == "silent.safetensors"
    works("convert silent.safetensors one.safetensors --rule fln")
    assert lsml.load_rule("fln", "one.safetensors").contrast is None
    works("convert new.safetensors again.safetensors")  # its own are no worse
    assert lsml.load_rule("rln-t", "again.safetensors").contrast == 50


class Hostile:
    """Makes a folder when it is opened the ordinary way."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("none.pt out.safetensors", "none.pt does not exist"),
        ("theirs out.safetensors", "theirs is a folder; expected a file"),
        ("text.pt out.safetensors", "text.pt is not a readable file of torch.save"),
        ("other.pt out.safetensors", "other.pt: neither saved by lsml nor with the"),
        ("d2.h5 out.safetensors", "d2.h5 is not a readable file of torch.save"),
        ("hostile.pt out.safetensors", "nothing in it was run"),
        ("silent.safetensors out.safetensors", "does not tell how many passes its"),
        (
            "silent.safetensors out.safetensors --rule rln",
            "holds one network; an rln has one for each pass",
        ),
        ("RLN_t_c50.pt out.safetensors --rule rnl", "rule 'rnl' is unknown; choose"),
        ("RLN_t_c50.pt out.safetensors --rule fln", "holds a rule 'rln-t', not 'fln'"),
        ("RLN_t_c50.pt out.safetensors --contrast -1", "contrast = -1.0 must be"),
        ("RLN_t_c50.pt none/out.safetensors", "the folder none does not exist"),
        ("RLN_t_c50.pt theirs --overwrite", "cannot write theirs: it is a folder"),
        (
            "RLN_t_c50.pt fln-2.safetensors",
            "fln-2.safetensors exists already; --overwrite replaces it",
        ),
    ],
)
def test_conversion_refuses_and_writes_nothing(published, folder, arguments, expected):
    """Status 2 and one line; what is there is kept, and nothing is executed."""
    torch.save({"net": authors(published), "also": Hostile()}, "hostile.pt")
    before = files(folder)
    assert expected in refused(f"convert {arguments}")
    assert files(folder) == before


def test_published_weights_that_tell_nothing_are_not_evaluated(published):
    """Catches five passes that are taken for one, and badly judged."""
    line = refused("evaluate d3.h5 --weights silent.safetensors")
    assert line.endswith("lsml convert with --rule fln or --rule rln-t settles it")


def test_convert_overwrites_when_asked(published):
    works("convert RLN_t_c50.pt fln-2.safetensors --overwrite")
    assert lsml.load_rule("rln-t", "fln-2.safetensors").contrast == 50


def test_the_curve_is_a_table_that_any_program_reads(folder):
    """One row per epoch, with a head."""
    works(f"train d2.h5 run {TINY}")
    with Path("run/log.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert all(float(row["validation"]) > 0 for row in rows)


def shared(arguments):
    """A command of two processes; its status and what it says."""
    command = [sys.executable, "-m", "lsml", *shlex.split(arguments), "--devices", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=400
    )


@pytest.mark.slow
def test_two_processes_train_as_one_and_speak_as_one(folder):
    """The same lines, files and curve; batches of 3 and 1 in two parts.

    Catches a process that writes or speaks beside the first, and a batch for each.
    """
    options = TINY.replace("--batch 2", "--batch 3")
    said = works(f"train d2.h5 one {options}")
    both = shared(f"train d2.h5 two {options}")
    assert (both.returncode, both.stderr) == (0, "")
    assert both.stdout == said.replace("one/", "two/")
    folders = ("one", "two")
    names = [sorted(p.name[:6] for p in Path(n).iterdir()) for n in folders]
    assert names[0] == names[1]
    curves = [
        np.loadtxt(f"{n}/log.csv", delimiter=",", skiprows=1) for n in ("one", "two")
    ]
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-5)
    again = works(f"train d2.h5 two {options} --devices 1")  # in one process: done
    assert again == both.stdout


@pytest.mark.slow
def test_an_error_of_one_process_is_said_once(folder):
    """A damaged sample, which only one of the two reads; both end with status 2."""
    row = damage("d2.h5", 3)
    ended = shared(f"train d2.h5 run {TINY}")
    assert ended.returncode == 2
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"lsml: sample {row} of d2.h5 cannot be read (")


def test_devices_that_contradict_torchrun_are_refused(folder, monkeypatch):
    assert "devices = 0 must be 1 or more" in refused(
        f"train d2.h5 r {TINY} --devices 0"
    )
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    line = refused(f"train d2.h5 run {TINY} --devices 2")
    assert line.endswith(
        "torchrun has started 4 processes on this machine: leave --devices out"
    )
