"""Optional packages: what is missing names the extra that brings it."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needed(what: str, extra: str) -> Iterator[None]:
    """Around the import of an optional package.

    Parameters
    ----------
    what : a sentence without its end, such as ``"pictures need matplotlib"``.

    Raises
    ------
    ImportError
        It is missing; with the command that installs it.
    """
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f'{what} ({error}); install it with: pip install "lsml[{extra}]"'
        ) from error
