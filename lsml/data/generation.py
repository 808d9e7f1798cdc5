"""Datasets of solved microstructures, made in parts that survive the process."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from numbers import Integral
from pathlib import Path

from lsml.atomic import check_target
from lsml.data.layout import header_of, open_dataset
from lsml.data.parts import Parts, claimed, folder_beside, tidy
from lsml.data.recipe import BY_DESIGN, Recipe, differences
from lsml.data.workers import make_all
from lsml.progress import CountLine


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
        Bad arguments, a file that exists, or parts of another recipe; before any work.
    SampleError
        A sample did not converge. The parts that are done are kept.
    OSError
        The file or a part cannot be written.
    """
    if not isinstance(workers, Integral) or workers < 0:
        raise ValueError(f"workers is {workers!r}; expected a whole number from 0")
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
    with claimed(folder_beside(target)):
        _make(target, recipe, resume, workers, progress)
    return target


def _make(
    target: Path, recipe: Recipe, resume: bool, workers: int, progress: bool
) -> None:
    parts = Parts.prepare(folder_beside(target), recipe, resume)
    try:
        done = parts.complete()
        missing = sorted(set(range(recipe.shards)) - set(done))
        with (
            _line(recipe, done, progress) as tell,
            closing(make_all(parts, missing, workers)) as made,
        ):
            for k in made:
                tell(k)
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
