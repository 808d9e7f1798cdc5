"""Solutions as VTK images, which ParaView opens.

The first array axis is VTK's x. Tensors are in VTK's order XX YY ZZ XY YZ XZ, with
plain components (no √2 on shear), so that its tensor filters apply; in 2-D they are
XX YY XY. Displacement gradients and Piola stresses are whole, row by row. The periodic
displacement sits at the voxel corners, where it is defined, or in the cells for
`fourier` and `staggered`. In conduction gradient and flux are vectors and the periodic
potential is a scalar.
"""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsml.atomic import replacing
from lsml.io.solved import Solved, array, image_of, voxels
from lsml.mandel import PAIRS
from lsml.physics.discretization import name_of

ORDER = {2: (0, 1, 2), 3: (0, 1, 2, 5, 3, 4)}  # VTK's components in Mandel order
AXES = "XYZ"
Pair = tuple[int, int]
CENTRED = ("fourier", "staggered")  # where potentials are shown in the cells


def write_vti(solution: Solved, path: str | Path, sample: int = 0) -> Path:
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


def _image(pyvista: ModuleType, solution: Solved, sample: int) -> Any:
    labels, grid = image_of(solution, sample), solution.form.grid
    flat = 3 - grid.ndim
    image = pyvista.ImageData(
        dimensions=[n + 1 for n in grid.shape] + [1] * flat,
        spacing=list(grid.spacing) + [1.0] * flat,
    )
    image.cell_data["labels"] = labels.flatten(order="F")
    words = solution.form.discretization.differential.words
    fields = {words.field: solution.strain, words.flux: solution.stress}
    for name, field in fields.items():
        values = voxels(solution, field, sample)
        if len(values) == grid.ndim:
            image.cell_data[name] = _vectors(values)
        else:
            _put_tensor(image, name, *_plain(values, grid.ndim))
    u = array(solution.displacement[sample])
    centred = name_of(solution.form.discretization) in CENTRED
    data = image.cell_data if centred else image.point_data
    placed = u if centred else _wrapped(u, grid.shape)
    one = len(placed) == 1
    data[f"periodic_{words.potential}"] = _rows(placed) if one else _vectors(placed)
    return image


def _put_tensor(
    image: Any, name: str, rows: NDArray[np.floating], pairs: Sequence[Pair]
) -> None:
    image.cell_data[name] = _rows(rows)
    for column, (i, j) in enumerate(pairs):
        stored = image.GetCellData().GetArray(name)
        stored.SetComponentName(column, AXES[i] + AXES[j])


def _plain(
    field: NDArray[np.floating], ndim: int
) -> tuple[NDArray[np.floating], Sequence[Pair]]:
    """VTK's components (c, *n), of a Mandel field or a whole one, and their axes."""
    if len(field) == ndim**2:
        return field, [(i, j) for i in range(ndim) for j in range(ndim)]
    pairs = [PAIRS[ndim][c] for c in ORDER[ndim]]
    rows = [
        field[c] if i == j else field[c] / 2**0.5
        for c, (i, j) in zip(ORDER[ndim], pairs, strict=True)
    ]
    return np.stack(rows), pairs


def _wrapped(u: NDArray[np.floating], voxels: tuple[int, ...]) -> NDArray[np.floating]:
    """With the first layer of corners again at the far side, where they repeat."""
    missing = [(0, n + 1 - m) for n, m in zip(voxels, u.shape[1:], strict=True)]
    return np.pad(u, [(0, 0), *missing], mode="wrap")


def _vectors(u: NDArray[np.floating]) -> NDArray[np.floating]:
    """Three components for every point, the third 0 in 2-D."""
    return _rows(np.concatenate([u, np.zeros_like(u[: 3 - len(u)])]))


def _rows(field: NDArray[np.floating]) -> NDArray[np.floating]:
    """One row per cell, the first axis fastest."""
    return np.stack([f.flatten(order="F") for f in field], 1)
