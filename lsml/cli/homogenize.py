"""``lsml homogenize``: the effective stiffness of a label image."""

from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import Annotated

import torch
import typer

import lsml.homogenization
from lsml.cli.batch import Engine, Said, alone, check_device, homogenize_batch
from lsml.cli.images import RawBytes, labelled
from lsml.cli.interrupt import interrupts
from lsml.cli.options import (
    Contrast,
    Dataset,
    Device,
    Discretization,
    Images,
    Json,
    Limit,
    MaxIter,
    Overwrite,
    Rule,
    Scheduler,
    Spacing,
    Workers,
    edges_of,
    problem_options,
)
from lsml.cli.outcome import (
    exit_unless_solved,
    numbers,
    print_json,
    print_table,
)
from lsml.cli.outputs import TensorOut, check_tensor_out
from lsml.cli.screen import say
from lsml.cli.team import team
from lsml.engineering import EngineeringConstants
from lsml.homogenization import EffectiveStiffness
from lsml.mandel import names
from lsml.state import Status
from lsml.volumes import Settings
from lsml.workers.gpus import CPU


def homogenize(  # noqa: PLR0913 (the command's options)
    file: Images,
    rule: Rule = "cg",
    contrast: Contrast = 10.0,
    discretization: Discretization = "rotated",
    tol: Annotated[
        float, typer.Option(help="Relative half-width of the certified interval.")
    ] = 1e-6,
    stop: Annotated[
        str, typer.Option(help="certified, or predict: sooner, on its own estimate.")
    ] = "certified",
    max_iter: MaxIter = 1000,
    dataset: Dataset = None,
    out: TensorOut = None,
    spacing: Spacing = None,
    raw: RawBytes = None,
    batch: Annotated[
        bool, typer.Option("--batch", help="Many images: files, folders, a stack.")
    ] = False,
    workers: Workers = 1,
    scheduler: Scheduler = None,
    device: Device = None,
    limit: Limit = None,
    as_json: Json = False,
    overwrite: Overwrite = False,
) -> None:
    """Effective Mandel stiffness and engineering constants of FILE.

    With --batch of every image, into a table: .jsonl, .csv or .h5; run it again if it
    is interrupted. Exit status 0 solved, 1 not converged, 2 bad input, 130 stopped by
    Ctrl-C, with the intervals so far.
    """
    settings = Settings(
        contrast, rule, discretization, tol, stop, max_iter,
        edges_of(spacing), dataset, raw, device or CPU,
    )  # fmt: skip
    said = Said(out, as_json, overwrite)
    engine = Engine(workers, scheduler, limit)
    if batch:
        homogenize_batch(file, settings, engine, said)
    else:
        _homogenize(alone(file, engine), settings, device, said)


def _homogenize(file: Path, settings: Settings, device: str | None, said: Said) -> None:
    """Of a single file, with all its samples at once."""
    out = said.out
    with team().agreed():
        check_tensor_out(out, said.overwrite)
        check_device(settings.device)
    options = problem_options(settings.contrast, settings.discretization, None, device)
    if settings.spacing is not None:
        options["spacing"] = settings.spacing
    labels, options = labelled(file, settings.dataset, settings.raw, options)
    with interrupts() as interrupt:
        effective = lsml.homogenization.homogenize(
            labels,
            rule=settings.rule,
            tol=settings.tol,
            stop=settings.stop,
            max_iter=settings.max_iter,
            progress=True,
            observe=interrupt,
            throw=False,
            **options,
        )
        if out is not None:
            effective.save(out)
    if said.as_json:
        print_json(summary(effective, out))
    else:
        for sample in range(len(effective.stiffness)):
            _tell(effective, sample)
        if out is not None:
            say(f"{out}: the result")
    exit_unless_solved({"": effective.solution})


def summary(effective: EffectiveStiffness, out: Path | None) -> dict[str, object]:
    """What a program wants to know."""
    constants = effective.engineering()
    return {
        "components": names(effective.solution.form.grid.ndim),
        "stiffness": numbers(effective.stiffness),
        "lower": numbers(effective.lower),
        "upper": numbers(effective.upper),
        "E": numbers(constants.E),
        "nu": numbers(constants.nu),
        "G": numbers(constants.G),
        "iterations": numbers(effective.iterations),
        "status": [Status(c).name for c in effective.solution.status.tolist()],
        "converged": bool(effective.solution.converged.all()),
        "seconds": dict(effective.solution.timings),
        "out": None if out is None else str(out),
    }


def _tell(effective: EffectiveStiffness, sample: int) -> None:
    order = names(effective.solution.form.grid.ndim)
    ends = (effective.lower, effective.upper)
    print_table(
        f"Effective stiffness (Mandel), sample {sample}",
        ["", *order],
        [
            [name, *_shown(row)]
            for name, row in zip(order, effective.stiffness[sample], strict=True)
        ],
    )
    codes = effective.solution.status.reshape(effective.iterations.shape)[sample]
    print_table(
        "Certified interval of the diagonal",
        ["", "lower", "upper", "iterations", "status"],
        [
            [
                name,
                *(f"{float(end[sample, i]):.8g}" for end in ends),
                str(int(effective.iterations[sample, i])),
                Status(int(codes[i])).name,
            ]
            for i, name in enumerate(order)
        ],
    )
    _tell_constants(effective.engineering(), sample, order)


def _tell_constants(
    constants: EngineeringConstants, sample: int, order: Sequence[str]
) -> None:
    """A row for each axis i: E_i, ν_i1, ν_i2, ..., and the G of a plane."""
    ndim = constants.E.shape[1]
    shear = list(zip(order[ndim:], _shown(constants.G[sample]), strict=True))
    rows = [
        [str(i + 1), young, *_shown(nu), *(shear[i] if i < len(shear) else ())]
        for i, (young, nu) in enumerate(
            zip(_shown(constants.E[sample]), constants.nu[sample], strict=True)
        )
    ]
    print_table(
        "Engineering constants, G = τ/γ" + (", plane strain" if ndim == 2 else ""),
        ["axis i", "E", *(f"ν_i{j + 1}" for j in range(ndim)), "plane", "G"],
        rows,
    )


def _shown(row: torch.Tensor) -> list[str]:
    return ["-" if isnan(v) else f"{v:.4g}" for v in row.detach().tolist()]
