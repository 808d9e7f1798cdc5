"""Weights of networks: safetensors, files of torch, and pickles that would act."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import save

import lsml
from fuzzing.files import Bytes, FileTarget, bytewise
from fuzzing.mutate import NUMBERS, mutated
from fuzzing.outcome import WrongError
from lsml.learned.loading import load_file
from lsml.learned.pickled import read_model
from lsml.learned.rule import LearnedRule

CANARY = "LSML_FUZZ_CANARY"  # a variable, and a file of that name
GLOBALS = (
    ("os", "system"),
    ("posix", "system"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "getattr"),
    ("builtins", "__import__"),
    ("subprocess", "Popen"),
    ("collections", "OrderedDict"),
    ("collections", "Counter"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch", "FloatStorage"),
    ("torch", "Size"),
    ("torch", "load"),
    ("torch.hub", "load"),
    ("torch.nn.modules.conv", "Conv3d"),
    ("torch.nn.modules.module", "torch.os.system"),
    ("numpy", "load"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("pathlib", "Path"),
    ("copyreg", "_reconstructor"),
    ("copy_reg", "_reconstructor"),
    ("__builtin__", "eval"),
    ("__main__", "Net"),
    ("authors_net", "Net"),
    ("functools", "partial"),
    ("operator", "attrgetter"),
    ("importlib", "import_module"),
    ("lsml", "load_rule"),
    ("pickle", "loads"),
    ("types", "SimpleNamespace"),
    ("argparse", "Namespace"),
    ("builtins", "set"),
    ("builtins", "object"),
    ("builtins", "bytearray"),
)
COMMANDS = (
    f"touch {CANARY}",
    f"__import__('os').environ.__setitem__('{CANARY}', '1')",
    f"open('{CANARY}', 'w')",
    "__setstate__",
    "state_dict",
)


def text(rng: Random) -> bytes:
    """A string."""
    said = rng.choice((*COMMANDS, "w", "cpu", "storage", "0")).encode()
    return b"X" + len(said).to_bytes(4, "little") + said


def number(rng: Random) -> bytes:
    """An integer of up to eight bytes, now and then a long one."""
    if rng.random() < 0.05:
        return b"\x8b" + (4000).to_bytes(4, "little") + b"\x7f" * 4000
    made = rng.choice(NUMBERS) % 2**63
    return b"\x8a\x08" + made.to_bytes(8, "little")


def named(rng: Random) -> bytes:
    """A global, in the way of old or new protocols."""
    module, name = rng.choice(GLOBALS)
    if rng.random() < 0.5:
        return f"c{module}\n{name}\n".encode()
    parts = (p.encode() for p in (module, name))
    return b"".join(b"X" + len(p).to_bytes(4, "little") + p for p in parts) + b"\x93"


def called(rng: Random) -> bytes:
    """A global called with something."""
    return named(rng) + b"(" + piece(rng) + b"t" + rng.choice((b"R", b"\x81", b"R."))


def memo(rng: Random) -> bytes:
    """A place of the memo, far away or never written."""
    at = rng.choice((0, 1, 2**31 - 1, 2**32 - 1)).to_bytes(4, "little")
    return rng.choice((b"r" + at, b"j" + at, b"q\x00", b"h\x00", b"\x94"))


def deep(rng: Random) -> bytes:
    """Nests."""
    times = rng.choice((10, 3000, 200_000))
    return rng.choice((b"(" * times, b"]" * times + b"a" * (times - 1), b"(t" * times))


def doubling(rng: Random) -> bytes:
    """A tuple of itself twice, and so on: two to the power of as many."""
    return b"]q\x00" + b"h\x00h\x00\x86q\x00" * rng.choice((5, 40, 1000))


def persistent(rng: Random) -> bytes:
    """A storage."""
    kind = rng.choice((b"ctorch\nFloatStorage\n", b"K\x00", named(rng)))
    said = b"X\x07\x00\x00\x00storage" + kind + text(rng) + text(rng) + number(rng)
    return b"(" + said + b"tQ"


def raw_code(rng: Random) -> bytes:
    """Any instructions."""
    return rng.randbytes(rng.randrange(1, 12))


PIECES: tuple[Callable[[Random], bytes], ...] = (
    text,
    number,
    named,
    called,
    called,
    memo,
    deep,
    doubling,
    persistent,
    raw_code,
    lambda rng: b"}(" + text(rng) + piece(rng) + b"u",
    lambda rng: piece(rng) + piece(rng) + b"b",
    lambda rng: b"(" + piece(rng) + piece(rng) + b"t",
    lambda rng: rng.choice((b"i", b"o", b"P", b"\x82\x01", b"\x8c\xff", b"B\xff")),
)


def piece(rng: Random) -> bytes:
    """Some instructions of a pickle."""
    return rng.choice(PIECES)(rng)


def program(rng: Random) -> bytes:
    """A pickle."""
    head = rng.choice((b"\x80\x02", b"\x80\x04", b"\x80\x04\x95" + b"\xff" * 8, b""))
    body = b"".join(piece(rng) for _ in range(rng.choice((1, 1, 2, 4))))
    return head + body + b"."


def zipped(payload: bytes, rng: Random) -> bytes:
    """In the format since torch 1.6."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("m/data.pkl", payload)
        archive.writestr(rng.choice(("m/data/0", "m/../../0", "/0")), bytes(64))
    return stream.getvalue()


