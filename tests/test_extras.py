"""What is said when an optional package is missing: the extra that brings it."""

import ast
import logging
import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import lsml
from lsml import acceleration
from lsml.workers import workers_for

ROOT = Path(lsml.__file__).parent
PYPROJECT = ROOT.parent / "pyproject.toml"
LABELS = np.random.default_rng(0).integers(0, 2, (3, 4, 5))

# Without them lsml solves by other means, or it is the import of a test oracle.
DONE_WITHOUT = {"numba", "pyfftw"}
NAMED_WITH = {"vtk": "pyvista", "vtkmodules": "pyvista"}  # comes with


@pytest.fixture
def without(monkeypatch):
    """Makes a package, and all of it that was imported already, fail to import."""

    def block(name):
        loaded = [m for m in sys.modules if m == name or m.startswith(f"{name}.")]
        for module in {name, *loaded}:
            monkeypatch.setitem(sys.modules, module, None)

    return block


def draw(folder):
    lsml.solve(LABELS).plot(folder / "a.png")


def to_vtk(folder):
    lsml.solve(LABELS).to_vtk(folder / "a.vti")


def generate(folder):
    lsml.data.microstructures(1, shape=(5, 5, 5), grain_size=2)


def train(folder):
    lsml.learned.training.fabric_type()


def schedule(folder):
    with workers_for(2, "tcp://127.0.0.1:9"):
        pass


@pytest.mark.parametrize(
    ("package", "extra", "use"),
    [
        ("matplotlib", "plot", draw),
        ("pyvista", "plot", to_vtk),
        ("pymks", "data", generate),
        ("lightning", "learn", train),
        ("distributed", "cluster", schedule),
    ],
)
def test_the_error_names_the_package_and_the_extra(
    package, extra, use, without, tmp_path
):
    without(package)
    with pytest.raises(ImportError) as error:
        use(tmp_path)
    assert f'pip install "lsml[{extra}]"' in str(error.value)
    assert package in str(error.value).lower()
    assert list(tmp_path.iterdir()) == []


def test_without_kernels_the_same_is_solved_and_the_extra_named(monkeypatch, caplog):
    """Catches a solve that fails, or says nothing, without Numba."""
    own = lsml.solve(LABELS, discretization="hex8", tol=1e-10)
    monkeypatch.setattr(acceleration, "SMALL", 0)
    monkeypatch.setattr(acceleration, "find_spec", lambda _: None)
    acceleration.note_missing.cache_clear()
    with caplog.at_level(logging.WARNING, logger="lsml"):
        slow = lsml.solve(LABELS, discretization="hex8", tol=1e-10)
    acceleration.note_missing.cache_clear()
    assert "lsml[fast]" in caplog.text
    np.testing.assert_allclose(slow.strain, own.strain, atol=1e-12)


def named(node):
    """The extras of `with needed(what, extra):`; none of another `with`."""
    calls = [item.context_expr for item in node.items]
    return {
        ast.literal_eval(call.args[1])
        for call in calls
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "needed"
    }


def guarded():
    """Optional packages imported under `needed`, and the extras that it names."""
    found = {}
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.With) and (extras := named(node)):
                for package in imported(node.body):
                    found.setdefault(package, set()).update(extras)
    return found


def imported(nodes):
    """Top-level names that statements import, wherever in them."""
    for node in (each for top in nodes for each in ast.walk(top)):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)


@pytest.mark.skipif(not PYPROJECT.exists(), reason="not a clone")
def test_every_optional_package_has_such_a_sentence():
    """Catches a new import of what an install without extras does not bring."""
    project = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]
    required = {re.split(r"[^\w-]", d)[0] for d in project["dependencies"]}
    required = {name.replace("-", "_") for name in required}
    sources = [ast.parse(p.read_text("utf-8")) for p in ROOT.rglob("*.py")]
    used = {name for source in sources for name in imported(source.body)}
    optional = used - required - set(sys.stdlib_module_names) - {"lsml"} - DONE_WITHOUT
    assert {"matplotlib", "pyvista", "pymks", "lightning"} <= optional
    sentences = guarded()
    extras = set(project["optional-dependencies"])
    for name in optional:
        said = sentences.get(NAMED_WITH.get(name, name), set())
        assert said & extras, f"no sentence names the extra that brings {name}"
        assert said <= extras
