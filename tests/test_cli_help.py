"""Help of every command fits a screen, and its example works as it stands."""

import json
import shlex
import subprocess

import h5py
import numpy as np
import pytest
import torch
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
SCREENS = {"": 24, "data": 24}  # rows; of a command 40, and more than 50 of none
WIDTH = 80


def image(folder):
    np.save(folder / "image.npy", LABELS)


def image_h5(folder):
    with h5py.File(folder / "image.h5", "w") as file:
        file["labels"] = LABELS


def tomogram(folder):
    tifffile = pytest.importorskip("tifffile")
    gray = np.where(LABELS == 1, 200, 50).astype(np.uint8)
    tifffile.imwrite(folder / "tomogram.tif", gray)


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


def published(folder):
    from lsml.learned.published import LAYERS, PREFIX

    tensors = {}
    for ours, (theirs, shape) in _shapes(LAYERS).items():
        del ours
        tensors[PREFIX + theirs] = torch.zeros(shape)
    torch.save(tensors, folder / "RLN_t.model")


def paper(folder):
    rng = np.random.default_rng(1)
    phases = rng.integers(0, 2, (2, 4, 4, 4))
    np.save(folder / "31_c10_train.npy", np.stack([1 - phases, phases], 1))
    np.save(
        folder / "31_c10_train_strain.npy", 1e-3 * (1 + rng.normal(size=phases.shape))
    )


# Files that examples name, and what makes them in the folder that the example runs in.
PREPARED = {
    "image.npy": image,
    "image.h5": image_h5,
    "tomogram.tif": tomogram,
    "result.h5": result,
    "result.job.toml": job,
    "data.h5": dataset,
    "train.h5": dataset,
    "run/best.safetensors": weights,
    "31_c10_train.npy": paper,
    "31_c10_train_strain.npy": paper,
}
