"""Label images that commands are given, numbered from 0, with their voxel edges."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from lsml.cli.screen import say
from lsml.cli.team import team
from lsml.inputs import ProblemOptions
from lsml.io.array_files import raw_layout
from lsml.io.image import Image
from lsml.io.labels import read_image
from lsml.io.renumber import Phases, fitting

RawBytes = Annotated[
    str | None,
    typer.Option(
        "--raw",
        metavar="SHAPE,TYPE[,F]",
        help="Of .raw, such as 9,9,9,uint8,F.",
    ),
]
PHASES = 2  # of different stiffness, which --contrast tells
TOLD = 4  # labels that a line names


def labelled(
    file: Path, dataset: str | None, raw: str | None, options: ProblemOptions
) -> tuple[Any, ProblemOptions]:
    """Phase of each voxel, and the options with the file's voxel edges unless given.

    Other labels than 0 and 1 are numbered in their order, which a line on stderr says.
    Of several processes each gets its slab.

    Raises
    ------
    ValueError, FileNotFoundError, ImportError
        As :func:`lsml.io.read_image`, more labels than phases, or several plane images.
    """
    with team().agreed():
        image = given_image(file, dataset, raw, options.get("spacing"))
        _check_single(file, image)
    found = fitting(image.labels, PHASES, team().pool)
    values = found.values.tolist()
    if values != list(range(len(values))):
        say(f"lsml: {file}: {_renamed(found)}", err=True)
    if image.spacing is not None:
        options = ProblemOptions(**{**options, "spacing": image.spacing})
    return team().piece(found.labels, image.n), options


def _check_single(file: Path, image: Image) -> None:
    if image.batch and image.labels.ndim == 3:
        raise ValueError(
            f"{file} holds {len(image.labels)} plane images; expected one, or a batch "
            "of 3-D images"
        )


def given_image(
    file: Path, dataset: str | None, raw: str | None, spacing: object
) -> Image:
    """What the file holds; edges given on the command line go before its own."""
    layout = None if raw is None else raw_layout(raw)
    edges = spacing if isinstance(spacing, Sequence) else None
    return read_image(file, dataset, layout, edges, team().rows)


def _renamed(found: Phases) -> str:
    named = [
        f"label {label} is phase {k}" for k, label in enumerate(found.values.tolist())
    ]
    more = [f"{len(named) - TOLD} more"] if len(named) > TOLD else []
    return ", ".join(named[:TOLD] + more)
