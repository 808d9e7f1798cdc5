"""Other people's pickled networks: read bit for bit, and never run.

The files are made with a package that is gone when they are read. Hostile files are
first shown to act when opened the ordinary way, so that no test passes for nothing.
"""

import copyreg
import importlib
import io
import operator
import os
import pickle
import random
import re
import subprocess
import sys
import zipfile
from collections import OrderedDict
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from lsml.learned import pickled, unpickler
from lsml.learned.pickled import read_model, read_tensors

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
CONTAINERS = {"zip": True, "legacy": False}
PACKAGE = """
from dataclasses import dataclass, field
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.conv = nn.Conv3d(n, 2, 2)
        self.activ = nn.PReLU(2)

class Options:
    def __init__(self, **kw):
        self.__dict__.update(kw)

class Slotted:
    __slots__ = ("depth",)

    def __getstate__(self):
        return None, {"depth": self.depth}

@dataclass
class Training:
    rate: float = 0.5
    options: Options = field(default_factory=lambda: Options(seed=7, label="c10"))

class Net(nn.Module):
    def __init__(self, npasses=5):
        super().__init__()
        self.npasses, self.nprev, self.tied, self.y_ref = npasses, 2, True, 1.5
        self.training_of, self.kind = Training(), Block
        self.slotted = Slotted()
        self.slotted.depth = 3
        self.sizes = {"ds": 31, "shape": torch.Size((3, 1)), "type": torch.float32}
        self.device, self.none, self.parts = torch.device("cpu"), None, [1, 2]
        self.conv_begin_1 = Block(3)
        self.tail = nn.Sequential(nn.BatchNorm3d(2), Block(2), nn.Identity())
        self.again = self.tail[1]
        self.head = nn.Linear(6, 4, bias=False)
        self.head_t = nn.Parameter(torch.arange(12.0).reshape(3, 4).t())
        self.tied_head = self.head.weight
        self.register_parameter("absent", None)
        self.register_buffer("halves", torch.randn(5).half())
        self.register_buffer("doubles", torch.randn(2, 3, dtype=torch.float64))
        self.register_buffer("count", torch.tensor([2**40, -1]))
        self.register_buffer("scalar", torch.tensor(3, dtype=torch.int8))
        self.register_buffer("mask", torch.tensor([True, False]))
        self.register_buffer("brain", torch.randn(3).bfloat16())
        self.register_buffer("wave", torch.randn(3, dtype=torch.complex64))
        self.register_buffer("empty", torch.empty(0, 3))
        self.register_buffer("window", torch.arange(20.0)[3:17:2])
        self.register_buffer("spread", torch.ones(2, 1).expand(2, 3))
        self.register_buffer("scratch", torch.ones(2), persistent=False)

class Wrapper(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = Net()
        self.npasses = 1
"""


@contextmanager
def importable(folder, **modules):
    """Packages that exist inside of the block only, as on the authors' machine."""
    folder.mkdir(exist_ok=True)
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in modules:
            sys.modules.pop(name, None)
        importlib.invalidate_caches()


def save(thing, path, container, protocol=2):
    torch.save(
        thing,
        path,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=CONTAINERS[container],
    )
    return path


def refused(path, match=None):
    """One short sentence about the file; not one of the checker of this test run."""
    with pytest.raises(ValueError, match=match) as caught:
        read_model(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path} ")
    assert sentence.endswith("; nothing in it was run")
    assert len(sentence) < 300 + len(str(path))
    assert "\n" not in sentence
    assert "Type-check" not in sentence


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """Files of the authors, and the state that they should be read as."""
    folder = tmp_path_factory.mktemp("theirs")
    with importable(folder / "site", authors_net=PACKAGE):
        import authors_net

        torch.manual_seed(0)
        net = authors_net.Wrapper()
        optimizer = torch.optim.Adam(net.parameters())
        sum(p.sum() for p in net.parameters()).backward()
        optimizer.step()
        state = {name: value.clone() for name, value in net.state_dict().items()}
        checkpoint = {
            "model_state_dict": net.state_dict(),
            "optimizer_state_dict": optimizer.state_dict(),
            "n_epochs_elapsed": 60,
            "net_params": {"model_type": authors_net.Net, "npasses": 5, "_x": 1},
            "save_name": "RLN_t_c10",
        }
        for container in CONTAINERS:
            for protocol in (1, 2, 3, 4, 5):
                name = folder / f"{container}{protocol}.model"
                save(net, name, container, protocol)
            save(net.model, folder / f"{container}-net.model", container)
            save(net.state_dict(), folder / f"{container}-state.pt", container)
            save(checkpoint, folder / f"{container}-checkpoint.pth", container)
            save({"model": net, "epoch": 3}, folder / f"{container}-in.pt", container)
            save(authors_net.Block, folder / f"{container}-class.pt", container)
    assert "authors_net" not in sys.modules
    return folder, state


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
def test_a_module_is_read_as_its_state_dict(theirs, container, protocol):
    """Names, order, types and bits; catches any slip of offset, stride or length."""
    folder, state = theirs
    read = read_tensors(folder / f"{container}{protocol}.model")
    assert_same(read, state)
    assert "authors_net" not in sys.modules
    assert not any(tensor.requires_grad for tensor in read.values())


