"""The widgets of the viewer, and the choice that they stand for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lsml.io.quantities import leading
from lsml.viewer.columns import Choice, Column, common

Widget = Any  # panel has no types

EVERYWHERE, HERE = "whole field", "this slice"
NOTHING = "nothing"
IN_ROWS = """
.bk-btn-group { flex-wrap: wrap; }
.bk-btn-group .bk-btn { flex: 1 0 30%; min-width: 30%; }
"""  # three buttons to a row
SAME, ENDED = "same iteration", "its end"


@dataclass(frozen=True)
class Controls:
    """One widget for each thing that can be chosen."""

    columns: Sequence[Column]
    field: Widget
    component: Widget
    sample: Widget
    axis: Widget
    position: Widget
    iteration: Widget
    scale: Widget
    minus: Widget
    moment: Widget

    @property
    def widgets(self) -> tuple[Widget, ...]:
        """From top to bottom."""
        return (
            self.field,
            self.component,
            self.sample,
            self.axis,
            self.position,
            self.iteration,
            self.scale,
            self.minus,
            self.moment,
        )

    def choice(self) -> Choice:
        """What the widgets say."""
        return Choice(
            self.field.value,
            self.component.value,
            self.sample.value,
            self.axis.value,
            self.position.value,
            self.iteration.value,
        )

    def against(self) -> Column | None:
        """The column that is taken from the others, if one is."""
        names = {column.name: column for column in self.columns}
        return names.get(self.minus.value)

    def follow(self) -> None:
        """Fit the ends and options of widgets to what others say."""
        quantity = common(*self.columns)[self.field.value]
        if tuple(self.component.options) != quantity.choices:
            first = leading(quantity, self.sample.value)
            self.component.param.update(options=list(quantity.choices), value=first)
        self.component.visible = len(quantity.choices) > 1
        shape = self.columns[0].shape
        last = shape[self.axis.value] - 1
        if self.position.end != max(1, last):
            middle = (last + 1) // 2
            self.position.param.update(end=max(1, last), value=middle)
        self.position.visible = len(shape) == 3 and last > 0
        lasts = [c.last(self.field.value, self.sample.value) for c in self.columns]
        self.iteration.disabled = not any(last is not None for last in lasts)
        self.moment.visible = self.against() is not None and self.iteration.visible

    def watch(self, changed: Callable[[], None]) -> None:
        """Call back after every change, with the widgets in agreement."""

        def react(_: object) -> None:
            self.follow()
            changed()

        for widget in self.widgets:
            widget.param.watch(react, "value")


def controls(columns: Sequence[Column]) -> Controls:
    """Widgets for what these results offer; what leaves no choice is hidden."""
    from panel.widgets import IntSlider, RadioButtonGroup, Select

    fields, shape = common(*columns), columns[0].shape
    first = next(iter(fields.values()))
    solid = len(shape) == 3
    steps = [
        c.last(name, s)
        for c in columns
        for name in c.recorded
        for s in range(c.samples)
    ]
    last = max((step for step in steps if step is not None), default=0)
    names = [column.name for column in columns]
    made = Controls(
        columns,
        field=Select(name="Field", options=list(fields), value=first.name),
        component=RadioButtonGroup(
            name="Component", options=list(first.choices), value=leading(first, 0)
        ),
        sample=IntSlider(
            name="Sample",
            start=0,
            end=max(1, columns[0].samples - 1),
            visible=columns[0].samples > 1,
        ),
        axis=RadioButtonGroup(
            name="Slice across axis",
            options={"1": 0, "2": 1, "3": 2},
            value=len(shape) - 1 if solid else 0,
            visible=solid,
        ),
        position=IntSlider(
            name="Slice", start=0, end=max(1, shape[-1] - 1), value=shape[-1] // 2
        ),
        iteration=IntSlider(
            name="Iteration", start=0, end=max(1, last), value=last, visible=last > 0
        ),
        scale=RadioButtonGroup(name="Colours over", options=[EVERYWHERE, HERE]),
        minus=Select(
            name="Difference to",
            options=[NOTHING, *names],
            value=names[0] if len(names) > 1 else NOTHING,
        ),
        moment=RadioButtonGroup(name="at", options=[ENDED, SAME]),
    )
    for widget in made.widgets:
        widget.param.update(width=222, stylesheets=[IN_ROWS])
    made.follow()
    return made
