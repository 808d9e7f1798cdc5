"""``lsml view``: results side by side in a local web page."""

import logging
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from lsml.cli.outcome import bad_input_exits
from lsml.cli.screen import say
from lsml.viewer import view as viewer

# Those who are refused are no news for the terminal; errors of the page still are.
REFUSALS = ("tornado.access", "tornado.general", "bokeh.server.views.ws")


def view(
    files: Annotated[list[Path], typer.Argument(help="Results of one image: .h5.")],
    group: Annotated[
        list[str] | None,
        typer.Option(help="Only this result of each file; may be given several times."),
    ] = None,
    port: Annotated[
        int, typer.Option(help="On this machine only.", show_default="any free one")
    ] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page.")] = True,
) -> None:
    """Look at FILES side by side in the browser: fields, slices, iterations.

    Ctrl-C ends it. The page is served to this machine only. Exit status 2 bad input.
    """
    with bad_input_exits():
        made = viewer(files, group or (), port)
    for name in REFUSALS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    say(f"{made.url} (Ctrl-C ends it)")
    if browser:
        webbrowser.open(made.url)
    made.run()
