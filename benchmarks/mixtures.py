"""What mixtures of a published network with CG cost and gain; Chebyshev beside CG.

``LSML_REFERENCE_DATA`` names the folder with ``published_rln`` (the authors' tensors)
and ``data`` (structures of their generator). Iterations to a certified residual of 1e-6
at contrast 10 on `hex8-bbar`, as the network was trained. Iterations do not depend on
the machine; CPU seconds of the whole process do, and are rough.
"""

import argparse
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import description, now, write, write_json

import lsml
from lsml.inputs import in_form
from lsml.physics.rules.momentum import fit, like_chebyshev
from lsml.stop import Never
from lsml.unroll import unroll

RESULTS = Path(__file__).parent / "results"
TOL, CONTRAST, CONTRASTS, STEPS = 1e-6, 10.0, (2.0, 10.0, 50.0), 6
CG = lsml.ConjugateGradient()
KERNELS = (
    "CPU seconds of all structures; "
    "those of the first row include starting the kernels."
)


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="16³ cells; no file")
    given = parser.parse_args()
    if "LSML_REFERENCE_DATA" not in os.environ:
        sys.exit("LSML_REFERENCE_DATA must name the folder with the authors' tensors")
    folder = Path(os.environ["LSML_REFERENCE_DATA"])
    with np.load(folder / "data/rln_structures_31.npz") as file:
        labels = file["labels"].transpose(0, 3, 2, 1).copy()
    size, count = (16, 2) if given.quick else (31, 3)
    tests, others = (x[:, :size, :size, :size] for x in (labels[:count], labels[32:34]))
    network = lsml.load_rule("rln-t", folder / "published_rln/RLN_t_c10.safetensors")
    machine, started = description("cpu"), now()
    rows = [mixed(name, rule, tests) for name, rule in mixtures(network).items()]
    fixed = [row for c in CONTRASTS for row in scheduled(c, tests)]
    tuned = [tuning(c, tests, others[:, :16, :16, :16]) for c in CONTRASTS]
    text = table(rows, fixed, tuned, size)
    print(text)
    if not given.quick:
        whole = {"machine": machine, **started, "mixtures": rows}
        write_json(RESULTS / "mixtures.json", whole | {"fixed": fixed, "tuned": tuned})
        write(RESULTS / "mixtures.md", text)


def mixtures(network: Any) -> Mapping[str, Any]:
    """By what is written in the table."""
    return {
        "cg": CG,
        "moulinec:10 > cg": "moulinec:10 > cg",
        "rln-t > cg": lsml.Schedule(network, 5, CG),
        "rln-t:1 > cg": lsml.Schedule(network, 1, CG),
        "Safeguarded(rln-t, cg)": lsml.Safeguarded(network, CG, budget=10),
        "Safeguarded, factor 4, budget 3": lsml.Safeguarded(network, CG, 4.0, 3),
        "Alternate, every 4th": lsml.Alternate(network, CG, every=4),
        "Guess(rln-t) > cg": lsml.Schedule(lsml.Guess(network), 5, CG),
        "Enriched, every step": lsml.Enriched(network, every=1),
        "Enriched, every step, kept 5": lsml.Enriched(network, every=1, kept=5),
        "Enriched, every 3rd step": lsml.Enriched(network, every=3),
    }


def mixed(name: str, rule: Any, labels: np.ndarray) -> dict[str, Any]:
    """One row: iterations of every structure, the error when the network is done."""
    began = time.process_time()
    sol = lsml.solve(
        labels, rule, tol=TOL, contrast=CONTRAST, discretization="hex8-bbar"
    )
    return {
        "rule": name,
        "iterations": sol.iterations.tolist(),
        "residual_after_5": [round(float(e), 4) for e in sol.history[:, 5]],
        "cpu_seconds": round(time.process_time() - began, 1),
    }


