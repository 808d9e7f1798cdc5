"""Train the weights that come with lsml, and measure what their cards say.

    python benchmarks/shipped_weights.py --scale cpu --minutes 30   # again to go on
    python benchmarks/shipped_weights.py --scale paper              # needs a GPU

Data, runs and states stay in ``--folder``; when a rule has all its epochs its best
weights go to ``lsml/learned/weights`` with their errors on test sets of the training's
size and of 31³ voxels, and the learning curves to ``docs/images``. A rule that has a
simpler one before it starts from the weights of that: an RLN from the RLN-t of its
contrast, a contrast from the one before. On two cores they are trained in stages: the
first from many small cells to fewer large ones, as `examples/reproduce_table1.py` does
it, an RLN at falling learning rates.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

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
TEST = {"n": 20, "realizations": 4, "seed": 1}  # of 31³ voxels, other seeds


@dataclass(frozen=True)
class Stage:
    """Size of some data, and of a training on it."""

    edge: int
    design_points: int
    realizations: int
    epochs: int
    batch: int
    learning_rate: float = 2e-3


class Scale(NamedTuple):
    """How to train."""

    first: tuple[Stage, ...]  # RLN-t at the first contrast, one after the other
    contrast: Stage  # RLN-t at another, from that of the contrast before
    untied: tuple[Stage, ...]  # RLN, from the RLN-t of its contrast


PAPER = Stage(31, 4096, 5, 60, 32)
SCALES = {
    "smoke": Scale(
        (Stage(5, 5, 1, 1, 2), Stage(7, 5, 1, 1, 2)),
        Stage(7, 5, 1, 1, 2, 4e-4),
        (Stage(7, 5, 1, 1, 2, 4e-4),),
    ),
    "cpu": Scale(
        (
            Stage(12, 256, 5, 8, 2),
            Stage(24, 128, 5, 3, 1, 1e-3),
            Stage(24, 128, 5, 4, 1, 4e-4),
        ),
        Stage(24, 128, 5, 6, 1, 5e-4),
        (Stage(24, 128, 5, 2, 1, 4e-4), Stage(24, 128, 5, 3, 1, 2e-4)),
    ),
    "paper": Scale((PAPER,), PAPER, (PAPER,)),
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


def dataset(given: argparse.Namespace, stage: Stage, contrast: float) -> Path:
    """The paper's recipe at this size."""
    path = given.folder / f"train-{stage.edge}-c{contrast:g}.h5"
    shape = (stage.edge,) * 3
    counts = stage.design_points, stage.realizations
    return generate(path, *counts, shape, contrast, workers=given.workers)


def full_size(given: argparse.Namespace, contrast: float) -> LocalizationDataset:
    """A test set of the paper's size."""
    path = given.folder / f"test-31-c{contrast:g}.h5"
    generate(path, **TEST, contrast=contrast, workers=given.workers)
    return LocalizationDataset(path, "all")


class Run(NamedTuple):
    """One training."""

    name: str
    contrast: float
    stage: Stage

    @property
    def title(self) -> str:
        """Name of the weights, as users give it."""
        return f"{self.name}-c{self.contrast:g}"

    def folder(self, given: argparse.Namespace) -> Path:
        """Where it is kept."""
        size = f"{self.stage.edge}x{self.stage.epochs}"
        return Path(given.folder / f"{self.title}-{size}")

    def best(self, given: argparse.Namespace) -> RLN:
        """The rule with the best of its weights."""
        path = self.folder(given) / "best.safetensors"
        return cast(RLN, lsml.load_rule(self.name, path))


def trainings(scale: Scale) -> list[Run]:
    """All of them, each after the one that it starts from."""
    found = [Run(RULES[0], CONTRASTS[0], stage) for stage in scale.first]
    found += [Run(RULES[0], c, scale.contrast) for c in CONTRASTS[1:]]
    return found + [Run(RULES[1], c, s) for c in CONTRASTS for s in scale.untied]


def before(scale: Scale, run: Run) -> Run | None:
    """The one whose weights it starts from; None if it starts from random ones."""
    runs = trainings(scale)
    own = stages(scale, run.title)
    if run != own[0]:
        return own[own.index(run) - 1]
    if run.name == RULES[1]:
        return stages(scale, run._replace(name=RULES[0]).title)[-1]
    return runs[runs.index(run) - 1] if runs.index(run) else None


def stages(scale: Scale, title: str) -> list[Run]:
    """Trainings of some weights; the last ones are shipped."""
    return [run for run in trainings(scale) if run.title == title]


def wanted(given: argparse.Namespace, scale: Scale) -> list[Run]:
    """Those that are asked for, and those that they start from."""
    asked = [r for r in trainings(scale) if r.name in given.rules]
    needed = {r for r in asked if r.contrast in given.contrasts}
    for run in reversed(trainings(scale)):
        start = before(scale, run)
        if run in needed and start is not None:
            needed.add(start)
    return [r for r in trainings(scale) if r in needed]


def finished(
    given: argparse.Namespace, scale: Scale, run: Run, deadline: float
) -> tuple[RLN, list[Row]] | None:
    """A rule after all its epochs; None if the time is up before."""
    path, stage = dataset(given, run.stage, run.contrast), run.stage
    sets = [LocalizationDataset(path, split) for split in ("train", "validation")]
    rule, start = rule_for(sets[0], run.name), before(scale, run)
    if start is not None:
        rule.start_from(start.best(given))
        title = f"{start.title} of {start.stage.edge}³ voxels"
        rule.record = dict(rule.record) | {"start": title}
    plan = Plan(stage.epochs, stage.batch, stage.learning_rate, workers=given.workers)
    left = max(0.0, deadline - time.monotonic())
    folder, began = run.folder(given), time.monotonic()
    rows = train(rule, *sets, folder, plan, seconds=left)
    spent = spent_on(folder, time.monotonic() - began)
    last = f", validation MASE {rows[-1].validation:.2f} %" if rows else ""
    print(f"{folder.name}: {len(rows)} of {stage.epochs} epochs{last}", flush=True)
    if len(rows) < stage.epochs:
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


def card(given: argparse.Namespace, rule: RLN, run: Run) -> dict[str, Any]:
    """Errors on both test sets."""
    path = dataset(given, run.stage, run.contrast)
    small, whole = LocalizationDataset(path, "test"), full_size(given, run.contrast)
    found = {
        f"{run.stage.edge}³": evaluate(rule, small, 8).summary(),
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
    for run in wanted(given, scale):
        done = finished(given, scale, run, deadline)
        if done is None:  # those that follow start from it
            return
        if run != stages(scale, run.title)[-1]:
            continue
        rule, rows = done
        cards[run.title] = card(given, rule, run)
        rule.record = dict(rule.record) | {"test": cards[run.title]["test"]}
        if given.scale != "smoke":
            ship(run.title, rule, rows, cards[run.title])
    print(json.dumps(cards, indent=1))


def ship(run: str, rule: RLN, rows: list[Row], found: dict[str, Any]) -> None:
    """Weights, learning curve and errors into the project."""
    WEIGHTS.mkdir(exist_ok=True)
    save(rule, WEIGHTS / f"{run}.safetensors")
    plot_learning({run: rows}, IMAGES / f"learning-{run}.png")
    write_json(RESULTS / f"shipped-{run}.json", found | now())


if __name__ == "__main__":
    main()
