"""Effective conductivity beside a finite-volume solve by SciPy.

``staggered`` has the very equations of finite volumes, so that both must agree to the
tolerance; elements have others, and what they differ by is what the grid resolves. Run
``python benchmarks/conduction.py --help``.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from machine import description, now, write, write_json
from pages import table
from peers.finite_volume import effective
from scipy.ndimage import gaussian_filter

import lsml

RESULTS = Path(__file__).parent / "results"
SCHEMES = ["staggered", "rotated", "hex8"]
SHAPES = [(48, 40), (16, 14, 12)]
CONTRASTS = [10.0, 1000.0]
HEAD = """Smooth noise, the upper half of it {contrasts} times as conductive. Columns of
schemes: the largest difference of an entry of κ* from that of the finite volumes, over
the largest entry. lsml stops at certified half-widths of {tol:g}, SciPy at residuals of
1e-13 or after a factorization."""


def noise(shape: tuple[int, ...]) -> np.ndarray:
    """Two phases of equal volume, periodic, without symmetry."""
    raw = np.random.default_rng(0).standard_normal(shape)
    smooth = gaussian_filter(raw, 1.5, mode="wrap")
    return (smooth > np.median(smooth)).astype(np.int64)


def row(shape: tuple[int, ...], contrast: float, tol: float) -> dict[str, Any]:
    """One cell, by all schemes."""
    labels = noise(shape)
    phases = np.array([1.0, contrast])
    true = effective(phases[labels])
    found = {}
    for scheme in SCHEMES:
        problem = lsml.conductivity(labels, phases, np.eye(len(shape))[0], scheme)
        kappa = np.asarray(lsml.homogenize(problem, tol=tol))[0]
        found[scheme] = float(np.abs(kappa - true).max() / np.abs(true).max())
    return {"shape": shape, "contrast": contrast, "kappa": true.tolist(), **found}


def cells(r: dict[str, Any]) -> list[str]:
    """Line of the table."""
    cell = " × ".join(map(str, r["shape"]))
    known = [cell, f"{r['contrast']:g}", f"{r['kappa'][0][0]:.6g}"]
    return known + [f"{r[s]:.1e}" for s in SCHEMES]


def main() -> None:
    """Solve, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tol", type=float, default=1e-12, help="of lsml")
    parser.add_argument("--quick", action="store_true", help="small cells, no files")
    given = parser.parse_args()
    shapes = [(9, 7), (5, 4, 3)] if given.quick else SHAPES
    machine, started = description("cpu"), now()
    rows = [row(shape, c, given.tol) for shape in shapes for c in CONTRASTS]
    head = HEAD.format(
        contrasts=" or ".join(f"{c:g}" for c in CONTRASTS), tol=given.tol
    )
    names = ["cell", "contrast", "κ*₁₁ by finite volumes", *SCHEMES]
    text = f"# Conduction beside finite volumes\n\n{head}\n\n"
    text += table(names, map(cells, rows))
    print(text)
    if not given.quick:
        whole = {"machine": machine, "started": started, "ended": now(), "rows": rows}
        write_json(RESULTS / "conduction.json", whole)
        write(RESULTS / "conduction.md", text)


if __name__ == "__main__":
    main()