def legacy(payload: bytes, rng: Random) -> bytes:
    """In the format before."""
    heads = (0x1950A86A20F9469CFC6C, 1001, {})
    rest = pickle.dumps(["0"], 2) + (16).to_bytes(8, "little") + bytes(64)
    return b"".join(pickle.dumps(head, 2) for head in heads) + payload + rest


def bare(payload: bytes, rng: Random) -> bytes:
    """As it is."""
    return payload


def hostile(rng: Random, name: str, seeds: Bytes) -> bytes:
    """Mutated bytes, or a pickle that would act if it were opened by torch."""
    if rng.random() < 0.5:
        return bytewise(rng, name, seeds)
    return rng.choice((zipped, legacy, bare))(program(rng), rng)


def torch_seeds(folder: Path) -> Bytes:
    """The tensors of a published network, by torch, in both formats."""
    rule = small_rule()
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.PReLU())
    found = {}
    for name, thing in {
        "state": rule.state_dict(),
        "module": net,
        "held": {"model_state_dict": net.state_dict(), "net_params": {"npasses": 5}},
    }.items():
        for way, zip_format in {"zip": True, "legacy": False}.items():
            stream = io.BytesIO()
            torch.save(thing, stream, _use_new_zipfile_serialization=zip_format)
            found[f"{name}-{way}.pt"] = stream.getvalue()
    return found


def small_rule() -> Any:
    """A network of few weights."""
    torch.manual_seed(0)
    return lsml.learned.RLN(
        lsml.learned.ThreeLayer(2, 1, width=2), passes=2, history=0, tied=True
    )


def safetensors_seeds(folder: Path) -> Bytes:
    """Rules that lsml has saved, and tensors without a description."""
    path, found = folder / "seed.safetensors", {}
    kinds = {
        "rln": small_rule(),
        "mks": lsml.learned.MKS((3, 2, 2)),
        "mpcg": lsml.learned.Multipreconditioned(window=2),
    }
    for name, rule in kinds.items():
        lsml.learned.save(rule, path)
        found[f"{name}.safetensors"] = path.read_bytes()
    found["bare.safetensors"] = save({"w": torch.ones(3)}, {"npasses": "five"})
    return found


HUGE = (0, -1, 1, 2, 1.5, "x", None, True, [], {}, [2], 10**3, 10**7, 10**10, 2**63)


def described(rng: Random, name: str, seeds: Bytes) -> bytes:
    """Mutated bytes, or sound ones whose description says something else."""
    data = seeds[name]
    if rng.random() < 0.4 or not data[16:].count(b"__metadata__"):
        return bytewise(rng, name, seeds)
    length = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + length])
    said = json.loads(head["__metadata__"].get("lsml", "{}"))
    for _ in range(rng.choice((1, 1, 2))):
        change(rng, said)
    head["__metadata__"]["lsml"] = json.dumps(said)
    if rng.random() < 0.2:
        head["__metadata__"]["lsml"] = mutated(rng, json.dumps(said).encode()).decode(
            "latin-1"
        )
    if rng.random() < 0.2:
        change(rng, head)
    text = json.dumps(head).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def change(rng: Random, said: dict[str, Any]) -> None:
    """One entry of a table, at some depth."""
    here, keys = said, list(said)
    while keys:
        key = rng.choice(keys)
        below = here[key]
        if isinstance(below, dict) and below and rng.random() < 0.8:
            here, keys = below, list(below)
            continue
        if rng.random() < 0.15:
            del here[key]
        else:
            here[key] = rng.choice(HUGE)
        return


def network(path: Path) -> str:
    """The tensors of a network, whole; what rule they belong to is another question."""
    tensors = read_model(path).tensors
    with suppress(ValueError):
        load_file(path)
    for name, tensor in tensors.items():
        if tensor.numel() > 10**6 or type(tensor) is not torch.Tensor:
            raise WrongError(f"{name} is a {type(tensor).__name__} {tensor.shape}")
        tensor.double().sum()  # reads all of it: none may lie elsewhere
    return "read"


def weights(path: Path) -> str:
    """Load; a rule that is loaded predicts on a small image."""
    rule = load_file(path)
    if not isinstance(rule, LearnedRule):
        raise WrongError(f"a {type(rule).__name__}")
    if not all(t.isfinite().all() for t in rule.state_dict().values()):
        return "read"  # a bit of a weight has changed: what it predicts is its own
    labels = torch.arange(4 * 3 * 5).reshape(4, 3, 5) % 2
    solution = lsml.solve(labels, rule, throw=False, discretization="hex8-bbar")
    if bool(solution.converged.any()):
        raise WrongError("a learned rule says that it has converged")
    return "solved"


WEIGHTS: Mapping[str, FileTarget] = {
    "safetensors": FileTarget(safetensors_seeds, weights, described),
    "torch": FileTarget(torch_seeds, network, hostile),
}
