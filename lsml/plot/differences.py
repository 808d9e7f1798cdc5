"""Maps of the errors of several fields against one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Num

from lsml.plot.colours import DIFFERENCE, MEDIUM, centred_scale, draw_bar
from lsml.plot.figure import Figure, kept, plain
from lsml.plot.given import edges, one_shape, real_image
from lsml.plot.grids import BAR, WIDTH, draw_shared, plane_at, where
from lsml.plot.rows import images

COLUMNS = 4  # at most


def plot_differences(
    fields: Mapping[str, Num[np.ndarray, "..."]],
    reference: Num[np.ndarray, "..."],
    spacing: Sequence[float],
    path: str | Path | None = None,
    *,
    title: str = "",
    unit: str = "",
) -> Figure:
    """Field minus reference of each, white where they agree.

    In 3-D on the plane normal to the third axis that has the greatest difference of
    all. Colours reach to the greatest difference on the planes shown, either sign. The
    numbers are of the whole field: the norm of the difference over that of the
    reference, and the greatest difference.

    Parameters
    ----------
    fields : by name, real fields (*n).
    reference : what they are compared with.
    spacing, path, title, unit : as in :func:`lsml.plot.plot_slices`.

    Raises
    ------
    ValueError, OSError, ImportError
        As `plot_slices`; also fields that are complex or of another shape than the
        reference, or no field.
    """
    if not fields:
        raise ValueError("differences need at least one field beside the reference")
    right = real_image(reference, "the reference")
    found = {name: real_image(field, name) for name, field in fields.items()}
    shape = one_shape([right, *found.values()])
    lengths = edges(spacing, len(shape))
    errors = {name: field - right for name, field in found.items()}
    voxel = _worst(list(errors.values()))
    columns = min(COLUMNS, len(errors))
    rows = -(-len(errors) // columns)
    size = [n * h for n, h in zip(shape, lengths, strict=True)]
    figure = images(columns, rows, size, WIDTH, BAR)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    planes = [plane_at(error, voxel) for error in errors.values()]
    scale = centred_scale(np.stack(planes))
    drawn = draw_shared(panels[: len(planes)], planes, lengths, scale, DIFFERENCE)
    for axes, (name, error) in zip(panels, errors.items(), strict=False):
        axes.set_title(f"{plain(name)}\n{sizes(error, right, unit)}", fontsize=MEDIUM)
    for axes in panels[len(planes) :]:
        axes.set_axis_off()
    draw_bar(panels, drawn, scale, unit)
    words = [word for word in (title, where(voxel, lengths)) if word]
    if words:
        figure.suptitle(", ".join(words), fontsize=MEDIUM)
    return kept(figure, path)


def sizes(
    error: Float[np.ndarray, "..."], reference: Float[np.ndarray, "..."], unit: str
) -> str:
    """Relative norm of an error, if there is something to relate it to, and its peak.

    Voxels without a finite number in either field do not count.
    """
    counted = np.isfinite(error)
    if not counted.any():
        return "no finite numbers"
    of = float(np.linalg.norm(reference[counted]))
    part = f"{100 * float(np.linalg.norm(error[counted])) / of:.2g} %, " if of else ""
    return f"{part}max {float(np.abs(error[counted]).max()):.2g} {unit}".strip()


def _worst(errors: Sequence[Float[np.ndarray, "..."]]) -> tuple[int, ...]:
    """Voxel with the greatest of all differences."""
    sizes = np.stack([np.nan_to_num(np.abs(error), posinf=0.0) for error in errors])
    return tuple(int(k) for k in np.unravel_index(sizes.argmax(), sizes.shape)[1:])
