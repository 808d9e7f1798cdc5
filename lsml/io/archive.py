"""Results as NumPy archives and as JSON, under the names that HDF5 files have."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsml.atomic import replacing
from lsml.io.content import Content
from lsml.io.cut import in_memory
from lsml.io.plain import plain
from lsml.state import Status

IMAGES = ("labels", "iterates", "predicted")  # too long for numbers, beside fields


def write_npz(held: Content, path: str | Path) -> Path:
    """Every array by its path, and ``provenance`` and ``attributes`` as JSON text.

    Raises
    ------
    ValueError, OSError
        The file cannot be written; what was there before is untouched.
    """
    texts = {"provenance": held.provenance, "attributes": held.attributes}
    said = {name: np.array(json.dumps(plain(text))) for name, text in texts.items()}
    return write_arrays({**in_memory(held.arrays), **said}, path)


def write_arrays(arrays: Mapping[str, NDArray[Any]], path: str | Path) -> Path:
    """An archive of arrays by name.

    Raises
    ------
    ValueError, OSError
        As :func:`write_npz`.
    """
    named: dict[str, Any] = dict(arrays)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **named)
    return Path(path)


def write_json(held: Content, path: str | Path) -> Path:
    """Numbers without fields, and the provenance; null where a number is not finite.

    Raises
    ------
    ValueError, OSError
        As :func:`write_npz`.
    """
    arrays = in_memory(held.arrays)
    left_out = {*held.components, *IMAGES}
    numbers = {
        name: plain(values.tolist())
        for name, values in arrays.items()
        if name not in left_out
    }
    codes = arrays["status"]
    numbers["status"] = [Status(code).name for code in codes.flatten().tolist()]
    options = {"options": json.loads(held.provenance.get("options", "{}"))}
    said = dict(held.provenance) | options
    text = json.dumps(plain(held.attributes) | numbers | {"provenance": said}, indent=1)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", "utf-8")
    return Path(path)
