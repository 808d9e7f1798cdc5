"""One sample of a solution at a glance."""

from pathlib import Path

from lsml.io.solved import Solved, image_of, voxels
from lsml.plot.convergence import curve, draw_convergence
from lsml.plot.figure import Figure, new_figure, save_figure
from lsml.plot.panels import FIELD_COLOURS, draw_field, draw_phases


def plot_solution(
    solution: Solved, path: str | Path | None = None, sample: int = 0
) -> Figure:
    """Middle slices of the labels, ε_11 and σ_11, and the residual per iteration.

    Colours leave out half a percent of the voxels at either end of a field.

    Raises
    ------
    ValueError, OSError
        No such sample, or the file cannot be written.
    ImportError
        matplotlib is missing; the message names the extra.
    """
    labels, spacing = image_of(solution, sample), solution.form.grid.spacing
    strain = voxels(solution, solution.strain, sample)[0]
    stress = voxels(solution, solution.stress, sample)[0]
    figure = new_figure(13.0, 3.6)
    axes = figure.subplots(1, 4, width_ratios=[1, 1.1, 1.1, 1.1])
    draw_phases(axes[0], labels, spacing)
    field, flux = titles(solution)
    draw_field(axes[1], strain, spacing, field, FIELD_COLOURS["strain"])
    draw_field(axes[2], stress, spacing, flux, FIELD_COLOURS["stress"])
    draw_convergence(axes[3], {solution.rule: curve(solution, sample)})
    if path is not None:
        save_figure(figure, path)
    return figure


def titles(solution: Solved) -> tuple[str, str]:
    """What the first components of field and flux are called."""
    words = solution.form.discretization.differential.words
    first = words.components[0] if words.components else "1"
    e, s = (f"${symbol}_{{{first}}}$" for symbol in words.symbols)
    return f"{words.field} {e}", f"{words.flux} {s} (unit of the moduli)"
