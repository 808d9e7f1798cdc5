"""``lsml convert``: published weights as lsml's own; and the other learned commands."""

from pathlib import Path
from typing import Annotated

import typer

import lsml.learned
from lsml.cli.evaluate import evaluate as evaluate
from lsml.cli.learned_checks import plain_errors
from lsml.cli.options import Overwrite
from lsml.cli.outcome import bad_input_exits, check_free
from lsml.cli.screen import say
from lsml.cli.train import train as train
from lsml.cli.weights import load_weights
from lsml.data.recipe import check_contrast
from lsml.learned.loading import kind


def convert(
    source: Annotated[Path, typer.Argument(help="Published weights: .model, .pt, ...")],
    out: Annotated[Path, typer.Argument(help="Safetensors file to write.")],
    rule: Annotated[
        str | None, typer.Option(help="fln or rln-t, if the file does not tell.")
    ] = None,
    contrast: Annotated[
        float | None, typer.Option(help="Contrast that it was trained at.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Read published weights without executing anything, and write them as lsml's own.

    Exit status 0 done, 2 bad input.
    """
    with bad_input_exits(), plain_errors():
        if not source.exists():
            raise FileNotFoundError(f"{source} does not exist")
        if source.is_dir():
            raise ValueError(f"{source} is a folder; expected a file of weights")
        check_free(out, overwrite)
        if contrast is not None:
            check_contrast(contrast)
        made = load_weights(str(source), rule)
        made.contrast = made.contrast if contrast is None else contrast
        made.record = dict(made.record) | {"source": source.name}
        lsml.learned.save(made, out)
    count = sum(p.numel() for p in made.parameters())
    known = "not known" if made.contrast is None else f"{made.contrast:g}"
    say(f"{out}: {kind(made)}, {count:,} parameters, contrast {known}")
