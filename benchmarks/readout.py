"""Iterations to an effective modulus: as it is, extrapolated, predicted and certified.

Run ``python benchmarks/readout.py --help``; README.md beside this file says how to read
the table. ``LSML_REFERENCE_DATA`` names the folder with ``data/rln_structures_31.npz``.
"""

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from machine import description, now, write, write_json
from pages import table
from predictor import fitted, sampled, written
from trajectories import Trajectory, follow

from lsml.data.microstructures import latin_hypercube, microstructures
from lsml.energy import expected_error, half_width, within
from lsml.gauss_radau import Gauge
from lsml.readout import TABLES, Tables, predicted

RESULTS = Path(__file__).parent / "results"
TOLERANCES = (1e-2, 1e-3, 1e-4)
CONTRASTS = (10.0, 50.0, 200.0, 1000.0)  # of the table
FITTED = (2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
SEED = 4711  # of the microstructures that the predictor is fitted to
SCHEME = "hex8"

Row = dict[str, Any]


def options() -> argparse.Namespace:
    """What to run, from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--fit", action="store_true", help="only fit, and print the coefficients")
    add("--count", type=int, default=40, help="microstructures of the table, up to 64")
    add("--keep", type=Path, help="folder for trajectories, taken from there if found")
    add("--quick", action="store_true", help="a smoke run: small cells, no file")
    return parser.parse_args()


def to_fit(quick: bool) -> np.ndarray:
    """Microstructures of the paper's recipe, drawn here, in smaller cells."""
    shape, n = ((8, 8, 8), 3) if quick else ((16, 16, 16), 24)
    design = latin_hypercube(n, shape, seed=SEED)
    sizes, shares = design.grain_size, design.volume_fraction
    return microstructures(n, shape, sizes, shares, seed=SEED)


def to_test(count: int, quick: bool) -> np.ndarray:
    """Microstructures of the paper's recipe, drawn by others; 31 voxels an edge."""
    if quick:
        return microstructures(2, (9, 9, 9), 4, 0.4, seed=1)
    if "LSML_REFERENCE_DATA" not in os.environ:
        sys.exit("LSML_REFERENCE_DATA must name the folder with data/")
    folder = Path(os.environ["LSML_REFERENCE_DATA"])
    return np.load(folder / "data" / "rln_structures_31.npz")["labels"][:count]


def followed(
    name: str, labels: np.ndarray, contrast: float, cases: int, keep: Path | None
) -> list[Trajectory]:
    """One trajectory per microstructure."""
    path = None if keep is None else keep / f"{name}-{len(labels)}-{contrast:g}.pt"
    if path is not None and path.exists():
        return [Trajectory(*t) for t in torch.load(path)]
    done = [follow(one, contrast, SCHEME, tuple(range(cases))) for one in labels]
    print(f"{name}: contrast {contrast:g}", flush=True)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save([tuple(t) for t in done], path)
    return done


def fit(sets: dict[float, list[Trajectory]]) -> Tables:
    """Coefficients from these contrasts; with pores the bound is hidden from them."""
    every = [t for several in sets.values() for t in several]
    return Tables(*(fitted(sampled(every, known)) for known in (True, False)))


def counted(t: Trajectory, tol: float, tables: Tables) -> Row:
    """Iterations of one load case, by each way to read its energy."""
    gauge, norm2 = Gauge.unpacked(t.gauges[:, 0]), t.norm2[:, 0]
    energy, least = t.energy[:, 0], t.least[0]
    bounds = gauge.bounds(norm2)
    gap = within(*bounds, *predicted(gauge, norm2, tables))
    last, before = gauge.gains[:, 0], gauge.gains[:, 1]
    geometric = (last.square() / (before - last)).nan_to_num(0.0)
    extrapolated = within(*bounds, geometric, geometric)[:, 2]
    error = ((energy - gap[:, 2] - least) / least).abs()
    stop = first(expected_error(gap, energy) <= tol)
    true = energy - least
    return {
        "plain": stays((energy - least) / least, tol),
        "extrapolated": stays(((energy - extrapolated - least) / least).abs(), tol),
        "predicted": stays(error, tol),
        "stop": stop,
        "error_over_tol": float(error[stop]) / tol,
        "certified": first(half_width(gap, energy) <= tol),
        "by_residual": first(half_width(start_bound(gap, gauge, norm2), energy) <= tol),
        "outside": int(((true < gap[:, 0]) | (true > gap[:, 1]))[:-1].sum()),
    }


def start_bound(gap: torch.Tensor, gauge: Gauge, norm2: torch.Tensor) -> torch.Tensor:
    """The gap with ‖r‖²/μ for a bound, which is all that the residual tells."""
    most = norm2 / gauge.nodes[:, 0]
    return torch.stack([gap[:, 0], most, gap[:, 2], gap[:, 3]], 1)


def stays(error: torch.Tensor, tol: float) -> int:
    """Iterations after which the error is within tol, and stays there."""
    return int((error > tol).nonzero().max()) + 1 if bool((error > tol).any()) else 0


def first(reached: torch.Tensor) -> int:
    """The first iteration at which something holds."""
    return int(reached.nonzero()[0])


def summary(rows: list[Row], contrast: float, tol: float, left_out: list[Row]) -> Row:
    """Means over microstructures."""
    means = {k: mean(r[k] for r in rows) for k in rows[0] if k != "outside"}
    over = [r["error_over_tol"] for r in rows]
    return {
        "contrast": contrast,
        "tol": tol,
        "cases": len(rows),
        **means,
        "ratio": means["predicted"] / means["plain"],
        "stop_ratio": means["stop"] / means["plain"],
        "within_tol": mean(o <= 1 for o in over),
        "worst_over_tol": max(over),
        "left_out_predicted": mean(r["predicted"] for r in left_out),
        "left_out_stop": mean(r["stop"] for r in left_out),
        "left_out_within_tol": mean(r["error_over_tol"] <= 1 for r in left_out),
        "outside_bounds": sum(r["outside"] for r in rows),
    }


def page(rows: list[Row], title: str) -> str:
    """As Markdown."""
    heads = ["contrast", "tol", "energy", "extrapolated", "predicted", "ratio", "stops",
             "within tol", "worst / tol", "certified", "by ‖r‖²/λ_min",
             "left out: predicted", "stops",
             "within tol"]  # fmt: skip
    keys = ["plain", "extrapolated", "predicted", "ratio", "stop", "within_tol",
            "worst_over_tol", "certified", "by_residual", "left_out_predicted",
            "left_out_stop",            "left_out_within_tol"]  # fmt: skip
    cells = (
        [f"{row['contrast']:g}", f"{row['tol']:g}", *(f"{row[k]:.2f}" for k in keys)]
        for row in rows
    )
    return f"{title}\n\n{table(heads, cells)}"


def main() -> None:
    """Fit, then count."""
    given = options()
    torch.set_num_threads(1)
    near = FITTED[::3] if given.quick else FITTED
    learn = partial(followed, "fit", to_fit(given.quick), cases=6, keep=given.keep)
    sets = {c: learn(contrast=c) for c in near}
    tables = fit(sets)
    print(written(tables))
    if given.fit:
        return
    rows = []
    labels = to_test(given.count, given.quick)
    for contrast in CONTRASTS[:1] if given.quick else CONTRASTS:
        others = fit({c: t for c, t in sets.items() if c != contrast})
        runs = followed("test", labels, contrast, 1, given.keep)
        for tol in TOLERANCES:
            here = [counted(t, tol, TABLES) for t in runs]
            left_out = [counted(t, tol, others) for t in runs]
            rows.append(summary(here, contrast, tol, left_out))
    title = (
        f"Iterations of C_11: {len(labels)} microstructures of "
        f"{' × '.join(map(str, labels.shape[1:]))} voxels, {SCHEME}, ν = 0.3"
    )
    print(page(rows, title))
    if not given.quick:
        result = {"machine": description("cpu"), **now(), "rows": rows,
                  "same_coefficients": tables == TABLES}  # fmt: skip
        write_json(RESULTS / "readout.json", result)
        write(RESULTS / "readout.md", page(rows, title))


if __name__ == "__main__":
    main()
