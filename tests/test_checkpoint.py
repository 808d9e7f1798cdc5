"""Learned rules as files: what is read is what was written, or a refusal."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from cells import random_labels
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import lsml
from lsml.learned import (
    MKS,
    RLN,
    ConvGRU,
    FourierNet,
    Symmetrized,
    ThreeLayer,
    VNet,
    save,
    shipped,
)


class Own(nn.Module):
    """A user's network, which lsml cannot make."""

    def __init__(self, width=3):
        super().__init__()
        self.layer = nn.Conv2d(6, width, 1)
        self.out = nn.Conv2d(width, 1, 1)

    def forward(self, features):
        return self.out(self.layer(features).sin())


def filled(rule):
    """Every parameter and buffer drawn anew."""
    draw = torch.Generator().manual_seed(5)
    for tensor in rule.state_dict().values():
        tensor.copy_(
            0.1 * torch.randn(tensor.shape, generator=draw, dtype=tensor.dtype)
        )
    return rule.eval()


RULES = {
    "rln v-net": ("rln", lambda: RLN(VNet(4, 1, 2), 3, 1), (5, 4)),
    "rln-t dropout": ("rln-t", lambda: RLN(VNet(6, 1, 3, 0.1), tied=True), (3, 2, 4)),
    "fln three-layer": ("fln", lambda: RLN(ThreeLayer(6, 1, 2, width=5), 1), (5, 4)),
    "gru": ("rln-t", lambda: RLN(ConvGRU(6, 1, 3, width=3), 4, tied=True), (2, 3, 1)),
    "fourier, 3 phases": (
        "rln",
        lambda: RLN(
            partial(FourierNet, 18, 6, 3, width=4, modes=3, depth=2),
            2,
            0,
            phases=3,
            components=tuple(range(6)),
            load=4,
        ),
        (3, 2, 4),
    ),
    "float64": ("fln", lambda: RLN(ThreeLayer(6, 1, 2), 1).double(), (5, 4)),
    "mks": (
        "mks",
        lambda: MKS((5, 4), phases=3, components=(0, 1, 2), load=2),
        (7, 4),
    ),
}


@pytest.mark.parametrize("case", RULES)
@torch.no_grad()
def test_what_is_read_is_what_was_written(case, tmp_path):
    """Bit for bit: tensors, dtype, what defines the rule, and so every prediction.

    Catches a defining argument that is not kept: they are all off their defaults.
    """
    name, make, shape = RULES[case]
    rule = filled(make())
    rule.contrast, rule.record = 12.5, {"data": {"samples": 3}, "note": "é"}
    path = save(rule, tmp_path / "rule.safetensors")
    again = lsml.load_rule(name, path)
    assert type(again) is type(rule)
    assert not again.training
    old, new = rule.state_dict(), again.state_dict()
    assert list(old) == list(new)
    for key, tensor in old.items():
        assert tensor.dtype == new[key].dtype
        assert torch.equal(new[key], tensor)
    for key in ("passes", "phases", "components", "load", "contrast", "record"):
        assert getattr(again, key) == getattr(rule, key), key
    labels = torch.as_tensor(random_labels(shape, rule.phases, 2))
    assert torch.equal(again(labels), rule(labels))
    save(again, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_the_file_says_what_it_holds(tmp_path):
    """The documented metadata, as JSON, beside tensors that any reader can open."""
    rule = RLN(ThreeLayer(4, 1, 2, width=5), 3, 1, tied=True)
    rule.contrast, rule.record = 10.0, {"training": {"epochs": 2}}
    with safe_open(save(rule, tmp_path / "r.safetensors"), "pt") as file:
        names, said = set(file.keys()), json.loads(file.metadata()["lsml"])
    assert names == set(rule.state_dict())
    assert said == {
        "format": 1,
        "lsml": lsml.__version__,
        "rule": {
            "kind": "rln",
            "passes": 3,
            "history": 1,
            "tied": True,
            "phases": 2,
            "components": [0],
            "load": 0,
        },
        "network": {
            "name": "three-layer",
            "arguments": {"in_channels": 4, "out_channels": 1, "ndim": 2, "width": 5},
        },
        "contrast": 10.0,
        "axes": "x y z",
        "units": "strain over mean strain; phases from soft to stiff",
        "record": {"training": {"epochs": 2}},
    }


def test_a_users_own_network_needs_its_maker(tmp_path):
    """`network=` makes it; without, the sentence says so; another is named."""
    rule = filled(RLN(Own, 2))
    path = save(rule, tmp_path / "own.safetensors")
    again = lsml.load_rule("rln", path, network=Own)
    labels = torch.as_tensor(random_labels((5, 4)))
    with torch.no_grad():
        assert torch.equal(again(labels), rule(labels))
    with pytest.raises(ValueError, match=r"'Own' is not one of vnet.*pass network="):
        lsml.load_rule("rln", path)
    with pytest.raises(ValueError, match=r"'networks.0.layer.bias' has shape \(3,\)"):
        lsml.load_rule("rln", path, network=lambda: Own(4))


def rewritten(path, tensors=None, **changes):
    """The file with other tensors, or another description."""
    with safe_open(path, "pt") as file:
        said = json.loads(file.metadata()["lsml"])
        held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    held = held if tensors is None else tensors(held)
    save_file(held, path, metadata={"lsml": json.dumps(said | changes)})


@pytest.fixture
def path(tmp_path):
    return save(RLN(ThreeLayer(4, 1, 2), 1, 1), tmp_path / "fln-c10.safetensors")


def without_one(tensors):
    return {k: v for k, v in tensors.items() if not k.endswith("layers.0.0.bias")}


BAD_DESCRIPTIONS = [
    ({"format": 2}, "format 2 of learned rules is not known .* reads format 1"),
    ({"axes": "z y x"}, "axes 'z y x' must be 'x y z'"),
    ({"rule": {"kind": "gan", "components": [0]}}, "kind 'gan' are not known"),
    ({"rule": {"kind": "rln"}}, "its description cannot be read"),
    ({"rule": {"kind": "rln", "components": [0], "depth": 3}}, "cannot be read"),
    ({"rule": []}, "its description cannot be read"),
    ({"rule": {"kind": "mks", "components": [0], "shape": [-3, 4]}}, "cannot be read"),
    ({"network": {"name": "three-layer", "arguments": None}}, "cannot be read"),
    ({"network": None}, "its description cannot be read"),
    (
        {
            "network": {
                "name": "vnet",
                "arguments": {"in_channels": 4, "out_channels": 1},
            }
        },
        "another network: tensor 'networks.0.begin.0.0.bias' has shape None",
    ),
]


@pytest.mark.parametrize(("changes", "sentence"), BAD_DESCRIPTIONS)
def test_a_description_that_does_not_fit_is_refused(path, changes, sentence):
    """One sentence with the file's name, whatever is wrong in it."""
    rewritten(path, **changes)
    with pytest.raises(ValueError, match=f"fln-c10.safetensors: .*{sentence}"):
        lsml.load_rule("fln", path)


@pytest.mark.parametrize("text", ["[]", "3", "{", "null"])
def test_a_description_that_is_none_is_refused(path, text):
    with safe_open(path, "pt") as file:
        held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(held, path, metadata={"lsml": text})
    with pytest.raises(ValueError, match="its description cannot be read"):
        lsml.load_rule("fln", path)


def test_tensors_that_do_not_fit_are_named(path):
    """One missing, and one of another shape."""
    rewritten(path, without_one)
    missing = r"'networks.0.layers.0.0.bias' has shape None, .* needs \(32,\)"
    with pytest.raises(ValueError, match=missing):
        lsml.load_rule("fln", path)
    save(RLN(ThreeLayer(4, 1, 2, width=8), 1, 1), path)
    arguments = {"in_channels": 4, "out_channels": 1, "ndim": 2, "width": 9}
    rewritten(path, network={"name": "three-layer", "arguments": arguments})
    with pytest.raises(ValueError, match=r"bias' has shape \(8,\), .* needs \(9,\)"):
        lsml.load_rule("fln", path)


@pytest.mark.parametrize("keep", [0, 5, 8, 9, 100, -7])
def test_a_truncated_file_is_refused(path, keep):
    """Wherever it ends."""
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"fln-c10.safetensors(: | is not)"):
        lsml.load_rule("fln", path)


