"""The context that a command is run in."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from typer import Context as Context
else:
    # Annotations are for typer.Context; what commands are given is its base.
    Context = typer.Context.__base__
