"""Any value as JSON knows it, so that a file can say what a solve was asked for."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import singledispatch
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lsml.io.checkpoint import fingerprint
from lsml.io.cut import Stored, blocks
from lsml.learned.checkpoint import described
from lsml.learned.multipreconditioned import Multipreconditioned
from lsml.learned.rule import LearnedRule

LISTED = 64  # numbers of an array that are listed; of larger ones the hash tells
DEFINING = ("rule", "network", "contrast")  # of what a learned rule says of itself


@singledispatch
def plain(value: object) -> Any:
    """Numbers, text, lists and mappings; of objects the type and the fields.

    Numbers that are not finite become None, large arrays shape, type and SHA-256.
    Equal values give equal results, in this process and in any other.
    """
    if not is_dataclass(value) or isinstance(value, type):
        return {"type": type(value).__qualname__}
    named = {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    return {"type": type(value).__qualname__} | named


@plain.register(type(None))
@plain.register(str)
@plain.register(int)
def _(value: Any) -> Any:
    return value


@plain.register
def _(value: float) -> Any:
    return value if math.isfinite(value) else None


@plain.register(complex)
def _(value: complex) -> Any:
    return [plain(value.real), plain(value.imag)]


@plain.register(torch.dtype)
@plain.register(torch.device)
@plain.register(Path)
def _(value: object) -> Any:
    return str(value).removeprefix("torch.")


@plain.register
def _(value: FunctionType) -> Any:
    return value.__qualname__


@plain.register(Mapping)
def _(value: Mapping[object, object]) -> Any:
    return {str(key): plain(each) for key, each in value.items()}


@plain.register(Sequence)
def _(value: Sequence[object]) -> Any:
    return [plain(each) for each in value]


@plain.register
def _(value: Tensor) -> Any:
    return plain(value.detach().cpu().numpy())


@plain.register
def _(value: np.generic) -> Any:
    return plain(value.item())


@plain.register
def _(value: np.ndarray) -> Any:
    if value.size <= LISTED and value.dtype.kind in "iubfc":
        return plain(value.tolist())
    known = {"shape": list(value.shape), "dtype": str(value.dtype)}
    return known if value.dtype.hasobject else known | {"sha256": digest(value)}


@plain.register(LearnedRule)
@plain.register(Multipreconditioned)
def _(value: Any) -> Any:
    kind = {"type": type(value).__qualname__}
    try:
        said = described(value)
    except ValueError:  # a rule that cannot be saved does not say what defines it
        return kind | {"weights": fingerprint(value)}
    kept = {name: plain(said[name]) for name in DEFINING}
    return kind | kept | {"weights": fingerprint(value)}


def digest(values: Stored) -> str:
    """SHA-256 of an array: type and shape, as NumPy writes them, then the numbers.

    Of one that several processes have, on the first of them.

    The text is such as ``<i4 (1, 5, 4, 3)`` and a line feed; the numbers follow little
    end first, the last axis fastest.
    """
    little = values.dtype.newbyteorder("<")
    total = hashlib.sha256(f"{little.str} {values.shape}\n".encode())
    for block in blocks(values):
        numbers = np.ascontiguousarray(block, little)
        total.update(numbers.reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def spelled(value: Any) -> str:
    """What ``plain`` has made of an object, as it would be called in Python."""
    if isinstance(value, list):
        return f"[{', '.join(map(spelled, value))}]"
    if not isinstance(value, dict):
        return repr(value)
    said = [f"{k}={spelled(v)}" for k, v in value.items() if k != "type"]
    return f"{value.get('type', 'dict')}({', '.join(said)})"
