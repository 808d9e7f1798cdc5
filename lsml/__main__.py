"""``python -m lsml`` is the command ``lsml``."""

from lsml.cli import app

app(prog_name="lsml")
