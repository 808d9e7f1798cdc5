"""Keep a foreign code from writing to our output and raising our warnings."""

import contextlib
import io
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Swallow standard output and deprecations, which sfepy makes at every turn.

    Its own switch, ``sfepy.base.base.output.set_output(quiet=True)``, comes too
    late for the messages of its import and misses its bare prints.
    """
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        # sfepy calls what Python 3.12 and pyparsing 3.3 deprecate, and
        # the suite turns every warning into an error.
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