def assert_same(read, state):
    assert list(read) == list(state)
    for name, expected in state.items():
        assert read[name].dtype == expected.dtype, name
        assert read[name].device.type == "cpu"
        assert type(read[name]) is torch.Tensor
        assert torch.equal(read[name], expected), name
    assert {"model.conv_begin_1.conv.weight", "model.tail.1.activ.weight"} <= set(read)
    assert "model.scratch" not in read


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("name", ["state.pt", "checkpoint.pth", "in.pt"])
def test_state_dictionaries_and_what_holds_one_are_the_same(theirs, container, name):
    """Also beside an optimizer, whose state is tensors by number, and class names."""
    folder, state = theirs
    assert_same(read_tensors(folder / f"{container}-{name}"), state)


@pytest.mark.parametrize("container", CONTAINERS)
def test_shared_memory_stays_shared_and_strides_stay(theirs, container):
    """Catches a copy per tensor, which would untie tied weights."""
    read = read_tensors(theirs[0] / f"{container}2.model")
    one, other = read["model.head.weight"], read["model.tied_head"]
    assert one.data_ptr() == other.data_ptr()
    assert read["model.head_t"].stride() == (1, 4)
    assert read["model.window"].stride() == (2,)
    assert read["model.spread"].stride() == (1, 0)
    one[0, 0] = 7
    assert other[0, 0] == 7


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("protocol", [1, 2, 4])
def test_numbers_are_those_of_the_outermost_network(theirs, container, protocol):
    folder, _ = theirs
    outer = read_model(folder / f"{container}{protocol}.model").numbers
    assert outer == {"training": True, "npasses": 1}
    assert outer == read_model(folder / f"{container}-in.pt").numbers
    assert read_model(folder / f"{container}-net.model").numbers == {
        "training": True,
        "npasses": 5,
        "nprev": 2,
        "tied": True,
        "y_ref": 1.5,
        "training_of.rate": 0.5,
        "training_of.options.seed": 7,
        "training_of.options.label": "c10",
        "slotted.depth": 3,
        "sizes.ds": 31,
    }


@pytest.mark.parametrize("container", CONTAINERS)
def test_numbers_beside_a_state_dictionary(theirs, container):
    """The authors' own format: what rebuilds the network is beside its weights."""
    numbers = read_model(theirs[0] / f"{container}-checkpoint.pth").numbers
    assert numbers["net_params.npasses"] == 5
    assert numbers["n_epochs_elapsed"] == 60
    assert numbers["save_name"] == "RLN_t_c10"
    assert "net_params.model_type" not in numbers
    assert "net_params._x" not in numbers
    assert read_model(theirs[0] / f"{container}-state.pt").numbers == {}


@pytest.mark.parametrize("container", CONTAINERS)
def test_namespaces_of_the_standard_library_are_read(tmp_path, container):
    """They hold configurations and are never made: a placeholder stands for them."""
    import argparse
    import types

    holding = {
        "state_dict": {"w": torch.ones(2)},
        "args": argparse.Namespace(rate=0.1, inner=types.SimpleNamespace(n=4)),
    }
    path = save(holding, tmp_path / "m.pt", container)
    assert read_model(path).numbers == {"args.rate": 0.1, "args.inner.n": 4}


