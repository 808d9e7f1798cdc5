"""Errors of the networks that Kelly & Kalidindi published, on their microstructures.

``LSML_REFERENCE_DATA`` names the folder with ``published_rln`` (the authors' tensors)
and ``data`` (64 structures of their generator); labels are solved on `hex8-bbar`, 1e-6.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import description, now, write, write_json
from pages import table

import lsml
from lsml.data.samples import solved
from lsml.learned import Evaluation, evaluate

RESULTS = Path(__file__).parent / "results"
RULES = {"FLN_c10": "fln", "RLN_t_c10": "rln-t"}
CONTRAST, TURNED = 10.0, 8  # structures for the mean over 16 symmetries, which is slow
README = {"FLN_c10": (8.39, 3.89), "RLN_t_c10": (2.28, 0.83)}


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=64)
    given = parser.parse_args()
    if "LSML_REFERENCE_DATA" not in os.environ:
        sys.exit("LSML_REFERENCE_DATA must name the folder with the authors' tensors")
    folder = Path(os.environ["LSML_REFERENCE_DATA"])
    with np.load(folder / "data/rln_structures_31.npz") as file:
        labels = file["labels"][: given.samples].transpose(0, 3, 2, 1)
    samples = solved(torch.from_numpy(labels.copy()), CONTRAST)
    machine, started, rows = description("cpu"), now(), []
    for name, kind in RULES.items():
        rule = lsml.load_rule(kind, folder / f"published_rln/{name}.safetensors")
        rows.append(row(name, evaluate(rule, samples, 8)))
        few = samples[:TURNED]
        rows.append(row(f"{name}, first {len(few)}", evaluate(rule, few, 8)))
        turned = evaluate(rule, few, 8, symmetrize=True)
        rows.append(row(f"{name}, first {len(few)}, symmetrized", turned))
    text = page(rows)
    print(text)
    if given.samples == parser.get_default("samples"):
        whole = {"machine": machine, **started, "rows": rows}
        write_json(RESULTS / "published-networks.json", whole)
        write(RESULTS / "published-networks.md", text)


def row(name: str, found: Evaluation) -> dict[str, Any]:
    """One line of the table."""
    return {"rule": name} | found.summary()


def page(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    head = ["network", "structures", "MASE, %", "after each pass", "measured elsewhere"]
    cells = []
    for r in rows:
        passes = ", ".join(f"{v:.2f}" for v in r["mase_per_pass"])
        known = README.get(r["rule"])
        elsewhere = "" if known is None else f"{known[0]:.2f} ± {known[1]:.2f}"
        error = f"{r['mase_mean']:.2f} ± {r['mase_std']:.2f}"
        cells.append([r["rule"], str(r["samples"]), error, passes, elsewhere])
    return (
        f"# Published networks, contrast {CONTRAST:g}\n\n{table(head, cells)}\n"
        "Measured elsewhere: the same tensors and structures against an independent\n"
        "voxel finite-element code (B-bar hexahedra, 1e-6).\n"
    )


if __name__ == "__main__":
    main()
