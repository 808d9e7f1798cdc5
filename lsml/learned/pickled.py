"""Networks that were saved whole, ``torch.save(model, path)``, read as data.

To open such a file with torch is to run it, and needs the classes it was made with.
Here its tensors and numbers are read and nothing is run, in the zip format since torch
1.6 (:mod:`lsml.learned.torchfile`) and in the one before.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypeVar

from torch import Tensor

from lsml.brief import brief
from lsml.learned.torchfile import Tensors, contents
from lsml.learned.unpickler import Placeholder, RefusedError, Strided

Number: TypeAlias = int | float | bool | str
Named: TypeAlias = Iterator[tuple[str, object]]
T = TypeVar("T")

MODULE = ("_parameters", "_buffers", "_modules")
# More than any network has: only one that contains itself comes here.
DEEPEST, MOST = 100, 100_000


class Pickled(NamedTuple):
    """What a file holds that is data.

    Parameters
    ----------
    tensors : by the names of ``state_dict()``, on the CPU, without gradients. Tensors
        that shared memory still do.
    numbers : plain attributes of the network (``npasses``) or, for a state dictionary,
        the entries beside it; those of objects and dictionaries inside after a dot
        (``net_params.npasses``). Names that start with an underscore are left out.
    """

    tensors: dict[str, Tensor]
    numbers: dict[str, Number]


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Tensors of a network, by the names of its ``state_dict()``, on the CPU.

    Parameters
    ----------
    path : written by ``torch.save``: a module, its state dictionary, or a dictionary
        with exactly one of these inside. Nothing in it is run, no class is needed.

    Raises
    ------
    ValueError
        Not such a file, damaged, or it asks for anything but tensors, containers and
        objects of packages that are not installed here.
    FileNotFoundError
        No such file.
    """
    return read_model(path).tensors


def read_model(path: str | Path) -> Pickled:
    """As :func:`read_tensors`, with the plain numbers saved beside the tensors."""
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(f"{file} does not exist")
    if file.is_dir():
        raise ValueError(f"{file} is a folder; expected a file")
    with file.open("rb") as stream:
        length = file.stat().st_size
        try:
            saved = contents(stream, length)
            network = _network(saved.root)
            make = Tensors(saved, length)
            tensors = {name: make.tensor(it) for name, it in _bounded(_state(network))}
            around = network if isinstance(network, Placeholder) else saved.root
            return Pickled(tensors, dict(_bounded(_numbers(around))))
        except RefusedError as refusal:
            raise ValueError(f"{file} {refusal}; nothing in it was run") from None
        except Exception as error:  # damaged pickles and archives raise anything
            reason = brief(error)
            raise ValueError(
                f"{file} is not a readable file of torch.save ({reason}); nothing in "
                "it was run"
            ) from None


def _network(root: object) -> object:
    """The module or state dictionary that a file is or has inside."""
    if _is_network(root):
        return root
    entries = root.values() if isinstance(root, dict) else ()
    inside = [entry for entry in entries if _is_network(entry)]
    if len(inside) != 1:
        raise RefusedError(
            f"has {len(inside)} networks or state dictionaries at its top; expected one"
        )
    return inside[0]


def _is_network(value: object) -> bool:
    if not isinstance(value, dict):
        return _is_module(value)
    return bool(value) and all(
        isinstance(name, str) and isinstance(entry, Strided)
        for name, entry in value.items()
    )


def _is_module(value: object) -> bool:
    return isinstance(value, Placeholder) and all(
        isinstance(value.state.get(name), dict) for name in MODULE
    )


def _state(network: object) -> Iterator[tuple[str, Strided]]:
    """What ``state_dict()`` of the network lists, in its order."""
    if isinstance(network, dict):
        yield from network.items()
        return
    for prefix, module in _bounded(_walk(network, _submodules)):
        for name, entry in _members(module):
            if not isinstance(entry, Strided):
                raise RefusedError(f"has no tensor at {brief(prefix + name)}")
            yield prefix + name, entry


def _members(module: object) -> Named:
    """Parameters and persistent buffers of one module; what is None has no tensor."""
    state = _entries(module)
    temporary = state.get("_non_persistent_buffers_set")
    temporary = temporary if isinstance(temporary, set) else set()
    for kind in MODULE[:2]:
        for name, entry in _named(state[kind]):
            if entry is not None and not (kind == "_buffers" and name in temporary):
                yield name, entry


def _submodules(module: object) -> Named:
    for name, child in _named(_entries(module)["_modules"]):
        if _is_module(child):
            yield name, child
        elif child is not None:
            raise RefusedError(f"has no module at {brief(name)}")


def _named(parts: object) -> Named:
    for name, part in _entries(parts).items():
        if not isinstance(name, str):
            raise RefusedError(
                "names a part of its network by something else than text"
            )
        yield name, part


def _numbers(source: object) -> Iterator[tuple[str, Number]]:
    for prefix, value in _bounded(_walk(source, _objects)):
        for name, entry in _public(value):
            if isinstance(entry, int | float | str):
                yield prefix + name, entry


def _objects(value: object) -> Named:
    for name, entry in _public(value):
        if isinstance(entry, dict | Placeholder) and not _is_module(entry):
            yield name, entry


def _public(value: object) -> Named:
    for name, entry in _entries(value).items():
        if isinstance(name, str) and not name.startswith("_"):
            yield name, entry


def _entries(value: object) -> dict[object, object]:
    if isinstance(value, Placeholder):
        return value.state
    return value if isinstance(value, dict) else {}


def _walk(root: object, children: Callable[[object], Named]) -> Named:
    """The root and all that is below, parents first, with the dotted prefix of each."""
    yield "", root
    levels = [("", children(root))]
    while levels:
        prefix, level = levels[-1]
        name, child = next(level, (None, None))
        if name is None:
            levels.pop()
            continue
        yield f"{prefix}{name}.", child
        levels.append((f"{prefix}{name}.", children(child)))
        if len(levels) > DEEPEST:
            raise RefusedError(f"nests its parts more than {DEEPEST} deep")


def _bounded(items: Iterable[T]) -> Iterator[T]:
    """The same, unless there are absurdly many: parts may be shared without end."""
    for count, item in enumerate(items):
        if count == MOST:
            raise RefusedError(f"has more than {MOST} parts")
        yield item
