"""Formulas of the pages, from LaTeX to MathML when the site is built.

A hook of MkDocs: what the reader's browser shows needs no script and no network.
"""

import re
from html import unescape
from typing import Any

from latex2mathml.converter import convert

MARKED = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">(?:\\\(|\\\[)(?P<latex>.*?)(?:\\\)|\\\])'
    r"</(?P=tag)>",
    re.DOTALL,
)


def on_page_content(html: str, **_: Any) -> str:
    """Every formula that the Markdown extension arithmatex marked, as MathML."""
    return MARKED.sub(_mathml, html)


def _mathml(found: re.Match[str]) -> str:
    display = "inline" if found["tag"] == "span" else "block"
    return convert(unescape(found["latex"]).strip(), display=display)
