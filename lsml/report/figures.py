"""Figures of a report, each as the text of a PNG that a page can hold."""

import base64
from collections.abc import Iterator
from io import BytesIO
from typing import NamedTuple

import numpy as np

from lsml.io.quantities import (
    DIMENSIONLESS,
    LABELS,
    Quantity,
    labels_of,
    leading,
    quantities,
    scalar,
)
from lsml.io.saved import Saved
from lsml.plot import (
    plot_convergence,
    plot_grid,
    plot_slices,
    plot_stiffness,
)
from lsml.plot.distribution import plot_distribution
from lsml.plot.figure import Figure

DPI = 100  # of the page
SHARPER, WIDEST = 2, 2000  # pixels of a figure to one of the page, and at most
HALF = 520  # pixels
SHOWN = 2  # fields that get figures of their own
CURVES = 7  # samples whose convergence is drawn


class Picture(NamedTuple):
    """A PNG as a data URI, with its size in pixels of the page."""

    uri: str
    width: int
    height: int
    caption: str

    @property
    def wide(self) -> bool:
        """Whether it needs the whole width of the page."""
        return self.width > HALF


def picture(figure: Figure, caption: str) -> Picture:
    """The figure with more pixels than it is shown with, for sharp screens."""
    stream, inches = BytesIO(), figure.get_size_inches()
    dpi = min(SHARPER * DPI, WIDEST / inches[0])
    figure.savefig(stream, dpi=dpi, format="png", metadata={"Software": None})
    text = base64.b64encode(stream.getvalue()).decode("ascii")
    width, height = (round(DPI * float(length)) for length in inches)
    return Picture(f"data:image/png;base64,{text}", width, height, caption)


def of_group(saved: Saved) -> Iterator[Picture]:
    """Convergence of the first samples, and the effective stiffness of the images."""
    history = saved.numbers.get("history")
    if history is not None:
        last = saved.numbers["iterations"].reshape(-1)
        curves = {
            f"sample {i}": history[i, : int(last[i]) + 1]
            for i in range(min(CURVES, len(history)))
        }
        yield picture(
            plot_convergence(curves),
            "Certified residual of every iterate, relative to that of the uniform "
            "field.",
        )
    stiffness = saved.numbers.get("stiffness")
    if stiffness is not None and not np.iscomplexobj(stiffness):
        yield from _of_stiffness(saved, stiffness)


def _of_stiffness(saved: Saved, stiffness: np.ndarray) -> Iterator[Picture]:
    if "strain" not in saved.fields and stiffness.shape[-1] not in (3, 6):
        return
    for i, matrix in enumerate(stiffness[:CURVES]):
        yield picture(
            plot_stiffness(matrix, unit="unit of the moduli"),
            f"Young's modulus by direction, image {i}.",
        )


def of_sample(saved: Saved, sample: int) -> Iterator[Picture]:
    """Phases, the leading component of the main fields, and how it is spread."""
    found, labels = quantities(saved), labels_of(saved)
    if labels is not None:
        yield picture(
            plot_slices(labels[sample] * 1.0, saved.spacing, title="phases"),
            "Phase of each voxel on the middle planes.",
        )
    for quantity in shown(found):
        values, title = _leading(quantity, sample)
        figure = plot_slices(values, saved.spacing, title=title, unit=quantity.unit)
        yield picture(figure, f"{_with_unit(quantity, title)}, on the middle planes.")
        if len(quantity.components) > 1 and values.ndim > 1:
            yield _components(saved, quantity, sample)
    if labels is not None:
        for quantity in shown(found):
            values, title = _leading(quantity, sample)
            if np.isfinite(values).any():
                figure = plot_distribution(
                    values, labels[sample], title=title, unit=quantity.unit
                )
                yield picture(figure, f"How {title} is spread in each phase.")


def _leading(quantity: Quantity, sample: int) -> tuple[np.ndarray, str]:
    component = leading(quantity, sample)
    values = scalar(quantity, quantity.values[sample], component)
    return values, quantity.titled(component)


def _with_unit(quantity: Quantity, title: str) -> str:
    known = "dimensionless" if quantity.name in DIMENSIONLESS else quantity.unit
    return f"{title} ({known})" if known else title


def _components(saved: Saved, quantity: Quantity, sample: int) -> Picture:
    fields = {
        component or quantity.name: values
        for component, values in zip(
            quantity.components, quantity.values[sample], strict=True
        )
    }
    name = quantity.titled("")
    return picture(
        plot_grid({name: fields}, saved.spacing, unit=quantity.unit),
        f"All components of the {name} on the middle plane, with the same colours.",
    )


def shown(found: dict[str, Quantity]) -> list[Quantity]:
    """The fields that get figures: what was solved for and its flux."""
    return [quantity for name, quantity in found.items() if name != LABELS][:SHOWN]
