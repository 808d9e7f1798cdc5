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
class Stage:
    """Size of the data, and of the training on it."""

    edge: int
    design_points: int
    realizations: int
    epochs: int
    batch: int
    learning_rate: float = 2e-3


class Scale(NamedTuple):
    """Stages of a training, one after the other; the last is the one that is tested.

    ``starts`` tells which rules begin with the weights of another, of the same seed,
    because the epochs are too few for five networks from random weights.
    """

    stages: tuple[Stage, ...]
    contrasts: tuple[float, ...]
    seeds: int
    starts: Mapping[str, str]


SCALES = {
    "smoke": Scale((Stage(5, 5, 2, 2, 2), Stage(7, 5, 2, 3, 2, 1e-3)), (10.0,), 1, {}),
    "cpu": Scale(
        (Stage(12, 256, 5, 8, 2), Stage(24, 128, 5, 3, 1, 1e-3)), (10.0,), 3, UNTIED
    ),
    "paper": Scale((Stage(31, 4096, 5, 60, 32),), (10.0, 50.0), 1, {}),
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


def dataset(args, stage, contrast):
    """The paper's recipe at this size."""
    path = args.folder / f"data-{stage.edge}-c{contrast:g}.h5"
    shape = (stage.edge,) * 3
    counts = stage.design_points, stage.realizations
    return generate(path, *counts, shape, contrast, workers=args.workers)


def origin(scale, stage, run):
    """Stage and training whose weights one starts from, None for random ones."""
    place, other = scale.stages.index(stage), scale.starts.get(run.name)
    if place:
        return scale.stages[place - 1], run
    return other and (stage, run._replace(name=other))


def trained(args, scale, contrast):
    """The rules after the last stage, less those whose time was up before."""
    runs = [Run(contrast, r, i) for r in RULES for i in range(scale.seeds)]
    done = {None: None}
    for stage in scale.stages:
        for run in runs:
            start = origin(scale, stage, run)
            rule = start in done and finished(args, stage, run, done[start])
            if rule:
                done[stage, run] = rule
    return {run: done[stage, run] for run in runs if (stage, run) in done}


def finished(args, stage, run, start):
    """The rule after all epochs of a stage, None if the time was up before."""
    path = dataset(args, stage, run.contrast)
    sets = [LocalizationDataset(path, split) for split in ("train", "validation")]
    rule = rule_for(sets[0], run.name, seed=run.seed)
    plan = Plan(stage.epochs, stage.batch, stage.learning_rate, seed=run.seed)
    folder = args.folder / f"{run.name}-{stage.edge}-c{run.contrast:g}-s{run.seed}"
    if start is not None:
        rule.start_from(start)
    seconds = None if args.minutes is None else 60 * args.minutes
    rows = train(rule, *sets, folder, plan, seconds=seconds)
    last = f", validation MASE {rows[-1].validation:.2f} %" if rows else ""
    print(f"{folder.name}: {len(rows)} of {stage.epochs} epochs{last}")
    return rule if len(rows) == stage.epochs else None


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
        rules = trained(args, scale, contrast)
        path = dataset(args, scale.stages[-1], contrast)
        test = LocalizationDataset(path, "test")
        for run, rule in rules.items():
            results.append(run._asdict() | evaluate(rule, test).summary())
        report(contrast, results, analytic(path, contrast), scale.stages[-1].edge)
    if args.output is not None:
        args.output.write_text(json.dumps(results, indent=1) + "\n")
    wanted = len(scale.contrasts) * len(RULES) * scale.seeds
    sys.exit(0 if len(results) == wanted else 1)


def report(contrast, results, others, edge):
    """Mean over the seeds of mean and standard deviation over the test set."""
    print(f"\ncontrast {contrast:g}, {edge}³, test MASE in percent")
    print(f"{'':26}{'here':>16}{'paper, 31³':>16}   each seed")
    for name in [*RULES, "comparison network"]:
        mine = [r for r in results if (r["contrast"], r["name"]) == (contrast, name)]
        here, each = "", "  ".join(f"{r['mase_mean']:.2f}" for r in mine)
        if mine:
            mean = sum(r["mase_mean"] for r in mine) / len(mine)
            std = sum(r["mase_std"] for r in mine) / len(mine)
            here = f"{mean:.2f} ± {std:.2f}"
        paper = "{:.2f} ± {:.2f}".format(*PAPER[contrast][name])
        print(f"{RULES.get(name, name):26}{here:>16}{paper:>16}   {each}".rstrip())
    for name, (mean, std) in others.items():
        print(f"{f'{name}, {STEPS} iterations':26}{f'{mean:.2f} ± {std:.2f}':>16}")


if __name__ == "__main__":
    main()
