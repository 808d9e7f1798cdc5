"""Label images into files, for other programs or for :func:`lsml.io.read_image`.

==============  =====================================================================
.npy            the array alone
.npz            ``labels``, and ``spacing`` and ``origin`` if they are known
.h5, .hdf5      ``labels`` (s, *n), s = 1 for one image, beside ``spacing``
.tif, .tiff     pages are layers in z, rows run along y, columns along x
.vti            cell data ``labels``
.raw            bytes, the last axis fastest
==============  =====================================================================

Types of NumPy stay what they are, but bool becomes uint8 in `.tif` and `.vti`. A batch
goes to `.npy`, `.npz`, HDF5 and `.raw` only.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from lsml.atomic import replacing
from lsml.extras import needed
from lsml.io.archive import write_arrays
from lsml.io.content import Content
from lsml.io.hdf5 import write_contents
from lsml.io.image import Image
from lsml.io.seen import Placed, Seen
from lsml.io.vtk import write_seen

FORMAT = "lsml labels 1"


def write_image(image: Image, path: str | Path) -> Path:
    """Write labels in the format of the extension, with the voxel edges if it has them.

    Raises
    ------
    ValueError, OSError
        Another extension, a batch where there is room for one image, or the file
        cannot be written; what was there before is untouched.
    ImportError
        A package is missing; the message names the extra.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in WRITERS:
        raise ValueError(
            f"{target} has the extension {target.suffix!r}; labels are written as "
            f"{', '.join(WRITERS)}"
        )
    WRITERS[suffix](image, target)
    return target


def _write_npy(image: Image, path: Path) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array(file, np.asarray(image.labels), allow_pickle=False)


def _write_npz(image: Image, path: Path) -> None:
    known = {"spacing": image.spacing, "origin": image.origin}
    edges = {name: np.array(v) for name, v in known.items() if v is not None}
    write_arrays({"labels": image.labels, **edges}, path)


def _write_hdf5(image: Image, path: Path) -> None:
    arrays = {"labels": image.labels if image.batch else image.labels[None]}
    known = {"spacing": image.spacing, "origin": image.origin}
    arrays |= {name: np.array(v) for name, v in known.items() if v is not None}
    about = {"format": FORMAT, "lsml": version("lsml")}
    write_contents({"": Content(arrays, {}, about, {})}, path)


def _write_tiff(image: Image, path: Path) -> None:
    with needed("writing .tif files needs tifffile", "files"):
        import tifffile
    labels = _single(image, path)
    said: dict[str, Any] = {"axes": "ZYX"[3 - labels.ndim :]}
    if image.spacing is not None:
        said["spacing_xyz"] = list(image.spacing)
    with replacing(path) as temporary:
        tifffile.imwrite(temporary, labels.T, photometric="minisblack", metadata=said)


def _write_vti(image: Image, path: Path) -> None:
    labels = _single(image, path)
    edges = image.spacing or (1.0,) * labels.ndim
    placed = (Placed("labels", labels[None]),)
    write_seen(Seen(labels.shape, edges, placed, image.origin), path)


def _write_raw(image: Image, path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(np.ascontiguousarray(image.labels).tobytes())


def _single(image: Image, path: Path) -> np.ndarray:
    """Labels of one image, as other programs have them."""
    if image.batch or image.labels.ndim > 3:
        raise ValueError(
            f"{path} has room for one image, and this is a batch of "
            f"{len(image.labels)}: write .npz or .h5"
        )
    boolean = image.labels.dtype.kind == "b"
    return image.labels.astype(np.uint8) if boolean else image.labels


WRITERS: Mapping[str, Callable[[Image, Path], None]] = {
    ".npy": _write_npy,
    ".npz": _write_npz,
    ".h5": _write_hdf5,
    ".hdf5": _write_hdf5,
    ".tif": _write_tiff,
    ".tiff": _write_tiff,
    ".vti": _write_vti,
    ".raw": _write_raw,
}
