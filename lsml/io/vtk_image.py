"""Image data of VTK: `.vti`, and legacy `.vtk` with STRUCTURED_POINTS.

VTK counts x fastest, so that arrays come back as [x, y, z] in Fortran order. Labels are
cell data, or point data where there are no integer cell data; DAMASK keeps its phases
in the cell data ``material`` (GeomGrid.load of DAMASK 3), Neper in ``MaterialId``, lsml
in ``labels``. A grid with one layer of points in z is a 2-D image.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np

from lsml.extras import needed
from lsml.io.image import Found, Kind, Wanted, choose, unreadable

VTK = "reading .vti and .vtk files needs VTK"
PREFERRED = ("material", "labels", "MaterialId")
Array = np.ndarray


def read_vti(wanted: Wanted) -> Found:
    """XML image data.

    Raises
    ------
    ValueError
        Not a whole file of image data, no or several label images.
    ImportError
        VTK is missing; the message names the extra.
    """
    with needed(VTK, "plot"):
        from vtkmodules.vtkIOXML import vtkXMLImageDataReader
    return _image(wanted, vtkXMLImageDataReader())


def read_vtk(wanted: Wanted) -> Found:
    """Legacy image data, ASCII or binary.

    Raises
    ------
    ValueError, ImportError
        As :func:`read_vti`.
    """
    with needed(VTK, "plot"):
        from vtkmodules.vtkIOLegacy import vtkDataSetReader
    reader = vtkDataSetReader()
    reader.ReadAllScalarsOn()
    reader.ReadAllFieldsOn()
    return _image(wanted, reader)


def _image(wanted: Wanted, reader: Any) -> Found:
    file = wanted.file
    reader.SetFileName(str(file))
    with _heard() as heard:
        reader.Update()
        data, trouble = reader.GetOutput(), heard()
    if trouble or data is None:
        raise unreadable(file, "VTK file", trouble or "nothing in it")
    if not data.IsA("vtkImageData"):
        raise ValueError(
            f"{file} holds {data.GetClassName()}; expected image data, "
            "which are voxels of one size"
        )
    points = data.GetDimensions()
    if min(points) < 1:
        raise unreadable(file, "VTK file", "no image data in it")
    ndim = 2 if points[2] == 1 else 3
    voxels = tuple(max(n - 1, 1) for n in points[:ndim])
    cells = _arrays(data.GetCellData(), voxels)
    nodes = _arrays(data.GetPointData(), points[:ndim])
    arrays = {**nodes, **cells}
    images = _whole(cells) or _whole(nodes)
    kinds: dict[str, Kind] = {name: (a.dtype, a.shape) for name, a in arrays.items()}
    name = choose(file, kinds, wanted.dataset, images, PREFERRED)
    spacing, origin = data.GetSpacing()[:ndim], data.GetOrigin()[:ndim]
    return Found(arrays[name], tuple(spacing), tuple(origin), name, "VTK image data")


def _whole(arrays: Mapping[str, Array]) -> list[str]:
    return [name for name, array in arrays.items() if array.dtype.kind in "iu"]


def _arrays(attributes: Any, shape: tuple[int, ...]) -> Mapping[str, Array]:
    """Scalars by name, x first; vectors and tensors are no images."""
    from vtkmodules.util.numpy_support import vtk_to_numpy

    found = {}
    for k in range(attributes.GetNumberOfArrays()):
        array = attributes.GetArray(k)  # None for text
        if array is not None and array.GetNumberOfComponents() == 1:
            name = array.GetName() or f"array {k}"
            if array.GetNumberOfTuples() != prod(shape):
                continue  # cut off, or of other cells
            found[name] = vtk_to_numpy(array).reshape(shape, order="F").copy()
    return found


@contextmanager
def _heard() -> Iterator[Any]:
    """What VTK says while it reads on, instead of writing it to the terminal."""
    from vtkmodules.vtkCommonCore import (
        vtkLogger,
        vtkOutputWindow,
        vtkStringOutputWindow,
    )

    before, window = vtkOutputWindow.GetInstance(), vtkStringOutputWindow()
    level = vtkLogger.GetCurrentVerbosityCutoff()
    vtkOutputWindow.SetInstance(window)
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
    try:
        yield lambda: _first(window.GetOutput())
    finally:
        vtkLogger.SetStderrVerbosity(level)
        vtkOutputWindow.SetInstance(before)


def _first(said: str | bytes) -> str:
    """What is wrong, of a message that tells the line of VTK's source before.

    Bytes where a message repeats something of the file that is no text.
    """
    text = said if isinstance(said, str) else said.decode("utf-8", "replace")
    lines = [line for line in text.splitlines()[1:] if line.strip()]
    return lines[0].rpartition("): ")[2] if lines else text.strip()
