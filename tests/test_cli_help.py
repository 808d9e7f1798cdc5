"""Help of every command fits a screen, and its example works as it stands."""

import shlex
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

import lsml
from lsml.cli import app
from lsml.data import LocalizationDataset, generate
from lsml.data.rules import rule_for
from lsml.learned import save

LABELS = np.random.default_rng(3).integers(0, 2, (5, 4, 3)).astype(np.uint8)


def paths(group, before=()):
    """Words of every command below a group."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from paths(command, (*before, name))
        else:
            yield " ".join((*before, name))


ROOT = typer.main.get_command(app)
COMMANDS = sorted(paths(ROOT))
ROWS, WIDTH = 50, 80


def image(folder):
    np.save(folder / "image.npy", LABELS)


def image_h5(folder):
    with h5py.File(folder / "image.h5", "w") as file:
        file["labels"] = LABELS


def tomogram(folder):
    tifffile = pytest.importorskip("tifffile")
    gray = np.where(LABELS == 1, 200, 50).astype(np.uint8)
    tifffile.imwrite(folder / "tomogram.tif", gray, photometric="minisblack")


def result(folder):
    lsml.solve(LABELS, record=True).save(folder / "result.h5")


def job(folder):
    image(folder)
    done = CliRunner().invoke(app, ["solve", "image.npy", "--out", "result.h5"])
    assert done.exit_code == 0
    (folder / "result.h5").unlink()


def dataset(folder):
    pytest.importorskip("pymks", reason='needs pip install "lsml[data]"')
    generate(folder / "data.h5", 5, 2, (6, 6))


def weights(folder):
    dataset(folder)
    (folder / "run").mkdir()
    rule = rule_for(LocalizationDataset(folder / "data.h5"), "rln-t", "three-layer", 0)
    save(rule.eval(), folder / "run" / "best.safetensors")


def paper(folder):
    rng = np.random.default_rng(1)
    phases = rng.integers(0, 2, (2, 4, 4, 4))
    np.save(folder / "31_c10_train.npy", np.stack([1 - phases, phases], 1))
    waves = rng.normal(size=phases.shape)
    waves -= waves.mean((1, 2, 3), keepdims=True)
    np.save(folder / "31_c10_train_strain.npy", 1e-3 * (1 + waves))


# Files that examples name, and what makes them in the folder that the example runs in.
PREPARED = {
    "image.npy": image,
    "image.h5": image_h5,
    "tomogram.tif": tomogram,
    "result.h5": result,
    "result.job.toml": job,
    "data.h5": dataset,
    "run/best.safetensors": weights,
    "31_c10_train.npy": paper,
    "31_c10_train_strain.npy": paper,
}

# What makes an example that works into one that takes seconds.
SMALLER = {
    "demo": "--size 5 --contrast 2",
    "compare": "--repeats 0 --tol 1e-4",
    "data generate": "--n 2 --realizations 3 --shape 4,3 --workers 1",
    "train": "--network three-layer --epochs 1 --accelerator cpu",
    "evaluate": "--accelerator cpu",
}
EXTRAS = {
    "demo": ("pymks", "matplotlib"),
    "compare": ("matplotlib",),
    "convert": ("pyvista",),
    "info": ("tifffile",),
    "report": ("jinja2", "matplotlib"),
    "view": ("panel",),
    "data generate": ("pymks",),
    "train": ("pymks", "lightning", "matplotlib"),
    "evaluate": ("pymks", "matplotlib"),
}


def helped(words):
    result = CliRunner(env={"COLUMNS": str(WIDTH)}).invoke(app, [*words, "--help"])
    assert result.exit_code == 0
    return result.stdout.splitlines()


@pytest.mark.parametrize("command", ["", "data", *COMMANDS])
def test_help_fits_a_screen_and_ends_with_an_example_of_one_line(command):
    """Catches options with essays, and examples that nobody can copy."""
    lines = helped(command.split())
    assert len(lines) <= ROWS
    assert max(map(len, lines)) <= WIDTH
    example = [line for line in lines if line.startswith("Example: lsml ")]
    assert len(example) == 1
    assert example[0].startswith(f"Example: lsml {command}")
    group = "Commands" in lines
    assert group == (command in ("", "data"))


def example_of(command):
    here = ROOT
    for word in command.split():
        here = here.commands[word]
    return here.epilog.removeprefix("Example: lsml ")


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_work(command, tmp_path, monkeypatch):
    """As they stand, in a folder with the files that they name."""
    for module in EXTRAS.get(command, ()):
        pytest.importorskip(module, reason=f"the example of {command} needs it")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lsml.viewer.serve.Viewer.run", lambda served: None)
    example = example_of(command)
    words = shlex.split(example)
    for name, make in PREPARED.items():
        if name in words and name not in written(words):
            make(tmp_path)
    smaller = shlex.split(SMALLER.get(command, ""))
    result = CliRunner().invoke(app, words + smaller, catch_exceptions=False)
    assert result.exit_code == 0, (
        f"lsml {example}: {result.stderr} What it reads is to be prepared: add it to "
        "PREPARED"
    )


def written(words):
    """What an example writes."""
    options = ("--out", "--plot", "--figures")
    return {b for a, b in pairwise(words) if a in options}


def test_an_example_names_a_file_for_every_command_that_reads_one():
    """The table is not for nothing: no entry that no example uses."""
    used = {word for command in COMMANDS for word in shlex.split(example_of(command))}
    assert set(PREPARED) <= used


def test_the_documentation_has_every_command_with_its_example():
    """docs/command-line.md: a row for each."""
    page = Path(__file__).parents[1] / "docs" / "command-line.md"
    text = page.read_text("utf-8")
    missing = [c for c in COMMANDS if f"| `lsml {example_of(c)}` |" not in text]
    assert missing == []
