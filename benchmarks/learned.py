"""What a learned prediction costs, beside CG to the same error. Run with ``--help``.

For each rule: milliseconds and operations per microstructure, batch 1 and 32; then CG
to the error that the rule reached. Also samples per second of generation and training.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from machine import description, now, slug, write, write_json
from pages import table
from torch.utils.flop_counter import FlopCounterMode

import lsml
from lsml.data import LocalizationDataset, generate
from lsml.data.rules import rule_for
from lsml.learned import LearnedRule, Plan, load_rule, train
from lsml.learned.loading import PASSES, shipped

RESULTS = Path(__file__).parent / "results"
HEX8_FLOPS, N_FLOPS, VECTOR_FLOPS = (
    265,
    18,
    24,
)  # per voxel, counted by hand: roofline.py
COLUMNS = ("contrast", "rule", "mase", "batch", "ms", "mflop")
PAPER = """The paper gives 11 ms per microstructure for its network (NVIDIA V100), and
about 5 s for the finite-element solution (Kelly & Kalidindi 2021)."""
RULES = ("fln", "rln-t", "rln")


def options() -> argparse.Namespace:
    """What to run, from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--size", type=int, default=31, help="edge of the cell, in voxels")
    add("--samples", type=int, default=32, help="microstructures")
    add("--batches", nargs="+", type=int, default=[1, 32])
    add("--contrasts", nargs="+", type=float, default=[10.0, 50.0])
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--rounds", type=int, default=5, help="interleaved; medians count")
    add("--quick", action="store_true", help="a smoke run: small cells")
    add("--output", type=Path, help="file to write, less its suffix")
    given = parser.parse_args()
    if given.quick:
        given.size, given.samples, given.batches, given.rounds = 9, 4, [1, 4], 1
    return given


def drawn(given: argparse.Namespace) -> torch.Tensor:
    """Microstructures of the paper's recipe."""
    shape = (given.size,) * 3
    design = lsml.data.latin_hypercube(given.samples, shape, seed=7)
    sizes, fractions = design.grain_size, design.volume_fraction
    labels = lsml.data.microstructures(given.samples, shape, sizes, fractions, seed=7)
    return torch.from_numpy(labels).to(given.device)


def rules(contrast: float, device: str) -> dict[str, LearnedRule]:
    """Shipped ones where there are, else random weights: the cost is the same."""
    found = {}
    for name in RULES:
        if f"{name}-c{contrast:g}" in shipped():
            found[name] = load_rule(name, contrast=contrast)
        else:
            passes, history, tied = PASSES[name]
            made = lsml.learned.RLN(
                lambda: lsml.learned.VNet(6, 1), passes, history, tied
            )
            found[f"{name} (random weights)"] = made.eval()
    return {name: rule.to(device) for name, rule in found.items()}


def timed(run: Callable[[], object], device: str) -> float:
    """Seconds of a call, the device synchronized."""
    started = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def cg_iterations(labels: torch.Tensor, contrast: float, goal: float) -> int:
    """Iterations until the mean MASE of CG is no more than that of the rule."""
    problem = {"contrast": contrast, "discretization": "hex8-bbar"}
    true = lsml.solve(labels, tol=1e-8, **problem).strain[:, 0]
    for k in range(1, 60):
        sol = lsml.solve(labels, tol=1e-9, max_iter=k, throw=False, **problem)
        if float(lsml.mase(sol.strain[:, 0], true).mean()) <= goal:
            return k
    return 60


def cg_mflop(size: int, iterations: int) -> float:
    """Per microstructure, by hand: element, transforms, N and vectors."""
    transforms = 6 * 2.5 * np.log2(float(size) ** 3)
    flops = HEX8_FLOPS + transforms + N_FLOPS + VECTOR_FLOPS
    return 1e-6 * iterations * flops * size**3


def rows(given: argparse.Namespace, contrast: float) -> list[dict[str, Any]]:
    """Error, time and operations of each rule, and of CG to its error."""
    labels = drawn(given)
    problem = {"contrast": contrast, "discretization": "hex8-bbar"}
    true = lsml.solve(labels, tol=1e-8, **problem).strain[:, 0]
    found = []
    for name, rule in rules(contrast, given.device).items():
        with torch.no_grad():
            last = torch.cat([rule(part)[:, -1, 0] for part in labels.split(8)])
        error = float(lsml.mase(1e-3 * last.double(), true).mean())
        steps = cg_iterations(labels, contrast, error)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            rule(labels[:1])
        flops = {name: 1e-6 * counter.get_total_flops()}
        flops[f"CG, {steps} iterations"] = cg_mflop(given.size, steps)
        for batch in given.batches:
            part = labels[:batch]
            runs = {
                name: lambda r=rule, p=part: r(p),
                f"CG, {steps} iterations": lambda p=part, s=steps: (
                    lsml.solve(
                        p, tol=1e-12, max_iter=s, throw=False, compile=True, **problem
                    ).strain
                ),
            }
            times = interleaved(runs, given)
            found += [
                dict(
                    zip(
                        COLUMNS,
                        (
                            contrast,
                            each,
                            error,
                            len(part),
                            1e3 * s / len(part),
                            flops[each],
                        ),
                        strict=True,
                    )
                )
                for each, s in times.items()
            ]
            print(found[-2:], flush=True)
    return found


def interleaved(
    runs: dict[str, Callable[[], object]], given: argparse.Namespace
) -> dict[str, float]:
    """Median seconds of each."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    with torch.no_grad():
        for round_ in range(given.rounds + 1):
            for name, run in runs.items():
                taken = timed(run, given.device)
                if round_:
                    times[name].append(taken)
    return {name: median(values) for name, values in times.items()}


def rates(given: argparse.Namespace) -> dict[str, float]:
    """Samples per second of generation, and of training each rule."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.h5"
        count = max(5, given.samples // 2)
        spent = timed(
            lambda: generate(path, count, 2, (given.size,) * 3, batch=32), "cpu"
        )
        found["generation"] = 2 * count / spent
        dataset = LocalizationDataset(path, "train")
        part = [dataset[i] for i in range(min(4, len(dataset)))]
        for name in RULES:
            rule, plan = rule_for(dataset, name), Plan(1, 2, accelerator=given.device)
            train(rule, part, plan=plan)
            spent = timed(lambda r=rule, p=plan: train(r, part, plan=p), given.device)
            found[f"training {name}"] = len(part) / spent
    return found


def page(found: list[dict[str, Any]], speeds: dict[str, float]) -> str:
    """Markdown."""
    cells = (
        [f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()]
        for row in found
    )
    rest = "\n".join(f"* {name}: {rate:.3g} samples/s" for name, rate in speeds.items())
    return f"{table(COLUMNS, cells)}\n{rest}\n\n{PAPER}\n"


def main() -> None:
    """Measure, print, and write."""
    given = options()
    machine, started = description(given.device) | {"edge": given.size}, now()
    found = [row for contrast in given.contrasts for row in rows(given, contrast)]
    speeds = rates(given)
    text = page(found, speeds)
    print(text)
    stem = given.output
    if stem is None and not given.quick:
        stem = RESULTS / f"learned-{slug(machine)}"
    if stem is not None:
        whole = {"machine": machine, **started, "rows": found, "rates": speeds}
        write_json(stem.with_suffix(".json"), whole)
        write(stem.with_suffix(".md"), text)


if __name__ == "__main__":
    main()
