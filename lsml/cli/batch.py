"""``lsml homogenize --batch``: many images, one table."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from lsml.cli.errors import INTERRUPTED, NOT_CONVERGED, leave
from lsml.cli.outcome import print_json
from lsml.cli.screen import say
from lsml.cli.team import Together, team
from lsml.volumes import Row, Settings, homogenize_all
from lsml.workers.gpus import CPU, gpus_here
from lsml.workers.gpus import check_device as check_kind
from lsml.workers.task import HOUR

NAMED = 10  # images without a result that have a line of their own


class Engine(NamedTuple):
    """Who does the work."""

    workers: int
    scheduler: str | None
    limit: float | None


class Said(NamedTuple):
    """Where the result goes, and how it is told."""

    out: Path | None
    as_json: bool
    overwrite: bool


def alone(files: Sequence[Path], engine: Engine) -> Path:
    """The file of a command without ``--batch``.

    Raises
    ------
    ValueError
        Several, or workers for a single one.
    """
    if len(files) > 1:
        raise ValueError(f"{len(files)} images are given; --batch takes more than one")
    if engine != Engine(1, None, None):
        raise ValueError("--workers, --scheduler and --limit are for --batch")
    return files[0]


def check_device(device: str) -> None:
    """Refuse a device that is not there.

    Raises
    ------
    ValueError
        Which, and the known ones.
    """
    check_kind(device)
    if device != CPU:
        gpus_here()


def homogenize_batch(
    files: Sequence[Path], settings: Settings, engine: Engine, said: Said
) -> None:
    """Solve, write the table, and name what has no result."""
    if isinstance(team(), Together):
        raise ValueError(
            "--batch takes --workers or --scheduler, not processes of torchrun"
        )
    if said.out is None:
        raise ValueError("--batch needs --out TABLE: a .jsonl, .csv or .h5")
    try:
        rows = homogenize_all(
            files,
            said.out,
            settings,
            workers=engine.workers,
            scheduler=engine.scheduler,
            limit=HOUR if engine.limit is None else engine.limit,
            overwrite=said.overwrite,
            progress=True,
        )
    except KeyboardInterrupt:
        leave("interrupted; the same command goes on from here", INTERRUPTED)
    bad = [row for row in rows if not row.solved]
    if said.as_json:
        failed = {row.image: f"{row.status}: {row.message}" for row in bad}
        out = str(said.out)
        print_json({"images": len(rows), "failed": failed, "out": out})
    else:
        say(f"{said.out}: {len(rows)} images, {len(rows) - len(bad)} solved")
    if bad:
        _name(bad)


def _name(bad: Sequence[Row]) -> NoReturn:
    """A line for each image that is not solved, up to ten, and status 1."""
    for row in bad[: NAMED - 1]:
        if row is not bad[-1]:
            say(f"lsml: {_told(row)}", err=True)
    more = f", and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    leave(f"{_told(bad[min(len(bad), NAMED) - 1])}{more}", NOT_CONVERGED)


def _told(row: Row) -> str:
    where = "" if row.image in row.message else f"{row.image}: "
    return f"{where}{row.status}: {row.message}"
