"""Permeability of a voxel image: K of Darcy's law <u> = K e/μ, in one batch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Integer
from numpy.typing import NDArray
from torch import Tensor

from lsml.api import solve
from lsml.physics.cell import Spacing, edges
from lsml.physics.flow import held_by, stokes
from lsml.physics.labels import as_labels
from lsml.physics.percolation import crossed
from lsml.physics.stokes import StokesForm
from lsml.rule import UpdateRule
from lsml.solution import Solution


@dataclass(frozen=True)
class Permeability:
    """K of b images, (b, d, d), in squared units of the spacing; NumPy reads it.

    Attributes
    ----------
    tensor : symmetric; the power of forces that hold the solid still. Of all such
        forces the true ones need the least, so that the diagonal comes from above, with
        the square of the error of the field. 0 where no channel crosses the cell.
    velocity : at the centres of voxels under a unit gradient along each axis and unit
        viscosity, (b, d, d, *n): case, then component.
    pressure : periodic part, (b, d, *n), zero mean; in the solid it means nothing.
    solution : the load cases, b·d samples, case fastest.
    """

    tensor: Float[Tensor, "b d d"]
    velocity: Float[Tensor, "b d d *n"]
    pressure: Float[Tensor, "b d *n"]
    solution: Solution

    def __array__(
        self, dtype: Any = None, copy: bool | None = None
    ) -> NDArray[np.float64]:
        """The tensor as NumPy sees it."""
        return np.array(self.tensor.cpu().numpy(), dtype=dtype, copy=copy)

    @property
    def iterations(self) -> Integer[Tensor, "b d"]:
        """Of each case."""
        return self.solution.iterations.unflatten(0, (len(self.tensor), -1))


def permeability(  # noqa: PLR0913 (the public entry)
    labels: object,
    solid: object = 1,
    rule: UpdateRule[Any] | str = "cg",
    *,
    spacing: Spacing | None = None,
    tol: float = 1e-6,
    max_iter: int = 2000,
    throw: bool = True,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Permeability:
    """Permeability tensor by Stokes flow between solid voxels.

    Parameters
    ----------
    labels : (*n) or a batch (b, *n), in as many dimensions as spacing has numbers;
        without spacing three axes are one 3-D image.
    solid : label, or list of labels, of what the fluid does not enter.
    rule, tol, max_iter, throw : as in :func:`lsml.solve`.
    spacing : voxel edges; K is in their unit, squared.
    dtype, device : as in :func:`lsml.stokes`.

    Raises
    ------
    ValueError, ConvergenceError
        As :func:`lsml.stokes` and :func:`lsml.solve`.
    """
    known = None if spacing is None else len(edges(spacing, 3))
    image = as_labels(labels, known, device)
    d = image.ndim - 1
    unit = torch.eye(d, dtype=torch.float64)[None]
    problem = stokes(image, unit, solid, spacing, dtype=dtype, device=device)
    solution = solve(problem, rule, tol=tol, max_iter=max_iter, throw=throw)
    x = solution.state.x
    tensor = problem.power(x).unflatten(0, (-1, d))
    fluid = (~held_by(image, solid)).cpu().numpy()
    open_axes = torch.stack([torch.from_numpy(crossed(f, True)) for f in fluid])
    shut = ~open_axes.to(tensor.device)
    return Permeability(
        tensor.masked_fill(shut[:, :, None] | shut[:, None, :], 0),
        solution.field.unflatten(0, (-1, d)),
        pressure_of(problem, solution).unflatten(0, (-1, d)),
        solution,
    )


def pressure_of(problem: StokesForm, solution: Solution) -> Float[Tensor, "b *n"]:
    """Periodic part of the pressure of each sample."""
    with torch.no_grad():
        return problem.pressure(solution.state.x)
