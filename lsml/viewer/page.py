"""The page: controls at the left, results in columns, differences below them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from lsml.io.quantities import LABELS
from lsml.viewer.columns import Array, Choice, Column, Limits, limits, symmetric
from lsml.viewer.controls import ENDED, EVERYWHERE, Controls, controls
from lsml.viewer.panes import ALONE, BESIDE, Curves, Map, new_curves, new_map
from lsml.viewer.words import CSS, facts, heading, label

DIFFERENCE = "difference"


@dataclass(frozen=True)
class Pictures:
    """What is drawn of the columns; ``ends`` are the colours of a whole field."""

    columns: Sequence[Column]
    controls: Controls
    maps: Sequence[Map]
    differences: Sequence[Map]
    curves: Curves
    facts: Any
    ends: Callable[[str, str, int], Limits]

    def draw(self) -> None:
        """All that the controls ask for."""
        choice = self.controls.choice()
        self._frame(choice)
        self._fields(choice)
        self._differences(choice)
        shown = [k for c in self.columns if (k := c.shown(choice)) is not None]
        self.curves.show(
            [column.curve(choice.sample) for column in self.columns],
            max(shown, default=None),
        )
        self.facts.object = facts(self.columns, choice.sample)

    def _frame(self, choice: Choice) -> None:
        """Axes and voxel edges of the slice."""
        names, size = axes_of(self.columns[0], choice)
        plane = self.columns[0].plane(choice)
        width, height = (n * h for n, h in zip(plane.shape, size, strict=True))
        self.maps[0].frame(names, width, height)
        for drawn in (*self.maps[1:], *self.differences):
            drawn.name_axes(names)

    def _fields(self, choice: Choice) -> None:
        planes = [column.plane(choice) for column in self.columns]
        everywhere = self.controls.scale.value == EVERYWHERE
        ends = limits(planes, robust=False)
        if everywhere:
            ends = self.ends(choice.field, choice.component, choice.sample)
        quantity = self.columns[0].final[choice.field]
        edges = axes_of(self.columns[0], choice)[1]
        for column, drawn, plane in zip(self.columns, self.maps, planes, strict=True):
            k = column.shown(choice)
            moment = "" if choice.field == LABELS else moment_of(column, choice, k)
            unit = f" ({quantity.unit})" if quantity.unit else ""
            title = f"{quantity.titled(choice.component)}{unit}{moment}"
            drawn.show(plane, edges, ends, title)
            drawn.colour(choice.field)

    def _differences(self, choice: Choice) -> None:
        other = self.controls.against()
        ended = self.controls.moment.value == ENDED
        if other is None or choice.field == LABELS:
            for drawn in self.differences:
                drawn.figure.visible = False
            return
        reference = other.plane(choice, ended=ended)
        planes = [column.plane(choice) - reference for column in self.columns]
        ends, edges = symmetric(planes), axes_of(self.columns[0], choice)[1]
        if self.controls.scale.value == EVERYWHERE:
            whole = other.volume(choice, ended=ended)
            ends = symmetric([c.volume(choice) - whole for c in self.columns])
        for column, drawn, plane in zip(
            self.columns, self.differences, planes, strict=True
        ):
            drawn.figure.visible = ended or column is not other
            percent = 100 * relative(plane, reference)
            title = f"minus {other.name}: {percent:.2g} % of it (rms)"
            drawn.show(plane, edges, ends, title)


def relative(difference: Array, reference: Array) -> float:
    """Root mean square of a difference over that of the reference."""
    size = float(np.linalg.norm(reference))
    return float(np.linalg.norm(difference)) / size if size else float("nan")


def moment_of(column: Column, choice: Choice, k: int | None) -> str:
    """Which iterate is shown, and whether it is the last."""
    if k is None:
        return ", at the end"
    end = " (end)" if k == column.last(choice.field, choice.sample) else ""
    return f", iteration {k}{end}"


def axes_of(
    column: Column, choice: Choice
) -> tuple[tuple[str, str], tuple[float, float]]:
    """Names and voxel edges of the two axes of the slice."""
    axes = list(range(len(column.shape)))
    if len(axes) == 3:
        axes.remove(choice.axis)
    names = [f"x{'₁₂₃'[i]}" for i in axes]
    edges = [column.saved.spacing[i] for i in axes]
    if len(axes) == 1:  # a line is drawn as a stripe
        return (names[0], ""), (edges[0], column.shape[0] * edges[0] / 5)
    return (names[0], names[1]), (edges[0], edges[1])


def whole_field(columns: Sequence[Column]) -> Callable[[str, str, int], Limits]:
    """Ends of the colours over all voxels of all columns as they ended, found once."""

    @lru_cache
    def ends(field: str, component: str, sample: int) -> Limits:
        choice = Choice(field, component, sample)
        volumes = [column.volume(choice, ended=True) for column in columns]
        return limits(volumes, robust=field != LABELS)

    return ends


def page(columns: Sequence[Column]) -> Any:
    """Everything that a browser that opens the page gets; each has its own widgets."""
    import panel

    chosen = controls(columns)
    maps: list[Map] = []
    differences: list[Map] = []
    width = BESIDE if len(columns) > 1 else ALONE
    for i in range(len(columns)):
        maps.append(new_map(f"map {i}", width, maps[0] if maps else None))
        differences.append(new_map(f"difference {i}", width, maps[0]))
        differences[-1].colour(DIFFERENCE)
    names = [column.name for column in columns]
    told = panel.pane.HTML(stylesheets=[CSS])
    pictures = Pictures(
        columns,
        chosen,
        maps,
        differences,
        new_curves(names),
        told,
        whole_field(columns),
    )
    pictures.draw()
    chosen.watch(pictures.draw)
    return _layout(pictures)


def _layout(pictures: Pictures) -> Any:
    import panel

    def html(text: str) -> Any:
        return panel.pane.HTML(text, stylesheets=[CSS], margin=(0, 5))

    def card(*parts: Any) -> Any:
        return panel.Column(*parts, css_classes=["card"], stylesheets=[CSS])

    chosen = pictures.controls
    side = []
    for widget in chosen.widgets:
        if isinstance(widget, panel.widgets.RadioButtonGroup):
            side.append(label(widget))
        side.append(widget)
    results = [
        card(html(heading(column)), drawn.figure, difference.figure)
        for column, drawn, difference in zip(
            pictures.columns, pictures.maps, pictures.differences, strict=True
        )
    ]
    beside = card(pictures.curves.figure, pictures.facts)
    return panel.Column(
        html('<div class="top"><b>lsml</b> results side by side</div>'),
        panel.Row(
            panel.Column(*side, width=258, css_classes=["side"], stylesheets=[CSS]),
            panel.FlexBox(*results, beside, gap="12px", align_items="flex-start"),
            sizing_mode="stretch_width",
        ),
        css_classes=["page"],
        stylesheets=[CSS],
        sizing_mode="stretch_width",
    )
