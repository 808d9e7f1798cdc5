"""What files and libraries say, as a part of one sentence."""

import reprlib

MOST = 100  # characters


def spelled(value: object) -> str:
    """A value as Python writes it, however large, or nested in itself, it is."""
    return brief(reprlib.repr(value))


def brief(said: object, most: int = MOST) -> str:
    """On one line, printable, and short; of an error that says nothing its name."""
    words = one_line(said)
    if not words and isinstance(said, BaseException):
        words = type(said).__name__
    return words if len(words) <= most else f"{words[:most]}…"


def one_line(said: object) -> str:
    """Without line feeds and what else moves the cursor of a terminal."""
    words = " ".join(str(said).split())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in words)
