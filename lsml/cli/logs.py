"""What the library logs, on stderr."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from rich.console import Console
from rich.logging import RichHandler

from lsml.progress import silenced

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)  # by the number of -v


@contextmanager
def logged(verbose: int, quiet: bool) -> Iterator[None]:
    """Show what lsml logs while a command runs; quiet: errors only, and no progress."""
    logger = logging.getLogger("lsml")
    before = logger.level
    handler = RichHandler(
        console=Console(stderr=True), show_time=verbose > 1, show_path=False
    )
    logger.addHandler(handler)
    logger.setLevel(logging.ERROR if quiet else LEVELS[min(verbose, len(LEVELS) - 1)])
    with ExitStack() as stack:
        if quiet:
            stack.enter_context(silenced())
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(before)
