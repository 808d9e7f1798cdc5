"""The page of the interface has everything that is public."""

import ast
import re
import typing
from pathlib import Path

import pytest

import lsml

PACKAGE = Path(lsml.__file__).parent
PAGE = PACKAGE.parent / "docs" / "api.md"
PARTS = (
    *("", "data", "distributed", "exact", "io", "learned", "plot", "report"),
    *("testing", "viewer", "comparison"),
)

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="not a clone")


def exported(part):
    """Names that a package's first module re-exports, as it is done in this project."""
    module = ast.parse((PACKAGE / part / "__init__.py").read_text("utf-8"))
    imports = [node for node in module.body if isinstance(node, ast.ImportFrom)]
    names = [alias.asname or "_" for node in imports for alias in node.names]
    return {name for name in names if not name.startswith("_")}


def test_everything_public_is_on_the_page():
    """Catches a name that is exported and documented nowhere a user looks."""
    shown = re.findall(r"^::: ([\w.]+)$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(shown) == len(set(shown))
    missing = [
        f"lsml.{part}.{name}".replace("..", ".")
        for part in PARTS
        for name in exported(part)
        if not {f"lsml.{part}.{name}".replace("..", "."), f"lsml.{name}"} & set(shown)
    ]
    assert sorted(missing) == []


def test_everything_on_the_page_exists():
    shown = re.findall(r"^::: lsml\.?(.*)$", PAGE.read_text("utf-8"), re.MULTILINE)
    for path in shown:
        parts = path.split(".")
        module = PACKAGE.joinpath(*parts)
        if module.with_suffix(".py").exists():
            continue
        found = lsml
        for part in parts:
            found = getattr(found, part)
        constant = parts[-1].isupper() or typing.get_origin(found)  # or a type's alias
        assert found.__doc__ or constant, path