@pytest.mark.parametrize("container", CONTAINERS)
def test_modules_of_the_first_torch_have_a_backend(tmp_path, container):
    """Its maker is called, and is gone; catches a refusal of all files before 1.4."""
    backend = b"ctorch.nn.backends.thnn\n_get_thnn_function_backend\n)R"
    state = {"state": {"w": tensor(storage(container))}, "backend": None}
    payload = dumped(state)
    assert payload.endswith(b"Nu.")
    path = WRITERS[container](
        tmp_path / "m.pt", payload[:-3] + backend + b"u.", {"0": FOUR}
    )
    assert read_tensors(path)["w"].tolist() == [[0, 1], [2, 3]]


def test_the_authors_checkout_may_be_the_current_folder(theirs, monkeypatch, tmp_path):
    """A folder without code makes a name importable, but is no installed package."""
    (tmp_path / "authors_net").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert_same(read_tensors(theirs[0] / "zip2.model"), theirs[1])
    assert "authors_net" not in sys.modules


def test_classes_that_are_installed_are_refused_and_not_imported(theirs, tmp_path):
    """Catches an import, whose side effects would be the end of it."""
    canary = tmp_path / "canary"
    acting = f"from pathlib import Path\nPath({str(canary)!r}).touch()\n{PACKAGE}"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "authors_net.py").write_text(acting)
    with importable(tmp_path / "site"):
        refused(theirs[0] / "zip2.model", r"asks for authors_net\.Wrapper")
        assert "authors_net" not in sys.modules
    assert not canary.exists()


# Hostile files.


class Call:
    """Pickled as a call."""

    def __init__(self, function, *arguments):
        self.pickled = (function, arguments)

    def __reduce__(self):
        return self.pickled

    def __call__(self):
        """What a call returns may be called."""


class Persistent:
    """Pickled as a reference to something outside of the pickle."""

    def __init__(self, *pid):
        self.pid = pid


class Pickler(pickle.Pickler):
    def persistent_id(self, obj):
        return obj.pid if isinstance(obj, Persistent) else None


def dumped(thing, protocol=2):
    stream = io.BytesIO()
    Pickler(stream, protocol).dump(thing)
    return stream.getvalue()


def zipped(path, payload, storages=(), **entries):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", payload)
        archive.writestr("m/byteorder", "little")
        for key, numbers in dict(storages).items():
            archive.writestr(f"m/data/{key}", numbers.tobytes())
        for name, content in entries.items():
            archive.writestr(f"m/{name}", content)
    return path


def legacy(path, payload, storages=()):
    heads = b"".join(dumped(head) for head in (MAGIC, PROTOCOL, {}))
    storages = dict(storages)
    bodies = b"".join(
        len(numbers).to_bytes(8, "little") + numbers.tobytes()
        for numbers in storages.values()
    )
    path.write_bytes(heads + payload + dumped(list(storages)) + bodies)
    return path


WRITERS = {"zip": zipped, "legacy": legacy}


def storage(container, numel=4, key="0", kind=torch.FloatStorage, location="cpu"):
    views = (None,) if container == "legacy" else ()
    return Persistent("storage", kind, key, location, numel, *views)


def tensor(stored, offset=0, size=(2, 2), stride=(2, 1), *more):
    rebuild = torch._utils._rebuild_tensor_v2
    return Call(rebuild, stored, offset, size, stride, False, OrderedDict(), *more)


def named(module, name):
    """The pickle of a global, whether it exists or not."""
    return f"\x80\x02c{module}\n{name}\n.".encode("latin-1")


def touching(canary):
    return f"touch '{canary}'"


def write_canary(canary):
    return f"open({str(canary)!r}, 'w').close()"


def by_setstate(canary):
    """An admitted object whose state gives it a __setstate__, which is then called."""
    command = touching(canary).encode()
    return (
        b"\x80\x02cargparse\nNamespace\n)R}X\x0c\x00\x00\x00__setstate__"
        b"cposix\nsystem\nsb" + b"X" + len(command).to_bytes(4, "little") + command
    ) + b"b."


