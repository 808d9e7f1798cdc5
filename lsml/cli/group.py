"""What all commands share: errors, help, an example, a terminal, and run files."""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from lsml.cli.errors import BAD_INPUT, failures
from lsml.cli.job import job_beside
from lsml.cli.processes import leads, peers
from lsml.cli.screen import adapt_streams, say, show_help

SETTINGS = {"help_option_names": ["-h", "--help"]}


class Command(TyperCommand):
    """A command whose errors are one sentence, and whose result has a run file."""

    def invoke(self, ctx: Any) -> Any:
        """Run it."""
        with peers(), failures(), job_beside(ctx) if leads() else nullcontext():
            return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        show_help(self, ctx)


class Group(TyperGroup):
    """Commands; as a whole program its errors are one sentence and its status."""

    def main(self, *args: Any, **rest: Any) -> Any:
        """Run as a program."""
        adapt_streams()
        if not rest.get("standalone_mode", True):
            return super().main(*args, **rest)
        try:
            status = super().main(*args, **(rest | {"standalone_mode": False}))
        except Exception as error:
            sys.exit(_told(error))
        sys.exit(status if isinstance(status, int) else 0)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        show_help(self, ctx)


def _told(error: Exception) -> int:
    """Say what is wrong with the words of a command; anything else goes on.

    Typer and Click have classes of their own for that, which are alike.
    """
    if not hasattr(error, "format_message"):
        raise error
    text = " ".join(error.format_message().split()).rstrip(".")
    ctx = getattr(error, "ctx", None)
    if text:  # empty where no words at all have been answered by the help
        text = text[0].lower() + text[1:]
        path = "lsml" if ctx is None else ctx.command_path
        say(f"lsml: {text} (see {path} --help)", err=True)
    return BAD_INPUT


class App(typer.Typer):
    """A :class:`typer.Typer` of such commands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            cls=Group,
            no_args_is_help=True,
            pretty_exceptions_enable=False,
            context_settings=SETTINGS,
            **settings,
        )

    def command(  # type: ignore[override]
        self, name: str | None = None, *, epilog: str
    ) -> Callable[[Callable[..., None]], Callable[..., None]]:
        """Add a command, with an example that works."""
        return super().command(
            name, cls=Command, epilog=epilog, context_settings=SETTINGS
        )
