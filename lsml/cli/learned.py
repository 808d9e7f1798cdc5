"""``lsml train``, ``evaluate`` and ``convert``: learned rules from the command line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

import lsml.learned
from lsml.cli.options import Json
from lsml.cli.outcome import bad_input_exits, check_free, print_json, print_table
from lsml.data import LocalizationDataset
from lsml.data.rules import mks_for, rule_for
from lsml.learned import Evaluation, LearnedRule, Plan
from lsml.learned.checkpoint import NETWORKS
from lsml.learned.journal import BEST, Row
from lsml.learned.loading import PASSES, kind
from lsml.learned.training import Observe
from lsml.plot.learned import (
    plot_errors,
    plot_iterates,
    plot_learning,
    plot_microstructures,
    plot_prediction,
)

Data = Annotated[Path, typer.Argument(help="Dataset made by lsml data generate.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a file that exists.")
]
SHOWN = 8  # microstructures in the picture of samples


def train(  # noqa: PLR0913 (the command's options)
    data: Data,
    folder: Annotated[
        Path, typer.Argument(help="Folder of the run; an interrupted one goes on.")
    ],
    rule: Annotated[str, typer.Option(help=f"{', '.join(PASSES)} or mks.")] = "rln-t",
    network: Annotated[str, typer.Option(help=", ".join(NETWORKS))] = "vnet",
    epochs: Annotated[int, typer.Option(help="Passes over the data.")] = 60,
    batch: Annotated[int, typer.Option(help="Samples of a step.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="Of Adam, at first.")] = 2e-3,
    loss: Annotated[str, typer.Option(help="mse or rmse.")] = "mse",
    weights: Annotated[
        str, typer.Option(help="Of the iterates: uniform, rising or last.")
    ] = "uniform",
    seed: Annotated[int, typer.Option(help="Of weights and order.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that read samples.")] = 0,
    accelerator: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    compile: Annotated[bool, typer.Option(help="Let PyTorch compile it.")] = False,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after that, to go on later.")
    ] = None,
) -> None:
    """Train a learned rule on DATA; run it again if it is interrupted.

    Exit status 0 done or stopped on time, 2 bad input, 130 interrupted.
    """
    with bad_input_exits():
        dataset = LocalizationDataset(data, "train")
        validation = LocalizationDataset(data, "validation")
        if rule == "mks":
            _fit(dataset, folder)
            return
        made = rule_for(dataset, rule, network, seed)
        plan = Plan(
            epochs=epochs,
            batch=batch,
            learning_rate=learning_rate,
            loss=loss,
            iterate_weights=weights,
            seed=seed,
            workers=workers,
            accelerator=accelerator,
            compile=compile,
        )
        limit = None if minutes is None else 60.0 * minutes
        with progress_line(plan.epochs) as observe:
            rows = lsml.learned.train(
                made, dataset, validation, folder, plan, seconds=limit, observe=observe
            )
        _tell_training(rows, folder, plan)


def evaluate(  # noqa: PLR0913 (the command's options)
    data: Data,
    weights: Annotated[
        list[str], typer.Option(help="Weights, a file or a shipped name; repeatable.")
    ],
    split: Annotated[str, typer.Option(help="train, validation, test, all.")] = "test",
    batch: Annotated[int, typer.Option(help="Samples predicted together.")] = 8,
    symmetrize: Annotated[
        bool, typer.Option(help="Average over the symmetries of the load.")
    ] = False,
    figures: Annotated[
        Path | None, typer.Option(help="Folder for the pictures of the paper.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Errors of learned rules on a split of DATA, and pictures of them.

    Exit status 0 done, 2 bad input.
    """
    with bad_input_exits():
        dataset = LocalizationDataset(data, split)
        rules = {Path(w).stem: load_any(w) for w in weights}
        if figures is not None:
            figures.mkdir(parents=True, exist_ok=True)
        found = {
            name: lsml.learned.evaluate(rule, dataset, batch, symmetrize=symmetrize)
            for name, rule in rules.items()
        }
        if figures is not None:
            draw(rules, found, dataset, figures)
    if as_json:
        print_json({name: each.summary() for name, each in found.items()})
    else:
        _tell_errors(found, dataset)


