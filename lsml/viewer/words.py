"""Text of the page beside its pictures, as HTML; what comes from files is escaped."""

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from lsml.io.saved import Saved
from lsml.viewer.columns import Column

CSS = """
:host(.page) { background: #f4f6f8; min-height: 100vh; color: #1f2933;
  font-family: system-ui, sans-serif; }
:host(.card) { background: #fff; border: 1px solid #e1e6eb; border-radius: 8px;
  padding: 10px 8px; margin: 0; }
:host(.side) { background: #fff; border: 1px solid #e1e6eb; border-radius: 8px;
  padding: 8px 6px 14px; margin: 0 12px; flex: none; }
.top { font: 15px system-ui, sans-serif; padding: 10px 6px 4px; color: #52606d; }
.top b { color: #0b4f79; font-size: 18px; margin-right: 8px; }
.name { font: 600 15px system-ui, sans-serif; color: #1f2933; }
.quiet { font: 12px system-ui, sans-serif; color: #52606d; }
table { border-collapse: collapse; font: 12px system-ui, sans-serif; color: #1f2933; }
th, td { text-align: right; padding: 3px 7px; border-bottom: 1px solid #e4e7eb; }
th { color: #52606d; font-weight: 500; }
th:first-child, td:first-child { text-align: left; }
"""


def heading(column: Column) -> str:
    """Name of a result, its rule and its discretization."""
    told = [
        str(column.saved.attributes.get(key, "")) for key in ("rule", "discretization")
    ]
    shape = " × ".join(map(str, column.shape))
    quiet = " · ".join(escape(part) for part in (*told, f"{shape} voxels") if part)
    return (
        f'<div class="name">{escape(column.name)}</div><div class="quiet">{quiet}</div>'
    )


def label(widget: Any) -> Any:
    """Name above a group of buttons, which shows none itself; hidden with it."""
    import panel

    text = panel.pane.HTML(
        f'<div class="quiet">{escape(widget.name)}</div>',
        stylesheets=[CSS],
        visible=widget.visible,
        margin=(8, 10, 0, 10),
    )
    widget.link(text, visible="visible")
    return text


def facts(columns: Sequence[Column], sample: int) -> str:
    """A table of how a sample ended, one column for each result."""
    head = "".join(f"<th>{escape(column.name)}</th>" for column in columns)
    rows = "".join(
        f"<tr><th>{name}</th>{cells}</tr>"
        for name, told in FACTS.items()
        if (cells := _cells([told(column.saved, sample) for column in columns]))
    )
    return f'<table class="facts"><tr><th></th>{head}</tr>{rows}</table>'


def _cells(values: Sequence[str]) -> str:
    """Nothing if no result knows it."""
    if not any(values):
        return ""
    return "".join(f"<td>{escape(value) or '–'}</td>" for value in values)


def _number(name: str, form: str) -> Callable[[Saved, int], str]:
    def told(saved: Saved, sample: int) -> str:
        known = saved.numbers.get(name)
        return "" if known is None else format(known.flat[sample], form)

    return told


FACTS: dict[str, Callable[[Saved, int], str]] = {
    "status": lambda saved, sample: saved.status[sample],
    "iterations": _number("iterations", "d"),
    "certified error": _number("error", ".3g"),
    "error bound": _number("error_bound", ".3g"),
    "energy": _number("energy", ".6g"),
}
