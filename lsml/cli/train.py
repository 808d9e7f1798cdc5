"""``lsml train``: a learned rule from a dataset."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

import lsml.learned
from lsml.cli.errors import INTERRUPTED, leave
from lsml.cli.interrupt import interrupts
from lsml.cli.learned_checks import (
    PICTURE,
    Accelerator,
    check_data,
    check_device,
    check_devices,
    check_folder,
    check_name,
    check_pair,
    check_plan,
    interruptible,
)
from lsml.cli.options import Json
from lsml.cli.outcome import print_json
from lsml.cli.processes import run_by, started
from lsml.cli.screen import say
from lsml.compiled import can_compile
from lsml.data import LocalizationDataset
from lsml.data.rules import mks_for, rule_for
from lsml.distributed.team import team
from lsml.learned import Plan
from lsml.learned.checkpoint import NETWORKS
from lsml.learned.journal import BEST, LOG, Row, open_journal
from lsml.learned.loading import NAMES, PASSES
from lsml.learned.losses import LOSSES
from lsml.learned.training import BACKENDS, Observe
from lsml.plot.learned import plot_learning
from lsml.progress import Line


def train(  # noqa: PLR0913 (the command's options)
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Dataset made by lsml data generate.")
    ],
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="Folder of the run; an interrupted one goes on."
        ),
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
    devices: Annotated[
        int, typer.Option(help="Processes that share every batch, each on its device.")
    ] = 1,
    compile: Annotated[
        bool, typer.Option("--compile", help="Let PyTorch compile it.")
    ] = False,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after that, to go on later.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a learned rule on DATA; run it again if it is interrupted.

    Exit status 0 done or out of time, 1 loss not finite, 2 bad input, 3 a process
    lost, 130 interrupted.
    """
    if check_devices(devices) and not started():
        run_by(devices)
        return
    with interruptible(folder):
        crew = team(BACKENDS.get(accelerator))
        with crew.together():
            check_name(rule)
            dataset = LocalizationDataset(data, "train")
            check_data(dataset)
            check_folder(folder, resumable=rule != "mks")
        if rule == "mks":
            crew.lead(lambda: _fit(dataset, folder, as_json))
            return
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
        with crew.together():
            tested = LocalizationDataset(validation or data, "validation")
            check_pair(dataset, tested)
            check_plan(plan, PASSES[rule].passes, minutes)
            made = rule_for(dataset, rule, network, seed)
        if compile and can_compile(check_device(accelerator)):
            plan = replace(plan, compile=True)
        with interrupts() as interrupt, progress_line(plan.epochs) as show:
            rows = lsml.learned.train(
                made,
                dataset,
                tested,
                folder,
                plan,
                seconds=None if minutes is None else 60.0 * minutes,
                observe=lambda *step: show(*step) or interrupt.pressed,
            )
        tell = _print_summary if as_json else _tell_training
        crew.lead(lambda: tell(rows, folder, plan))
        if crew.lead(lambda: interrupt.pressed):
            leave("interrupted; the same command goes on from here", INTERRUPTED)


@contextmanager
def progress_line(epochs: int) -> Iterator[Observe]:
    """Epoch, loss, rate and time left."""
    with Line() as line:
        first: list[int] = []  # batch that this run began with

        def observe(epoch: int, batch: int, batches: int, loss: float) -> None:
            now = epoch * batches + batch
            first[:] = first or [now - 1]
            new, whole = now - first[0], epochs * batches - first[0]
            rate = new / max(line.seconds, 1e-9)
            line.write(
                f"epoch {epoch + 1}/{epochs}  batch {batch}/{batches}  "
                f"loss {loss:.3g}  {rate:.3g}/s{line.left(new / whole)}"
            )

        yield observe


def _fit(dataset: LocalizationDataset, folder: Path, as_json: bool) -> None:
    """The linear kernel needs no epochs."""
    open_journal(folder, {})  # makes the folder, or says why it cannot
    lsml.learned.save(mks_for(dataset), folder / BEST)
    if as_json:
        print_json({"weights": str(folder / BEST), "samples": len(dataset)})
    else:
        say(f"{folder / BEST}: mks, fitted to {len(dataset)} samples")


def _print_summary(rows: list[Row], folder: Path, plan: Plan) -> None:
    """What a program wants to know."""
    best = min(rows, key=lambda row: row.score, default=None)
    print_json(
        {
            "weights": str(folder / BEST) if (folder / BEST).exists() else None,
            "epochs": plan.epochs,
            "complete": len(rows) >= plan.epochs,
            "best_epoch": None if best is None else best.epoch + 1,
            "best_score": None if best is None else best.score,
            "loss": [row.loss for row in rows],
            "validation": [row.validation for row in rows],
        }
    )


def _tell_training(rows: list[Row], folder: Path, plan: Plan) -> None:
    """Where things are; the picture is not worth a failure."""
    if len(rows) < plan.epochs:
        say(
            f"{folder}: stopped in epoch {len(rows) + 1} of {plan.epochs}; "
            "the same command goes on"
        )
    else:
        best = min(rows, key=lambda row: row.score)
        say(
            f"{folder / BEST}: of epoch {best.epoch + 1}, "
            f"validation MASE {best.score:.3g} %"
        )
    if not rows:
        return
    say(f"{folder / LOG}: loss and validation MASE of each epoch")
    try:
        plot_learning({folder.resolve().name: rows}, folder / PICTURE)
        say(f"{folder / PICTURE}: their curves")
    except ImportError as error:
        say(f"{folder / PICTURE} is not drawn: {error}")
