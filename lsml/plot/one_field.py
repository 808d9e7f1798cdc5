"""One field of a solution: slices of a component, or all components in a row."""

from collections.abc import Sequence
from pathlib import Path

from lsml.io.solved import Answer, check_sample, has_strain, real_parts, shown
from lsml.plot.figure import Figure
from lsml.plot.grids import plot_grid
from lsml.plot.quantities import chosen
from lsml.plot.slices import plot_slices


def plot_field(
    solution: Answer,
    name: str,
    path: str | Path | None = None,
    sample: int = 0,
    at: Sequence[int] | None = None,
) -> Figure:
    """Orthogonal slices of a scalar or one component, or a picture per component.

    Parameters
    ----------
    name : a field as the physics calls it, such as ``"stress"``; one component,
        ``"stress_12"`` (Mandel, shear times √2); ``"mises"``, von Mises' equivalent of
        the stress per voxel; internal variables; ``"labels"``.
    at : voxel that the planes go through, counted from 0; the middle one if None.

    Raises
    ------
    ValueError, OSError
        No such field or sample or voxel, or the file cannot be written.
    ImportError
        matplotlib is missing; the message names the extra.
    """
    check_sample(solution, sample)
    title, quantity = chosen(solution, name, sample)
    values, unit = quantity.values(), quantity.unit
    spacing = _spacing(solution)
    if len(values) == 1:
        return plot_slices(values[0], spacing, path, title=title, unit=unit, at=at)
    rows = {
        part: dict(zip(quantity.components, numbers, strict=True))
        for part, numbers in real_parts(title, values).items()
    }
    return plot_grid(rows, spacing, path, unit=unit, at=at)


def _spacing(solution: Answer) -> tuple[float, ...]:
    if has_strain(solution):
        return solution.form.grid.spacing
    return shown(solution).spacing
