"""XDMF beside an HDF5 file of results, so that ParaView opens it.

The `.xdmf` file is text that names datasets of the HDF5 file. XDMF has the x axis last,
so that it cannot read the fields as they are: the group ``xdmf`` of a result holds them
once more for each sample, (nz, ny, nx), as :mod:`lsml.io.seen` makes them. A vector has
its components last, a tensor is an array for each of them, such as ``strain_XY``. A
plane image is one layer of voxels, because ParaView's readers want volumes. Several
samples are the time steps 0, 1, … of a collection, several results grids with the name
of their group.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as Tree

import h5py
import numpy as np
from numpy.typing import NDArray

from lsml.atomic import check_target, replacing
from lsml.io.content import Content, content
from lsml.io.hdf5 import create, write_contents
from lsml.io.new_file import new_file
from lsml.io.saved import VIEWS, groups, read_saved
from lsml.io.seen import Placed, Seen, seen, seen_in
from lsml.io.solved import Answer

EXACT = 2**24  # whole numbers below are exact in float32


def write_xdmf(solution: Answer, path: str | Path, job: str | None = None) -> Path:
    """Write a solution to an HDF5 file and the `.xdmf` beside it; either is ``path``.

    Parameters
    ----------
    job : as in :func:`lsml.io.hdf5.write_solution`.

    Raises
    ------
    ValueError, OSError
        A file cannot be written; what was there before is untouched.
    """
    file = hdf5_of(path)
    views = [seen(solution, k) for k in range(len(solution.status))]
    check_target(file.with_suffix(".xdmf"))
    write_contents({"": viewed(content(solution), views)}, file, job)
    return _write_text(file, {"": views})


def convert_xdmf(source: str | Path, path: str | Path) -> Path:
    """Copy a result file to ``path``, add what XDMF reads, and write the `.xdmf`.

    Raises
    ------
    ValueError, OSError
        No results with fields, or a file cannot be written.
    """
    file = hdf5_of(path)
    check_target(file.with_suffix(".xdmf"))
    views = {name: _views(source, name) for name in groups(source)}
    with replacing(file) as temporary, new_file(temporary) as (target, _):
        with h5py.File(source, "r") as old:
            _copy(old, target)
        for name, each in views.items():
            group = target[name] if name else target
            for key, values in _arrays(each).items():
                create(group, key, values)
    return _write_text(file, views)


def _copy(old: h5py.Group, new: h5py.Group) -> None:
    """All that is stored, but what XDMF reads."""
    new.attrs.update(old.attrs)
    for name, item in old.items():
        if not isinstance(item, h5py.Group):
            old.copy(name, new)
        elif name != VIEWS:
            _copy(item, new.create_group(name))


def hdf5_of(path: str | Path) -> Path:
    """The HDF5 file that an `.xdmf` file is beside of, or the path itself."""
    given = Path(path)
    return given if given.suffix in (".h5", ".hdf5") else given.with_suffix(".h5")


def viewed(held: Content, views: Sequence[Seen]) -> Content:
    """What a file holds, and in the group ``xdmf`` how XDMF sees it."""
    return held._replace(arrays={**held.arrays, **_arrays(views)})


def _views(source: str | Path, group: str) -> list[Seen]:
    saved = read_saved(source, group)
    samples = len(next(iter(saved.fields.values()), ()))
    return [seen_in(saved, k) for k in range(max(1, samples))]


def _arrays(views: Sequence[Seen]) -> dict[str, NDArray[np.generic]]:
    """Everything that XDMF reads, by its path."""
    return {
        f"{VIEWS}/{sample}/{name}": values
        for sample, view in enumerate(views)
        for placed in view.arrays
        for name, values in _parts(placed).items()
    }


def _parts(placed: Placed) -> dict[str, NDArray[np.generic]]:
    """A scalar (nz, ny, nx), a vector (nz, ny, nx, 3), a tensor by its components."""
    rows = placed.values
    if placed.name == "labels":  # not integers: a file has one image of labels only
        rows = rows.astype(np.float32 if rows.max() < EXACT else np.float64)
    for axis in range(rows.ndim, 4):
        rows = np.stack([rows] * (2 if placed.corners else 1), axis)
    rows = rows.transpose(0, 3, 2, 1)
    if placed.components:
        names = [f"{placed.name}_{component}" for component in placed.components]
        return dict(zip(names, rows, strict=True))
    return {placed.name: rows[0] if len(rows) == 1 else np.moveaxis(rows, 0, -1)}


def _write_text(file: Path, views: Mapping[str, Sequence[Seen]]) -> Path:
    root = Tree.Element("Xdmf", Version="3.0")
    domain = Tree.SubElement(root, "Domain")
    for group, each in views.items():
        _add_grids(domain, f"{file.name}:/{group}", group or "result", each)
    Tree.indent(root)
    target = file.with_suffix(".xdmf")
    with replacing(target) as temporary:
        Tree.ElementTree(root).write(temporary, "utf-8", xml_declaration=True)
    return target


def _add_grids(
    domain: Tree.Element, where: str, name: str, views: Sequence[Seen]
) -> None:
    """One grid, or one for each sample."""
    parent = domain
    if len(views) > 1:
        parent = Tree.SubElement(
            domain,
            "Grid",
            Name=name,
            GridType="Collection",
            CollectionType="Temporal",
        )
    for sample, view in enumerate(views):
        named = name if len(views) == 1 else f"sample {sample}"
        grid = Tree.SubElement(parent, "Grid", Name=named, GridType="Uniform")
        if len(views) > 1:
            Tree.SubElement(grid, "Time", Value=str(sample))
        _add_mesh(grid, view)
        for placed in view.arrays:
            for field, values in _parts(placed).items():
                path = f"{where.rstrip('/')}/{VIEWS}/{sample}/{field}"
                _add_attribute(grid, path, values, "Node" if placed.corners else "Cell")


def _add_mesh(grid: Tree.Element, view: Seen) -> None:
    """Voxels as an image; XDMF has the axes in the order z y x here too."""
    flat = 3 - len(view.shape)
    corners = [2] * flat + [n + 1 for n in reversed(view.shape)]
    edges = [min(view.spacing)] * flat + list(reversed(view.spacing))
    Tree.SubElement(
        grid, "Topology", TopologyType="3DCoRectMesh", Dimensions=_words(corners)
    )
    geometry = Tree.SubElement(grid, "Geometry", GeometryType="ORIGIN_DXDYDZ")
    for numbers in ([0.0, 0.0, 0.0], edges):
        _item(
            geometry, [3], Format="XML", NumberType="Float", Precision="8"
        ).text = _words(numbers)


def _add_attribute(
    grid: Tree.Element, path: str, values: NDArray[np.generic], centre: str
) -> None:
    """The numbers in a dataset."""
    attribute = Tree.SubElement(
        grid,
        "Attribute",
        Name=path.rpartition("/")[2],
        AttributeType="Scalar" if values.ndim == 3 else "Vector",
        Center=centre,
    )
    size, bytes_each = values.shape, str(values.dtype.itemsize)
    said = {"Format": "HDF", "NumberType": "Float", "Precision": bytes_each}
    _item(attribute, size, **said).text = path


def _item(parent: Tree.Element, size: Sequence[int], **said: str) -> Tree.Element:
    return Tree.SubElement(parent, "DataItem", {"Dimensions": _words(size), **said})


def _words(numbers: Sequence[float]) -> str:
    return " ".join(map(str, numbers))
