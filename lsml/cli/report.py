"""``lsml report``: one HTML page about a result."""

from pathlib import Path
from typing import Annotated

import typer

from lsml.cli.options import Overwrite
from lsml.cli.outcome import bad_input_exits, check_free
from lsml.cli.screen import say
from lsml.report import write_report


def report(
    file: Annotated[Path, typer.Argument(help="Result, such as lsml solve writes.")],
    out: Annotated[
        Path | None,
        typer.Option(help="The page.", show_default="FILE with .html"),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(help="Only this result; may be given several times."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write figures, tables and provenance of FILE to one page.

    It opens without network. Exit status 0 written, 2 bad input.
    """
    target = file.with_suffix(".html") if out is None else out
    with bad_input_exits():
        check_free(target, overwrite)
        write_report(file, target, group or ())
    say(f"{target}: open it in a browser")