def scheduled(contrast: float, labels: np.ndarray) -> list[dict[str, Any]]:
    """Iterations at one contrast by rules whose coefficients are known, and by CG."""
    rows = []
    for rule in ("cg", "chebyshev", "heavy_ball", "chebyshev:10 > cg"):
        sol = lsml.solve(labels, rule, tol=TOL, contrast=contrast)
        found = sol.iterations.tolist()
        rows.append({"contrast": contrast, "rule": rule, "iterations": found})
    return rows


def tuning(contrast: float, labels: np.ndarray, others: np.ndarray) -> dict[str, Any]:
    """Energy left after a few steps, as a share of that of x̄: tuned on other cells."""
    train, test = (
        in_form(cell(c, contrast), "displacement", CG) for c in (others, labels)
    )
    low, high = (float(b[0]) for b in train.bounds())
    rule = like_chebyshev(low, high, STEPS)
    exact = lsml.solve(test, tol=1e-10)
    total = gained(test, exact.state.x)
    row = {"contrast": contrast, "steps": STEPS, "chebyshev": left(rule, test, total)}
    fit(rule, train, epochs=60, rate=2e-2)
    row["tuned"] = left(rule, test, total)
    best = lsml.solve(test, max_iter=STEPS, tol=1e-12, throw=False)
    row["cg"] = float(1 - (gained(test, best.state.x) / total).mean())
    return row | {"lengths": rule.lengths.tolist(), "turns": rule.turns.tolist()}


def cell(labels: np.ndarray, contrast: float) -> lsml.Problem:
    """Two isotropic phases under a mean strain 11."""
    phases = [lsml.isotropic(E=e, nu=0.3) for e in (1.0, contrast)]
    return lsml.elasticity(labels, phases, lsml.load(strain=[1e-3, 0, 0, 0, 0, 0]))


@torch.no_grad()
def gained(problem: lsml.Problem, x: torch.Tensor) -> torch.Tensor:
    """Energy of x̄ minus that of x, per sample."""
    start = problem.start()
    return problem.pairing(problem.force(start) + problem.force(x), x - start) / 2


@torch.no_grad()
def left(rule: Any, problem: lsml.Problem, total: torch.Tensor) -> float:
    """Share of the energy that is still to be gained after the rule's steps, mean."""
    x = unroll(problem, rule, stop=Never(), max_iter=rule.passes).x
    return float(1 - (gained(problem, x) / total).mean())


def table(
    rows: list[dict[str, Any]],
    fixed: list[dict[str, Any]],
    tuned: list[dict[str, Any]],
    size: int,
) -> str:
    """Markdown."""
    lines = [
        f"# Mixtures: iterations to {TOL:g}",
        "",
        f"The published RLN-t (contrast {CONTRAST:g}, five passes, one strain "
        f"component) with CG; structures of {size}³, hex8-bbar.",
        "",
        "| mixture | iterations | certified residual after 5 | CPU s |",
        "|---|---|---|---|",
    ]
    for r in rows:
        each = ", ".join(map(str, r["iterations"]))
        after = ", ".join(f"{e:.3f}" for e in r["residual_after_5"])
        lines.append(f"| {r['rule']} | {each} | {after} | {r['cpu_seconds']} |")
    lines += ["", KERNELS, "", "## Coefficients known beforehand", ""]
    names = list(dict.fromkeys(r["rule"] for r in fixed))
    lines += [f"| contrast | {' | '.join(names)} |", "|---" * (1 + len(names)) + "|"]
    for contrast in CONTRASTS:
        found = {r["rule"]: r["iterations"] for r in fixed if r["contrast"] == contrast}
        cells = (f"{np.mean(found[name]):.1f}" for name in names)
        lines.append(f"| {contrast:g} | {' | '.join(cells)} |")
    lines += [
        "",
        f"## Energy error after {STEPS} steps, share of that of x̄",
        "",
        "| contrast | chebyshev | tuned on other structures | cg |",
        "|---|---|---|---|",
    ]
    for r in tuned:
        values = (f"{r[name]:.2e}" for name in ("chebyshev", "tuned", "cg"))
        lines.append(f"| {r['contrast']:g} | {' | '.join(values)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
