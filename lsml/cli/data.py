"""``lsml data``: datasets of solved microstructures, made, converted and looked at."""

from pathlib import Path
from typing import Annotated

import typer

import lsml.data
from lsml.cli.errors import INTERRUPTED, NOT_CONVERGED, leave
from lsml.cli.group import App
from lsml.cli.options import (
    Contrast,
    Device,
    Discretization,
    Json,
    Limit,
    Overwrite,
    Scheduler,
    Workers,
)
from lsml.cli.outcome import numbers, print_json, print_table
from lsml.cli.screen import say
from lsml.data import LocalizationDataset, SampleError
from lsml.data.recipe import SPLITS
from lsml.workers.gpus import CPU

data = App(help="Datasets of solved microstructures: make, convert, look at them.")

Out = Annotated[Path, typer.Argument(metavar="OUT", help="HDF5 file to write.")]


@data.command(
    epilog="Example: lsml data generate train.h5 --n 40 --shape 15,15,15 --workers 2"
)
def generate(  # noqa: PLR0913 (the command's options)
    out: Out,
    n: Annotated[int, typer.Option(help="Design points.")] = 4096,
    realizations: Annotated[int, typer.Option(help="Samples of each.")] = 5,
    shape: Annotated[
        str, typer.Option(metavar="NX,NY[,NZ]", help="Voxels along each axis.")
    ] = "31,31,31",
    contrast: Contrast = 10.0,
    seed: Annotated[int, typer.Option(help="Of everything that is random.")] = 0,
    workers: Workers = 1,
    scheduler: Scheduler = None,
    device: Device = None,
    limit: Limit = None,
    split: Annotated[
        str, typer.Option(help="40/20/40 % by design (point) or at random.")
    ] = "design",
    tol: Annotated[float, typer.Option(help="Certified relative residual.")] = 1e-6,
    discretization: Discretization = "hex8-bbar",
    components: Annotated[
        str, typer.Option(metavar="IJ[,IJ...]", help="Mandel strains to store.")
    ] = "11",
    load: Annotated[str, typer.Option(help="Mandel mean strain that is 1e-3.")] = "11",
    batch: Annotated[int, typer.Option(help="Samples solved at a time.")] = 32,
    resume: Annotated[
        bool, typer.Option(help="Go on with what an interrupted run has left.")
    ] = True,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Draw and solve two-phase microstructures; run it again if it is interrupted.

    Exit status 0 done, 1 a sample did not converge, 2 bad input, 130 interrupted.
    """
    try:
        lsml.data.generate(
            out,
            n,
            realizations,
            _whole_numbers(shape),
            contrast,
            seed,
            tol=tol,
            discretization=discretization,
            split=split,
            load=load,
            components=components.split(","),
            batch=batch,
            workers=workers,
            scheduler=scheduler,
            device=device or CPU,
            limit=limit,
            resume=resume,
            overwrite=overwrite,
            progress=True,
        )
    except SampleError as error:
        leave(str(error), NOT_CONVERGED)
    except KeyboardInterrupt:
        leave("interrupted; the same command goes on from here", INTERRUPTED)
    _tell(out, as_json)


@data.command(
    "convert-paper",
    epilog="Example: lsml data convert-paper 31_c10_train.npy 31_c10_train_strain.npy "
    "train.h5",
)
def convert_paper(  # noqa: PLR0913 (the command's options)
    micro: Annotated[
        Path,
        typer.Argument(metavar="MICRO", help="One-hot phases (n, 2, z, y, x), .npy."),
    ],
    strain: Annotated[
        Path, typer.Argument(metavar="STRAIN", help="Strain ε_xx (n, z, y, x), .npy.")
    ],
    out: Out,
    contrast: Contrast = 10.0,
    split: Annotated[
        str, typer.Option(help=f"Of all samples: {', '.join(SPLITS)}.")
    ] = "train",
    mean_strain: Annotated[float, typer.Option(help="Mean of ε_xx.")] = 1e-3,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Bring the data of Kelly & Kalidindi (2021), 10.17632/v6dt8dwrh8.2, to HDF5.

    Exit status 0 done, 2 bad input.
    """
    lsml.data.convert_paper(
        micro,
        strain,
        out,
        contrast,
        split=split,
        mean_strain=mean_strain,
        overwrite=overwrite,
    )
    _tell(out, as_json)


@data.command(epilog="Example: lsml data info data.h5")
def info(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Dataset in HDF5.")],
    as_json: Json = False,
) -> None:
    """Recipe, samples of each split, and worst certified error of a dataset.

    Exit status 0, or 2 for bad input.
    """
    dataset = LocalizationDataset(file, "all")
    _tell(file, as_json)
    if as_json:
        return
    counted = [[name, str(count)] for name, count in dataset.counts.items()]
    print_table("Splits", ["split", "samples"], counted)
    recipe = [[name, _shown(value)] for name, value in dataset.recipe.items()]
    print_table("Recipe", ["entry", "value"], recipe)


def _tell(path: Path, as_json: bool) -> None:
    """What is in a dataset, in a line or for a program."""
    dataset = LocalizationDataset(path, "all")
    if not as_json:
        say(_summary(path, dataset))
        return
    counts = {"samples": len(dataset), **dataset.counts}
    worst = {"worst_error": numbers(dataset.error.max())}
    print_json({**counts, **worst, "recipe": dict(dataset.recipe), "out": str(path)})


def _summary(path: Path, dataset: LocalizationDataset) -> str:
    worst = float(dataset.error.max())
    error = "not certified" if worst != worst else f"certified error ≤ {worst:.1e}"
    cell = " × ".join(map(str, dataset.shape))
    return f"{path}: {len(dataset)} samples of {cell} voxels, {error}"


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _whole_numbers(shape: str) -> tuple[int, ...]:
    try:
        return tuple(int(k) for k in shape.split(","))
    except ValueError:
        raise ValueError(
            f"--shape {shape!r} must be whole numbers between commas, such as 31,31,31"
        ) from None
