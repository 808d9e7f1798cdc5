"""unocg: its CG with the FANS preconditioner, as its examples call them.

``solver`` is ``CgSolver.solve``, which visits the Gauss points in turn; ``module`` is
the ``torch.nn.Module`` of the same iteration, with all Gauss points in one convolution,
which its authors time. The axes of unocg are z, y, x, so labels are transposed.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import harness
import numpy as np
import torch
from unocg.materials.mechanical import LinearElasticity
from unocg.preconditioners.torch import FansPreconditioner
from unocg.problems import BC
from unocg.problems.mechanical import MechanicalProblem
from unocg.solvers.torch import CgSolver

RESIDUAL = "largest nodal force (maximum norm)"
ORDER = [0, 1, 2, 5, 4, 3]  # from 11 22 33 12 13 23
ROOT = np.sqrt([1, 1, 1, 2, 2, 2])  # Mandel's, on the shear components


class Cells(NamedTuple):
    """A batch of cells in the terms of unocg."""

    problem: MechanicalProblem
    moduli: torch.Tensor
    load: torch.Tensor
    preconditioner: FansPreconditioner


def cells(labels: np.ndarray, contrast: float, dtype: torch.dtype) -> Cells:
    """Problem, moduli of the voxels, load, and FANS for the mean of the moduli."""
    options: dict[str, Any] = {"device": "cpu", "dtype": dtype}
    torch.set_default_dtype(dtype)
    image = torch.from_numpy(labels.transpose(0, 3, 2, 1).copy())
    problem = MechanicalProblem(
        image.shape[1:], LinearElasticity(3, **options), bc=BC.PERIODIC, quad_degree=2
    )
    phases = np.stack(harness.lame(np.arange(2), contrast), axis=-1)
    table = torch.tensor(phases, **options)
    reference = problem.stiffness(table.mean(0))
    return Cells(
        problem,
        problem.get_param_fields(image, table),
        torch.tensor([[1.0, 0, 0, 0, 0, 0]], **options),
        FansPreconditioner(problem, reference),
    )


def solver(cell: Cells, tol: float) -> tuple[torch.Tensor, int]:
    """Displacement and iterations, from ``CgSolver.solve``."""
    result = CgSolver(cell.problem, cell.preconditioner).solve(
        cell.moduli, cell.load, rtol=tol
    )
    return result["sol"], int(result["n_iter"])


def module(cell: Cells, tol: float) -> tuple[torch.Tensor, int]:
    """Displacement and iterations, from the module."""
    cg = CgSolver(cell.problem, cell.preconditioner).get_module(
        cell.moduli.dtype, cell.moduli.device, rtol=tol
    )
    steps: list[None] = []
    cg.iteration_layers[0].register_forward_hook(lambda *_: steps.append(None))
    field = cg(cg.zero_guess(cell.moduli, cell.load), cell.moduli, cell.load)
    return cell.problem.reshape_vec(field), len(steps)


def with_cg(
    cg: Callable[[Cells, float], tuple[torch.Tensor, int]], dtype: torch.dtype
) -> harness.Solve:
    """From labels to the mean stress."""

    @torch.inference_mode()
    def solve(labels: np.ndarray, contrast: float, tol: float) -> harness.Answer:
        cell = cells(labels, contrast, dtype)
        u, iterations = cg(cell, tol)
        response = cell.problem.get_hom_response(u, cell.moduli, cell.load)
        stress = response.reshape(len(labels), 6).double().numpy()[:, ORDER] / ROOT
        return harness.Answer(stress, [iterations] * len(labels))

    return solve


def each(
    cg: Callable[[Cells, float], tuple[torch.Tensor, int]], dtype: torch.dtype
) -> harness.Variant:
    """One cell after the other."""

    def one(image: np.ndarray, contrast: float, tol: float) -> harness.Answer:
        return with_cg(cg, dtype)(image[None], contrast, tol)

    return harness.Variant(harness.one_by_one(one), RESIDUAL)


VARIANTS = {
    "solver": each(solver, torch.float64),
    "module": each(module, torch.float64),
    "module-float32": each(module, torch.float32),
    "batch": harness.Variant(with_cg(solver, torch.float64), RESIDUAL),
}

if __name__ == "__main__":
    harness.main(VARIANTS, ["unocg", "torch"], torch.set_num_threads)
