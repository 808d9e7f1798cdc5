"""Results as NumPy archives and as JSON, under the names that HDF5 files have."""

import json
from pathlib import Path

import numpy as np

from lsml.atomic import replacing
from lsml.io.content import Content
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
    arrays = dict(held.arrays) | {k: json.dumps(plain(v)) for k, v in texts.items()}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)
    return Path(path)


def write_json(held: Content, path: str | Path) -> Path:
    """Numbers without fields, and the provenance; null where a number is not finite.

    Raises
    ------
    ValueError, OSError
        As :func:`write_npz`.
    """
    left_out = {*held.components, *IMAGES}
    numbers = {
        name: plain(values.tolist())
        for name, values in held.arrays.items()
        if name not in left_out
    }
    codes = held.arrays["status"]
    numbers["status"] = [Status(code).name for code in codes.flatten().tolist()]
    options = {"options": json.loads(held.provenance.get("options", "{}"))}
    said = dict(held.provenance) | options
    text = json.dumps(plain(held.attributes) | numbers | {"provenance": said}, indent=1)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", "utf-8")
    return Path(path)
