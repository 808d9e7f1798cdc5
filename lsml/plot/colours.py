"""Which number has which colour: limits of a scale, and the bar that tells them."""

from collections.abc import Sequence
from math import floor, log10
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Num

from lsml.plot.figure import Axes

FIELD = "viridis"  # perceptually uniform, and survives colour blindness
DIFFERENCE = "coolwarm"  # the colours that are centred at 0
NOTHING = "#bfbfbf"  # grey of voxels that have no finite number
SMALL, MEDIUM = 8, 10  # points
EXTEND = ("neither", "min", "max", "both")


class Scale(NamedTuple):
    """Numbers of the first and the last colour, and whether some lie beyond them."""

    low: float
    high: float
    extend: str

    @property
    def power(self) -> int:
        """Of ten, a multiple of three, by which the numbers of the bar are divided."""
        size = max(abs(self.low), abs(self.high))
        if not np.isfinite(size) or size == 0 or 0.1 <= size < 1e4:
            return 0
        return 3 * floor(log10(size) / 3)

    def of(self, colours: str) -> dict[str, str | float]:
        """A colour map and its ends, for an image."""
        return {"cmap": colours, "vmin": self.low, "vmax": self.high}


def scale_of(values: Num[np.ndarray, "..."], outliers: float = 0.0) -> Scale:
    """From the least to the greatest number.

    Parameters
    ----------
    outliers : percent of the numbers, at either end, that the colours do not resolve.
    """
    finite = _finite(values)
    low, high = (float(np.percentile(finite, q)) for q in (outliers, 100 - outliers))
    if not high - low > 1e-9 * max(abs(low), abs(high)):
        half = 0.1 * abs(high) or 0.1
        low, high = low - half, high + half
    return _scale(finite, low, high)


def centred_scale(values: Num[np.ndarray, "..."], outliers: float = 0.0) -> Scale:
    """The same, with 0 in the middle."""
    finite = _finite(values)
    ends = np.percentile(finite, [outliers, 100 - outliers])
    high = float(np.abs(ends).max()) or 0.1
    return _scale(finite, -high, high)


def draw_bar(
    panels: Sequence[Axes],
    shown: Any,
    scale: Scale,
    unit: str = "",
    shrink: float = 0.8,
) -> Any:
    """Beside the panels; its label is the power of ten and the unit of its numbers."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    power = scale.power
    bar = panels[0].figure.colorbar(
        shown, ax=panels, extend=scale.extend, shrink=0.8, pad=0.02, aspect=22
    )
    bar.formatter = FuncFormatter(lambda value, _: f"{value / 10**power:.4g}")
    if shown.get_array() is not None and shown.get_array().dtype.kind in "iu":
        bar.locator = MaxNLocator(integer=True)
    bar.ax.tick_params(labelsize=SMALL)
    words = [f"×$10^{{{power}}}$"] if power else []
    bar.set_label(" ".join([*words, unit]).strip(), fontsize=SMALL)
    return bar


def _finite(values: Num[np.ndarray, "..."]) -> Num[np.ndarray, " k"]:
    numbers = np.asarray(values, dtype=float)
    found = numbers[np.isfinite(numbers)]
    return found if found.size else np.zeros(1)


def _scale(finite: Num[np.ndarray, " k"], low: float, high: float) -> Scale:
    below, above = bool((finite < low).any()), bool((finite > high).any())
    return Scale(low, high, EXTEND[below + 2 * above])
