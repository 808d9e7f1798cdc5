"""Results as notebooks show them: small HTML tables and, if it can be made, a picture.

Everything that is not written here is escaped.
"""

from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from html import escape
from io import BytesIO
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

from jaxtyping import Float
from numpy.typing import NDArray

from lsml.io.solved import Answer, Solved, array, has_strain, shown
from lsml.state import Status

if TYPE_CHECKING:
    from matplotlib.figure import Figure
else:
    Figure: TypeAlias = object

MOST = 10  # samples that have a row
LARGEST = 2**21  # voxels of a batch whose picture is made unasked
DPI = 60
ROUNDING = 1e-12
MISSING = (ImportError, ValueError)  # no matplotlib, or fields that have no picture


def table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """One HTML table of plain texts."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>"
        for row in rows
    )
    return (
        f"<table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def picture(draw: Callable[[], Figure], text: str) -> str:
    """An inline image; nothing if it cannot be made."""
    try:
        figure = draw()
    except MISSING:
        return ""
    buffer = BytesIO()
    figure.draw_without_rendering()  # the layout knows the size of squares then
    figure.savefig(buffer, format="png", dpi=DPI)
    data = b64encode(buffer.getvalue()).decode("ascii")
    return f'<img alt="{escape(text)}" src="data:image/png;base64,{data}">'


def solution_html(solution: Answer) -> str:
    """A row for each sample: how it ended, its certificate, its means."""
    from lsml.plot.solution import plot_solution

    shape, means = _means(solution) if has_strain(solution) else (_shape(solution), {})
    count = len(solution.status)
    heads = ["sample", "status", "iterations", "certified error", *means]
    rows = [
        [
            str(i),
            Status(int(solution.status[i])).name,
            str(int(solution.iterations[i])),
            number(float(solution.error[i])),
            *(numbers(values[i]) for values in means.values()),
        ]
        for i in range(min(count, MOST))
    ]
    more = f", the first {MOST} of them" if count > MOST else ""
    samples = "1 sample" if count == 1 else f"{count} samples"
    size = " × ".join(map(str, shape))
    title = f"Solution by {solution.rule}: {samples} of {size} voxels{more}"
    html = table(title, heads, rows)
    if count * prod(shape) > LARGEST:
        return html
    return html + picture(lambda: plot_solution(solution), "fields of sample 0")


def stiffness_html(
    matrix: Float[Any, "c c"],
    bounds: tuple[Float[Any, " c"], Float[Any, " c"]],
    components: Sequence[str],
    title: str,
) -> str:
    """The matrix, and the certified interval of its diagonal."""
    rows = [
        [name, *map(number, row), f"{number(low)} to {number(high)}"]
        for name, row, low, high in zip(components, matrix, *bounds, strict=True)
    ]
    return table(title, ["", *components, "certified diagonal"], rows)


def number(value: complex) -> str:
    """Four digits."""
    return f"{value:.4g}"


def numbers(values: NDArray[Any]) -> str:
    """Several of them; what is rounding beside the largest is 0."""
    least = ROUNDING * abs(values).max(initial=0.0)
    return ", ".join(number(v if abs(v) > least else 0.0) for v in values.tolist())


def _shape(solution: Answer) -> Sequence[int]:
    return next(iter(shown(solution).fields.values())).shape[2:]


def _means(solution: Solved) -> tuple[Sequence[int], dict[str, NDArray[Any]]]:
    words = solution.form.discretization.differential.words
    means = {
        f"mean {words.field}": array(solution.mean_strain),
        f"mean {words.flux}": array(solution.mean_stress),
    }
    return solution.form.grid.shape, means
