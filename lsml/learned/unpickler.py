"""Pickles read without running anything: unknown classes become inert placeholders.

A pickle is a program. Here it may build dictionaries, lists, numbers and text, describe
tensors by their storage and strides, and fill the state of objects of unknown classes.
Whatever else it names is refused, before anything would be imported.
"""

import io
import pickle
import pickletools
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import ClassVar, NamedTuple, TypeAlias

import torch

from lsml.brief import brief

Stream: TypeAlias = io.BufferedReader | io.BytesIO

# An extension code stands for a global without naming it, and is looked up in a cache
# first; INST and OBJ call what they name; PERSID holds text, which torch never writes.
INSTRUCTIONS_REFUSED = frozenset({"EXT1", "EXT2", "EXT4", "INST", "OBJ", "PERSID"})
MEMORIZING = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
MOST_TUPLES = 50_000  # four to a tensor; as a key, nested, more overflow the C stack
# Known names of objects without arguments; the last is in all modules before torch 1.4.
INERT = {
    ("argparse", "Namespace"),
    ("types", "SimpleNamespace"),
    ("torch.nn.backends.thnn", "_get_thnn_function_backend"),
}


class RefusedError(Exception):
    """What a file does wrong, as the predicate of a sentence about the file."""


class Storage(NamedTuple):
    """Numbers that lie somewhere in the file; CUDA or CPU makes no difference."""

    key: str
    dtype: torch.dtype
    numel: int


class Strided(NamedTuple):
    """A tensor to be: nothing is allocated, and its bounds are not yet checked."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class Placeholder:
    """Stands for an object of a class that is not here, and keeps its state only."""

    __slots__ = ("state",)
    label: ClassVar[str] = ""
    state: dict[object, object]

    def __new__(cls, *arguments: object, **named: object) -> "Placeholder":
        if arguments or named:
            raise RefusedError(f"calls {cls.label} with arguments")
        made = super().__new__(cls)
        made.state = {}
        return made

    def __setstate__(self, state: object) -> None:
        # An object with slots has two dictionaries.
        parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
        for part in parts:
            if part is not None and not isinstance(part, dict):
                raise RefusedError(f"gives {self.label} a state that is no dictionary")
            self.state.update(part or {})


class Ordered(dict[object, object]):
    """An OrderedDict without the attributes (version numbers) that torch gives it."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        pass


