"""Many images homogenized by many processes, which may be killed at any time."""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from lsml.atomic import check_target
from lsml.data.parts import claimed, folder_beside
from lsml.io.array_files import raw_layout
from lsml.progress import CountLine
from lsml.saving import check_extension
from lsml.volumes.effective import Settings, row_for
from lsml.volumes.found import Volume, volumes_of
from lsml.volumes.journal import NAME, Journal
from lsml.volumes.row import FAILED, LOST, REFUSED, Row
from lsml.volumes.table import TABLES, write_table
from lsml.workers import Answer, Task, WorkerLostError, Workers, workers_for
from lsml.workers.gpus import check_device
from lsml.workers.task import HOUR, INTENDED

EXPECTED = (RuntimeError, ArithmeticError)  # of PyTorch: of an image, not of the batch
SPACE = 3  # axes that are assumed where no image can be read


def homogenize_all(  # noqa: PLR0913 (the public entry)
    files: Sequence[str | Path],
    out: str | Path,
    settings: Settings | None = None,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    limit: float = HOUR,
    overwrite: bool = False,
    progress: bool = False,
) -> list[Row]:
    """Effective stiffness of every image, in one table.

    An image that cannot be solved is a row that says why, and the others go on. Each
    row is kept when it is there; the same call goes on with what an interrupted one
    has left, and tries again what has no result. Images whose files have changed
    meanwhile are solved again.

    Parameters
    ----------
    files : images, folders of them, patterns such as ``"scans/*.tif"``, or one file
        with a stack (s, x, y, z). All are planes or all are not.
    out : the table, ``.jsonl``, ``.csv`` or ``.h5`` as :mod:`lsml.volumes.table` says.
        It appears when all images are done; until then the rows are in the folder
        `.NAME.parts` beside it.
    settings : what is the same for all images.
    workers, scheduler, limit : as in :func:`lsml.data.generate`; the limit is that of
        an image. Workers of a scheduler elsewhere must see the files.
    overwrite : replace a file that exists, and rows of other settings.
    progress : show a line on stderr, on a terminal, after two seconds.

    Returns
    -------
    list of Row
        In the order of the images.

    Raises
    ------
    ValueError, FileNotFoundError
        No images, bad settings, a file that exists, or rows of other settings; before
        any work.
    OSError
        The table cannot be written, or the scheduler is gone.
    """
    settings, target = settings or Settings(), check_target(out)
    check_extension(target, TABLES)
    check_device(settings.device)
    raw = None if settings.raw is None else raw_layout(settings.raw)
    volumes = volumes_of([Path(file) for file in files], settings.dataset, raw)
    ndim = _axes(volumes, settings)
    settings.check(ndim)
    if not limit > 0:
        raise ValueError(f"limit = {limit} must be a positive number of seconds")
    task = Task(partial(row_for, settings, ndim), "image", limit, EXPECTED)
    with (
        workers_for(workers, scheduler, settings.device) as crew,
        claimed(folder_beside(target)),
    ):
        journal = _journal(target, settings, overwrite)
        rows = _solved(task, crew, volumes, journal, progress)
        write_table(rows, settings, ndim, target)
        if all(row.computed for row in rows):
            journal.file.unlink()
    return rows


def _journal(target: Path, settings: Settings, overwrite: bool) -> Journal:
    """What an earlier run has left, or an empty one."""
    folder = folder_beside(target)
    if target.exists() and not overwrite and not (folder / NAME).exists():
        raise ValueError(
            f"{target} exists already; overwrite=True (--overwrite) replaces it"
        )
    return Journal.prepare(folder, settings, overwrite)


def _axes(volumes: Sequence[Volume], settings: Settings) -> int:
    """Of the first image that can be read."""
    for volume in volumes:
        try:
            return settings.read(volume).labels.ndim
        except INTENDED:
            continue
    return SPACE


def _solved(
    task: Task[Volume, Row],
    crew: Workers,
    volumes: list[Volume],
    journal: Journal,
    progress: bool,
) -> list[Row]:
    found = journal.rows(volumes)
    missing = [v for v in volumes if v.name not in found or not found[v.name].computed]
    with (
        ExitStack() as stack,
        closing(crew.answers(task, missing)) as answers,
    ):
        line = CountLine("images", len(volumes), len(volumes) - len(missing))
        if progress:
            stack.enter_context(line)
        for answer in answers:
            row = _row(answer)
            found[row.image] = row
            journal.add(answer.item, row)
            line.advance()
    return [found[volume.name] for volume in volumes]


def _row(answer: Answer[Volume, Row]) -> Row:
    """The row of an answer; what went wrong is a row too."""
    failure = answer.failure
    if failure is None:
        return answer.take()
    status = FAILED
    if isinstance(failure, WorkerLostError):
        status = LOST
    elif isinstance(failure, INTENDED):
        status = REFUSED
    return Row(answer.item.name, status, " ".join(str(failure).split()))
