"""``lsml train``: a learned rule from a dataset."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

import lsml.learned
from lsml.cli.learned_checks import (
    PICTURE,
    Accelerator,
    check_data,
    check_device,
    check_folder,
    check_name,
    check_pair,
    check_plan,
    interruptible,
    plain_errors,
)
from lsml.cli.outcome import bad_input_exits
from lsml.compiled import can_compile
from lsml.data import LocalizationDataset
from lsml.data.rules import mks_for, rule_for
from lsml.learned import Plan
from lsml.learned.checkpoint import NETWORKS
from lsml.learned.journal import BEST, LOG, Row, open_journal
from lsml.learned.loading import NAMES, PASSES
from lsml.learned.losses import LOSSES
from lsml.learned.training import Observe
from lsml.plot.learned import plot_learning


def train(  # noqa: PLR0913 (the command's options)
    data: Annotated[Path, typer.Argument(help="Dataset made by lsml data generate.")],
    folder: Annotated[
        Path, typer.Argument(help="Folder of the run; an interrupted one goes on.")
    ],
    rule: Annotated[str, typer.Option(help=", ".join(NAMES))] = "rln-t",
    network: Annotated[str, typer.Option(help=", ".join(NETWORKS))] = "vnet",
    validation: Annotated[
        Path | None, typer.Option(help="File of the validation split, if not DATA.")
    ] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the data.")] = 60,
    batch: Annotated[int, typer.Option(help="Samples of a step.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="Of Adam, at first.")] = 2e-3,
    loss: Annotated[str, typer.Option(help=", ".join(LOSSES))] = "mse",
    weights: Annotated[
        str, typer.Option(help="Of the iterates: uniform, rising or last.")
    ] = "uniform",
    seed: Annotated[int, typer.Option(help="Of weights and order.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that read samples.")] = 0,
    accelerator: Accelerator = "auto",
    compile: Annotated[
        bool, typer.Option("--compile", help="Let PyTorch compile it.")
    ] = False,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after that, to go on later.")
    ] = None,
) -> None:
    """Train a learned rule on DATA; run it again if it is interrupted.

    Exit status 0 done or out of time, 1 loss not finite, 2 bad input, 130 interrupted.
    """
    with interruptible(folder), bad_input_exits(), plain_errors():
        check_name(rule)
        dataset = LocalizationDataset(data, "train")
        check_data(dataset)
        check_folder(folder, resumable=rule != "mks")
        if rule == "mks":
            _fit(dataset, folder)
            return
        tested = LocalizationDataset(validation or data, "validation")
        check_pair(dataset, tested)
        plan = Plan(
            epochs=epochs,
            batch=batch,
            learning_rate=learning_rate,
            loss=loss,
            iterate_weights=weights,
            seed=seed,
            workers=workers,
            accelerator=accelerator,
        )
        check_plan(plan, PASSES[rule].passes, minutes)
        made = rule_for(dataset, rule, network, seed)
        if compile and can_compile(check_device(accelerator)):
            plan = replace(plan, compile=True)
        with progress_line(plan.epochs) as observe:
            rows = lsml.learned.train(
                made,
                dataset,
                tested,
                folder,
                plan,
                seconds=None if minutes is None else 60.0 * minutes,
                observe=observe,
            )
        _tell_training(rows, folder, plan)


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
    open_journal(folder, {})  # makes the folder, or says why it cannot
    lsml.learned.save(mks_for(dataset), folder / BEST)
    typer.echo(f"{folder / BEST}: mks, fitted to {len(dataset)} samples")


def _tell_training(rows: list[Row], folder: Path, plan: Plan) -> None:
    """Where things are; the picture is not worth a failure."""
    if len(rows) < plan.epochs:
        typer.echo(
            f"{folder}: stopped in epoch {len(rows) + 1} of {plan.epochs}; "
            "the same command goes on"
        )
    else:
        best = min(rows, key=lambda row: row.score)
        typer.echo(
            f"{folder / BEST}: of epoch {best.epoch + 1}, "
            f"validation MASE {best.score:.3g} %"
        )
    if not rows:
        return
    typer.echo(f"{folder / LOG}: loss and validation MASE of each epoch")
    try:
        plot_learning({folder.resolve().name: rows}, folder / PICTURE)
        typer.echo(f"{folder / PICTURE}: their curves")
    except ImportError as error:
        typer.echo(f"{folder / PICTURE} is not drawn: {error}")