def through_torch(canary):
    """A dotted name in a module of layers leads anywhere, in protocol 4."""
    texts = ("torch.nn.modules.module", "torch.os.system", touching(canary))
    module, name, command = (
        b"X" + len(text).to_bytes(4, "little") + text.encode() for text in texts
    )
    return b"\x80\x04" + module + name + b"\x93" + command + b"\x85R."


HOSTILE = {
    "system": (r"posix\.system", lambda c: dumped(Call(os.system, touching(c)))),
    "exec": (r"builtins\.exec", lambda c: dumped(Call(exec, write_canary(c)))),
    "eval": (r"builtins\.eval", lambda c: dumped(Call(eval, write_canary(c)), 4)),
    "popen": (
        r"subprocess\.Popen",
        lambda c: dumped(Call(subprocess.Popen, ["touch", str(c)])),
    ),
    "path": (r"pathlib\.Path", lambda c: dumped(Call(Path.touch, c), 4)),
    "getattr": (
        r"builtins\.getattr",
        lambda c: dumped(Call(Call(getattr, c, "touch"))),
    ),
    "partial": (
        r"functools\.partial",
        lambda c: dumped(Call(partial(os.system, touching(c)))),
    ),
    "methodcaller": (
        r"operator\.methodcaller",
        lambda c: dumped(Call(operator.methodcaller("touch"), c)),
    ),
    "in a state dict": (
        r"posix\.system",
        lambda c: dumped(
            {
                "model_state_dict": OrderedDict(
                    w=Call(torch.Size, (2,)), v=Call(os.system, touching(c))
                )
            }
        ),
    ),
    "as a key": (
        r"posix\.system",
        lambda c: dumped({"w": 1, Call(os.system, touching(c)): 2}),
    ),
    "in a storage": (
        r"posix\.system",
        lambda c: dumped(Persistent("storage", Call(os.system, touching(c)), "0")),
    ),
    "as a class": (
        r"posix\.system",
        lambda c: dumped(
            Persistent("module", Call(os.system, touching(c)), "f.py", "class A: pass")
        ),
    ),
    "copyreg": (
        r"subprocess\.Popen",
        lambda c: dumped(
            Call(
                copyreg._reconstructor,
                subprocess.Popen,
                subprocess.Popen,
                ["touch", str(c)],
            )
        ),
    ),
    "setstate": (r"posix\.system", by_setstate),
    "torch.nn.modules": (
        r"torch\.nn\.modules\.module\.torch\.os\.system with arguments",
        through_torch,
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("container", WRITERS)
def test_hostile_files_are_refused_by_name_and_do_nothing(tmp_path, container, name):
    """Each makes a file if its pickle is run, which is shown first."""
    canary, path = tmp_path / "canary", tmp_path / "m.model"
    refusal, make = HOSTILE[name]
    payload = make(canary)
    ordinarily(payload)
    assert canary.exists()
    canary.unlink()
    WRITERS[container](path, payload)
    refused(path, refusal)
    assert not canary.exists()


def ordinarily(payload):
    ordinary = pickle.Unpickler(io.BytesIO(payload))
    ordinary.persistent_load = lambda pid: pid
    made = ordinary.load()
    if isinstance(made, subprocess.Popen):
        made.wait()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("nt", "system"),
        ("__builtin__", "eval"),
        ("builtins", "list"),
        ("importlib", "import_module"),
        ("types", "FunctionType"),
        ("numpy", "load"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("torch", "load"),
        ("torch", "Tensor"),
        ("torch", "float32.__class__"),
        ("torch.hub", "load"),
        ("torch.nn", "Linear"),
        ("torch.nn.functional", "relu"),
        ("torch.nn.modulesque", "A"),
        ("torch._utils", "_rebuild_wrapper_subclass"),
        ("torch.storage", "_load_from_bytes"),
        ("torch", "QInt8Storage"),
        ("torch", "UnknownStorage"),
        ("lsml", "solve"),
        ("../authors_net", "A"),
    ],
)
@pytest.mark.parametrize("container", WRITERS)
def test_what_no_tensor_needs_is_refused(tmp_path, container, module, name):
    """Even if it is only named and not called."""
    path = WRITERS[container](tmp_path / "m.pt", named(module, name))
    python3 = {"__builtin__": "builtins"}.get(module, module)
    refused(path, re.escape(f"asks for {python3}.{name}, which no tensor needs"))


@pytest.mark.parametrize("container", WRITERS)
def test_layers_and_unknown_classes_take_no_arguments(tmp_path, container):
    """Catches a placeholder that lets a constructor's arguments pass in silence."""
    payloads = [
        dumped(Call(torch.nn.Linear, 3, 4)),
        b"\x80\x02ctorch.nn.modules.linear\nLinear\nK\x03K\x04\x86\x81.",
        b"\x80\x02cgone\nA\n}\x85\x81.",
        b"\x80\x04cgone\nA\n)}\x8c\x01kK\x01s\x92.",
    ]
    for payload in payloads:
        path = WRITERS[container](tmp_path / "m.pt", payload)
        refused(path, r"calls (torch\.nn\.mod|gone\.A)")


def test_extension_codes_are_refused(tmp_path):
    """They reach a cache of callables that find_class is never asked about."""
    canary, path = tmp_path / "canary", tmp_path / "m.pt"
    copyreg.add_extension("posix", "system", 77)
    try:
        payload = dumped(Call(os.system, touching(canary)))
        assert b"posix" not in payload
        pickle.loads(payload)
        assert canary.exists()
        canary.unlink()
        for container, write in WRITERS.items():
            write(path, payload)
            refused(path, "instruction EXT1")
            assert not canary.exists(), container
    finally:
        copyreg.remove_extension("posix", "system", 77)
        copyreg.clear_extension_cache()


@pytest.mark.parametrize("container", WRITERS)
@pytest.mark.parametrize(
    "state", [b"}X\x05\x00\x00\x00_makeNs", b"N}X\x05\x00\x00\x00_makeNs\x86"]
)
@pytest.mark.parametrize(
    "target",
    [
        "ctorch._utils\n_rebuild_tensor_v2\n",
        "ccollections\nOrderedDict\n",
        "ctorch\nFloatStorage\n",
        "cbuiltins\nobject\n",
        "cgone\nA\n",
        "ctorch\nSize\n)R",
    ],
)
def test_no_state_can_be_given_to_what_outlives_the_file(
    tmp_path, container, target, state
):
    """BUILD writes attributes; on a function of ours they would stay."""
    before = attributes()
    path = WRITERS[container](
        tmp_path / "m.pt", b"\x80\x02" + target.encode() + state + b"b."
    )
    refused(path)
    assert attributes() == before


def attributes():
    admitted = unpickler.ADMITTED.values()
    makers = [id(getattr(one, "_make", None)) for one in admitted]
    ours = [*admitted, *vars(unpickler).values()]
    return makers, [sorted(getattr(one, "__dict__", ())) for one in ours]


@pytest.mark.parametrize("container", WRITERS)
def test_no_state_can_be_given_to_a_tensor(tmp_path, container):
    """Bounds are those of the description; nothing may change it afterwards."""
    payload = dumped({"w": tensor(storage(container))})
    assert payload.endswith(b"s.")
    changed = payload[:-2] + b"N}X\x06\x00\x00\x00offsetM\xe8\x03s\x86bs."
    path = WRITERS[container](tmp_path / "m.pt", changed, {"0": FOUR})
    refused(path)


# Damaged files.


def test_a_cut_file_is_a_value_error(theirs, tmp_path):
    """At every 50th byte and near the ends, in both containers."""
    folder, _ = theirs
    for container in CONTAINERS:
        whole = (folder / f"{container}-net.model").read_bytes()
        path = tmp_path / "cut.model"
        for length in {*range(0, len(whole), 50), *range(40), len(whole) - 1}:
            path.write_bytes(whole[:length])
            refused(path)


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_changed_byte_is_read_or_a_value_error(theirs, tmp_path, container):
    """Catches crashes and allocations of what a length in the file says."""
    whole = (theirs[0] / f"{container}-net.model").read_bytes()
    pickles = whole.find(b"\x80\x02")
    dice = random.Random(0)
    path = tmp_path / "changed.model"
    sentences = []
    for _ in range(150):
        changed = bytearray(whole)
        for _ in range(dice.choice([1, 1, 2, 8])):
            changed[dice.randrange(pickles, len(whole))] = dice.randrange(256)
        path.write_bytes(changed)
        try:
            read_model(path)
        except ValueError as error:
            sentences.append(str(error))
    assert len(sentences) > 50
    assert not any("Type-check" in sentence for sentence in sentences)


FOUR = np.arange(4, dtype=np.float32)


@pytest.mark.parametrize("container", WRITERS)
def test_crafted_tensors_are_read(tmp_path, container):
    """Shows that the files of the tests below are refused for what they say."""
    stored = storage(container, location="cuda:0")
    more = {
        "a": tensor(stored),
        "b": tensor(stored, 3, (), ()),
        "c": tensor(stored, 4, (0,), (1,)),
    }
    path = WRITERS[container](tmp_path / "m.pt", dumped(more), {"0": FOUR})
    read = read_tensors(path)
    assert read["a"].tolist() == [[0, 1], [2, 3]]
    assert read["b"].item() == 3
    assert read["c"].shape == (0,)
    assert read["a"].device.type == "cpu"  # though it was saved from a GPU


@pytest.mark.parametrize("container", WRITERS)
@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (1, (2, 2), (2, 1)),
        (0, (2, 2), (3, 1)),
        (0, (5,), (1,)),
        (4, (), ()),
        (5, (0,), (1,)),
        (5, (0, 9), (9, 1)),
        (-1, (2,), (1,)),
        (3, (2,), (-1,)),
        (0, (-1,), (1,)),
        (0, (2,), (2**62,)),
        (2**70, (1,), (1,)),
        (0, (2, 2), (1,)),
    ],
)
def test_tensors_outside_of_their_storage_are_refused(
    tmp_path, container, offset, size, stride
):
    """torch would read, and then write, memory that is not the tensor's."""
    payload = dumped({"w": tensor(storage(container), offset, size, stride)})
    path = WRITERS[container](tmp_path / "m.pt", payload, {"0": FOUR})
    refused(path, r"outside of its storage|not a readable")


