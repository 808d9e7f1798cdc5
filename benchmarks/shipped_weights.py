"""Train the weights that come with lsml, and measure what their cards say.

    python benchmarks/shipped_weights.py --scale cpu --minutes 30   # again to go on
    python benchmarks/shipped_weights.py --scale paper              # needs a GPU

Data, runs and states stay in ``--folder``; when a rule has all its epochs its best
weights go to ``lsml/learned/weights`` with their errors on test sets of the training's
size and of 31³ voxels, and the learning curves to ``docs/images``.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import now, write_json

from lsml.data import LocalizationDataset, generate
from lsml.data.rules import rule_for
from lsml.learned import RLN, Plan, evaluate, save, train
from lsml.learned.journal import Row
from lsml.plot.learned import plot_learning

ROOT = Path(__file__).parents[1]
WEIGHTS, IMAGES = ROOT / "lsml" / "learned" / "weights", ROOT / "docs" / "images"
RESULTS = Path(__file__).parent / "results"
RULES, CONTRASTS = ("rln-t", "rln"), (10.0, 50.0)
TEST = {"n": 40, "realizations": 4, "seed": 1}  # of 31³ voxels, other seeds


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
    "cpu": Scale(16, 480, 5, 12, 8),
    "paper": Scale(31, 4096, 5, 60, 32),
}


def options() -> argparse.Namespace:
    """What to train, from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--scale", default="cpu", choices=SCALES)
    add("--folder", type=Path, default=Path("shipped"))
    add("--rules", nargs="+", default=list(RULES), choices=RULES)
    add("--contrasts", nargs="+", type=float, default=list(CONTRASTS))
    add("--minutes", type=float, help="stop after that, to go on later")
    add("--workers", type=int, default=0, help="that generate and read")
    return parser.parse_args()


def dataset(given: argparse.Namespace, scale: Scale, contrast: float) -> Path:
    """The paper's recipe at this scale."""
    path = given.folder / f"train-{scale.edge}-c{contrast:g}.h5"
    shape = (scale.edge,) * 3
    counts = scale.design_points, scale.realizations
    return generate(path, *counts, shape, contrast, workers=given.workers)


def full_size(given: argparse.Namespace, contrast: float) -> LocalizationDataset:
    """A test set of the paper's size."""
    path = given.folder / f"test-31-c{contrast:g}.h5"
    generate(path, **TEST, contrast=contrast, workers=given.workers)
    return LocalizationDataset(path, "all")


def finished(
    given: argparse.Namespace, scale: Scale, path: Path, name: str, deadline: float
) -> tuple[RLN, list[Row]] | None:
    """A rule after all its epochs; None if the time is up before."""
    sets = [LocalizationDataset(path, split) for split in ("train", "validation")]
    rule = rule_for(sets[0], name)
    folder = given.folder / f"{name}-{scale.edge}-c{sets[0].contrast:g}"
    plan = Plan(scale.epochs, scale.batch, workers=given.workers)
    left = max(0.0, deadline - time.monotonic())
    rows = train(rule, *sets, folder, plan, seconds=left)
    last = f", validation MASE {rows[-1].validation:.2f} %" if rows else ""
    print(f"{folder.name}: {len(rows)} of {scale.epochs} epochs{last}", flush=True)
    return (rule, rows) if len(rows) == scale.epochs else None


def card(
    given: argparse.Namespace, rule: RLN, path: Path, scale: Scale
) -> dict[str, Any]:
    """Errors on both test sets, plain and averaged over symmetries."""
    small, whole = LocalizationDataset(path, "test"), full_size(given, rule.contrast)
    found = {
        f"{scale.edge}³": evaluate(rule, small).summary(),
        "31³": evaluate(rule, whole, 8).summary(),
    }
    return {"test": found, "training": dict(rule.record["training"])}


def main() -> None:
    """Train what is not trained, ship what is."""
    given = options()
    scale = SCALES[given.scale]
    given.folder.mkdir(exist_ok=True)
    minutes = float("inf") if given.minutes is None else given.minutes
    deadline, cards = time.monotonic() + 60 * minutes, {}
    for contrast in given.contrasts:
        path = dataset(given, scale, contrast)
        for name in given.rules:
            done = finished(given, scale, path, name, deadline)
            if done is None:
                continue
            rule, rows = done
            title = f"{name}-c{contrast:g}"
            cards[title] = card(given, rule, path, scale)
            rule.record = dict(rule.record) | {"test": cards[title]["test"]}
            if given.scale == "smoke":
                continue
            WEIGHTS.mkdir(exist_ok=True)
            save(rule, WEIGHTS / f"{title}.safetensors")
            plot_learning({title: rows}, IMAGES / f"learning-{title}.png")
            write_json(RESULTS / f"shipped-{title}.json", cards[title] | now())
    print(json.dumps(cards, indent=1))


if __name__ == "__main__":
    main()