class Maker:
    """Calls one function; a pickle cannot put anything into it."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., object]) -> None:
        self._make = make

    def __call__(self, *arguments: object) -> object:
        return self._make(*arguments)

    def __setstate__(self, state: object) -> None:
        raise RefusedError("gives a state to a function")


def strided(storage: object, offset: object, size: object, stride: object) -> Strided:
    """As torch._utils._rebuild_tensor, but only a description."""
    if not (
        isinstance(storage, Storage)
        and isinstance(offset, int)
        and isinstance(size, tuple)
        and isinstance(stride, tuple)
        and all(isinstance(number, int) for number in size + stride)
    ):
        raise RefusedError("describes a tensor by something other than numbers")
    return Strided(storage, offset, tuple(size), tuple(stride))


def strided_v2(*arguments: object) -> Strided:
    """With requires_grad and hooks, which are dropped, and sign bits, which are not."""
    *described, _requires_grad, _hooks = arguments[:6]
    if any(arguments[6:]):
        raise RefusedError("holds a lazily conjugated or negated tensor")
    return strided(*described)


def parameter(data: object, _requires_grad: object, _hooks: object) -> object:
    """The tensor of a Parameter."""
    return data


def reconstructed(kind: object, base: object, state: object) -> Placeholder:
    """What copyreg does in protocols 0 and 1, for placeholders of object only."""
    empty = base is OBJECT and state is None
    if empty and isinstance(kind, type) and issubclass(kind, Placeholder):
        return kind()
    raise RefusedError("calls copyreg._reconstructor for more than an empty object")


def sequence(*parts: object) -> object:
    """Stands for a torch.Size or a torch.device: plain data, of no further use."""
    return parts


OBJECT = object()
STORAGES = {
    f"{name}Storage": getattr(torch, dtype)
    for name, dtype in {
        "Double": "float64",
        "Float": "float32",
        "Half": "float16",
        "BFloat16": "bfloat16",
        "Long": "int64",
        "Int": "int32",
        "Short": "int16",
        "Char": "int8",
        "Byte": "uint8",
        "Bool": "bool",
        "ComplexDouble": "complex128",
        "ComplexFloat": "complex64",
    }.items()
}
DTYPES = {name: v for name, v in vars(torch).items() if isinstance(v, torch.dtype)}
ADMITTED: Mapping[tuple[str, str], object] = {
    ("torch._utils", "_rebuild_tensor"): Maker(strided),
    ("torch._utils", "_rebuild_tensor_v2"): Maker(strided_v2),
    ("torch._utils", "_rebuild_parameter"): Maker(parameter),
    ("torch", "Size"): Maker(sequence),
    ("torch", "device"): Maker(sequence),
    ("collections", "OrderedDict"): Maker(Ordered),
    ("builtins", "set"): Maker(set),
    ("builtins", "object"): OBJECT,
    ("copyreg", "_reconstructor"): Maker(reconstructed),
    **{("torch", name): dtype for name, dtype in (STORAGES | DTYPES).items()},
}


class InertUnpickler(pickle.Unpickler):
    """Admits by exact name; ``storages`` collects what the tensors lie in."""

    def __init__(self, stream: Stream, storages: dict[str, Storage]) -> None:
        super().__init__(stream, encoding="utf-8")
        self.storages = storages
        self.placeholders: dict[tuple[str, str], type[Placeholder]] = {}

    def find_class(self, module: str, name: str) -> object:
        python3 = (IMPORT_MAPPING.get(module, module), name)
        named = NAME_MAPPING.get((module, name), python3)  # protocols below 3
        if named in ADMITTED:
            return ADMITTED[named]
        label = brief(".".join(named))
        if not (named in INERT or is_unknown(named[0])):
            raise RefusedError(f"asks for {label}, which no tensor needs")
        if named not in self.placeholders:
            body = {"__slots__": (), "label": label}
            self.placeholders[named] = type("Unknown", (Placeholder,), body)
        return self.placeholders[named]

    def persistent_load(self, pid: object) -> object:
        match pid:
            case ("module", kind, _, _) if isinstance(kind, type):
                return kind
            case ("storage", torch.dtype() as dtype, str(key), str(), int(n), *views):
                if n < 0 or any(view is not None for view in views):
                    raise RefusedError("holds a storage of negative size or a view")
                storage = Storage(key, dtype, n)
                if self.storages.setdefault(key, storage) != storage:
                    raise RefusedError(f"describes storage {brief(key)} in two ways")
                return storage
        raise RefusedError("refers to something that is neither a storage nor a class")


def is_unknown(module: str) -> bool:
    """Whether a module is of torch's layers, or of a package that is not here.

    A folder without code (a namespace package) is no package: the authors' own checkout
    may be the current folder.
    """
    if module == "__main__" or f"{module}.".startswith("torch.nn.modules."):
        return True
    root = module.partition(".")[0]
    if not root.isidentifier() or root in sys.stdlib_module_names:
        return False
    if root in sys.modules:
        return False
    spec = find_spec(root)  # of a root: looks for it without importing
    return spec is None or spec.origin is None


def load(stream: Stream, storages: dict[str, Storage]) -> object:
    """The next pickle of the stream: containers, numbers, text and descriptions."""
    start, highest, tuples = stream.tell(), 0, 0
    for instruction, argument, _ in pickletools.genops(stream):
        name = instruction.name
        if name in INSTRUCTIONS_REFUSED:
            raise RefusedError(f"uses the pickle instruction {name}")
        if name in MEMORIZING:
            highest = max(highest, int(argument or 0))
        tuples += name.startswith("TUPLE")
    length = stream.tell() - start
    if highest > length:  # pickle would allocate that many places
        raise RefusedError(f"numbers {highest} objects in {length} bytes")
    if tuples > MOST_TUPLES:
        raise RefusedError(f"holds {tuples} tuples, more than {MOST_TUPLES}")
    stream.seek(start)
    return InertUnpickler(io.BytesIO(stream.read(length)), storages).load()
