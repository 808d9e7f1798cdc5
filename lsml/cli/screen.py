"""The terminal: its letters, its width, and the help of every command on it."""

import codecs
import sys
from io import TextIOWrapper

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from lsml.cli.context import Context

# What a terminal without these letters shows instead.
SPELLED = {
    "×": "x",
    "·": "*",
    "≤": "<=",
    "≥": ">=",
    "→": "->",
    "±": "+-",
    "…": "...",
    "²": "^2",
    "³": "^3",
    "₀": "0",
    "ε": "eps",
    "σ": "sigma",
    "ν": "nu",
    "κ": "kappa",
    "τ": "tau",
    "γ": "gamma",
    "‖": "||",
    "−": "-",
    "–": "-",
    "⁻": "^-",
}
SPELL = "lsml.spell"  # name of the handler


def spell(error: UnicodeError) -> tuple[str | bytes, int]:
    """Letters that an encoding lacks, spelled out or as question marks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(SPELLED.get(each, "?") for each in letters), error.end


def adapt_streams() -> None:
    """Make a terminal without Greek letters one that can be written to."""
    codecs.register_error(SPELL, spell)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=SPELL)


def say(text: str, err: bool = False) -> None:
    """A line on stdout or stderr.

    Not by way of typer.echo, which writes UTF-8 to a terminal that is set to ASCII.
    """
    stream = sys.stderr if err else sys.stdout
    stream.write(f"{text}\n")
    stream.flush()


def show_help(command: TyperCommand | TyperGroup, ctx: Context) -> None:
    """Usage, what it does, arguments, options and commands, and an example."""
    console = Console(highlight=False)
    console.print(Text(command.get_usage(ctx), style="bold"))
    if command.help:
        paragraphs = (" ".join(p.split()) for p in command.help.split("\n\n"))
        console.print(Padding(Text("\n".join(paragraphs)), (1, 0, 1, 0)))
    records = [param.get_help_record(ctx) for param in command.get_params(ctx)]
    _print_columns(console, "", [r for r in records if r is not None])
    if isinstance(command, TyperGroup):
        _print_columns(console, "Commands", _commands(command, ctx))
    if command.epilog:
        console.print(Padding(Text(command.epilog), (1, 0, 0, 0)), soft_wrap=True)


def _commands(group: TyperGroup, ctx: Context) -> list[tuple[str, str]]:
    """Names, and the first sentence of what they do."""
    found = ((name, group.get_command(ctx, name)) for name in group.list_commands(ctx))
    return [
        (name, (each.short_help or each.help or "").partition("\n")[0])
        for name, each in found
        if each is not None and not each.hidden
    ]


def _print_columns(console: Console, title: str, rows: list[tuple[str, str]]) -> None:
    if not rows:
        return
    if title:
        console.print(Text(f"\n{title}", style="bold"))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="cyan", no_wrap=True, max_width=30, overflow="fold")
    table.add_column(ratio=1)
    for name, text in rows:
        table.add_row(Text(f"  {name}"), Text(text))
    console.print(table)
