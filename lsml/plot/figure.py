"""Empty figures, and figures as files."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from lsml.atomic import replacing
from lsml.extras import needed

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes
    from matplotlib.figure import Figure as Figure
else:
    Axes: TypeAlias = object  # matplotlib is imported when a figure is made
    Figure: TypeAlias = object

DPI = 200


def figure_type() -> type[Figure]:
    """Matplotlib's Figure.

    Raises
    ------
    ImportError
        matplotlib is missing; the message names the extra.
    """
    with needed("pictures need matplotlib", "plot"):
        from matplotlib.figure import Figure
    return Figure


def new_figure(width: float, height: float) -> Figure:
    """A figure of that size in inches, which lays itself out.

    Raises
    ------
    ImportError
        As :func:`figure_type`.
    """
    return figure_type()(figsize=(width, height), layout="constrained")


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure in the format of the extension, PNG if there is none.

    Raises
    ------
    ValueError, OSError
        Unknown extension, or the file cannot be written.
    """
    target = Path(path)
    with replacing(target) as temporary:
        figure.savefig(temporary, dpi=DPI, format=target.suffix[1:] or "png")
    return target


def kept(figure: Figure, path: str | Path | None) -> Figure:
    """The figure, written if a path is given."""
    if path is not None:
        figure.draw_without_rendering()  # the layout knows the size of squares then
        save_figure(figure, path)
    return figure


def plain(name: str) -> str:
    """A name as it is written, not as a formula."""
    return name.replace("$", r"\$")
