"""A saved result as the start of a solve."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.discretization import Words
from lsml.grid import Grid
from lsml.io.content import called
from lsml.io.inside import numbers, opened
from lsml.problem import Problem
from lsml.strain_form import StrainForm
from lsml.typing import Field


def start_from(path: Path | None, problem: Problem) -> Field | None:
    """Field at the quadrature points of a saved result, as ``x0`` of `lsml.solve`.

    From its displacement, so that nothing is lost that the average over a voxel would
    not tell. None without a path.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is no result of a solve, or one of other samples or another grid.
    """
    if path is None:
        return None
    if not isinstance(problem, StrainForm):
        raise ValueError(f"--start needs labels, not a {type(problem).__name__}")
    scheme, b, grid = problem.discretization, problem.batch, problem.grid
    with grid.agreed():
        potential, mean = _read(path, scheme.differential.words, grid)
    wanted = (b, scheme.differential.potentials, *grid.shape)
    if potential.shape != wanted or mean.shape != problem.background.shape:
        raise ValueError(
            f"--start {path} holds a displacement of shape {tuple(potential.shape)}; "
            f"this image needs {wanted}"
        )
    like = problem.background
    return scheme.gradient(potential.to(like)) + problem.spread(mean.to(like))


def _read(
    path: Path, words: Words, grid: Grid
) -> tuple[Float[Tensor, "b m *n"], Float[Tensor, "b c"]]:
    """Potential and mean field of a file, in the rows of this process."""
    if not path.exists():
        raise FileNotFoundError(f"--start {path} does not exist")
    names = called("displacement", words), called("mean_strain", words)
    try:
        with opened(path) as file:
            rows = (slice(None), slice(None), grid.rows)
            found = [numbers(file, names[0], rows), numbers(file, names[1])]
    except ValueError:
        raise ValueError(
            f"--start {path} is no result of lsml solve: it must be HDF5 with "
            f"{' and '.join(names)}"
        ) from None
    u, mean = (torch.from_numpy(array) for array in found)
    return u, mean
