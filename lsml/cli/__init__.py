"""The command line. Exit status 0 solved, 1 not converged, 2 bad input, 130 Ctrl-C."""

from importlib.metadata import version
from typing import Annotated

import typer

from lsml.cli.compare import compare
from lsml.cli.context import Context
from lsml.cli.convert import convert
from lsml.cli.data import data
from lsml.cli.demo import demo
from lsml.cli.evaluate import evaluate
from lsml.cli.group import App
from lsml.cli.homogenize import homogenize
from lsml.cli.info import info
from lsml.cli.logs import logged
from lsml.cli.report import report
from lsml.cli.run import run
from lsml.cli.screen import say
from lsml.cli.solve import solve
from lsml.cli.train import train
from lsml.cli.view import view

app = App()
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
app.command(epilog="Example: lsml info tomogram.tif")(info)
app.add_typer(data, name="data", epilog="Example: lsml data info data.h5")
app.command(epilog="Example: lsml train data.h5 run --rule rln-t --epochs 20")(train)
app.command(
    epilog="Example: lsml evaluate data.h5 --weights run/best.safetensors --figures out"
)(evaluate)
app.command(epilog="Example: lsml convert result.h5 result.vti")(convert)
app.command(epilog="Example: lsml run result.job.toml --out again.h5")(run)
app.command(epilog="Example: lsml report result.h5 --out report.html")(report)
app.command(epilog="Example: lsml view result.h5 --no-browser")(view)


def _show_version(wanted: bool) -> bool:
    if wanted:
        say(f"lsml {version('lsml')}")
        raise typer.Exit
    return wanted


@app.callback(epilog="Example: lsml demo")
def main(
    ctx: Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Version and exit."
        ),
    ] = False,
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose", "-v", count=True, help="Say what is done; -vv: everything."
        ),
    ] = 0,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress lines, no warnings.")
    ] = False,
) -> None:
    """Solve the Lippmann-Schwinger equations of heterogeneous materials on voxels."""
    ctx.with_resource(logged(verbose, quiet))
