"""Young's modulus by direction: polar curves, and a surface in 3-D."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from lsml.engineering import youngs_modulus
from lsml.mandel import DIMENSION
from lsml.plot.colours import FIELD, MEDIUM, SMALL, draw_bar, scale_of
from lsml.plot.figure import Figure, kept, new_figure
from lsml.plot.planes import CUTS

POINTS = 361  # of a curve
LATITUDES, LONGITUDES = 61, 121  # of the surface
CURVE = "#0072B2"
TITLE = "Young's modulus E(n)"

Matrix = Float[np.ndarray, "c c"]


def plot_stiffness(
    stiffness: Matrix, path: str | Path | None = None, *, unit: str = ""
) -> Figure:
    """Young's modulus E(n) of a pull along n, as the distance from the origin.

    1/E(n) = n⊗n : S : n⊗n with the compliance S (Nye 1957, Physical Properties of
    Crystals, §8). In 2-D a polar curve; it is the modulus of plane strain, not of the
    material. In 3-D the curves in the three planes of axes, and the surface, whose
    colours tell E too.

    Parameters
    ----------
    stiffness : Mandel matrix, (3, 3) in 2-D and (6, 6) in 3-D.
    path : where to write the picture, in the format of its extension.
    unit : of the stiffness.

    Raises
    ------
    ValueError, OSError
        No real, symmetric, positive definite matrix of that shape, or the file cannot
        be written.
    ImportError
        matplotlib is missing; the message names the extra.
    """
    matrix = _checked(stiffness)
    pictures = {2: _plane, 3: _space}
    return kept(pictures[DIMENSION[len(matrix)]](matrix, unit), path)


def _checked(stiffness: Any) -> Matrix:
    matrix = np.asarray(stiffness)
    if matrix.shape not in ((3, 3), (6, 6)):
        raise ValueError(
            "a stiffness to be drawn is one Mandel matrix (3, 3) or (6, 6), got the "
            f"shape {matrix.shape}"
        )
    if np.iscomplexobj(matrix) or not np.isfinite(matrix).all():
        raise ValueError("a stiffness to be drawn has real, finite numbers")
    far = np.abs(matrix - matrix.T).max()
    eigenvalues = np.linalg.eigvalsh((matrix + matrix.T) / 2)
    if far > 1e-6 * np.abs(matrix).max() or eigenvalues[0] <= 1e-12 * eigenvalues[-1]:
        raise ValueError(
            "Young's modulus needs a symmetric, positive definite stiffness, got the "
            f"eigenvalues {eigenvalues[0]:.3g} to {eigenvalues[-1]:.3g} and an "
            f"asymmetry of {far:.3g}"
        )
    return matrix.astype(float)


def _plane(stiffness: Matrix, unit: str) -> Figure:
    figure = new_figure(4.2, 4.2)
    axes = figure.add_subplot(projection="polar")
    _draw_curve(axes, stiffness, (0, 1))
    axes.set_title(f"{TITLE}, plane strain{_of(unit)}", fontsize=MEDIUM)
    return figure


def _space(stiffness: Matrix, unit: str) -> Figure:
    planes = CUTS[3]
    figure = new_figure(13.0, 3.7)
    grid = figure.add_gridspec(1, 4, width_ratios=[1, 1, 1, 1.25])
    curves: list[Any] = [
        figure.add_subplot(grid[k], projection="polar") for k in range(3)
    ]
    for axes, plane in zip(curves, planes, strict=True):
        _draw_curve(axes, stiffness, plane)
        axes.set_title(f"plane $x_{plane[0] + 1}$, $x_{plane[1] + 1}$", fontsize=MEDIUM)
    most = max(axes.get_rmax() for axes in curves)
    for axes in curves:
        axes.set_rmax(most)
    surface = figure.add_subplot(grid[3], projection="3d")
    _draw_surface(surface, stiffness, unit)
    figure.suptitle(f"{TITLE}{_of(unit)}", fontsize=MEDIUM + 1)
    return figure


def _draw_curve(axes: Any, stiffness: Matrix, plane: tuple[int, int]) -> None:
    """E over the angle from the first axis of the plane to the second."""
    angles = np.linspace(0, 2 * np.pi, POINTS)
    normals = np.zeros((POINTS, DIMENSION[len(stiffness)]))
    normals[:, plane[0]], normals[:, plane[1]] = np.cos(angles), np.sin(angles)
    values = _moduli(stiffness, normals)
    axes.plot(angles, values, color=CURVE, linewidth=1.6)
    axes.fill(angles, values, color=CURVE, alpha=0.12, linewidth=0)
    ticks = {0: f"$x_{plane[0] + 1}$", 90: f"$x_{plane[1] + 1}$"}
    degrees = range(0, 360, 45)
    axes.set_thetagrids(degrees, [ticks.get(k, "") for k in degrees], fontsize=MEDIUM)
    axes.set_rmin(0)
    axes.set_rmax(1.05 * values.max())
    axes.set_rlabel_position(22.5)
    axes.yaxis.set_major_locator(_few(4))
    axes.tick_params(axis="y", labelsize=SMALL)
    axes.grid(color="0.85", linewidth=0.6)


def _draw_surface(axes: Any, stiffness: Matrix, unit: str) -> None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    theta, phi = np.meshgrid(
        np.linspace(0, np.pi, LATITUDES), np.linspace(0, 2 * np.pi, LONGITUDES),
        indexing="ij",
    )  # fmt: skip
    normals = np.stack(
        [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1
    )
    values = _moduli(stiffness, normals.reshape(-1, 3)).reshape(theta.shape)
    scale = scale_of(values)
    colours = ScalarMappable(Normalize(scale.low, scale.high), colormaps[FIELD])
    x, y, z = np.moveaxis(values[..., None] * normals, -1, 0)
    axes.plot_surface(
        x, y, z, facecolors=colours.to_rgba(values), rstride=1, cstride=1,
        linewidth=0, antialiased=False, shade=False,
    )  # fmt: skip
    most = 1.02 * float(values.max())
    axes.set(xlim=(-most, most), ylim=(-most, most), zlim=(-most, most))
    step = float(_few(2).tick_values(0.0, 0.8 * most)[1])
    axes.set_box_aspect((1, 1, 1), zoom=0.85)
    for k, axis in enumerate((axes.xaxis, axes.yaxis, axes.zaxis)):
        axis.set_label_text(f"$x_{k + 1}$", fontsize=MEDIUM)
        axis.set_ticks([-step, 0.0, step])  # none in the corners, where axes meet
        axis.set_tick_params(labelsize=SMALL, pad=-1)
    draw_bar([axes], colours, scale, unit)


def _few(count: int) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(count)


def _moduli(stiffness: Matrix, normals: Float[np.ndarray, "k d"]) -> Any:
    found = youngs_modulus(torch.as_tensor(stiffness)[None], torch.as_tensor(normals))
    return found[0].numpy()


def _of(unit: str) -> str:
    return f", {unit}" if unit else ""
