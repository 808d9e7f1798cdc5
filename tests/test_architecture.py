"""Promises about the code itself."""

import re
import subprocess
import sys
from pathlib import Path

import lsml

PACKAGE = Path(lsml.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))


def test_modules_are_short():
    """A module is one idea: none above 300 lines."""
    lengths = {p.name: len(p.read_text("utf-8").splitlines()) for p in SOURCES}
    assert {name: n for name, n in lengths.items() if n > 300} == {}


def test_modules_say_what_they_are():
    """The first line of a module says what it is."""
    assert [p.name for p in SOURCES if not p.read_text("utf-8").startswith('"""')] == []


def test_public_names_have_docstrings():
    """Every public name of the package resolves and is documented."""
    hook = "jaxtyping"  # the run-time checker of the test run leaves its own name
    names = {name for name in vars(lsml) if not name.startswith("_")} - {hook}
    assert {"solve", "homogenize", "elasticity", "Problem", "UpdateRule"} <= names
    assert [n for n in names if not getattr(lsml, n).__doc__] == []


def test_import_is_lean():
    """Optional packages are imported where they are used, not by `import lsml`."""
    heavy = ["matplotlib", "pymks", "dask", "pyvista", "vtk", "pandas", "sfepy"]
    heavy += ["lightning", "tensorboard", "numba", "pyfftw", "pyarrow", "panel"]
    heavy += ["tifffile", "yaml", "jinja2", "distributed"]
    code = f"import sys, lsml; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_nothing_below_the_command_line_prints():
    """A library logs or raises; it does not print."""
    speaking = [
        p.name
        for p in SOURCES
        if "cli" not in p.parts[-2:] and p.name != "cli.py"
        if re.search(r"^\s*print\(", p.read_text("utf-8"), re.MULTILINE)
    ]
    assert speaking == []


def test_subpackages_are_there_when_named():
    """`import lsml` is enough to name what only some users need."""
    code = "import lsml; print(lsml.data.__name__, lsml.exact.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["lsml.data", "lsml.exact"]
