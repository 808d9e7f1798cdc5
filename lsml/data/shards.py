"""A few samples of a dataset, drawn and solved; they depend on the recipe only."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8

from lsml.acceleration import engine_for
from lsml.api import solve
from lsml.data.microstructures import microstructures
from lsml.data.recipe import Recipe
from lsml.solution import Solution
from lsml.state import Status

FUSED = 2**22  # voxels of a dataset from which getting compiled kernels pays
MAX_ITER = 10_000


class SampleError(RuntimeError):
    """A sample without a solution; the message names it."""


@dataclass(frozen=True)
class Shard:
    """Fields and certified errors of some samples, as they are stored."""

    labels: UInt8[np.ndarray, "N *n"]
    strain: Float32[np.ndarray, "N j *n"]
    error: Float[np.ndarray, " N"]


def solve_shard(recipe: Recipe, k: int, device: str = "cpu") -> Shard:
    """Draw and solve part k of a dataset, on ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    SampleError
        A sample did not converge.
    ImportError
        PyMKS is not installed.
    MemoryError
        The batch does not fit; a smaller one might.
    """
    samples, fused = recipe.shard(k), fuses(recipe)
    labels = _draw(recipe, samples)
    with _threads(fused):
        solution = solve(
            labels,
            "cg",
            tol=recipe.tol,
            max_iter=MAX_ITER,
            throw=False,
            compile=fused,
            phases=recipe.phases,
            load=recipe.macro,
            discretization=recipe.discretization,
            device=device,
        )
        _check(solution, recipe, samples)
        strain = solution.strain[:, recipe.kept().to(solution.strain.device)].float()
        _check_finite(strain, recipe, samples)
    return Shard(labels, strain.cpu().numpy(), solution.error.cpu().numpy())


def fuses(recipe: Recipe) -> bool:
    """Whether to take hand-written kernels: for a whole dataset or for none of it.

    Their sums differ from those of whole arrays in the last digit, so that what a run
    takes may not depend on what earlier runs have left in a cache.
    """
    if recipe.voxels < FUSED:
        return False
    _, engine = engine_for(recipe.voxel(), compile=True)
    return engine == "native"


@contextmanager
def _threads(fused: bool) -> Iterator[None]:
    """As they are for fused kernels; sums of whole arrays depend on their number."""
    threads = torch.get_num_threads()
    if not fused:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _draw(recipe: Recipe, samples: range) -> UInt8[np.ndarray, "N *n"]:
    points = recipe.design_points()[samples.start : samples.stop]
    return microstructures(
        len(samples),
        recipe.shape,
        recipe.design.grain_size[points],
        recipe.design.volume_fraction[points],
        recipe.seed,
        samples.start,
    )


def _check(solution: Solution, recipe: Recipe, samples: range) -> None:
    for i, code in zip(samples, solution.status.tolist(), strict=True):
        status = Status(code)
        if status.failed:
            at = i - samples.start
            raise SampleError(
                f"{_named(i, recipe)} ended {status.name} after "
                f"{int(solution.iterations[at])} iterations at error "
                f"{float(solution.error[at]):.1e}: {status.advice}"
            )


def _check_finite(
    strain: Float32[torch.Tensor, "N j *n"], recipe: Recipe, samples: range
) -> None:
    """What is stored, whatever the solve has said of it."""
    for i, finite in zip(samples, strain.isfinite().flatten(1).all(1), strict=True):
        if not finite:
            raise SampleError(f"{_named(i, recipe)} has a strain that is not finite")


def _named(i: int, recipe: Recipe) -> str:
    point, realization = divmod(i, recipe.realizations)
    return f"sample {i} (design point {point}, realization {realization})"
