"""Solutions as VTK images, which ParaView opens.

The first array axis is VTK's x; :mod:`lsml.io.seen` says what is in the file.
"""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsml.atomic import replacing
from lsml.io.saved import Saved
from lsml.io.seen import Placed, Seen, seen, seen_in
from lsml.io.solved import Answer


def write_vti(solution: Answer, path: str | Path, sample: int = 0) -> Path:
    """Write labels, strain, stress and displacement of one sample to a `.vti` file.

    Raises
    ------
    ValueError, OSError
        Another extension, no such sample, or the file cannot be written.
    ImportError
        pyvista is missing; the message names the extra.
    """
    target, pyvista = _checked(path), import_pyvista()
    return _written(pyvista, seen(solution, sample), target)


def saved_vti(saved: Saved, path: str | Path, sample: int = 0) -> Path:
    """Write one sample of a result file to a `.vti` file.

    Raises
    ------
    ValueError, OSError, ImportError
        As :func:`write_vti`.
    """
    target, pyvista = _checked(path), import_pyvista()
    return _written(pyvista, seen_in(saved, sample), target)


def import_pyvista() -> ModuleType:
    """Pyvista.

    Raises
    ------
    ImportError
        It is missing; the message names the extra.
    """
    try:
        import pyvista
    except ImportError as error:
        raise ImportError(
            f"writing .vti files needs pyvista ({error}); "
            'install it with: pip install "lsml[plot]"'
        ) from error
    return pyvista


def blank(pyvista: ModuleType, seen: Seen) -> Any:
    """An image of those voxels, without data."""
    flat = 3 - len(seen.shape)
    return pyvista.ImageData(
        dimensions=[n + 1 for n in seen.shape] + [1] * flat,
        spacing=list(seen.spacing) + [1.0] * flat,
    )


def write_image(image: Any, path: Path) -> None:
    """By VTK's own writer, whose success pyvista's does not look at."""
    from vtkmodules.vtkIOXML import vtkXMLImageDataWriter

    writer = vtkXMLImageDataWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(image)
    if not writer.Write():
        raise OSError("VTK's writer failed; is the disk full?")


def _checked(path: str | Path) -> Path:
    target = Path(path)
    if target.suffix != ".vti":
        raise ValueError(f"{target} must end in .vti, which VTK takes the format from")
    return target


def _written(pyvista: ModuleType, seen: Seen, target: Path) -> Path:
    image = blank(pyvista, seen)
    for placed in seen.arrays:
        _put(image, placed)
    with replacing(target) as temporary:
        write_image(image, temporary)
    return target


def _put(image: Any, placed: Placed) -> None:
    data = image.point_data if placed.corners else image.cell_data
    rows = _rows(placed.values)
    data[placed.name] = rows[:, 0] if rows.shape[1] == 1 else rows
    stored = data.VTKObject.GetArray(placed.name)
    for column, name in enumerate(placed.components):
        stored.SetComponentName(column, name)


def _rows(field: NDArray[Any]) -> NDArray[Any]:
    """One row per cell, the first axis fastest."""
    return np.stack([f.flatten(order="F") for f in field], 1)
