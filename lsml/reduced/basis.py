"""A reduced basis: displacements at some points, and what they say of all others."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.gradients import Detached, Task
from lsml.inputs import check_limits
from lsml.physics.phases import Phases
from lsml.physics.rules.conjugate_gradient import ConjugateGradient
from lsml.problem import Problem
from lsml.reduced.affine import Affine, Basis, Coefficients, Vectors
from lsml.reduced.estimate import Estimate
from lsml.reduced.model import ReducedModel
from lsml.rule import Iterate, Rule, UpdateRule
from lsml.running import Run
from lsml.solution import Solution
from lsml.stop import RelativeResidual, StopCriterion
from lsml.typing import Codes, Vector


@dataclass(frozen=True)
class Projection(Rule):
    """No step: the start itself, whose residual the driver evaluates."""

    passes: ClassVar[int | None] = 0

    def step(self, problem: Problem, it: Iterate, memory: Any) -> tuple[Vector, Any]:
        """Never taken."""
        return it.x, memory


@dataclass(frozen=True)
class ReducedBasis:
    """What :func:`lsml.reduced_basis` makes; called with phases, it estimates.

    Attributes
    ----------
    affine : operators of b microstructures.
    vectors : k displacements of each, orthonormal in energy.
    model : the small matrices of the online half.
    snapshots : coefficients of the points at which displacements were computed, for
        each of r rounds and each microstructure.
    engine : kernels that full solves run on.
    """

    affine: Affine
    vectors: Basis
    model: ReducedModel
    snapshots: Float[Tensor, "r s p g"]
    engine: str = "eager"

    def __call__(self, phases: Phases) -> Estimate:
        """Estimate t tables of phases, without any field.

        Differentiable with respect to their moduli, as often as one likes.

        Parameters
        ----------
        phases : as in :func:`lsml.elasticity`; where that takes one table per sample,
            one per point.

        Raises
        ------
        ValueError
            The phases are not of the kind that the basis was made for.
        """
        return self.model(self.model.coefficients(phases))

    @torch.no_grad()
    def solve(
        self,
        phases: Phases,
        *,
        tol: float | None = 1e-6,
        max_iter: int = 1000,
        throw: bool = True,
        quadrature: bool = False,
    ) -> Solution:
        """Fields at t tables: conjugate gradients from the Galerkin solution.

        Samples are counted with the load case fastest, then microstructures, then
        tables. Fields carry no graph.

        Parameters
        ----------
        tol : as in :func:`lsml.solve`; None takes no step, and ends COMPLETED with the
            true residual of the Galerkin solution.

        Raises
        ------
        ValueError, ConvergenceError
            As :func:`lsml.solve`.
        """
        check_limits(1.0 if tol is None else tol, max_iter)
        table = self.model.coefficients(phases).detach()
        t, s = len(table), len(self.vectors)
        table = table.repeat_interleave(s, 0)
        cells = torch.arange(s, device=table.device).repeat(t)
        rule: UpdateRule[Any] = Projection() if tol is None else ConjugateGradient()
        stop = RelativeResidual(tol or 1.0)
        solution = self.run(table, cells, rule, stop, max_iter, quadrature)
        return solution.check() if throw else solution

    def run(
        self,
        table: Coefficients,
        cells: Codes,
        rule: UpdateRule[Any],
        stop: StopCriterion,
        max_iter: int,
        quadrature: bool = False,
    ) -> Solution:
        """Solve pairs of a table and a microstructure from their Galerkin solutions."""
        started = time.perf_counter()
        form = self.affine.select(cells).problem(table, self.model.loads[cells])
        start = self.start(table, cells).flatten(0, 1)
        task = Task(form, rule, start, stop, max_iter)
        solve = Run(task, started, self.engine)
        return solve(Detached(), record=False, progress=False, quadrature=quadrature)

    def start(self, table: Coefficients, cells: Codes) -> Vectors:
        """Galerkin displacements of pairs of a table and a microstructure."""
        pairs = torch.arange(len(cells), device=cells.device)
        weights = self.model.weights(self.model.matrix(table))[pairs, cells]
        own = weights[:, self.model.loads.shape[2] :].mT
        displacements = own.new_empty(*own.shape[:2], self.affine.length)
        for cell in cells.unique().tolist():
            displacements[cells == cell] = own[cells == cell] @ self.vectors[cell]
        return displacements

    def save(self, path: str | Path) -> Path:
        """Write everything to HDF5; see :mod:`lsml.reduced.file`.

        Raises
        ------
        ValueError, OSError
            The file cannot be written; what was there before is untouched.
        """
        from lsml.reduced.file import write_basis

        return write_basis(self, path)

    @staticmethod
    def load(path: str | Path) -> "ReducedBasis":
        """Read what :meth:`save` wrote.

        Raises
        ------
        ValueError
            It is none of a reduced basis.
        FileNotFoundError
            There is no such file.
        """
        from lsml.reduced.file import read_basis

        return read_basis(path)

    def __repr__(self) -> str:
        """Cells, displacements, snapshots."""
        s, k, _ = self.vectors.shape
        shape = tuple(self.affine.form.strain.grid.shape)
        rounds, cases = len(self.snapshots), self.model.loads.shape[1]
        return (
            f"ReducedBasis({s} × {shape}, {k} displacements from "
            f"{rounds} snapshots of {cases} load cases)"
        )
