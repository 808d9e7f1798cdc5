"""Pictures of the viewer, drawn by Bokeh in the browser from the numbers of a slice."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsml.plot.convergence import COLOURS
from lsml.viewer.columns import Limits

Array = NDArray[Any]
Figure = Any  # bokeh is imported where a figure is made

ALONE, BESIDE = 420, 255  # pixels that a slice is wide
LOWEST, HIGHEST = 90, 480  # and high
INK, QUIET = "#1f2933", "#7b8794"


@dataclass(frozen=True)
class Map:
    """A slice with its colours: what is changed to show another."""

    figure: Figure
    source: Any
    colours: Any

    @property
    def width(self) -> int:
        """Pixels of the slice."""
        return int(self.figure.frame_width)

    def show(
        self, plane: Array, edges: tuple[float, float], ends: Limits, title: str
    ) -> None:
        """Put other numbers into the picture; voxels keep their shape."""
        width, height = (n * h for n, h in zip(plane.shape, edges, strict=True))
        data = {"image": [plane.T.astype(float)], "dw": [width], "dh": [height]}
        self.source.data = data
        self.colours.update(low=ends.low, high=ends.high)
        self.figure.title.text = title
        pixels = self.width * height / width
        self.figure.frame_height = int(np.clip(pixels, LOWEST, HIGHEST))

    def colour(self, field: str) -> None:
        """The colours that belong to a field."""
        self.colours.palette = palette(field)

    def name_axes(self, names: tuple[str, str]) -> None:
        """Of the slice."""
        self.figure.xaxis.axis_label, self.figure.yaxis.axis_label = names

    def frame(self, names: tuple[str, str], width: float, height: float) -> None:
        """Name the axes and show all of a slice of this size."""
        self.name_axes(names)
        self.figure.x_range.update(start=0, end=width, reset_start=0, reset_end=width)
        self.figure.y_range.update(start=0, end=height, reset_start=0, reset_end=height)


def palette(field: str) -> Sequence[str]:
    """Colours from low to high, perceptually uniform, white at zero of differences."""
    from bokeh import palettes

    made = {
        "labels": lambda: palettes.Greys256[::-1][40:220],
        "stress": lambda: palettes.Inferno256,
        "flux": lambda: palettes.Inferno256,
        "difference": lambda: palettes.interp_palette(palettes.RdBu11, 255),
    }
    return tuple(made.get(field, lambda: palettes.Viridis256)())


def new_map(name: str, width: int, linked: Map | None) -> Map:
    """An empty slice; it moves and zooms together with the one it is linked to."""
    from bokeh.models import ColorBar, ColumnDataSource, LinearColorMapper, Range1d
    from bokeh.plotting import figure

    ranges = (Range1d(0, 1), Range1d(0, 1))
    if linked is not None:
        ranges = (linked.figure.x_range, linked.figure.y_range)
    drawn = figure(
        name=name,
        frame_width=width,
        frame_height=width,
        x_range=ranges[0],
        y_range=ranges[1],
        tools="pan,wheel_zoom,box_zoom,reset,save",
        active_drag=None,
        tooltips=[("x", "$x{0.00}"), ("y", "$y{0.00}"), ("value", "@image{0.000e+0}")],
        toolbar_location="above",
    )
    source = ColumnDataSource({"image": [np.zeros((1, 1))], "dw": [1.0], "dh": [1.0]})
    colours = LinearColorMapper(palette=palette(""), low=0.0, high=1.0)
    drawn.image(
        image="image", x=0, y=0, dw="dw", dh="dh", source=source, color_mapper=colours
    )
    bar = ColorBar(color_mapper=colours, width=10, padding=6, formatter=_short())
    drawn.add_layout(bar, "right")
    _plain(drawn)
    return Map(drawn, source, colours)


def _short() -> Any:
    from bokeh.models import PrintfTickFormatter

    return PrintfTickFormatter(format="%.3g")


def _plain(drawn: Figure) -> None:
    """Without logo and grid, with small quiet letters."""
    drawn.toolbar.logo = None
    drawn.toolbar.autohide = True
    drawn.grid.visible = False
    drawn.outline_line_color = None
    drawn.title.text_font_size = "12px"
    drawn.title.text_color = INK
    drawn.axis.axis_label_text_font_style = "normal"
    drawn.axis.axis_label_text_color = QUIET
    drawn.axis.major_label_text_color = QUIET
    drawn.axis.axis_line_color = "#cbd2d9"
    drawn.axis.major_tick_line_color = "#cbd2d9"
    drawn.axis.minor_tick_line_color = None


@dataclass(frozen=True)
class Curves:
    """Residuals per iteration, and a line at the iteration that is shown."""

    figure: Figure
    sources: Sequence[Any]
    now: Any

    def show(self, curves: Sequence[Array], iteration: int | None) -> None:
        """Other curves, and where one is."""
        for source, curve in zip(self.sources, curves, strict=True):
            positive = np.where(curve > 0, curve, np.nan)
            source.data = {"k": np.arange(len(curve)), "residual": positive}
        self.figure.visible = any(len(curve) for curve in curves)
        self.now.location = iteration or 0
        self.now.visible = iteration is not None


def new_curves(names: Sequence[str]) -> Curves:
    """One curve for each name, on a logarithmic axis."""
    from bokeh.models import ColumnDataSource, Span
    from bokeh.plotting import figure

    drawn = figure(
        name="convergence",
        title="Certified residual, relative",
        frame_width=BESIDE,
        frame_height=210,
        y_axis_type="log",
        x_axis_label="iteration",
        tools="pan,wheel_zoom,box_zoom,reset,save",
        active_drag=None,
        tooltips=[("iteration", "@k"), ("residual", "@residual{0.00e+0}")],
    )
    sources = [ColumnDataSource({"k": [], "residual": []}) for _ in names]
    for i, (name, source) in enumerate(zip(names, sources, strict=True)):
        look = {"color": COLOURS[i % len(COLOURS)], "legend_label": name}
        drawn.line("k", "residual", source=source, line_width=2, **look)
        drawn.scatter("k", "residual", source=source, size=4, **look)
    now = Span(dimension="height", line_color=QUIET, line_dash="dashed")
    drawn.add_layout(now)
    _plain(drawn)
    drawn.ygrid.visible = True
    drawn.ygrid.grid_line_color = "#e4e7eb"
    drawn.legend.label_text_font_size = "11px"
    drawn.legend.border_line_color = None
    drawn.legend.ncols = 2
    drawn.legend.padding = drawn.legend.margin = 4
    drawn.add_layout(drawn.legend[0], "below")
    return Curves(drawn, sources, now)
