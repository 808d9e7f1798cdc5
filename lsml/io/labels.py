"""Label images from files: one table of extensions and readers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path

from lsml.io.array_files import read_npy, read_npz, read_raw
from lsml.io.hdf5_images import read_hdf5, read_xdmf
from lsml.io.image import Found, Image, Labels, Raw, Wanted, every
from lsml.io.tiff import read_tiff
from lsml.io.vtk_image import read_vti, read_vtk

READERS: Mapping[str, Callable[[Wanted], Found]] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".dream3d": read_hdf5,
    ".xdmf": read_xdmf,
    ".tif": read_tiff,
    ".tiff": read_tiff,
    ".vti": read_vti,
    ".vtk": read_vtk,
    ".raw": read_raw,
}


def read_image(
    path: str | Path,
    dataset: str | None = None,
    raw: Raw | None = None,
    spacing: Sequence[float] | None = None,
    rows: Callable[[tuple[int, ...]], slice] = every,
) -> Image:
    """Labels of a file, and the voxel edges where the file has them.

    Array axes are x, y, z: files that store z first are transposed, no labels change.

    Parameters
    ----------
    path : `.npy`, `.npz`, `.h5`, `.hdf5` (any dataset; FANS, DREAM.3D and results of
        lsml are known), `.dream3d`, `.xdmf` that names such a file, `.tif`, `.vti` and
        `.vtk` image data, `.raw`. Nothing in it is executed or unpickled.
    dataset : name of the array inside the file, or the last part of it; None takes the
        only integer array with 2 to 4 axes.
    raw : shape and type, of `.raw` files.
    spacing : voxel edges that take the place of the file's.
    rows : those of the first axis that are wanted, of a cell of so many voxels. Of
        HDF5 and `.npy` nothing else is read, other files are read whole and then cut.

    Raises
    ------
    ValueError
        Unknown extension, a file that is not what its extension says, no or several
        label images, numbers that are not integers, an empty axis, or voxel edges that
        are not positive.
    FileNotFoundError
        No such file.
    ImportError
        tifffile or VTK is missing; the message names the extra.
    """
    axes = None if spacing is None else len(spacing)
    wanted = Wanted(Path(path), dataset, raw, axes, rows)
    _check_file(wanted)
    image = READERS[wanted.file.suffix.lower()](wanted).image(wanted)
    if spacing is not None:
        return replace(image, spacing=tuple(spacing))
    _check_edges(wanted.file, image)
    return image


def read_labels(path: str | Path, dataset: str | None = None) -> Labels:
    """Phase of each voxel, (*n) or (b, *n); :func:`read_image` without the rest.

    Raises
    ------
    ValueError, FileNotFoundError, ImportError
        As there.
    """
    return read_image(path, dataset).labels


def _check_file(wanted: Wanted) -> None:
    file = wanted.file
    if not file.exists():
        raise FileNotFoundError(f"{file} does not exist")
    suffix = file.suffix.lower()
    if suffix not in READERS:
        raise ValueError(
            f"{file} has the extension {file.suffix!r}; expected one of "
            f"{', '.join(READERS)}"
        )
    if file.is_dir():
        raise ValueError(f"{file} is a folder; expected a file")
    if wanted.raw is not None and suffix != ".raw":
        raise ValueError(
            f"{file} says itself what it holds; shape and type are for .raw files"
        )


def _check_edges(file: Path, image: Image) -> None:
    spacing, axes = image.spacing, len(image.shape)
    for edges, name in ((spacing, "voxel edges"), (image.origin, "an origin")):
        if edges is not None and len(edges) != axes:
            raise ValueError(
                f"{file} has {name} for {len(edges)} axes and an image of {axes}"
            )
    if spacing is not None and not all(isfinite(h) and h > 0 for h in spacing):
        shown = ", ".join(f"{h:g}" for h in spacing)
        raise ValueError(
            f"{file} has voxel edges ({shown}); expected positive numbers, which "
            "a given spacing replaces"
        )