@pytest.mark.parametrize("container", WRITERS)
def test_absurd_sizes_are_refused_before_memory_is_asked_for(tmp_path, container):
    """Catches an allocation by what the file says instead of what it has."""
    path = tmp_path / "m.pt"
    repeated = dumped({"w": tensor(storage(container), 0, (10**6, 10**6), (0, 0))})
    WRITERS[container](path, repeated, {"0": FOUR})
    refused(path, "absurd size")
    for numel in (10**15, 2**63 - 1, 10**30, -1, 5, 3):
        payload = dumped({"w": tensor(storage(container, numel), 0, (3,), (1,))})
        WRITERS[container](path, payload, {"0": FOUR})
        refused(path)
    lengths = [b"\x8e", b"\x8d", b"\x8a\xff", b"\x95", b"X", b"B", b"\x8b", b"r"]
    for opcode in lengths:
        WRITERS[container](path, b"\x80\x04N" + opcode + b"\xff\xff\xff\x7f" * 2 + b".")
        refused(path)


@pytest.mark.parametrize("container", WRITERS)
def test_numbering_objects_far_ahead_is_refused(tmp_path, container):
    """pickle makes room for every number up to the greatest: 64 GB for six bytes."""
    path = WRITERS[container](tmp_path / "m.pt", b"\x80\x02Nr\xff\xff\xff\xff.")
    refused(path, "numbers 4294967295 objects in 9 bytes")