def test_other_files_are_refused(path, tmp_path):
    """Text, and safetensors of somebody else."""
    path.write_text("E = 1, contrast = 10\n")
    with pytest.raises(ValueError, match=r"fln-c10.safetensors(: | is not)"):
        lsml.load_rule("fln", path)
    save_file({"a": torch.ones(2)}, path)
    with pytest.raises(ValueError, match=r"neither saved by lsml nor .* \['a'\]"):
        lsml.load_rule("fln", path)
    names = "model.conv_begin_1.conv.weight", "model.output_block.convflat.weight"
    save_file({name: torch.ones(3) for name in names}, path)
    with pytest.raises(ValueError, match=r"\(3,\) and \(3,\) are no convolutions"):
        lsml.load_rule("fln", path)
    with pytest.raises(FileNotFoundError, match="neither a file nor shipped"):
        lsml.load_rule("fln", tmp_path / "absent.safetensors")


def test_names_must_be_right(path):
    """Of the rule: both are named; unknown: the known ones are; none: the shipped."""
    with pytest.raises(ValueError, match=r"holds a rule 'fln', not 'rln-t'"):
        lsml.load_rule("rln-t", path)
    with pytest.raises(ValueError, match=r"'rnl' is unknown; .* fln, rln-t, rln, mks"):
        lsml.load_rule("rnl", path)
    with pytest.raises(ValueError, match=r"'mlp' is unknown; .* cg, .*mks.*rln-t"):
        lsml.solve(random_labels((4, 3))[0], "mlp")
    assert "rln-c77" not in shipped()
    with pytest.raises(ValueError, match=r"'rln' needs weights.*for contrast 77"):
        lsml.solve(random_labels((4, 3, 2)), "rln", contrast=77.0)
    with pytest.raises(ValueError, match="given, but rule 'cg' has none"):
        lsml.solve(random_labels((4, 3, 2)), "cg", weights=path)


def test_nothing_is_overwritten_by_a_failure(path, monkeypatch):
    """What was there before is untouched, and nothing else is left in the folder."""
    before, rule = path.read_bytes(), RLN(ThreeLayer(4, 1, 2), 1, 1)
    with pytest.raises(ValueError, match="Symmetrized cannot be saved"):
        save(Symmetrized(rule, 2), path)
    rule.record = {"made by": object()}
    with pytest.raises(TypeError):
        save(rule, path)
    rule.record = {}

    write = Path.write_bytes

    def full(file, content):
        write(file, content[:9])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match=r"cannot write .*No space left"):
            save(rule, path)
    with pytest.raises(ValueError, match=r"folder .* does not exist"):
        save(rule, path.parent / "absent" / "rule.safetensors")
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]
