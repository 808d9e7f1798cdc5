"""A virtual environment for each code, made once and reused.

Every installation obeys ``constraints.txt`` at the root of the repository, so that all
codes run on one NumPy and one PyTorch.
"""

import importlib.util
import json
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from machine import write

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "constraints.txt"
DEFAULT = Path.home() / ".cache" / "lsml-peers"


class Environment(NamedTuple):
    """What ``pip install`` is given, in turn, and the files that decide on it."""

    commands: list[list[str]]
    files: list[Path]


def lsml() -> Environment:
    """A copy of the checkout, so that work may go on in it during a run."""
    files = [CONSTRAINTS, ROOT / "pyproject.toml", *sorted(ROOT.glob("lsml/**/*.py"))]
    again = ["--force-reinstall", "--no-deps", str(ROOT)]
    return Environment([[f"{ROOT}[fast]"], again], files)


def unocg() -> Environment:
    """Without its requirements, which pin PyTorch 2.10 and add a notebook server."""
    needs = ["torch", "numpy", "scipy", "h5py", "tqdm"]
    return Environment([needs, ["--no-deps", "unocg==1.0.0"]], [CONSTRAINTS])


def mugrid() -> Environment:
    """Alone: the wheels of muFFT and muSpectre overwrite parts of it."""
    return Environment([["muGrid==1.6.1"]], [CONSTRAINTS])


def torchfem() -> Environment:
    """With what it imports for pictures."""
    needs = ["torch", "numpy", "scipy", "matplotlib", "meshio", "pyamg==5.4.1"]
    commands = [[*needs, "pyvista"], ["--no-deps", "torch-fem==0.14.0"]]
    return Environment(commands, [CONSTRAINTS])


def numpy() -> Environment:
    """NumPy and SciPy."""
    return Environment([["numpy", "scipy"]], [CONSTRAINTS])


ENVIRONMENTS: dict[str, Callable[[], Environment]] = {
    "lsml": lsml,
    "unocg": unocg,
    "mugrid": mugrid,
    "torchfem": torchfem,
    "numpy": numpy,
}


def python(folder: Path, name: str) -> Path:
    """Interpreter of an environment, which is made or brought up to date first."""
    major, minor = sys.version_info[:2]
    path = folder.expanduser().resolve() / f"{name}-{major}.{minor}"
    commands, files = ENVIRONMENTS[name]()
    stamp = path / "installed.json"
    wanted = json.dumps([commands, [file.read_text() for file in files]])
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {name} into {path}", flush=True)
        venv.create(path, symlinks=True)
        for arguments in commands:
            pip(path, ["install", "--quiet", "-c", str(CONSTRAINTS), *arguments])
        write(stamp, wanted)
    return path / "bin" / "python"


def pip(environment: Path, arguments: list[str]) -> None:
    """Run pip for an environment: this interpreter's, or that it was made from."""
    base = Path(sys.base_prefix) / "bin" / "python3"
    runner = sys.executable if importlib.util.find_spec("pip") else str(base)
    command = [runner, "-m", "pip", "--python", str(environment), *arguments]
    subprocess.run(command, check=True)
