"""``lsml run``: a result made again from its run file."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from typer.core import TyperGroup

from lsml.brief import brief, spelled
from lsml.cli.context import Context
from lsml.cli.job import OUTPUTS, Job, versions
from lsml.cli.options import Json, Overwrite
from lsml.cli.read_job import arguments, read_job

log = logging.getLogger(__name__)


def run(
    ctx: Context,
    file: Annotated[
        Path, typer.Argument(metavar="JOB", help="Run file: .toml, or .yaml.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Write there, not where the run file says.")
    ] = None,
    as_json: Json = False,
    overwrite: Overwrite = False,
) -> None:
    """Run what a run file says, as it is written beside every result.

    Paths are relative to JOB. Exit status as of its command, 2 bad input.
    """
    job = read_job(file)
    here = found(ctx, job, file)
    known = arguments(job, file, original(here.command))
    changes = {"as_json": as_json, "overwrite": overwrite}
    here.params = known | {n: v for n, v in changes.items() if v and n in known}
    redirect(here.params, job, out)
    tell_versions(job, file)
    with here, threads(job.threads):
        here.command.invoke(here)


def found(ctx: Context, job: Job, file: Path) -> Any:
    """The context of the command.

    Raises
    ------
    ValueError
        There is no such command.
    """
    here: Any = ctx.find_root()
    for word in job.command.split():
        group = here.command
        known = group.commands if isinstance(group, TyperGroup) else {}
        if word not in known:
            near = get_close_matches(word, known, 1, 0.4)
            hint = f"did you mean {near[0]!r}?" if near else "lsml --help has them all"
            told = spelled(job.command)
            raise ValueError(f"{file}: command {told} is unknown; {hint}")
        here = type(here)(known[word], parent=here, info_name=word)
    if isinstance(here.command, TyperGroup) or here.command is ctx.command:
        raise ValueError(f"{file}: command {job.command!r} cannot be run from a file")
    return here


def original(command: Any) -> Callable[..., object]:
    """The function behind a command, with its types."""
    function: Callable[..., object] = command.callback.__wrapped__
    return function


def redirect(params: dict[str, Any], job: Job, out: Path | None) -> None:
    """Have the first output of a command go elsewhere.

    Raises
    ------
    ValueError
        It has none.
    """
    if out is None:
        return
    names = OUTPUTS.get(job.command, ())
    if not names:
        raise ValueError(f"--out {out}: lsml {job.command} writes nothing")
    params[names[0]] = out


def tell_versions(job: Job, file: Path) -> None:
    """Warn where other versions may make other numbers."""
    now = versions()
    for name, then in job.versions.items():
        if name in now and now[name] != then:
            log.warning(
                "%s was written by %s %s, this is %s: numbers may differ by rounding",
                file,
                name,
                brief(then),
                now[name],
            )


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many, as sums depend on them in the last digit; 0 leaves them."""
    before = torch.get_num_threads()
    if count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
