"""Solutions as VTK images, which ParaView opens.

The first array axis is VTK's x; :mod:`lsml.io.seen` says what is in the file.
"""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsml.atomic import replacing
from lsml.extras import needed
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
    return write_seen(seen(solution, sample), path)


def saved_vti(saved: Saved, path: str | Path, sample: int = 0) -> Path:
    """Write one sample of a result file to a `.vti` file.

    Raises
    ------
    ValueError, OSError, ImportError
        As :func:`write_vti`.
    """
    return write_seen(seen_in(saved, sample), path)


def write_seen(view: Seen, path: str | Path) -> Path:
    """Write numbers on an image of voxels to a `.vti` file.

    Raises
    ------
    ValueError, OSError, ImportError
        As :func:`write_vti`.
    """
    target = Path(path)
    if target.suffix.lower() != ".vti":
        raise ValueError(f"{target} must end in .vti, which VTK takes the format from")
    image = _blank(import_pyvista(), view)
    for placed in view.arrays:
        _put(image, placed)
    with replacing(target) as temporary:
        _write(image, temporary)
    return target


def import_pyvista() -> ModuleType:
    """Pyvista.

    Raises
    ------
    ImportError
        It is missing; the message names the extra.
    """
    with needed("writing .vti files needs pyvista", "plot"):
        import pyvista
    return pyvista


def _blank(pyvista: ModuleType, view: Seen) -> Any:
    """The voxels without numbers."""
    flat = 3 - len(view.shape)
    return pyvista.ImageData(
        dimensions=[n + 1 for n in view.shape] + [1] * flat,
        spacing=list(view.spacing) + [1.0] * flat,
        origin=list(view.origin or ()) + [0.0] * (3 - len(view.origin or ())),
    )


def _write(image: Any, path: Path) -> None:
    """By VTK's own writer, whose success pyvista's does not look at."""
    from vtkmodules.vtkIOXML import vtkXMLImageDataWriter

    writer = vtkXMLImageDataWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(image)
    if not writer.Write():
        raise OSError("VTK's writer failed; is the disk full?")


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
