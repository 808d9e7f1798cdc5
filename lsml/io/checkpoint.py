"""Tensors by name in an HDF5 file that knows what it belongs to."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import torch
from torch import Tensor

from lsml.atomic import replacing
from lsml.brief import brief
from lsml.io.inside import numbers, opened
from lsml.io.solved import array


def write_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], form: str, owner: str
) -> None:
    """Replace a file by one with these tensors.

    Parameters
    ----------
    form : name of the layout.
    owner : fingerprint of what the tensors belong to.

    Raises
    ------
    ValueError, OSError
        The file cannot be written; what was there before is untouched.
    """
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["format"], file.attrs["owner"] = form, owner
        file.attrs["lsml"] = version("lsml")
        for name, values in tensors.items():
            file.create_dataset(name, data=array(values))


def read_tensors(path: str | Path, form: str, owner: str) -> dict[str, Tensor] | None:
    """What ``write_tensors`` has left; None if there is no file.

    Raises
    ------
    ValueError
        It is another kind of file, or belongs to something else.
    """
    if not Path(path).exists():
        return None
    with opened(path) as file:
        found, whose = file.attrs.get("format"), file.attrs.get("owner")
        data = {} if found != form else _tensors(file)
    if found != form:
        told = brief(repr(found))
        raise ValueError(f"{path} has the format {told}, expected {form!r}")
    if whose != owner:
        raise ValueError(
            f"{path} was written for another problem, rule, tolerance or limit: name "
            "another file, or remove it"
        )
    return data


def _tensors(file: h5py.File) -> dict[str, Tensor]:
    return {name: torch.from_numpy(numbers(file, name)) for name in file}


def fingerprint(*things: object) -> str:
    """A number that is equal for equal things, in this process and in any other."""
    total = hashlib.sha256()
    for thing in things:
        for piece in _pieces(thing):
            total.update(len(piece).to_bytes(8, "little"))
            total.update(piece)
    return total.hexdigest()


def _pieces(thing: Any) -> Iterable[bytes]:
    """What tensors, dataclasses, modules and containers of them are made of."""
    yield type(thing).__qualname__.encode()
    if isinstance(thing, Tensor):
        yield repr((thing.dtype, tuple(thing.shape))).encode()
        yield array(thing).tobytes()
    elif isinstance(thing, torch.nn.Module):
        yield from _pieces(dict(thing.state_dict()))
    elif is_dataclass(thing):
        yield from _pieces({f.name: getattr(thing, f.name) for f in fields(thing)})
    elif isinstance(thing, Mapping):
        for key, value in thing.items():
            yield repr(key).encode()
            yield from _pieces(value)
    elif isinstance(thing, (tuple, list, frozenset)):
        yield from (piece for part in thing for piece in _pieces(part))
    elif isinstance(thing, (str, int, float, complex, type(None))):
        yield repr(thing).encode()
    else:
        yield getattr(thing, "__qualname__", "").encode()
