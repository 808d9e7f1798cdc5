"""The dataset of Kelly & Kalidindi 2021, doi 10.17632/v6dt8dwrh8.2, made readable here.

Its arrays are ordered (sample, z, y, x) and loaded along x, which is the first axis
here: the axes of space are reversed. Strains are those at the centroids of ABAQUS C3D8
elements; how well they were converged is not known.
"""

from pathlib import Path
from typing import TypeAlias

import h5py
import numpy as np
from jaxtyping import Bool, Float32, Num, Shaped, UInt8

from lsml.atomic import check_target, replacing
from lsml.data.layout import VERSION, Header, Table, allocate, describe, explained
from lsml.data.recipe import MEAN_STRAIN, NU, SPLITS, check_contrast
from lsml.io.new_file import new_file

Numbers: TypeAlias = Num[np.ndarray, "..."] | Bool[np.ndarray, "..."]

SOURCE = "Kelly & Kalidindi 2021, doi:10.17632/v6dt8dwrh8.2"
BLOCK = 32  # samples read at a time
AXES = (0, 3, 2, 1)
NEAR = 1e-2  # relative deviation of a sample's mean strain that is taken for rounding


def convert_paper(  # noqa: PLR0913 (the public entry)
    micro: str | Path,
    strain: str | Path,
    path: str | Path,
    contrast: float = 10.0,
    *,
    split: str = "train",
    mean_strain: float = MEAN_STRAIN,
    overwrite: bool = False,
) -> Path:
    """Write two arrays of the paper as a dataset in the layout of `lsml.data.layout`.

    Parameters
    ----------
    micro : `.npy` of the phases, one-hot (n, 2, z, y, x), channel 0 soft, 1 stiff.
    strain : `.npy` of ε_xx, (n, z, y, x) or (n, 1, z, y, x).
    path : of the dataset.
    contrast : Young's modulus of the stiff phase over that of the soft one, which the
        files do not say.
    split : to which the samples belong: the paper has two files for each.
    mean_strain : mean of ε_xx.
    overwrite : replace a file that exists.

    Returns
    -------
    Path
        Of the dataset.

    Raises
    ------
    ValueError
        Arrays of another kind, or a target that exists; nothing is written.
    OSError
        A file is missing or cannot be written.
    """
    if split not in SPLITS:
        raise ValueError(
            f"split {split!r} is unknown; choose one of {', '.join(SPLITS)}"
        )
    target = check_target(path)
    if target.exists() and not overwrite:
        raise ValueError(
            f"{target} exists already; overwrite=True (--overwrite) replaces it"
        )
    check_contrast(contrast)
    phases, fields = _arrays(micro, strain)
    header = _header(float(contrast), float(mean_strain), split)
    with replacing(target) as temporary, new_file(temporary, VERSION) as (file, stream):
        allocate(file, len(fields), fields.shape[:0:-1], 1)
        for first in range(0, len(fields), BLOCK):
            rows = slice(first, min(first + BLOCK, len(fields)))
            file["labels"][rows] = _labels(phases[rows], micro, first)
            file["strain"][rows, 0] = _strain(fields[rows], strain, first, mean_strain)
            stream.check()
        file["error"][...] = np.nan
        describe(file, header, _table(file["labels"], split))
    return target


def _arrays(micro: str | Path, strain: str | Path) -> tuple[Numbers, Numbers]:
    """One-hot phases (n, 2, z, y, x) and the strain (n, z, y, x) of each."""
    phases, fields = _array(micro), _array(strain)
    fields = fields[:, 0] if fields.ndim == 5 and fields.shape[1] == 1 else fields
    if phases.ndim != 5 or phases.shape[1] != 2:
        raise ValueError(
            f"{micro} has the shape {phases.shape}; expected one-hot (n, 2, z, y, x)"
        )
    if fields.shape != (phases.shape[0], *phases.shape[2:]) or not len(fields):
        raise ValueError(
            f"{strain} has the shape {fields.shape}, which does not fit {phases.shape} "
            f"of {micro}; expected (n, z, y, x)"
        )
    return phases, fields


def _array(path: str | Path) -> Numbers:
    """Mapped, not read."""
    source = Path(path)
    if not source.exists():
        raise FileNotFoundError(f"{source} does not exist")
    with explained(f"{source} is not a readable NumPy array"):
        array: np.ndarray = np.lib.format.open_memmap(source, mode="r")
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{source} holds {array.dtype}; expected numbers")
    return array


def _labels(
    phases: Shaped[np.ndarray, "k 2 z y x"], source: str | Path, first: int
) -> UInt8[np.ndarray, "k x y z"]:
    once = ((phases == 0) | (phases == 1)).all(1) & (phases[:, 0] != phases[:, 1])
    wrong = np.flatnonzero(~once.reshape(len(once), -1).all(1))
    if len(wrong):
        raise ValueError(
            f"{source} is not one-hot in sample {first + wrong[0]}: each voxel must be "
            "1 in one of the two phases and 0 in the other"
        )
    return np.transpose(phases[:, 1], AXES).astype(np.uint8)


def _strain(
    fields: Shaped[np.ndarray, "k z y x"],
    source: str | Path,
    first: int,
    mean_strain: float,
) -> Float32[np.ndarray, "k x y z"]:
    means = fields.mean(axis=(1, 2, 3), dtype=np.float64)
    wrong = np.flatnonzero(~(abs(means - mean_strain) <= NEAR * abs(mean_strain)))
    if len(wrong):
        raise ValueError(
            f"{source} has the mean {means[wrong[0]]:.4g} in sample "
            f"{first + wrong[0]}; expected the mean strain, {mean_strain:g} "
            "(mean_strain, --mean-strain)"
        )
    return np.transpose(fields, AXES).astype(np.float32)


def _header(contrast: float, mean_strain: float, split: str) -> Header:
    component = "11"
    recipe = {
        "source": SOURCE,
        "contrast": contrast,
        "mean_strain": mean_strain,
        "load": component,
        "components": [component],
        "discretization": "ABAQUS C3D8",
        "split": split,
    }
    return Header(contrast, NU, mean_strain, component, (component,), recipe)


def _table(labels: h5py.Dataset, split: str) -> Table:
    count = len(labels)
    fractions = [float(labels[i].mean()) for i in range(count)]
    return Table(
        np.full(count, -1),
        np.zeros((count, 3), dtype=np.int64),
        np.array(fractions),
        np.full(count, SPLITS.index(split), dtype=np.uint8),
    )