def load_any(weights: str) -> LearnedRule:
    """A rule whatever its name: a shipped one, or the one in a file."""
    path = lsml.learned.loading.find("rln", weights, None)
    return lsml.learned.loading.load_file(path)


def draw(
    rules: dict[str, LearnedRule],
    found: dict[str, Evaluation],
    dataset: LocalizationDataset,
    folder: Path,
) -> None:
    """Figures 4 and 6 to 10 of Kelly & Kalidindi (2021)."""
    spread = torch.linspace(0, len(dataset) - 1, min(SHOWN, len(dataset))).long()
    labels = torch.stack([dataset[int(i)].labels for i in spread])
    plot_microstructures(labels.numpy(), folder / "microstructures.png")
    plot_errors(found, folder / "errors.png")
    for name, rule in rules.items():
        sample = dataset[found[name].worst]
        place = rule.components.index(rule.load)
        with torch.no_grad():
            iterates = rule(sample.labels[None])[0, :, place].float().numpy()
        true = sample.strain[place].numpy()
        plot_prediction(
            sample.labels.numpy(), iterates[-1], true, folder / f"{name}-worst.png"
        )
        plot_iterates(iterates, true, folder / f"{name}-iterates.png")


def convert(
    source: Annotated[Path, typer.Argument(help="Published weights: .model, .pt, ...")],
    out: Annotated[Path, typer.Argument(help="Safetensors file to write.")],
    rule: Annotated[
        str | None, typer.Option(help="fln, rln-t or rln, if the file does not tell.")
    ] = None,
    contrast: Annotated[
        float | None, typer.Option(help="Contrast that it was trained at.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Read published weights without executing anything, and write them as lsml's own.

    Exit status 0 done, 2 bad input.
    """
    with bad_input_exits():
        if not source.exists():
            raise FileNotFoundError(2, "no such file", str(source))
        check_free(out, overwrite)
        made = lsml.learned.loading.load_file(source, rule)
        if contrast is not None:
            made.contrast = contrast
        made.record = dict(made.record) | {"source": source.name}
        lsml.learned.save(made, out)
    count = sum(p.numel() for p in made.parameters())
    typer.echo(f"{out}: {kind(made)}, {count:,} parameters")


@contextmanager
def progress_line(epochs: int) -> Iterator[Observe | None]:
    """Epoch, loss and time left on stderr; only on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as line:
        task = line.add_task("")

        def observe(epoch: int, batch: int, batches: int, loss: float) -> None:
            line.update(
                task,
                total=epochs * batches,
                completed=epoch * batches + batch,
                description=f"epoch {epoch + 1}/{epochs}  loss {loss:.3g}",
            )

        yield observe


def _fit(dataset: LocalizationDataset, folder: Path) -> None:
    """The linear kernel needs no epochs."""
    rule = mks_for(dataset)
    folder.mkdir(exist_ok=True)
    lsml.learned.save(rule, folder / BEST)
    typer.echo(f"{folder / BEST}: fitted to {len(dataset)} samples")


def _tell_training(rows: list[Row], folder: Path, plan: Plan) -> None:
    if rows:
        plot_learning({folder.name: rows}, folder / "learning.png")
    if len(rows) < plan.epochs:
        typer.echo(f"{folder}: stopped in epoch {len(rows) + 1} of {plan.epochs}")
        return
    best = min(rows, key=lambda row: row.score)
    typer.echo(
        f"{folder / BEST}: epoch {best.epoch + 1}, validation MASE {best.score:.3g} %"
    )


def _tell_errors(found: dict[str, Evaluation], dataset: LocalizationDataset) -> None:
    print_table(
        f"MASE in percent on {len(dataset)} samples of {dataset.path.name}",
        ["rule", "mean", "std", "worst", "sample", "per pass", "ms each"],
        [
            [
                name,
                f"{each.mean:.2f}",
                f"{each.std:.2f}",
                f"{float(each.mase.max()):.2f}",
                str(each.worst),
                " ".join(f"{v:.2f}" for v in each.errors.mean(0).tolist()),
                f"{1e3 * each.seconds:.1f}",
            ]
            for name, each in found.items()
        ],
    )
