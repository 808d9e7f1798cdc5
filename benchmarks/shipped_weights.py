"""Train the weights that come with lsml, and measure what their cards say.

    python benchmarks/shipped_weights.py --scale cpu --minutes 30   # again to go on
    python benchmarks/shipped_weights.py --scale paper              # needs a GPU

Data, runs and states stay in ``--folder``; when a rule has all its epochs its best
weights go to ``lsml/learned/weights`` with their errors on test sets of the training's
size and of 31³ voxels, and the learning curves to ``docs/images``. A rule that has a
simpler one before it starts from the weights of that: an RLN from the RLN-t of its
contrast, and a contrast from the one before.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from machine import now, write_json

import lsml
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
    further: int  # epochs of a rule that starts from another
    batch: int


SCALES = {
    "smoke": Scale(7, 5, 1, 1, 1, 2),
    "cpu": Scale(16, 480, 5, 12, 6, 2),
    "paper": Scale(31, 4096, 5, 60, 60, 32),
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


def start_of(name: str, contrast: float) -> str | None:
    """Run whose weights a rule starts from; None if it starts from random ones."""
    if name == "rln":
        return title("rln-t", contrast)
    place = CONTRASTS.index(contrast)
    return title(name, CONTRASTS[place - 1]) if place else None


def title(name: str, contrast: float) -> str:
    """Name of weights, as users give it."""
    return f"{name}-c{contrast:g}"


def folder_of(given: argparse.Namespace, scale: Scale, run: str) -> Path:
    """Where a run is kept."""
    return Path(given.folder / f"{run}-{scale.edge}")


def warmed(rule: RLN, start: RLN) -> None:
    """Give every pass of a rule the weights of that pass of another."""
    for i, network in enumerate(rule.networks):
        network.load_state_dict(start.networks[0 if start.tied else i].state_dict())


def finished(
    given: argparse.Namespace, scale: Scale, path: Path, name: str, deadline: float
) -> tuple[RLN, list[Row]] | None:
    """A rule after all its epochs; None if the time is up before."""
    sets = [LocalizationDataset(path, split) for split in ("train", "validation")]
    rule, run = rule_for(sets[0], name), title(name, sets[0].contrast)
    start, epochs = start_of(name, sets[0].contrast), scale.epochs
    if start is not None:
        best = folder_of(given, scale, start) / "best.safetensors"
        warmed(rule, cast(RLN, lsml.load_rule(start.partition("-c")[0], best)))
        rule.record, epochs = dict(rule.record) | {"start": start}, scale.further
    plan = Plan(epochs, scale.batch, workers=given.workers)
    left = max(0.0, deadline - time.monotonic())
    folder, began = folder_of(given, scale, run), time.monotonic()
    rows = train(rule, *sets, folder, plan, seconds=left)
    spent = spent_on(folder, time.monotonic() - began)
    last = f", validation MASE {rows[-1].validation:.2f} %" if rows else ""
    print(f"{run}: {len(rows)} of {epochs} epochs{last}", flush=True)
    if len(rows) < epochs:
        return None
    training = dict(rule.record["training"]) | {"seconds": round(spent)}
    rule.record = dict(rule.record) | {"training": training}
    return rule, rows


def spent_on(folder: Path, seconds: float) -> float:
    """Seconds of all pieces of a run, this one included."""
    path = folder / "seconds.json"
    before = json.loads(path.read_text())["seconds"] if path.exists() else 0.0
    write_json(path, {"seconds": before + seconds})
    return float(before + seconds)


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
            if done is None:  # those that follow start from it
                return
            rule, rows = done
            run = title(name, contrast)
            cards[run] = card(given, rule, path, scale)
            rule.record = dict(rule.record) | {"test": cards[run]["test"]}
            if given.scale != "smoke":
                ship(run, rule, rows, cards[run])
    print(json.dumps(cards, indent=1))


def ship(run: str, rule: RLN, rows: list[Row], found: dict[str, Any]) -> None:
    """Weights, learning curve and errors into the project."""
    WEIGHTS.mkdir(exist_ok=True)
    save(rule, WEIGHTS / f"{run}.safetensors")
    plot_learning({run: rows}, IMAGES / f"learning-{run}.png")
    write_json(RESULTS / f"shipped-{run}.json", found | now())


if __name__ == "__main__":
    main()
