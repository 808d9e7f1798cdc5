"""Several rules on several problems of one microstructure."""

from collections.abc import Mapping
from pathlib import Path

from lsml.io.solved import Solved, image_of, voxels
from lsml.plot.colours import MEDIUM
from lsml.plot.convergence import curve, draw_convergence
from lsml.plot.figure import Figure, kept, new_figure
from lsml.plot.panels import FIELD_COLOURS, draw_field, draw_phases
from lsml.plot.solution import titles


def plot_comparison(
    problems: Mapping[str, Mapping[str, Solved]],
    path: str | Path | None = None,
    *,
    tol: float | None = None,
) -> Figure:
    """The microstructure, then a row for each problem: ε_11, σ_11 and convergence.

    Parameters
    ----------
    problems : by name, the solutions of sample 0 by rule; the fields shown are those of
        the last one.
    tol : marked in the convergence curves.
    """
    rows = len(problems)
    figure = new_figure(13.0, 3.4 * rows)
    grid = figure.add_gridspec(rows, 4, width_ratios=[1, 1, 1, 1.15])
    for row, (name, solutions) in enumerate(problems.items()):
        last = list(solutions.values())[-1]
        spacing = last.form.grid.spacing
        if row == 0:
            draw_phases(figure.add_subplot(grid[:, 0]), image_of(last, 0), spacing)
        strain, stress, errors = (figure.add_subplot(grid[row, k]) for k in (1, 2, 3))
        fields = voxels(last, last.strain, 0)[0], voxels(last, last.stress, 0)[0]
        field, flux = titles(last)
        draw_field(strain, fields[0], spacing, field, FIELD_COLOURS["strain"])
        draw_field(stress, fields[1], spacing, flux, FIELD_COLOURS["stress"])
        strain.set_ylabel(f"{name}\n$x_2$", fontsize=MEDIUM)
        curves = {rule: curve(each, 0) for rule, each in solutions.items()}
        draw_convergence(errors, curves, tol=tol)
    return kept(figure, path)