@pytest.mark.parametrize("container", WRITERS)
def test_tuples_nested_without_end_are_refused(tmp_path, container):
    """As a key, they overflow the stack of Python itself: a crash, not an exception."""
    nested = b"\x80\x02}N" + b"\x85" * 60_000 + b"Ns."
    refused(WRITERS[container](tmp_path / "m.pt", nested), "60000 tuples")


def test_a_length_in_a_legacy_file_must_be_the_described_one(tmp_path):
    payload = dumped({"w": tensor(storage("legacy"))})
    path = legacy(tmp_path / "m.pt", payload, {"0": FOUR})
    whole = path.read_bytes()
    for length in (0, 3, 5, 2**62, 2**64 - 1):
        path.write_bytes(whole[:-24] + length.to_bytes(8, "little") + whole[-16:])
        refused(path, "cut off, or its storages")
    legacy(path, payload)
    refused(path, "has no storage 0")
    legacy(path, payload, {"0": FOUR, "1": FOUR})
    refused(path, "its storages are not those")
    unused = tensor(storage("legacy", key="1"))
    payload = dumped({"model": {"w": tensor(storage("legacy"))}, "other": [unused]})
    legacy(path, payload, {"0": FOUR, "1": FOUR})
    assert list(read_tensors(path)) == ["w"]
    path.write_bytes(path.read_bytes()[:-1])
    refused(path, "cut off inside of a storage")


