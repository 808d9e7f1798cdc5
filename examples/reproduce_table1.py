"""Table 1 of Kelly & Kalidindi (2021): test errors of FLN, RLN-t and RLN.

Makes the data, trains the rules, tests them, and prints the paper's numbers beside.
Everything is kept in a folder, and an interrupted run goes on where it was.

    python examples/reproduce_table1.py                  # smoke: a minute
    python examples/reproduce_table1.py --scale cpu      # hours on two cores
    python examples/reproduce_table1.py --scale paper    # the paper's: needs a GPU
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

import lsml
from lsml.data import LocalizationDataset, generate
from lsml.data.rules import rule_for
from lsml.learned import Plan, evaluate, train

RULES = {"fln": "FLN", "rln-t": "RLN-t", "rln": "RLN"}
UNTIED = {"rln": "rln-t"}  # the rule whose weights one takes over and goes on with
PAPER = {  # mean and standard deviation of the MASE, percent
    10.0: {
        "fln": (4.98, 1.49),
        "rln-t": (1.81, 0.58),
        "rln": (1.21, 0.37),
        "comparison network": (3.07, 1.22),
    },
    50.0: {
        "fln": (9.23, 3.29),
        "rln-t": (4.26, 1.65),
        "rln": (2.92, 1.17),
        "comparison network": (5.71, 2.46),
    },
}
ANALYTIC = {"Moulinec": lsml.Moulinec(), "CG": lsml.ConjugateGradient()}
STEPS, ANALYSED = 5, 16  # iterations and test samples of the analytic rules


@dataclass(frozen=True)
class Scale:
    """Size of the data, and of the training.

    ``starts`` tells which rules start from the weights of another, of the same seed,
    because the epochs are too few for five networks from random weights.
    """

    edge: int
    design_points: int
    realizations: int
    epochs: int
    batch: int
    contrasts: tuple[float, ...]
    seeds: int
    starts: Mapping[str, str]


SCALES = {
    "smoke": Scale(7, 5, 2, 2, 2, (10.0,), 1, UNTIED),
    "cpu": Scale(12, 256, 5, 8, 2, (10.0,), 3, UNTIED),
    "paper": Scale(31, 4096, 5, 60, 32, (10.0, 50.0), 1, {}),
}


class Run(NamedTuple):
    """One training."""

    contrast: float
    name: str
    seed: int


def options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", default="smoke", choices=SCALES)
    parser.add_argument("--folder", type=Path, default=Path("table1"))
    parser.add_argument("--minutes", type=float, help="stop each training after that")
    parser.add_argument("--workers", type=int, default=0, help="that generate and read")
    parser.add_argument("--output", type=Path, help="write the results as JSON")
    return parser.parse_args()


def dataset(args, scale, contrast):
    """The paper's recipe at this scale."""
    path = args.folder / f"data-{scale.edge}-c{contrast:g}.h5"
    shape = (scale.edge,) * 3
    counts = scale.design_points, scale.realizations
    return generate(path, *counts, shape, contrast, workers=args.workers)


def trained(args, scale, path, run, start):
    """The rule after all its epochs, or None if the time was up before."""
    sets = [LocalizationDataset(path, split) for split in ("train", "validation")]
    rule = rule_for(sets[0], run.name, seed=run.seed)
    plan = Plan(scale.epochs, scale.batch, seed=run.seed)
    folder = args.folder / f"{run.name}-{scale.edge}-c{run.contrast:g}-s{run.seed}"
    if start is not None:
        rule.start_from(start)
    seconds = None if args.minutes is None else 60 * args.minutes
    rows = train(rule, *sets, folder, plan, seconds=seconds)
    done = f"{len(rows)} of {scale.epochs} epochs"
    last = f", validation MASE {rows[-1].validation:.2f} %" if rows else ""
    print(
        f"contrast {run.contrast:g}, {RULES[run.name]}, seed {run.seed}: {done}{last}"
    )
    return rule if len(rows) == scale.epochs else None


def analytic(path, contrast):
    """Mean MASE of the analytic rules after as many iterations as an RLN has passes."""
    test = LocalizationDataset(path, "test")
    samples = [test[i] for i in range(min(ANALYSED, len(test)))]
    labels = torch.stack([s.labels for s in samples])
    true = torch.stack([s.strain[0] for s in samples]).double() * test.mean_strain
    found = {}
    for name, rule in ANALYTIC.items():
        solution = lsml.solve(
            labels, rule, max_iter=STEPS, throw=False, contrast=contrast,
            discretization="hex8-bbar",
        )  # fmt: skip
        found[name] = lsml.mase(solution.strain[:, 0], true)
    return {name: (float(e.mean()), float(e.std())) for name, e in found.items()}


def main():
    args = options()
    scale = SCALES[args.scale]
    args.folder.mkdir(exist_ok=True)
    results = []
    for contrast in scale.contrasts:
        path = dataset(args, scale, contrast)
        test = LocalizationDataset(path, "test")
        done = {}
        for run in (Run(contrast, r, i) for r in RULES for i in range(scale.seeds)):
            first = scale.starts.get(run.name)
            start = done.get(run._replace(name=first))
            rule = None
            if first is None or start is not None:
                rule = trained(args, scale, path, run, start)
            if rule is not None:
                done[run] = rule
                results.append(run._asdict() | evaluate(rule, test).summary())
        report(contrast, results, analytic(path, contrast), scale)
    if args.output is not None:
        args.output.write_text(json.dumps(results, indent=1) + "\n")
    wanted = len(scale.contrasts) * len(RULES) * scale.seeds
    sys.exit(0 if len(results) == wanted else 1)


def report(contrast, results, others, scale):
    """Mean over the seeds of mean and standard deviation over the test set."""
    print(f"\ncontrast {contrast:g}, {scale.edge}³, test MASE in percent")
    print(f"{'':26}{'here':>16}{'paper, 31³':>16}")
    for name in [*RULES, "comparison network"]:
        mine = [r for r in results if (r["contrast"], r["name"]) == (contrast, name)]
        here = ""
        if mine:
            mean = sum(r["mase_mean"] for r in mine) / len(mine)
            std = sum(r["mase_std"] for r in mine) / len(mine)
            here = f"{mean:.2f} ± {std:.2f}"
        paper = "{:.2f} ± {:.2f}".format(*PAPER[contrast][name])
        print(f"{RULES.get(name, name):26}{here:>16}{paper:>16}")
    for name, (mean, std) in others.items():
        print(f"{f'{name}, {STEPS} iterations':26}{f'{mean:.2f} ± {std:.2f}':>16}")


if __name__ == "__main__":
    main()
