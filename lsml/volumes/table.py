"""The table of a batch as a file, in the format of its extension.

==========  ========================================================================
.jsonl      an object per image, a line each; the names are those of
            :class:`lsml.volumes.Row`, null where there is no number
.csv        a line per image below a line of names, a column per number
.h5         a dataset per name, images along the first axis, NaN where there is no
            number, or 0 where numbers are whole; attributes ``format``, ``lsml``,
            ``settings`` (JSON) and ``components``
==========  ========================================================================

Component ij of a matrix is the column ``stiffness_11_22`` of a .csv, Mandel notation as
everywhere.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np

from lsml.atomic import replacing
from lsml.io.new_file import new_file
from lsml.mandel import names
from lsml.saving import check_extension
from lsml.volumes.effective import PHASES, Settings
from lsml.volumes.journal import plain_row
from lsml.volumes.row import Row

FORMAT = "lsml table 1"
TEXTS = ("image", "status", "message")
WHOLE = ("labels", "iterations")


def write_table(rows: Sequence[Row], settings: Settings, ndim: int, path: Path) -> Path:
    """Write rows in the format of the extension.

    Raises
    ------
    ValueError, OSError
        Another extension, or the file cannot be written.
    """
    writer = TABLES[check_extension(path, TABLES)]
    with replacing(path) as temporary:
        writer(rows, settings, ndim, temporary)
    return path


def _write_lines(
    rows: Sequence[Row], settings: Settings, ndim: int, path: Path
) -> None:
    text = "".join(json.dumps(plain_row(row)) + "\n" for row in rows)
    path.write_text(text, "utf-8")


def _write_csv(rows: Sequence[Row], settings: Settings, ndim: int, path: Path) -> None:
    columns = list(_columns(rows, ndim))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(name for name, _ in columns)
        writer.writerows(zip(*(values for _, values in columns), strict=True))


def _columns(rows: Sequence[Row], ndim: int) -> Iterator[tuple[str, list[object]]]:
    """A column per number; empty where there is none."""
    for name, values in _arrays(rows, ndim).items():
        flat = values.reshape(len(rows), -1)
        heads = _heads(name, ndim) if values.ndim > 1 else [name]
        for head, column in zip(heads, flat.T, strict=True):
            known = [name in TEXTS or row.computed for row in rows]
            pairs = zip(column.tolist(), known, strict=True)
            yield head, [v if is_known and v == v else "" for v, is_known in pairs]


def _heads(name: str, ndim: int) -> list[str]:
    """Names of the numbers of a row."""
    components, axes = names(ndim), [str(i + 1) for i in range(ndim)]
    known = {
        "stiffness": [f"{i}_{j}" for i in components for j in components],
        "E": axes,
        "nu": [i + j for i in axes for j in axes],
        "G": components[ndim:],
        "labels": ["0", "1"],
        "fractions": ["0", "1"],
    }
    return [f"{name}_{each}" for each in known.get(name, components)]


def _write_hdf5(rows: Sequence[Row], settings: Settings, ndim: int, path: Path) -> None:
    with new_file(path) as (file, _):
        for name, values in _arrays(rows, ndim).items():
            if name in TEXTS:
                file.create_dataset(name, values.shape, h5py.string_dtype())
                file[name][...] = values.astype(object)
            else:
                file[name] = values
        file.attrs["format"], file.attrs["lsml"] = FORMAT, version("lsml")
        file.attrs["settings"] = json.dumps(settings.plain())
        file.attrs["components"] = list(names(ndim))


def _arrays(rows: Sequence[Row], ndim: int) -> Mapping[str, np.ndarray]:
    """An array per name, images along the first axis."""
    c, d = len(names(ndim)), ndim
    shapes: Mapping[str, tuple[int, ...]] = {
        "labels": (PHASES,), "fractions": (PHASES,), "stiffness": (c, c), "lower": (c,),
        "upper": (c,), "E": (d,), "nu": (d, d), "G": (c - d,), "iterations": (c,),
        "seconds": (),
    }  # fmt: skip
    found: dict[str, np.ndarray] = {}
    for name in (field.name for field in fields(Row)):
        column = [getattr(row, name) for row in rows]
        if name in TEXTS:
            found[name] = np.array(column, dtype=str)
            continue
        whole = name in WHOLE
        values = np.full((len(rows), *shapes[name]), 0 if whole else np.nan)
        for k, value in enumerate(column):
            if value != ():
                values[k] = value
        found[name] = values
    return found


TABLES: Mapping[str, Callable[[Sequence[Row], Settings, int, Path], None]] = {
    ".jsonl": _write_lines,
    ".csv": _write_csv,
    ".h5": _write_hdf5,
}