def test_the_other_order_of_bytes_is_swapped(tmp_path):
    """Catches numbers of big-endian machines taken as they lie; complex by parts."""
    values = {
        torch.FloatStorage: np.arange(4, dtype=">f4"),
        torch.LongStorage: (np.arange(4) - 2).astype(">i8"),
        torch.ByteStorage: np.arange(4, dtype="u1"),
        torch.ComplexFloatStorage: (np.arange(4) + 2j).astype(">c8"),
    }
    entries = {
        kind.__name__: tensor(storage("zip", key=str(k), kind=kind), 0, (4,), (1,))
        for k, kind in enumerate(values)
    }
    path = tmp_path / "m.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", dumped(entries))
        archive.writestr("m/byteorder", "big")
        for key, numbers in enumerate(values.values()):
            archive.writestr(f"m/data/{key}", numbers.tobytes())
    read = read_tensors(path)
    for kind, numbers in values.items():
        assert read[kind.__name__].tolist() == numbers.tolist()


@pytest.mark.parametrize("container", CONTAINERS)
def test_tensors_that_are_not_strided_numbers_are_refused(tmp_path, container):
    path = tmp_path / "m.pt"
    save({"w": torch.eye(3).to_sparse()}, path, container)
    refused(path, "_rebuild_sparse_tensor, which no tens")
    conjugated = torch.ones(2, dtype=torch.complex64).conj()
    save({"w": conjugated}, path, container)
    refused(path, "lazily conjugated")
    payload = named("torch._utils", "_rebuild_qtensor")
    WRITERS[container](path, payload)
    refused(path, "_rebuild_qtensor, which no tensor")


@pytest.mark.parametrize("container", WRITERS)
def test_strange_descriptions_are_refused(tmp_path, container):
    """Text or objects where numbers belong, and references to nothing known."""
    path, stored = tmp_path / "m.pt", storage(container)
    kind = torch.FloatStorage
    for thing in (
        tensor("0"),
        tensor(stored, 0.0),
        tensor(stored, 0, [2, 2], [2, 1]),
        tensor(stored, 0, (2, "2"), (2, 1)),
    ):
        WRITERS[container](path, dumped({"w": thing}), {"0": FOUR})
        refused(path, "tensor by something other than numbers")
    for thing in (
        Persistent("storage", "FloatStorage", "0", "cpu", 4, None),
        Persistent("storage", kind, 0, "cpu", 4, None),
        Persistent("elsewhere", kind, "0", "cpu", 4),
        Persistent("module", "A", "a.py", "class A: pass"),
        Persistent(),
    ):
        WRITERS[container](path, dumped({"w": thing}), {"0": FOUR})
        refused(path, "neither a storage nor a class")
    viewed = Persistent("storage", kind, "0", "cpu", 4, ("1", 0, 2))
    WRITERS[container](path, dumped({"w": tensor(viewed)}), {"0": FOUR})
    refused(path, "negative size or a view")
    reconstructed = Call(copyreg._reconstructor, OrderedDict, object, None)
    WRITERS[container](path, dumped(reconstructed))
    refused(path, "more than an empty object")


@pytest.mark.parametrize("container", WRITERS)
def test_one_storage_has_one_description(tmp_path, container):
    """Catches the bounds of one description used with the bytes of another."""
    stored = storage(container)
    for other in (storage(container, 2), storage(container, kind=torch.IntStorage)):
        payload = dumped({"w": tensor(stored), "v": tensor(other)})
        path = WRITERS[container](tmp_path / "m.pt", payload, {"0": FOUR})
        refused(path, "describes storage 0 in two ways")


# Files that hold something else.


