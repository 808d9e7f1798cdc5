"""Datasets for localization as HDF5 files that any HDF5 tool reads.

N samples on a grid of d axes, j strain components of each:

================  ============  ====================================================
labels            (N, *n)       phase of each voxel, 0 soft and 1 stiff
strain            (N, j, *n)    per voxel, float32, not divided by anything
error             (N)           certified relative residual; NaN: not certified
design_point      (N)           which one the sample was drawn from; −1: not known
grain_size        (N, d)        in voxels, along each axis; 0: not known
volume_fraction   (N)           of the stiff phase
split             (N)           codes, spelled out in the attribute ``codes``
================  ============  ====================================================

Attributes: ``format``, ``lsml`` (version), ``contrast``, ``nu``, ``mean_strain``
(amplitude), ``load`` (its only component), ``components`` (those stored, in order),
``conventions``, and ``recipe``: JSON, of what the samples are made. Each sample is a
chunk. There is no date: what is made by equal recipes is equal.

All of it has checksums: those of HDF5 and of gzip, and for the texts that lsml reads
the attribute ``sha256``. What is damaged cannot be read.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
from jaxtyping import Float, Int, UInt8

from lsml.brief import brief
from lsml.data.recipe import SPLITS
from lsml.io.heaps import check_heaps
from lsml.io.inside import check_own, item

FORMAT = "lsml dataset 1"
VERSION = "v110"  # of HDF5, whose indices of chunks are the first with checksums
DIGEST, TEXTS = "sha256", ("format", "lsml", "load", "components", "recipe")
CONVENTIONS = (
    "Mandel notation: shear components times sqrt(2). Component 1 acts along the first "
    "spatial axis. Young's modulus is 1 in phase 0 and the contrast in phase 1; nu is "
    "Poisson's ratio of both. The mean strain has the component load only."
)
PACKING = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
CHUNKED = ("labels", "strain")
NUMBERS = ("error", "design_point", "volume_fraction", "split")
FIELDS = (*CHUNKED, "grain_size", *NUMBERS)
KINDS = {"labels": "u1", "strain": "f4", "error": "f8", "split": "u1"}
UNREADABLE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)

Plain: TypeAlias = Mapping[str, object]


@dataclass(frozen=True)
class Header:
    """What all samples have in common; see the attributes of a file."""

    contrast: float
    nu: float
    mean_strain: float
    load: str
    components: tuple[str, ...]
    recipe: Plain


@dataclass(frozen=True)
class Table:
    """What is known of each sample beside its fields."""

    design_point: Int[np.ndarray, " N"]
    grain_size: Int[np.ndarray, "N d"]
    volume_fraction: Float[np.ndarray, " N"]
    split: UInt8[np.ndarray, " N"]


def allocate(
    file: h5py.File, samples: int, shape: tuple[int, ...], components: int
) -> None:
    """Room for the fields of some samples and their errors."""
    for name, rest in (("labels", shape), ("strain", (components, *shape))):
        options = PACKING | {"chunks": (1, *rest)}
        file.create_dataset(name, (samples, *rest), KINDS[name], **options)
    file.create_dataset("error", (samples,), KINDS["error"], fletcher32=True)


def describe(file: h5py.File, header: Header, table: Table) -> None:
    """Write all but the fields."""
    file.attrs["format"] = FORMAT
    file.attrs["lsml"] = version("lsml")
    file.attrs["contrast"] = header.contrast
    file.attrs["nu"] = header.nu
    file.attrs["mean_strain"] = header.mean_strain
    file.attrs["load"] = header.load
    file.attrs["components"] = list(header.components)
    file.attrs["conventions"] = CONVENTIONS
    file.attrs["recipe"] = json.dumps(header.recipe)
    for name, values in vars(table).items():
        file.create_dataset(name, data=values, fletcher32=True)
    file["split"].attrs["codes"] = [
        f"{code} {name}" for code, name in enumerate(SPLITS)
    ]
    file.attrs[DIGEST] = _digest(file)


def _digest(file: h5py.File) -> str:
    """Of the texts, which HDF5 itself keeps without a checksum."""
    told = {name: file.attrs[name] for name in TEXTS}
    told["codes"] = file["split"].attrs["codes"]
    texts = {name: np.asarray(text).tolist() for name, text in told.items()}
    return sha256(json.dumps(texts).encode()).hexdigest()


def open_dataset(path: str | Path) -> h5py.File:
    """The file, open for reading.

    Raises
    ------
    FileNotFoundError
        There is none.
    ValueError
        It is no HDF5 file, none of this layout, or lacks a part of it.
    """
    source = Path(path)
    if not source.exists():
        raise FileNotFoundError(f"{source} does not exist")
    if source.is_dir():
        raise ValueError(f"{source} is a folder; expected a dataset in HDF5")
    check_heaps(source)
    with explained(f"{source} is not a readable HDF5 file"):
        file = h5py.File(source, "r")
    try:
        _check(source, file)
    except ValueError:
        file.close()
        raise
    return file


def header_of(file: h5py.File) -> Header:
    """What `describe` wrote.

    Raises
    ------
    ValueError
        An attribute is missing or not what it should be.
    """
    with explained(f"{file.filename} lacks attributes of the format {FORMAT!r}"):
        attributes = file.attrs
        return Header(
            contrast=float(attributes["contrast"]),
            nu=float(attributes["nu"]),
            mean_strain=float(attributes["mean_strain"]),
            load=str(attributes["load"]),
            components=tuple(str(name) for name in attributes["components"]),
            recipe=dict(json.loads(attributes["recipe"])),
        )


@contextmanager
def explained(sentence: str) -> Iterator[None]:
    """Whatever HDF5 raises becomes a ValueError: the sentence, and its reason."""
    try:
        yield
    except UNREADABLE as error:
        raise ValueError(f"{sentence} ({brief(error)})") from None


def _check(source: Path, file: h5py.File) -> None:
    with explained(f"{source} is not a readable HDF5 file"):
        found = file.attrs.get("format")
        digest = file.attrs.get(DIGEST)
        items: Mapping[str, Any] = {name: item(file, name) for name in FIELDS}
    if not isinstance(found, str) or found != FORMAT:
        told = "none" if found is None else repr(found)
        raise ValueError(f"{source} has the format {told}; expected {FORMAT!r}")
    missing = [n for n, item in items.items() if not isinstance(item, h5py.Dataset)]
    if missing:
        raise ValueError(
            f"{source} has no dataset {', '.join(missing)}; "
            f"expected {', '.join(FIELDS)}"
        )
    for dataset in items.values():
        check_own(dataset)
    labels, strain = items["labels"].shape, items["strain"].shape
    components = len(header_of(file).components)
    fits = len(labels) in (3, 4) and strain == (labels[0], components, *labels[1:])
    fits &= all(items[name].shape == labels[:1] for name in NUMBERS)
    if not fits or any(items[name].dtype != kind for name, kind in KINDS.items()):
        raise ValueError(
            f"{source} holds datasets that do not fit each other or its header: "
            + ", ".join(f"{n} {item.dtype} {item.shape}" for n, item in items.items())
        )
    with explained(f"{source} is damaged"):
        if digest is not None and digest != _digest(file):
            raise ValueError("its attributes do not have their checksum")
