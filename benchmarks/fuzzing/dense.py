"""What a certificate says, held against a direct solution."""

import numpy as np
import torch

import lsml
from fuzzing.outcome import WrongError
from lsml.displacement_form import DisplacementForm
from lsml.strain_form import StrainForm

MOST = 100  # unknowns of a system that is solved directly
EXTREME = 1e6
SLACK = 1e-9  # rounding of the direct solution, relative


def check_solution(image: object, solution: lsml.Solution, seed: int = 0) -> str:
    """Marked converged: finite, and within the bound of a direct solution.

    Raises
    ------
    WrongError
        It is not, or belongs to other labels.
    """
    if not bool(solution.converged.all()):
        if bool((solution.status == lsml.Status.COMPLETED).any()):
            return "solved"
        raise WrongError(f"returned with status {solution.status.tolist()}")
    fields = (solution.strain, solution.stress, solution.error)
    if not all(bool(f.isfinite().all()) for f in fields):
        raise WrongError("CONVERGED with fields that are not finite")
    check_labels(image, solution)
    form = solution.form
    double = form.background.dtype == torch.float64
    if double and DisplacementForm(form).start()[0].numel() <= MOST:
        check_error(solution, form)
    return "solved"


def check_labels(image: object, solution: lsml.Solution) -> None:
    """Solved on the labels that were given."""
    given = image.numpy() if isinstance(image, torch.Tensor) else np.asarray(image)
    kept = solution.form.law.initial()
    if kept is not None and not np.array_equal(
        np.asarray(kept.labels).ravel(), np.asarray(given).ravel().astype(np.int64)
    ):
        raise WrongError("solved on other labels than given")
    if isinstance(image, np.ma.MaskedArray) and np.ma.getmaskarray(image).any():
        raise WrongError("solved with numbers that are masked")


def check_error(solution: lsml.Solution, form: StrainForm) -> None:
    """The C⁰-norm error of the strain is no more than its bound."""
    if max(form.grid.spacing) > EXTREME * min(form.grid.spacing):
        return  # a dense matrix of such voxels has no digits left
    exact = direct(form)
    found = solution.problem.field(solution.state.x)
    whole = torch.zeros_like(exact) + form.spread(solution.mean_strain)
    wrong, mean = norm(form, found - exact), norm(form, whole)
    size = torch.maximum(mean, norm(form, exact))
    bound = solution.error_bound.double() * mean
    if bool((wrong > bound * (1 + 1e-6) + SLACK * size).any()):
        raise WrongError(
            f"error {(wrong / mean).tolist()}, bound {solution.error_bound.tolist()}"
        )


def direct(form: StrainForm) -> torch.Tensor:
    """The field that solves the equations, by a dense matrix of the operator."""
    problem = DisplacementForm(form)
    x = problem.start()
    b, size = x.shape
    columns = []
    for unit in torch.eye(size, dtype=x.dtype):
        columns.append(problem.hessian(x, unit.expand(b, size).contiguous()))
    matrix = torch.stack(columns, 2)
    step = torch.linalg.lstsq(matrix, problem.force(x)[..., None], driver="gelsd")
    return problem.field(x + step.solution[..., 0])


def norm(form: StrainForm, field: torch.Tensor) -> torch.Tensor:
    """√<e : C⁰ e> of each sample."""
    work = (field.conj() * form.reference(field)).real
    return (work.flatten(1).sum(1) / form.grid.size / form.points).clamp_min(0).sqrt()
