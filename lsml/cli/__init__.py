"""The command line. Exit status 0 solved, 1 not converged, 2 bad input."""

import sys
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated

import typer

from lsml.cli.compare import compare
from lsml.cli.data import data
from lsml.cli.demo import demo
from lsml.cli.homogenize import homogenize
from lsml.cli.info import info
from lsml.cli.learned import convert, evaluate, train
from lsml.cli.solve import solve

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog="Example: lsml demo --seed 7 --out pictures")(demo)
app.command(
    epilog="Example: lsml solve image.npy --contrast 50 --tol 1e-8 --out result.h5"
)(solve)
app.command(epilog="Example: lsml homogenize image.h5 --dataset labels --json")(
    homogenize
)
app.command(epilog="Example: lsml compare image.npy --rules moulinec,cg --plot c.png")(
    compare
)
app.command(epilog="Example: lsml info image.npy --json")(info)
app.add_typer(data, name="data")
app.command(epilog="Example: lsml train data.h5 run --rule rln-t --epochs 20")(train)
app.command(
    epilog="Example: lsml evaluate data.h5 --weights run/best.safetensors --figures out"
)(evaluate)
app.command(epilog="Example: lsml convert RLN_t.model rln-t.safetensors")(convert)


def _show_version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"lsml {version('lsml')}")
        raise typer.Exit
    return wanted


@app.callback(epilog="Example: lsml demo")
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Version and exit."
        ),
    ] = False,
) -> None:
    """Solve the Lippmann-Schwinger equations of heterogeneous materials on voxels."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Greek letters
