"""How a command ends that cannot go on: one sentence on stderr, and a status.

0 solved, 1 not converged, 2 bad input, 3 one of several processes lost, 130
interrupted. A sentence says what was wrong, where, and what to do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TypeAlias

import torch
import typer

from lsml.atomic import check_target
from lsml.brief import one_line
from lsml.cli.screen import say

NOT_CONVERGED, BAD_INPUT, LOST, INTERRUPTED = 1, 2, 3, 130  # the last as shells do
INTENDED = (ValueError, OSError, ImportError, MemoryError)  # raised to be read by users

Errors: TypeAlias = type[BaseException]


def leave(sentence: str, status: int) -> NoReturn:
    """End with a sentence on stderr."""
    say(f"lsml: {sentence}", err=True)
    raise typer.Exit(status) from None


def sentence_of(error: BaseException) -> str:
    """What an error says, on one line; its name if it says nothing."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        where = "" if error.filename is None else f"{error.filename}: "
        text = f"{where}{error.strerror}"
    return one_line(text) or type(error).__name__


@contextmanager
def bad_input_exits() -> Iterator[None]:
    """An error that the user can mend becomes one line on stderr and status 2.

    Not a pipe that nobody reads any more, as of ``lsml … | head``: that is no error.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except INTENDED as error:
        leave(sentence_of(error), BAD_INPUT)


@contextmanager
def plain_errors() -> Iterator[None]:
    """What libraries say in their own words, as errors of one sentence."""
    try:
        yield
    except RuntimeError as error:
        out_of_memory = isinstance(error, torch.OutOfMemoryError)
        if out_of_memory or "allocate memory" in str(error):
            raise MemoryError(
                "not enough memory: try a smaller image or a smaller --batch"
            ) from None
        raise
    except ValueError as error:
        if "in DataLoader worker process" not in str(error):
            raise
        last = str(error).strip().splitlines()[-1]  # of the traceback of a worker
        raise ValueError(last.removeprefix("ValueError: ")) from None


@contextmanager
def failures() -> Iterator[None]:
    """All of these, and Ctrl-C where a command says nothing better about it."""
    try:
        with bad_input_exits(), plain_errors():
            yield
    except KeyboardInterrupt:
        leave("interrupted", INTERRUPTED)


def check_free(path: Path, overwrite: bool) -> None:
    """Refuse, before any work, an output that exists or cannot be written.

    Raises
    ------
    ValueError
        Which, and the remedy.
    """
    if path.exists() and not overwrite:
        raise ValueError(f"{path} exists already; --overwrite replaces it")
    check_target(path)
