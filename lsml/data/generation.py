"""Datasets of solved microstructures, made in parts that survive the process."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

from lsml.atomic import check_target
from lsml.data.layout import header_of, open_dataset
from lsml.data.parts import Parts, claimed, folder_beside, packed_part, tidy
from lsml.data.recipe import BY_DESIGN, Recipe, differences
from lsml.data.shards import SampleError
from lsml.progress import CountLine
from lsml.workers import Task, Workers, workers_for
from lsml.workers.task import HOUR

PER_VOXEL = 1e-3  # seconds; that of 100 iterations of one thread is a tenth of it


def generate(  # noqa: PLR0913 (the public entry)
    path: str | Path,
    n: int = 4096,
    realizations: int = 5,
    shape: Sequence[int] = (31, 31, 31),
    contrast: float = 10.0,
    seed: int = 0,
    *,
    tol: float = 1e-6,
    discretization: str = "hex8-bbar",
    split: str = BY_DESIGN,
    load: str = "11",
    components: Sequence[str] = ("11",),
    batch: int = 32,
    workers: int = 1,
    scheduler: str | None = None,
    device: str = "cpu",
    limit: float | None = None,
    resume: bool = True,
    overwrite: bool = False,
    progress: bool = False,
) -> Path:
    """Draw two-phase microstructures, solve them, and write them to an HDF5 file.

    The defaults are the dataset of Kelly & Kalidindi 2021, Comput. Mater. Sci. 192,
    110356: 20 480 samples. The layout is that of :mod:`lsml.data.layout`; the file
    depends on the arguments down to ``batch`` only, not on interruptions.

    Parameters
    ----------
    path : of the file, which appears when it is complete. Until then its parts are in
        the folder `.NAME.parts` beside it.
    n : design points of a Latin hypercube over grain sizes and volume fraction.
    realizations : microstructures drawn from each.
    shape : voxels along each axis, 2-D (plane strain) or 3-D.
    contrast : Young's modulus of the stiff phase; that of the soft one is 1, and
        Poisson's ratio of both 0.3.
    seed : of everything that is random.
    tol : certified relative residual of each sample.
    discretization : as in :func:`lsml.solve`.
    split : ``"design"`` assigns 40/20/40 % of the design points, with all their
        realizations, to training, validation and test; ``"random"`` the samples, as
        the paper does.
    load : the Mandel component of the mean strain that is 10⁻³; the others are 0.
    components : Mandel components of the strain to store.
    batch : samples solved at a time, which are a part.
    workers : processes, of one thread each; 0 or 1 is this one, with its threads.
    scheduler : address of a scheduler of Dask, whose workers solve the parts, or
        ``"local"`` for one of as many ``workers`` that is started for it. They need no
        access to the file: this process writes what they answer.
    device : ``"cpu"``, or ``"cuda"`` for a GPU to each worker, on which fields differ
        from those of a CPU by the rounding of their sums.
    limit : seconds of a part after which a worker hangs; by default an hour, or a
        millisecond per voxel of a part if that is more. Where a worker hangs or dies
        another one solves its part again, up to three in all. Not of this process.
    resume : go on with the parts that an earlier run has left, and leave a complete
        file of the same recipe as it is; False starts anew.
    overwrite : replace a file that exists.
    progress : show a line on stderr, on a terminal, after two seconds.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    ValueError
        Bad arguments, a file that exists, parts of another recipe, or no scheduler
        answers; before any work.
    SampleError
        A sample did not converge. The parts that are done are kept.
    WorkerLostError
        Three workers died or hung over the same part.
    OSError
        The file or a part cannot be written, or the scheduler is gone.
    """
    recipe = Recipe(
        n,
        realizations,
        tuple(shape),
        float(contrast),
        seed,
        float(tol),
        discretization,
        split,
        tuple(components),
        load,
        batch,
    )
    target = check_target(path)
    if not overwrite and _is_there(target, recipe, resume):
        return target
    task = _task(recipe, device, limit)
    with (
        workers_for(workers, scheduler, device) as crew,
        claimed(folder_beside(target)),
    ):
        _make(
            target,
            Parts.prepare(folder_beside(target), recipe, resume),
            task,
            crew,
            progress,
        )
    return target


def _task(recipe: Recipe, device: str, limit: float | None) -> Task[int, bytes]:
    """What is done to make a part."""
    if limit is None:
        limit = max(HOUR, PER_VOXEL * recipe.voxels * recipe.batch / recipe.samples)
    if not limit > 0:
        raise ValueError(f"limit = {limit} must be a positive number of seconds")
    return Task(partial(packed_part, recipe, device), "part", limit, (SampleError,))


def _make(
    target: Path, parts: Parts, task: Task[int, bytes], crew: Workers, progress: bool
) -> None:
    recipe = parts.recipe
    try:
        done = parts.complete()
        missing = sorted(set(range(recipe.shards)) - set(done))
        with (
            _line(recipe, done, progress) as tell,
            closing(crew.answers(task, missing)) as answers,
        ):
            for answer in answers:
                parts.keep(answer.item, answer.take())
                tell(answer.item)
        os.replace(parts.assemble(), target)
    except BaseException:
        parts.sweep()
        if not parts.complete():
            parts.discard()
        raise
    parts.discard()


def _is_there(target: Path, recipe: Recipe, resume: bool) -> bool:
    """Whether this very dataset is there; another file must not be."""
    if not target.exists():
        return False
    how = "overwrite=True (--overwrite) replaces it"
    try:
        with open_dataset(target) as file:
            there = header_of(file).recipe
    except ValueError as error:
        raise ValueError(f"{target} exists already; {how}") from error
    unlike = differences(there, recipe.plain())
    if unlike:
        raise ValueError(f"{target} exists already, and its {unlike}; {how}")
    if not resume:
        raise ValueError(f"{target} exists already; {how}")
    tidy(folder_beside(target), recipe)
    return True


@contextmanager
def _line(
    recipe: Recipe, done: Sequence[int], shown: bool
) -> Iterator[Callable[[int], None]]:
    """Samples done and time left."""
    before = sum(len(recipe.shard(k)) for k in done)
    with ExitStack() as stack:
        line = CountLine("samples", recipe.samples, before)
        if shown:
            stack.enter_context(line)
        yield lambda k: line.advance(len(recipe.shard(k)))
