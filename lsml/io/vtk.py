"""Solutions as VTK images, which ParaView opens.

The first array axis is VTK's x. Tensors are in VTK's order XX YY ZZ XY YZ XZ, with
plain components (no √2 on shear), so that its tensor filters apply; in 2-D they are
XX YY XY. Displacement gradients and Piola stresses are whole, row by row. The periodic
displacement sits at the voxel corners, where it is defined, or in the cells for
`fourier` and `staggered`. In conduction gradient and flux are vectors and the periodic
potential is a scalar; waves and flow have the fields of their problem. Complex fields
are two arrays, ``Re`` and ``Im``.
"""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsml.atomic import replacing
from lsml.io.solved import (
    Answer,
    Solved,
    array,
    check_sample,
    has_strain,
    image_of,
    real_parts,
    shown,
    voxels,
)
from lsml.mandel import PAIRS
from lsml.physics.discretization import name_of

ORDER = {2: (0, 1, 2), 3: (0, 1, 2, 5, 3, 4)}  # VTK's components in Mandel order
AXES = "XYZ"
Pair = tuple[int, int]
CENTRED = ("fourier", "staggered")  # where potentials are shown in the cells


def write_vti(solution: Answer, path: str | Path, sample: int = 0) -> Path:
    """Write labels, strain, stress and displacement of one sample to a `.vti` file.

    Raises
    ------
    ValueError, OSError
        Another extension, no such sample, or the file cannot be written.
    ImportError
        pyvista is missing; the message names the extra.
    """
    target = Path(path)
    if target.suffix != ".vti":
        raise ValueError(f"{target} must end in .vti, which VTK takes the format from")
    image = _image(_pyvista(), solution, sample)
    with replacing(target) as temporary:
        _write(image, temporary)
    return target


def _pyvista() -> ModuleType:
    try:
        import pyvista
    except ImportError as error:
        raise ImportError(
            f"writing .vti files needs pyvista ({error}); "
            'install it with: pip install "lsml[plot]"'
        ) from error
    return pyvista


def _write(image: Any, path: Path) -> None:
    """By VTK's own writer, whose success pyvista's does not look at."""
    from vtkmodules.vtkIOXML import vtkXMLImageDataWriter

    writer = vtkXMLImageDataWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(image)
    if not writer.Write():
        raise OSError("VTK's writer failed; is the disk full?")


def _image(pyvista: ModuleType, solution: Answer, sample: int) -> Any:
    check_sample(solution, sample)
    if has_strain(solution):
        return _strained(pyvista, solution, sample)
    spacing, fields = shown(solution)
    shape = next(iter(fields.values())).shape[2:]
    image = _blank(pyvista, shape, spacing)
    for name, values in fields.items():
        _put_field(image.cell_data, name, array(values[sample]))
    return image


def _blank(pyvista: ModuleType, shape: Sequence[int], spacing: Sequence[float]) -> Any:
    flat = 3 - len(shape)
    return pyvista.ImageData(
        dimensions=[n + 1 for n in shape] + [1] * flat,
        spacing=list(spacing) + [1.0] * flat,
    )


def _strained(pyvista: ModuleType, solution: Solved, sample: int) -> Any:
    labels, grid = image_of(solution, sample), solution.form.grid
    image = _blank(pyvista, grid.shape, grid.spacing)
    image.cell_data["labels"] = labels.flatten(order="F")
    words = solution.form.discretization.differential.words
    fields = {words.field: solution.strain, words.flux: solution.stress}
    for name, field in fields.items():
        values = voxels(solution, field, sample)
        if len(values) == grid.ndim:
            _put_field(image.cell_data, name, values)
        else:
            _put_tensor(image, name, *_plain(values, grid.ndim))
    u = array(solution.displacement[sample])
    centred = name_of(solution.form.discretization) in CENTRED
    data = image.cell_data if centred else image.point_data
    placed = u if centred else _wrapped(u, grid.shape)
    _put_field(data, f"periodic_{words.potential}", placed)
    return image


def _put_field(data: Any, name: str, values: NDArray[Any]) -> None:
    """Scalars, or vectors of three components; complex ones in two parts."""
    for part, numbers in real_parts(name, values).items():
        data[part] = _rows(numbers) if len(numbers) == 1 else _vectors(numbers)


def _put_tensor(
    image: Any, name: str, rows: NDArray[Any], pairs: Sequence[Pair]
) -> None:
    image.cell_data[name] = _rows(rows)
    for column, (i, j) in enumerate(pairs):
        stored = image.GetCellData().GetArray(name)
        stored.SetComponentName(column, AXES[i] + AXES[j])


def _plain(field: NDArray[Any], ndim: int) -> tuple[NDArray[Any], Sequence[Pair]]:
    """VTK's components (c, *n), of a Mandel field or a whole one, and their axes."""
    if len(field) == ndim**2:
        return field, [(i, j) for i in range(ndim) for j in range(ndim)]
    pairs = [PAIRS[ndim][c] for c in ORDER[ndim]]
    rows = [
        field[c] if i == j else field[c] / 2**0.5
        for c, (i, j) in zip(ORDER[ndim], pairs, strict=True)
    ]
    return np.stack(rows), pairs


def _wrapped(u: NDArray[Any], voxels: tuple[int, ...]) -> NDArray[Any]:
    """With the first layer of corners again at the far side, where they repeat."""
    missing = [(0, n + 1 - m) for n, m in zip(voxels, u.shape[1:], strict=True)]
    return np.pad(u, [(0, 0), *missing], mode="wrap")


def _vectors(u: NDArray[Any]) -> NDArray[Any]:
    """Three components for every point, the third 0 in 2-D."""
    return _rows(np.concatenate([u, np.zeros_like(u[: 3 - len(u)])]))


def _rows(field: NDArray[Any]) -> NDArray[Any]:
    """One row per cell, the first axis fastest."""
    return np.stack([f.flatten(order="F") for f in field], 1)