@pytest.mark.parametrize("container", CONTAINERS)
def test_one_network_is_expected(theirs, tmp_path, container):
    path, state = tmp_path / "m.pt", {"w": torch.ones(2)}
    for thing in (torch.ones(2), [state], {}, {"a": 1}, {"a": {"b": state}}):
        save(thing, path, container)
        refused(path, "has 0 networks or state dictionaries")
    save({"model": state, "average": state | {"v": torch.ones(1)}}, path, container)
    refused(path, "has 2 networks or state dictionaries")
    refused(theirs[0] / f"{container}-class.pt", "has 0 networks")


def module(**modules):
    """A module as dictionaries, without its class."""
    return {"_parameters": {}, "_buffers": {}, "_modules": modules}


class Gone:
    """Pickled as an object of a package that is not here."""

    def __init__(self, state):
        self.state = state

    def __reduce__(self):
        return Unknown, (), self.state


class Unknown:
    pass


Unknown.__module__ = "gone"
Unknown.__qualname__ = "Unknown"


@contextmanager
def gone():
    """While pickling, the package is there."""
    sys.modules["gone"] = type(sys)("gone")
    sys.modules["gone"].Unknown = Unknown
    try:
        yield
    finally:
        del sys.modules["gone"]


@pytest.mark.parametrize("container", WRITERS)
def test_graphs_without_end_are_refused(tmp_path, container, monkeypatch):
    """A module in itself, and 2^40 modules by sharing: no recursion, no waiting."""
    monkeypatch.setattr(pickled, "MOST", 1000)
    state = module()
    circle = Gone(state)
    state["_modules"]["a"] = circle
    shared = Gone(module())
    for _ in range(40):
        shared = Gone(module(a=shared, b=shared))
    options = {}
    for _ in range(40):
        options = {"a": options, "b": options}
    nested = Gone({**module(), "options": options})
    cases = {"deep": circle, "parts": shared, "more than 1000 parts": nested}
    for sentence, thing in cases.items():
        with gone():
            payload = dumped(thing)
        path = WRITERS[container](tmp_path / "m.pt", payload)
        refused(path, sentence)


@pytest.mark.parametrize("container", WRITERS)
def test_modules_with_strange_parts_are_refused(tmp_path, container):
    cases = {
        "has no tensor at w": {**module(), "_parameters": {"w": 1}},
        "has no module at m": module(m={}),
        "something else than text": {**module(), "_buffers": {1: None}},
        "gives gone.Unknown a state that is no dictionary": [1],
    }
    for sentence, state in cases.items():
        with gone():
            payload = dumped(Gone(state))
        path = WRITERS[container](tmp_path / "m.pt", payload)
        refused(path, sentence)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80",
        b"# a text\n",
        b"PK\x03\x04",
        b"\x93NUMPY\x01\x00",
        pickle.dumps({"w": 1}),
        pickle.dumps(MAGIC),
        pickle.dumps(MAGIC) + pickle.dumps(1000),
        b"Papers, please\n.",
        b"(cgone\nA\no.",
        b"(igone\nA\n.",
    ],
)
def test_other_files_are_one_sentence(tmp_path, content):
    path = tmp_path / "m.model"
    path.write_bytes(content)
    refused(path)


def test_other_archives_are_one_sentence(tmp_path):
    path, payload = tmp_path / "m.pt", dumped({"w": tensor(storage("zip"))})
    for entries in ({"constants.pkl": b"x"}, {"x/data.pkl": b"x"}):
        zipped(path, payload, {"0": FOUR}, **entries)
        refused(path, "archive, but not one of torch")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"x")
    refused(path, "archive, but not one of torch")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", payload + bytes(10**6))
    refused(path, r"data\.pkl compressed")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", payload)
        archive.writestr("m/data/0", FOUR.tobytes())
    refused(path, r"data\.pkl compressed")
    zipped(path, payload)
    refused(path, "has no data/0")


def test_other_paths_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.model does not exist"):
        read_tensors(tmp_path / "none.model")
    with pytest.raises(ValueError, match="is a folder"):
        read_tensors(tmp_path)


def test_names_in_sentences_are_short_and_on_one_line(tmp_path):
    long = "os\n" + "a" * 10**5
    payload = b"\x80\x04X" + len(long).to_bytes(4, "little") + long.encode()
    path = zipped(tmp_path / "m.pt", payload + b"\x8c\x01b\x93.")
    refused(path, "asks for os a")
