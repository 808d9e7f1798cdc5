"""What benchmarks write for readers: tables, facts, parts of pages between marks."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from machine import write

Parts = Mapping[str, tuple[Sequence[str], Iterable[Sequence[Any]]]]  # title: head, rows


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], under: Sequence[str] = ()
) -> str:
    """Markdown; ``under`` aligns the columns, by ``---`` or ``--:``."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    marks = "|" + "|".join(under or ["---"] * len(head)) + "|"
    return "\n".join([lines[0], marks, *lines[1:]]) + "\n"


def facts(*told: Mapping[str, Any]) -> str:
    """Markdown: what is known of the machine and the run, a line each."""
    return "\n".join(f"* {k}: {v}" for each in told for k, v in each.items() if v)


def sections(title: str, parts: Parts) -> str:
    """Markdown: a heading and a table for each part."""
    text = f"# {title}\n"
    for name, (head, rows) in parts.items():
        cells = ([short(value) for value in row] for row in rows)
        text += f"\n## {name}\n\n{table(head, cells)}"
    return text


def short(value: Any) -> str:
    """Few digits of a number, fewer where it is an error."""
    if isinstance(value, float):
        return f"{value:.2g}" if abs(value) < 1e-2 else f"{value:.4g}"
    return "not admitted" if value is None else str(value)


def put(page: Path, name: str, content: str) -> None:
    """Replace what stands between the two marks of a name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    head, begins, rest = page.read_text().partition(begin)
    _, ends, tail = rest.partition(end)
    if not (begins and ends):
        raise ValueError(f"{page} has no marks {begin} and {end}")
    body = content.strip("\n")
    write(page, f"{head}{begin}\n\n{body}\n\n{end}{tail}")
