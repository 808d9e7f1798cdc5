"""A J2 load path against torch-fem: same elements, same hardening, same steps.

``python benchmarks/plasticity.py`` (a minute) makes an environment for torch-fem,
unless ``--python`` names an interpreter that has it, takes a two-phase cell of `hex8`
through loading, unloading and reversal in both codes, and writes
``results/plasticity-torchfem.json`` and ``.md``. ``--quick`` takes a smaller cell.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import description, now, write, write_json

import lsml

HERE = Path(__file__).parent
PEERS = HERE / "peers"
YOUNG, NU, VOCE = (70.0, 210.0), 0.3, (0.1, 1.0, 0.08, 60.0)
STRAIN = [[4e-3, 1e-3, 0.0], [1e-3, -1e-3, 5e-4], [0.0, 5e-4, -1e-3]]
FACTORS = [0.25, 0.5, 0.75, 1.0, 0.8, 0.4, -0.2, -0.8]
SHEAR = 2**0.5  # of Mandel components


def cell(edge: int) -> np.ndarray:
    """Two phases, unlike along all axes."""
    return np.random.default_rng(0).integers(0, 2, (edge, edge + 1, edge - 1))


def own(labels: np.ndarray) -> dict[str, Any]:
    """Mean stress, tensor components, and largest plastic strain at a point."""
    sigma0, slope, most, rate = VOCE
    curve = lsml.voce(sigma0, H=slope, Q=most, b=rate)
    phases = [lsml.j2(lsml.isotropic(E=e, nu=NU), curve) for e in YOUNG]
    t = np.array(STRAIN)
    mandel = [*t.diagonal(), *(SHEAR * t[i, j] for i, j in ((1, 2), (0, 2), (0, 1)))]
    loads = [lsml.load(strain=[f * e for e in mandel]) for f in FACTORS]
    problem = lsml.plasticity(labels, phases, loads[0], "hex8")
    plastic = []

    def watch(k: int, solution: lsml.Solution) -> None:
        total = solution.internal["accumulated_plastic_strain"]
        plastic.append(float(total.max()))

    path = lsml.load_path(problem, loads, "newton", tol=1e-10, each=watch)
    stress = path.mean_stress[:, 0].numpy() / np.array([1, 1, 1, SHEAR, SHEAR, SHEAR])
    return {
        "stress": stress.tolist(),
        "plastic": plastic,
        "iterations": path.iterations[:, 0].tolist(),
    }


def interpreter() -> str:
    """Of the environment of torch-fem, made if it is not there."""
    sys.path.insert(0, str(PEERS))
    from environments import DEFAULT, python

    return str(python(DEFAULT, "torchfem"))


def theirs(labels: np.ndarray, python: str) -> dict[str, Any]:
    """The same of torch-fem."""
    task = {
        "labels": labels.tolist(),
        "young": YOUNG,
        "nu": NU,
        "voce": VOCE,
        "strain": STRAIN,
        "factors": FACTORS,
    }
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch) / "task.json", Path(scratch) / "answer.json"
        source.write_text(json.dumps(task))
        script = PEERS / "plastic_torchfem.py"
        command = [python, str(script), str(source), str(target)]
        subprocess.run(command, check=True, cwd=PEERS)
        answer: dict[str, Any] = json.loads(target.read_text())
    return answer


def table(result: dict[str, Any]) -> str:
    """Markdown: both codes, step by step."""
    a, b = result["lsml"], result["torch-fem"]
    shape = " × ".join(map(str, result["shape"]))
    lines = [
        "# A J2 load path against torch-fem",
        "",
        f"{shape} voxels of two phases (E = {YOUNG[0]:g} and {YOUNG[1]:g}, ν = {NU:g}) "
        f"with the yield stress {VOCE[0]:g} + {VOCE[1]:g} p + {VOCE[2]:g} "
        f"(1 − exp(−{VOCE[3]:g} p)), trilinear elements with eight points, backward "
        "Euler. Load factors on one mean strain with shear; components of the mean "
        "stress; largest accumulated plastic strain of an element.",
        "",
        "| factor | σ_11 lsml | σ_11 torch-fem | σ_12 lsml | σ_12 torch-fem "
        "| p lsml | p torch-fem |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for k, factor in enumerate(FACTORS):
        pairs = [
            (x["stress"][k][0], x["stress"][k][5], x["plastic"][k]) for x in (a, b)
        ]
        columns = " | ".join(f"{u:.9f} | {v:.9f}" for u, v in zip(*pairs, strict=True))
        lines.append(f"| {factor:g} | {columns} |")
    lines += [
        "",
        f"Largest difference of a component of the mean stress, over the largest "
        f"component: {result['stress_difference']:.1e}; of the plastic strain: "
        f"{result['plastic_difference']:.1e}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run both, compare, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="2 × 3 × 1 voxels")
    parser.add_argument("--python", help="interpreter that has torch-fem")
    given = parser.parse_args()
    torch.set_num_threads(1)
    labels = cell(2 if given.quick else 4)
    result: dict[str, Any] = {
        "machine": description("cpu"),
        **now(),
        "shape": list(labels.shape),
        "factors": FACTORS,
        "lsml": own(labels),
        "torch-fem": theirs(labels, given.python or interpreter()),
    }
    for name in ("stress", "plastic"):
        a, b = (np.array(result[code][name]) for code in ("lsml", "torch-fem"))
        result[f"{name}_difference"] = float(np.abs(a - b).max() / np.abs(b).max())
    print(table(result))
    if not given.quick:
        write_json(HERE / "results" / "plasticity-torchfem.json", result)
        write(HERE / "results" / "plasticity-torchfem.md", table(result))


if __name__ == "__main__":
    main()
