"""One sample of a solution at a glance."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

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
from lsml.plot.convergence import curve, draw_convergence
from lsml.plot.figure import Axes, Figure, kept, new_figure
from lsml.plot.one_field import plot_field
from lsml.plot.panels import FIELD_COLOURS, draw_field, draw_line, draw_phases


def plot_solution(
    solution: Answer,
    path: str | Path | None = None,
    sample: int = 0,
    field: str | None = None,
    at: Sequence[int] | None = None,
) -> Figure:
    """Middle slices of the labels, ε_11 and σ_11, and the residual per iteration.

    Of waves and flow the first component of every field. Colours leave out half a
    percent of the voxels at either end of a field. With ``field`` that one alone on
    planes through a voxel, see :func:`lsml.plot.one_field.plot_field`.

    Raises
    ------
    ValueError, OSError
        No such sample, or the file cannot be written.
    ImportError
        matplotlib is missing; the message names the extra.
    """
    if field is not None:
        return plot_field(solution, field, path, sample, at)
    if at is not None:
        raise ValueError("at is the voxel of planes of one field: give its name too")
    check_sample(solution, sample)
    figure = new_figure(13.0, 3.6)
    if has_strain(solution):
        axes = _of_strain(figure, solution, sample)
    else:
        axes = _of_shown(figure, solution, sample)
    draw_convergence(axes, {solution.rule: curve(solution, sample)})
    return kept(figure, path)


def _of_strain(figure: Figure, solution: Solved, sample: int) -> Axes:
    labels, spacing = image_of(solution, sample), solution.form.grid.spacing
    axes = figure.subplots(1, 4, width_ratios=[1, 1.1, 1.1, 1.1])
    draw_phases(axes[0], labels, spacing)
    field, flux = titles(solution)
    panels = [
        (axes[1], solution.strain, field, "strain"),
        (axes[2], solution.stress, flux, "stress"),
    ]
    for place, values, title, colours in panels:
        parts = real_parts(title, voxels(solution, values, sample)[0])
        part, first = next(iter(parts.items()))
        draw_field(place, first, spacing, part, FIELD_COLOURS[colours])
    return axes[3]


def _of_shown(figure: Figure, solution: Answer, sample: int) -> Axes:
    spacing, fields = shown(solution)
    parts: dict[str, NDArray[Any]] = {}
    for name, values in fields.items():
        title = f"{name} 1" if values.shape[1] > 1 else name
        parts |= real_parts(title, array(values[sample, 0]))
    axes = figure.subplots(1, len(parts) + 1)
    for place, (title, first) in zip(axes, parts.items(), strict=False):
        if first.ndim == 1:
            draw_line(place, first, spacing[0], title)
        else:
            draw_field(place, first, spacing, title, FIELD_COLOURS["strain"])
    return axes[-1]


def titles(solution: Solved) -> tuple[str, str]:
    """What the first components of field and flux are called."""
    words = solution.form.discretization.differential.words
    first = words.components[0] if words.components else "1"
    e, s = (f"${symbol}_{{{first}}}$" for symbol in words.symbols)
    return f"{words.field} {e}", f"{words.flux} {s} (unit of the moduli)"
