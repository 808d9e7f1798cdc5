"""``lsml evaluate``: errors of learned rules, and pictures of them."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
import typer
from rich.markup import escape

import lsml.learned
from lsml.cli import complete
from lsml.cli.learned_checks import (
    Accelerator,
    check_data,
    check_device,
)
from lsml.cli.options import Json, Overwrite
from lsml.cli.outcome import (
    check_free,
    numbers,
    print_json,
    print_table,
)
from lsml.cli.screen import say
from lsml.cli.weights import check_fits, load_weights, short_names, warn_of_contrast
from lsml.data import LocalizationDataset
from lsml.learned import Evaluation, LearnedRule, Symmetrized
from lsml.learned.loading import kind
from lsml.plot.figure import figure_type
from lsml.plot.learned import (
    plot_errors,
    plot_iterates,
    plot_microstructures,
    plot_prediction,
)
from lsml.progress import CountLine

SHOWN = 8  # microstructures in the picture of samples


class Given(NamedTuple):
    """A rule to evaluate, and where it comes from."""

    rule: LearnedRule
    source: str
    kind: str


def evaluate(  # noqa: PLR0913 (the command's options)
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Dataset made by lsml data generate.")
    ],
    weights: Annotated[
        list[str],
        typer.Option(
            metavar="FILE",
            help="Weights, a file or a shipped name; repeatable.",
            autocompletion=complete.weights,
        ),
    ],
    split: Annotated[str, typer.Option(help="train, validation, test, all.")] = "test",
    batch: Annotated[int, typer.Option(help="Samples predicted together.")] = 8,
    symmetrize: Annotated[
        bool,
        typer.Option("--symmetrize", help="Average over the symmetries of the load."),
    ] = False,
    figures: Annotated[
        Path | None, typer.Option(help="Folder for the pictures of the paper.")
    ] = None,
    accelerator: Accelerator = "auto",
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Errors of learned rules on a split of DATA, and pictures of them.

    Exit status 0 done, 2 bad input, 130 interrupted.
    """
    device = check_device(accelerator)
    dataset = LocalizationDataset(data, split)
    given = _given(weights, dataset, symmetrize, device)
    if figures is not None:
        _make_room(figures, given, overwrite)
    for each in given.values():
        warn_of_contrast(each.rule, each.source, dataset)
    with CountLine("samples", len(given) * len(dataset)) as line:
        found = {
            name: lsml.learned.evaluate(
                each.rule, dataset, batch, observe=partial(line.advance, note=name)
            )
            for name, each in given.items()
        }
    if figures is not None:
        draw(given, found, dataset, figures)
    if as_json:
        print_json({n: _summary(given[n], each) for n, each in found.items()})
    else:
        _tell_errors(found, dataset, symmetrize)
        if figures is not None:
            say(f"{figures}: {len(_pictures(given))} pictures")


def _given(
    weights: list[str], dataset: LocalizationDataset, symmetrize: bool, device: str
) -> dict[str, Given]:
    """The rules by short names, if they are made for these samples."""
    check_data(dataset)
    given = {}
    for name, source in zip(short_names(weights), weights, strict=True):
        rule = load_weights(source)
        check_fits(rule, source, dataset)
        known = kind(rule)
        whole = Symmetrized(rule, len(dataset.shape)) if symmetrize else rule
        given[name] = Given(whole.to(device), source, known)
    return given


def _pictures(given: Mapping[str, Given]) -> list[str]:
    own = [f"{name}-{what}.png" for name in given for what in ("worst", "iterates")]
    return ["microstructures.png", "errors.png", *own]


def _make_room(folder: Path, given: Mapping[str, Given], overwrite: bool) -> None:
    """The folder of the pictures, if all of them can be written."""
    figure_type()
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; --figures needs a folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name in _pictures(given):
        check_free(folder / name, overwrite)


def draw(
    given: Mapping[str, Given],
    found: Mapping[str, Evaluation],
    dataset: LocalizationDataset,
    folder: Path,
) -> None:
    """Figures 4 and 6 to 10 of Kelly & Kalidindi (2021)."""
    spread = torch.linspace(0, len(dataset) - 1, min(SHOWN, len(dataset))).long()
    labels = torch.stack([dataset[int(i)].labels for i in spread])
    plot_microstructures(labels.numpy(), folder / "microstructures.png")
    plot_errors(found, folder / "errors.png")
    for name, (rule, *_) in given.items():
        sample = dataset[found[name].worst]
        place = rule.loaded
        labels = sample.labels[None].to(rule.device)
        with torch.no_grad():
            iterates = rule(labels)[0, :, place].float().cpu()
        image, true = sample.labels.numpy(), sample.strain[place].numpy()
        last = iterates[-1].numpy()
        plot_prediction(image, last, true, folder / f"{name}-worst.png")
        path = folder / f"{name}-iterates.png"
        plot_iterates(image, iterates.numpy(), true, path)


def _summary(given: Given, found: Evaluation) -> dict[str, object]:
    """What a program wants to know."""
    own = {
        "weights": given.source,
        "rule": given.kind,
        "contrast": given.rule.contrast,
        "symmetrized": isinstance(given.rule, Symmetrized),
    }
    told = {
        name: numbers(torch.tensor(value, dtype=torch.float64))
        if isinstance(value, float | list)
        else value
        for name, value in found.summary().items()
    }
    return own | told


def _tell_errors(
    found: Mapping[str, Evaluation], dataset: LocalizationDataset, symmetrize: bool
) -> None:
    how = ", symmetrized" if symmetrize else ""
    print_table(
        f"MASE in percent on {len(dataset)} samples ({dataset.split}) of "
        f"{escape(dataset.path.name)}{how}",
        ["rule", "mean", "std", "worst", "of sample", "ms each"],
        [
            [
                escape(name),
                f"{each.mean:.2f}",
                f"{each.std:.2f}",
                f"{float(each.mase.max()):.2f}",
                str(each.worst),
                f"{1e3 * each.seconds:.1f}",
            ]
            for name, each in found.items()
        ],
    )
    for name, each in found.items():
        passes = [f"{error:.2f}" for error in each.errors.mean(0).tolist()]
        if len(passes) > 1:
            say(f"{name}, mean after each pass: {' '.join(passes)}")
