"""What a result file holds, read back with h5py alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
from numpy.typing import NDArray

from lsml.brief import brief
from lsml.io.content import Content
from lsml.io.cut import in_memory
from lsml.io.inside import item, opened, values_of
from lsml.state import Status

Arrays: TypeAlias = dict[str, NDArray[Any]]

FORMATS = ("lsml solution 1", "lsml stiffness 1")
APART = ("labels", "spacing", "status", "iterates")  # neither a field nor a number
PROVENANCE = "provenance"
VIEWS = "xdmf"  # the fields once more, in the order of XDMF
ENTRIES = (
    "lsml_version",
    "torch_version",
    "created",
    "call",
    "rule",
    "options",
    "labels_sha256",
    "certified_error",
    "error_bound",
)


@dataclass(frozen=True, eq=False)
class Saved:
    """One result of a file, for b samples on s images of voxels (*n).

    Attributes
    ----------
    group : name of the HDF5 group, "" for the root.
    labels : phase of each voxel (s, *n); None where the problem has none.
    spacing : voxel edges.
    fields : (b, c, *n) per voxel by name, averaged over its quadrature points.
    components : names of the components of each field: "11" … of a tensor (Mandel),
        "1" … of a vector, "" of a scalar.
    numbers : every other dataset by its path, such as ``iterations``, ``history``,
        ``load/strain``; a displacement with more corners than voxels is here too. Of an
        effective stiffness ``stiffness``, ``lower`` and ``upper``.
    status : how each sample ended; the load case is fastest.
    provenance : text by name, in the order of :data:`ENTRIES`.
    iterates : strain of every iterate (b, k, c, *n), if it was recorded.
    """

    path: Path
    group: str
    labels: NDArray[Any] | None
    spacing: tuple[float, ...]
    fields: Mapping[str, NDArray[Any]]
    components: Mapping[str, tuple[str, ...]]
    numbers: Mapping[str, NDArray[Any]]
    status: tuple[str, ...]
    attributes: Mapping[str, object]
    provenance: Mapping[str, str]
    iterates: NDArray[Any] | None


def groups(path: str | Path) -> list[str]:
    """Names of the results in a file, "" for one at the root.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        It is no HDF5 file, or holds no result of lsml.
    """
    with opened(path) as file:
        return _groups(Path(path), file)


def read_saved(path: str | Path, group: str | None = None) -> Saved:
    """One result; ``group`` names it where the file has several.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        It is no HDF5 file, it holds no result of lsml, no group of that name, or
        several and none is named.
    """
    path = Path(path)
    with opened(path) as file:
        name = _chosen(path, _groups(path, file), group)
        return _saved(path, name, _content(file[name] if name else file))


def read_content(path: str | Path, group: str | None = None) -> Content:
    """The same result as it is stored, to be written in another format.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`read_saved`.
    """
    path = Path(path)
    with opened(path) as file:
        name = _chosen(path, _groups(path, file), group)
        return _content(file[name] if name else file)


def holds_results(path: str | Path) -> bool:
    """Whether a file is HDF5 with results of lsml in it."""
    try:
        return bool(groups(path))
    except (OSError, ValueError):
        return False


def _groups(path: Path, file: h5py.File) -> list[str]:
    if "format" in file.attrs:
        found = {"": file.attrs["format"]}
    else:
        found = {}

        def note(name: str, item: object) -> None:
            if isinstance(item, h5py.Group) and "format" in item.attrs:
                found[name] = item.attrs["format"]

        file.visititems(note)
    known = [name for name, form in found.items() if form in FORMATS]
    if not known:
        form = next(iter(found.values()), None)
        has = "no format" if form is None else f"the format {brief(repr(form))}"
        raise ValueError(
            f"{path} holds no result of lsml: it has {has}, expected "
            f"{' or '.join(map(repr, FORMATS))}"
        )
    return known


def _chosen(path: Path, known: list[str], group: str | None) -> str:
    if group is None:
        if len(known) > 1:
            raise ValueError(
                f"{path} holds {len(known)} results, name one of the groups "
                f"{brief(', '.join(known))}"
            )
        return known[0]
    name = group.strip("/")
    if name not in known:
        there = brief(", ".join(known)) if known != [""] else "one result, at its root"
        asked = brief(repr(name))
        raise ValueError(f"{path} has no result in a group {asked}; it has {there}")
    return name


def _saved(path: Path, name: str, held: Content) -> Saved:
    arrays, named = in_memory(held.arrays), held.components
    spacing = tuple(float(h) for h in arrays["spacing"])
    ndim = len(spacing)
    cell = _cell(arrays, named, ndim)
    fields = {
        key: _voxels(arrays[key], ndim, 1)
        for key in named
        if key not in APART and arrays[key].shape[-ndim:] == cell
    }
    iterates = arrays.get("iterates")
    return Saved(
        path,
        name,
        arrays.get("labels"),
        spacing,
        fields,
        {key: named[key] for key in fields},
        {k: v for k, v in arrays.items() if k not in APART and k not in fields},
        tuple(Status(code).name for code in arrays["status"].flatten().tolist()),
        held.attributes,
        held.provenance,
        None if iterates is None else _voxels(iterates, ndim, 2),
    )


def _content(group: h5py.Group) -> Content:
    arrays = _datasets(group)
    named = {
        key: tuple(str(c) for c in group[key].attrs["components"])
        for key in arrays
        if "components" in group[key].attrs
    }
    attributes = {key: _plain(value) for key, value in group.attrs.items()}
    return Content(arrays, named, attributes, _provenance(group))


def _datasets(group: h5py.Group) -> Arrays:
    """Every dataset by its path below the group, less what is read otherwise."""
    arrays: Arrays = {}

    def note(name: str, item: object) -> None:
        top = name.partition("/")[0]
        if isinstance(item, h5py.Dataset) and top not in (PROVENANCE, VIEWS):
            arrays[name] = values_of(item)

    group.visititems(note)
    return arrays


def _cell(
    arrays: Arrays, named: Mapping[str, tuple[str, ...]], ndim: int
) -> tuple[int, ...]:
    """Voxels along each axis: of the labels, or of what has fields only."""
    image = "labels" if "labels" in arrays else next(k for k in named if k not in APART)
    return arrays[image].shape[-ndim:]


def _voxels(values: NDArray[Any], ndim: int, ahead: int) -> NDArray[Any]:
    """With a component axis behind ``ahead`` others, averaged over the points."""
    between = values.ndim - ahead - ndim
    if between == 0:
        return np.expand_dims(values, ahead)
    return values if between == 1 else values.mean(ahead)


def _provenance(group: h5py.Group) -> dict[str, str]:
    said = item(group, PROVENANCE)
    if not isinstance(said, h5py.Group):
        return {}
    texts = {name: item(said, name) for name in said}
    stored = {k: str(v.asstr()[()]) for k, v in texts.items() if v is not None}
    order = [*ENTRIES, *(k for k in stored if k not in ENTRIES)]
    return {k: stored[k] for k in order if k in stored}


def _plain(value: Any) -> object:
    """An attribute without types of NumPy."""
    if isinstance(value, np.ndarray):
        return tuple(value.tolist())
    return value.item() if isinstance(value, np.generic) else value
