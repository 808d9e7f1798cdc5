"""What may become of an input: an answer that holds, or a refusal of one sentence."""

import linecache
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import lsml

HOME = Path(lsml.__file__).parent
REFUSALS = (ValueError, TypeError, OSError, ImportError, MemoryError)
LONGEST = 300  # characters of a sentence, without the path of the file
NOT_MET = "not converged"  # said so, and raised


class Outcome(NamedTuple):
    """How an input ended: in an answer, a refusal, or as a finding; and the words."""

    kind: str
    words: str = ""


class WrongError(Exception):
    """An answer that does not hold."""


class SentenceError(Exception):
    """What a command has said before it ended with status 2."""


class SlowError(BaseException):
    """Raised by the clock; no ``except Exception`` may keep it."""


def judged(action: Callable[[], str], path: str = "") -> Outcome:
    """Do it; ``path`` is left out of what a sentence may be long.

    An action returns the kind of its answer, and raises ``WrongError`` where the
    answer is checked and does not hold.
    """
    try:
        return Outcome(action())
    except lsml.ConvergenceError as error:
        return refusal(error, path)._replace(kind=NOT_MET)
    except WrongError as error:
        return Outcome("finding", f"wrong answer: {error}")
    except SentenceError as said:
        return Outcome("refused", str(said))
    except SlowError:
        return Outcome("finding", f"more than the time given{place(None)}")
    except REFUSALS as error:
        return refusal(error, path)
    except Exception as error:
        words = " ".join(str(error).split())[:LONGEST]
        return Outcome("finding", f"{type(error).__name__}: {words}{place(error)}")


def refusal(error: Exception, path: str) -> Outcome:
    """A refusal, or a finding if it is not one sentence of lsml."""
    text = str(error).replace(path, "FILE") if path else str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"FILE: {error.strerror}"
    elif not raised_by_lsml(error):
        return Outcome("finding", f"{type(error).__name__}: {text}{place(error)}")
    if fault := untidy(text):
        return Outcome("finding", f"{fault}: {text[:LONGEST]}{place(error)}")
    return Outcome("refused", text)


def untidy(text: str) -> str:
    """What is wrong with a sentence; nothing if it is one."""
    if "\n" in text or not text.isprintable():
        return "a refusal of several lines"
    if len(text) >= LONGEST:
        return "a refusal that goes on"
    if len(text.split()) < 3 or text != text.strip() or text[-1] in ":,;(":
        return "a refusal that is no sentence"
    return ""


def raised_by_lsml(error: Exception) -> bool:
    """Whether the innermost frame is a ``raise`` of lsml, and not of a library."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or not Path(frames[-1].filename).is_relative_to(HOME):
        return False
    line = linecache.getline(frames[-1].filename, frames[-1].lineno or 0)
    return line.strip().startswith("raise")


def place(error: BaseException | None) -> str:
    """Innermost line of lsml, and of all."""
    if error is None:
        return ""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if Path(f.filename).is_relative_to(HOME)]
    named = [f"{Path(f.filename).name}:{f.lineno}" for f in (*own[-1:], *frames[-1:])]
    return f" [{' < '.join(dict.fromkeys(named))}]"


def alike(words: str) -> str:
    """A sentence without what differs from input to input."""
    text = re.sub(r"(['\"]).*\1", "'…'", words)
    text = re.sub(r"[-+]?(0x[0-9a-f]+|\d[\d.]*(e[-+]?\d+)?|nan\b|inf\b)", "#", text)
    text = re.sub(r"#([ ,×]+#)+", "#, …", text)
    return text[:200]
