"""What the script of every code does: read the labels, solve twice, print one line.

It runs in the environment of the code, so it needs NumPy and nothing else.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import numpy as np

NU = 0.3  # Poisson's ratio of both phases; Young's moduli are 1 and the contrast
SHARE = 0.9  # of the memory available that a code may take


class Answer(NamedTuple):
    """Mean stress (b, 6): 11 22 33 23 13 12, under the mean strain 11; iterations."""

    stress: np.ndarray
    iterations: Sequence[int]


Solve = Callable[[np.ndarray, float, float], Answer]  # labels (b, *n), contrast, tol


class Variant(NamedTuple):
    """One way to call a code, and the residual whose ratio to its first is ``tol``."""

    solve: Solve
    residual: str


def lame(labels: np.ndarray, contrast: float) -> tuple[np.ndarray, np.ndarray]:
    """Moduli λ and μ of every voxel, or of every label."""
    young = np.where(labels == 0, 1.0, contrast)
    return young * NU / ((1 + NU) * (1 - 2 * NU)), young / (2 * (1 + NU))


def one_by_one(solve: Callable[[np.ndarray, float, float], Answer]) -> Solve:
    """For a code that takes one cell at a time."""

    def every(labels: np.ndarray, contrast: float, tol: float) -> Answer:
        answers = [solve(image, contrast, tol) for image in labels]
        stress = np.concatenate([np.atleast_2d(a.stress) for a in answers])
        return Answer(stress, [k for a in answers for k in a.iterations])

    return every


def components(stress: np.ndarray) -> np.ndarray:
    """11 22 33 23 13 12 of tensors (..., 3, 3)."""
    return stress[..., [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]


def main(
    variants: Mapping[str, Variant],
    packages: Sequence[str],
    threads: Callable[[int], object] = lambda n: None,
) -> None:
    """Solve once for the caches and once for the clock."""
    given = options(list(variants))
    limit_memory()
    threads(given.threads)
    solve, residual = variants[given.variant]
    labels = np.load(given.labels)
    labels = labels.reshape(-1, *labels.shape[-3:])
    seconds, answer = timed(solve, labels, given)
    cold = time.time() - given.started
    if seconds < given.patience:
        seconds, answer = timed(solve, labels, given)
    result = {
        "seconds": seconds,
        "cold_seconds": cold,
        "iterations": [int(k) for k in answer.iterations],
        "stress": np.asarray(answer.stress, dtype=float).tolist(),
        "peak_bytes": peak(),
        "residual": residual,
        "versions": versions(["numpy", *packages]),
    }
    print("\n" + json.dumps(result))


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Of those that are installed."""
    found = {}
    for name in packages:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def options(variants: list[str]) -> argparse.Namespace:
    """From the command line, which ``benchmarks/peers.py`` writes."""
    parser = argparse.ArgumentParser()
    add = parser.add_argument
    add("variant", choices=variants)
    add("labels", type=Path, help=".npy file of integers, (*n) or (b, *n)")
    add("--contrast", type=float, default=50.0)
    add("--tol", type=float, default=1e-6)
    add("--threads", type=int, default=1)
    add("--patience", type=float, default=120.0, help="seconds of a first solve above "
        "which it is the only one")  # fmt: skip
    add("--started", type=float, default=time.time(), help="when the process started")
    return parser.parse_args()


def timed(
    solve: Solve, labels: np.ndarray, given: argparse.Namespace
) -> tuple[float, Answer]:
    """Seconds from the labels to the mean stress, and the answer."""
    start = time.perf_counter()
    answer = solve(labels, given.contrast, given.tol)
    return time.perf_counter() - start, answer


def limit_memory() -> None:
    """Fail by an exception, before the system kills a process of its choice."""
    available = proc("meminfo", "MemAvailable")
    if available:
        limit = int(SHARE * available)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def peak() -> int:
    """Most bytes resident so far, imports included.

    Not getrusage on Linux: there it counts the parent's memory at the fork.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    usage = unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return proc("self/status", "VmHWM") or usage


def proc(name: str, field: str) -> int:
    """Bytes that a file of /proc gives for a field; 0 where there is none."""
    path = Path("/proc") / name
    lines = path.read_text().splitlines() if path.exists() else []
    found = [line.split()[1] for line in lines if line.startswith(field + ":")]
    return 1024 * int(found[0]) if found else 0
