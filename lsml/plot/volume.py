"""A field in 3-D: its outer faces, with a piece cut out, or some of the voxels only."""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Bool, Num

from lsml.atomic import replacing
from lsml.extras import needed
from lsml.plot.colours import FIELD, NOTHING, Scale, scale_of
from lsml.plot.given import edges, real_image

WINDOW = (900, 720)  # pixels
BAR = {
    "vertical": True,
    "position_x": 0.87,
    "position_y": 0.2,
    "height": 0.6,
    "width": 0.05,
    "title_font_size": 18,
    "label_font_size": 16,
    "fmt": "%.3g",
    "color": "black",
    "n_labels": 5,
}


def plot_volume(
    field: Num[np.ndarray, "..."],
    spacing: Sequence[float],
    path: str | Path,
    *,
    title: str = "",
    unit: str = "",
    where: Bool[np.ndarray, "..."] | None = None,
) -> Path:
    """Draw voxels as boxes, coloured by the field; no display is needed.

    Parameters
    ----------
    field : (*n), real, three axes.
    spacing : voxel edges.
    path : a PNG file to be written.
    title, unit : written at the colour bar.
    where : voxels that are shown, such as ``labels == 1`` for a phase or ``stress > 3``
        for a threshold. If None all but the octant that faces the eye: great x_1 and
        x_3, small x_2.

    Raises
    ------
    ValueError, OSError
        Not three axes, complex numbers, no voxel to show, another shape of `where`,
        another extension than ``.png``, or the file cannot be written.
    ImportError
        pyvista is missing; the message names the extra.
    """
    values = real_image(field, "the field")
    if values.ndim != 3:
        raise ValueError(
            f"a 3-D view needs three axes, got {values.ndim}; plot_slices shows planes"
        )
    lengths, kept = edges(spacing, 3), _shown(values.shape, where)
    target = Path(path)
    if target.suffix != ".png":
        raise ValueError(f"{target} must end in .png: a 3-D view is an image of pixels")
    pyvista = _pyvista()
    faces = _boxes(pyvista, values, lengths, kept)
    scale = scale_of(values[kept])
    # Without a display VTK says so before it draws without one.
    with replacing(target) as temporary, pyvista.vtk_verbosity("error"):
        plotter = _scene(pyvista, faces, scale, f"{title}\n{unit}")
        plotter.screenshot(str(temporary))
        plotter.close()
    return target


def _shown(
    shape: tuple[int, ...], where: Bool[np.ndarray, "..."] | None
) -> Bool[np.ndarray, "x y z"]:
    if where is None:
        kept = np.ones(shape, dtype=bool)
        x, y, z = ((n + 1) // 2 for n in shape)
        if min(shape) > 1:
            kept[x:, : shape[1] - y, z:] = False
        return kept
    kept = np.asarray(where)
    if kept.dtype != bool or kept.shape != shape:
        raise ValueError(
            f"where must be true or false for each of {shape} voxels, got {kept.dtype} "
            f"of the shape {kept.shape}"
        )
    if not kept.any():
        raise ValueError("where is false everywhere: there is no voxel to show")
    return kept


def _boxes(
    pyvista: ModuleType,
    values: Num[np.ndarray, "x y z"],
    spacing: Sequence[float],
    kept: Bool[np.ndarray, "x y z"],
) -> Any:
    """Faces of the voxels that are kept, at their places."""
    image = pyvista.ImageData(
        dimensions=[n + 1 for n in values.shape], spacing=list(spacing)
    )
    image.cell_data["field"] = values.flatten(order="F")
    return image.extract_cells(np.flatnonzero(kept.flatten(order="F"))).extract_surface(
        algorithm="dataset_surface"
    )


def _scene(pyvista: ModuleType, faces: Any, scale: Scale, title: str) -> Any:
    theme = pyvista.themes.DocumentTheme()
    plotter = pyvista.Plotter(off_screen=True, window_size=WINDOW, theme=theme)
    plotter.add_mesh(
        faces,
        scalars="field",
        cmap=FIELD,
        clim=(scale.low, scale.high),
        nan_color=NOTHING,
        lighting=False,
        show_scalar_bar=False,
    )
    outline = faces.extract_feature_edges(
        feature_angle=30, manifold_edges=False, non_manifold_edges=False
    )
    if outline.n_cells:
        plotter.add_mesh(outline, color="black", line_width=1)
    plotter.add_scalar_bar(title=f"{title.strip()}\n ", **BAR)
    plotter.show_bounds(
        xtitle="x1", ytitle="x2", ztitle="x3", font_size=12, location="outer",
        n_xlabels=3, n_ylabels=3, n_zlabels=3, fmt="%.4g",
    )  # fmt: skip
    plotter.camera_position = "xz"
    plotter.camera.azimuth, plotter.camera.elevation = 35, 25
    plotter.reset_camera()
    plotter.camera.zoom(0.92)
    plotter.camera.SetWindowCenter(0.1, 0.0)  # room for the bar
    return plotter


def _pyvista() -> ModuleType:
    with needed("3-D views need pyvista", "plot"):
        import pyvista
    return pyvista
