"""Formulas of the documentation are MathML when the site is built."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
markdown = pytest.importorskip("markdown", reason="needs lsml[docs]")
pytest.importorskip("latex2mathml", reason="needs lsml[docs]")
sys.path.insert(0, str(ROOT / ".ci"))
formulas = pytest.importorskip("formulas")
sys.path.remove(str(ROOT / ".ci"))


def rendered(text):
    return formulas.on_page_content(
        markdown.markdown(
            text,
            extensions=["pymdownx.arithmatex"],
            extension_configs={"pymdownx.arithmatex": {"generic": True}},
        )
    )


def test_a_formula_keeps_its_operators_and_its_place():
    """Catches a formula that is escaped twice, and Markdown's emphasis inside of it."""
    html = rendered("If $a_1 < b_2 * c_3 * d_4$, then\n\n$$\\int_0^1 x\\,dx$$\n")
    first, last = html.split("<math")[1:]
    assert 'display="inline"' in first
    assert 'display="block"' in last
    assert "<em>" not in html
    assert "&lt;" in first or "&#x0003C;" in first
    assert "&amp;lt;" not in html
    assert "arithmatex" not in html


def test_dollars_in_code_and_prices_are_no_formulas():
    html = rendered("`$HOME and $PATH`, and a price of $5 or $6.")
    assert "<math" not in html
    assert "$HOME and $PATH" in html
