"""Label images in HDF5 files of any layout, and in the XDMF that names them."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path

import h5py

from lsml.brief import brief
from lsml.io.hdf5_layouts import layout_of
from lsml.io.image import Found, Kind, Wanted, choose, image_like, unreadable
from lsml.io.inside import opened


def read_hdf5(wanted: Wanted) -> Found:
    """Any dataset; known layouts give spacing and order of axes, others are x, y, z.

    Raises
    ------
    ValueError
        Not HDF5, no or several label images, or one that its layout does not allow.
    """
    with opened(wanted.file) as archive:
        return _image(wanted, archive)


def _image(wanted: Wanted, archive: h5py.File) -> Found:
    file, found = wanted.file, _datasets(archive)
    kinds: dict[str, Kind] = {name: (d.dtype, d.shape) for name, d in found.items()}
    layouts = {
        name: layout_of(d) for name, d in found.items() if image_like(kinds[name])
    }
    images = [name for name, layout in layouts.items() if layout.holds(found[name])]
    preferred = [name for name in images if layouts[name].preferred]
    first = preferred if len(preferred) == 1 else []
    name = choose(file, kinds, wanted.dataset, images, first)
    dataset = found[name]
    layout = layouts.get(name) or layout_of(dataset)
    return layout.place(dataset, wanted)._replace(dataset=name, layout=layout.words)


def _datasets(archive: h5py.File) -> Mapping[str, h5py.Dataset]:
    found: dict[str, h5py.Dataset] = {}

    def note(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            found[name] = item

    archive.visititems(note)
    return found


def read_xdmf(wanted: Wanted) -> Found:
    """Labels of the HDF5 file that an XDMF file beside it describes.

    Raises
    ------
    ValueError
        Not XML, no or several HDF5 files in it, or as :func:`read_hdf5`.
    FileNotFoundError
        The HDF5 file is not there.
    """
    file = wanted.file
    try:
        texts = [
            (e.text or "").strip() for e in ElementTree.parse(file).iter("DataItem")
        ]
    except (ElementTree.ParseError, OSError, ValueError) as error:
        raise unreadable(file, "XDMF file", error) from None
    names = sorted({text.partition(":")[0] for text in texts if ".h5:" in text})
    if len(names) != 1:
        raise ValueError(
            f"{file} names {brief(', '.join(names) or 'no')} HDF5 files; expected one"
        )
    if Path(names[0]).name != names[0]:
        raise ValueError(
            f"{file} names {brief(names[0])}, which is not beside it; give that file"
        )
    target = file.parent / names[0]
    if not target.is_file():
        raise FileNotFoundError(
            f"{file} names {brief(names[0])}, which does not exist beside it"
        )
    return read_hdf5(wanted._replace(file=target))
