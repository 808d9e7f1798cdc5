"""What is measured: cells, codes, and one run of one code."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

SCRIPTS = Path(__file__).parent
SIGMA = 3.0  # voxels, of the filter that makes the noise smooth
POOLS = ("OMP", "MKL", "OPENBLAS", "NUMBA")
DTYPES = ["float64", "float32"]
MANY = 10**6  # threads, of a code that uses all it is given

Result = dict[str, Any]


class Cell(NamedTuple):
    """Microstructure: ``batch`` cells of ``edge``³ voxels."""

    batch: int
    edge: int

    @property
    def voxels(self) -> int:
        """Of one cell."""
        return self.edge**3

    def __str__(self) -> str:
        """As in tables."""
        return f"{self.batch} × {self.edge}³" if self.batch > 1 else f"{self.edge}³"


class Code(NamedTuple):
    """One way to call one code, and the most threads it is given."""

    name: str
    environment: str  # and script
    variant: str
    discretization: str
    dtype: str
    most: int


class Case(NamedTuple):
    """One row of the table."""

    cell: Cell
    contrast: float
    code: Code
    threads: int

    def order(self) -> tuple[int, float, int, int]:
        """Place in a round and in the table: beside those that solve the same."""
        scheme = list(EXACT).index(self.code.discretization)
        return self.cell.batch, self.contrast, scheme, DTYPES.index(self.code.dtype)

    def __str__(self) -> str:
        """Name in results."""
        code = f"{self.code.name} {self.code.discretization} {self.code.dtype}"
        return f"{self.cell}, contrast {self.contrast:g}, {code}, {self.threads} thr."


def case(cell: Cell, contrast: float, code: Code, threads: int) -> Case:
    """A case; it lacks a layer of voxels where the discretization wants odd grids."""
    odd = cell.edge - 1 + cell.edge % 2
    fitting = cell._replace(edge=odd) if code.discretization == "fourier" else cell
    return Case(fitting, contrast, code, min(threads, code.most))


LSML = [
    Code("lsml", "lsml", variant, discretization, dtype, most)
    for variant, discretization, dtype in (
        ("hex8", "hex8", "float64"),
        ("hex8-float32", "hex8", "float32"),
        ("rotated", "rotated", "float64"),
        ("fourier", "fourier", "float64"),
    )
    for most in (MANY, 1)
]
CODES = [
    *LSML,
    Code("unocg, CgSolver", "unocg", "solver", "hex8", "float64", MANY),
    Code("unocg, module", "unocg", "module", "hex8", "float64", MANY),
    Code("unocg, module", "unocg", "module-float32", "hex8", "float32", MANY),
    Code("muGrid", "mugrid", "own", "hex8", "float64", 1),
    Code("muGrid, energy norm", "mugrid", "energy", "hex8", "float64", 1),
    Code("muGrid, energy norm", "mugrid", "energy-float32", "hex8", "float32", 1),
    Code("torch-fem", "torchfem", "amg", "hex8", "float64", MANY),
    Code("NumPy as GooseFFT", "numpy", "projection", "fourier", "float64", 1),
]
BATCHED = [
    LSML[0],
    LSML[1],
    Code("unocg, CgSolver, loop", "unocg", "solver", "hex8", "float64", MANY),
    Code("unocg, CgSolver, batch", "unocg", "batch", "hex8", "float64", MANY),
    Code("muGrid, loop", "mugrid", "own", "hex8", "float64", 1),
]
EXACT = {
    name: Code("lsml, tight", "lsml", name, name, "float64", MANY)
    for name in ("hex8", "rotated", "fourier")
}


def microstructure(cell: Cell) -> np.ndarray:
    """Labels (batch, *n): smooth noise, half of each cell above its median."""
    noise = np.random.default_rng(0).standard_normal((cell.batch, *[cell.edge] * 3))
    smooth = gaussian_filter(noise, (0, SIGMA, SIGMA, SIGMA), mode="wrap")
    median = np.median(smooth, axis=(1, 2, 3), keepdims=True)
    return (smooth > median).astype(np.uint8)


def saved(cell: Cell, folder: Path) -> Path:
    """File of the microstructure, which every code reads."""
    path = folder / f"{cell.batch}x{cell.edge}.npy"
    if not path.exists():
        np.save(path, microstructure(cell))
    return path


def run(case: Case, python: Path, labels: Path, tol: float, patience: float) -> Result:
    """One process: what its script prints, or ``{"failed": why}``."""
    threads = str(case.threads)
    command = [python, SCRIPTS / f"run_{case.code.environment}.py", case.code.variant]
    command += [labels, "--contrast", case.contrast, "--tol", tol, "--threads", threads]
    command += ["--patience", patience, "--started", time.time()]
    pools = {f"{pool}_NUM_THREADS": threads for pool in POOLS}
    try:
        done = subprocess.run(
            [str(part) for part in command],
            env=os.environ | pools,
            capture_output=True,
            text=True,
            timeout=10 * patience,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"no answer in {10 * patience:.0f} s"}
    if done.returncode == -signal.SIGKILL:
        return {"failed": "killed: out of memory?"}
    lines = (done.stderr if done.returncode else done.stdout).strip().splitlines()
    if done.returncode:
        return {"failed": lines[-1][:100] if lines else f"status {done.returncode}"}
    result: Result = json.loads(lines[-1])
    return result
