"""What matters in a recurrent localization network: one thing changed at a time.

The questions of Kelly & Kalidindi (2021), sections 3.2, 4.1 and 5: the number of passes
N, the history k, one network or N, the weights of the iterates, the loss, the network.
Everything is kept in a folder, and an interrupted run goes on where it was.

    python examples/ablations.py                  # smoke: a minute
    python examples/ablations.py --scale cpu      # hours on two cores
"""

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path

from lsml.data import LocalizationDataset, generate
from lsml.data.rules import rule_of
from lsml.learned import Plan, evaluate, train
from lsml.learned.loading import PASSES
from lsml.learned.published import Recipe


@dataclass(frozen=True)
class Variant:
    """A rule and how it is trained; the defaults are the paper's RLN-t."""

    recipe: Recipe = PASSES["rln-t"]
    network: str = "vnet"
    loss: str = "mse"
    weights: str = "uniform"


BASE = Variant()
VARIANTS = {
    "RLN-t: N = 5, k = 2, V-Net": BASE,
    "N = 1 (FLN)": replace(BASE, recipe=Recipe(1)),
    "N = 3": replace(BASE, recipe=Recipe(3)),
    "N = 8": replace(BASE, recipe=Recipe(8)),
    "k = 0": replace(BASE, recipe=Recipe(5, history=0)),
    "k = 4": replace(BASE, recipe=Recipe(5, history=4)),
    "not tied (RLN)": replace(BASE, recipe=Recipe(5, tied=False)),
    "weights rising": replace(BASE, weights="rising"),
    "weights: last only": replace(BASE, weights="last"),
    "loss rmse": replace(BASE, loss="rmse"),
    "three-layer CNN": replace(BASE, network="three-layer"),
    "Fourier layers": replace(BASE, network="fourier"),
    "convolutional GRU": replace(BASE, network="conv-gru"),
}


@dataclass(frozen=True)
class Scale:
    """Size of the data, and of the training."""

    edge: int
    design_points: int
    realizations: int
    epochs: int
    batch: int


SCALES = {
    "smoke": Scale(7, 5, 1, 1, 2),
    "cpu": Scale(12, 80, 4, 12, 16),
    "paper": Scale(31, 4096, 5, 60, 32),
}


def options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", default="smoke", choices=SCALES)
    parser.add_argument("--contrast", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, default=Path("ablations"))
    parser.add_argument("--workers", type=int, default=0, help="that generate and read")
    parser.add_argument("--output", type=Path, help="write the results as JSON")
    return parser.parse_args()


def tested(name, variant, path, args, scale):
    """Errors of a variant after training."""
    sets = [LocalizationDataset(path, split) for split in ("train", "validation")]
    rule = rule_of(sets[0], variant.recipe, variant.network)
    plan = Plan(
        scale.epochs, scale.batch, loss=variant.loss, iterate_weights=variant.weights
    )
    folder = args.folder / "".join(c if c.isalnum() else "-" for c in name)
    train(rule, *sets, folder, plan)
    return evaluate(rule, LocalizationDataset(path, "test")).summary()


def main():
    args = options()
    scale = SCALES[args.scale]
    args.folder.mkdir(exist_ok=True)
    counts = scale.design_points, scale.realizations
    path = args.folder / f"data-{scale.edge}-c{args.contrast:g}.h5"
    generate(path, *counts, (scale.edge,) * 3, args.contrast, workers=args.workers)
    print(f"contrast {args.contrast:g}, {scale.edge}³, test MASE in percent")
    print(f"{'':28}{'parameters':>12}{'MASE':>16}{'ms each':>10}")
    results = {}
    for name, variant in VARIANTS.items():
        found = results[name] = tested(name, variant, path, args, scale)
        error = f"{found['mase_mean']:.2f} ± {found['mase_std']:.2f}"
        time = f"{1e3 * found['seconds_per_microstructure']:.1f}"
        print(f"{name:28}{found['parameters']:>12,}{error:>16}{time:>10}")
    if args.output is not None:
        args.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
