"""Options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

from lsml.cli import complete
from lsml.cli.team import team
from lsml.inputs import ProblemOptions, Weights
from lsml.learned.loading import NAMES

File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="Labels, as npy h5 tif vti dream3d raw; 0 is soft."
    ),
]
Images = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE", help="Labels, as npy h5 tif vti dream3d raw; 0 is soft."
    ),
]
Workers = Annotated[
    int, typer.Option(help="Processes of one thread; 1: this one, all its threads.")
]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Of Dask, tcp://host:8786; local: its own."),
]
Limit = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="After which a worker hangs; an hour or so."),
]
Rule = Annotated[
    str,
    typer.Option(
        metavar="RULE",
        help="Such as cg, moulinec, or a chain: 'rln-t > cg'.",
        autocompletion=complete.rule,
    ),
]
Files = Annotated[
    list[str] | None,
    typer.Option(
        "--weights",
        metavar="[NAME=]FILE",
        help="Of a learned rule; NAME= where there are several.",
        autocompletion=complete.weights,
    ),
]
Contrast = Annotated[
    float, typer.Option(help="Young's modulus of phase 1 over that of phase 0.")
]
Discretization = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="fourier, rotated, hex8 (quad4 in 2-D), hex8-bbar, staggered, …",
        autocompletion=complete.discretization,
    ),
]
MaxIter = Annotated[int, typer.Option(help="Iterations after which to give up.")]
Dataset = Annotated[
    str | None,
    typer.Option(help="Array of the file."),
]
Spacing = Annotated[
    str | None,
    typer.Option(metavar="HX,HY[,HZ]", help="Voxel edges; else the file's."),
]
Device = Annotated[
    str | None,
    typer.Option(help="cpu, or cuda; of several processes each has a GPU."),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object instead of tables.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", "--force", help="Replace files that exist.")
]


def weights_by_name(given: list[str] | None) -> Weights:
    """What :func:`lsml.solve` takes for weights.

    Raises
    ------
    ValueError
        Several files, not all with the name of their rule.
    """
    if not given:
        return None
    pairs = [(name, file) for name, _, file in (g.partition("=") for g in given)]
    named = {name: file for name, file in pairs if name in NAMES and file}
    if not named and len(given) == 1:
        return given[0]
    if len(named) < len(given):
        raise ValueError(
            f"--weights {' '.join(given)}: several files are written as NAME=FILE, "
            f"each once, with names of {', '.join(NAMES)}"
        )
    return named


def problem_options(
    contrast: float,
    discretization: str | None,
    spacing: str | None,
    device: str | None = None,
) -> ProblemOptions:
    """What :func:`lsml.solve` takes for labels.

    Raises
    ------
    ValueError
        The spacing is not a list of numbers.
    """
    options = ProblemOptions(contrast=contrast)
    if discretization is not None:
        options["discretization"] = discretization
    if (place := team().place(device)) is not None:
        options["device"] = place
    edges = edges_of(spacing)
    if edges is not None:
        options["spacing"] = edges
    return options


def edges_of(spacing: str | None) -> tuple[float, ...] | None:
    """Voxel edges written as ``1,1,0.5``.

    Raises
    ------
    ValueError
        No list of numbers.
    """
    if spacing is None:
        return None
    try:
        return tuple(float(h) for h in spacing.split(","))
    except ValueError:
        raise ValueError(
            f"--spacing {spacing!r} must be numbers between commas, such as 1,1,0.5"
        ) from None
