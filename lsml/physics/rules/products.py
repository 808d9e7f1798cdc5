"""Scalars of Krylov methods, complex where the fields are."""

import torch
from jaxtyping import Inexact
from torch import Tensor

from lsml.numerics import per_sample
from lsml.problem import Problem, Residual
from lsml.typing import Vector


def product(problem: Problem, r: Residual, d: Vector) -> Inexact[Tensor, " b"]:
    """Hermitian product of a residual and the step of another one, linear in ``d``."""
    real = problem.inner(r, d)
    if not d.is_complex():
        return real
    return torch.complex(real, problem.inner(r, -1j * d))


def ratio(
    num: Inexact[Tensor, " b"], den: Inexact[Tensor, " b"]
) -> Inexact[Tensor, " b"]:
    """num/den, and 0 with zero gradient where den vanishes."""
    ok = den.abs() > torch.finfo(den.dtype).tiny
    return torch.where(ok, num, 0) / torch.where(ok, den, 1)


def moved(x: Vector, scale: Inexact[Tensor, " b"], d: Vector) -> Vector:
    """x + scale·d."""
    return x + per_sample(scale, d) * d


def shifted(r: Residual, scale: Inexact[Tensor, " b"], other: Residual) -> Residual:
    """The same of residuals, force and step."""
    return Residual(
        moved(r.force, scale, other.force), moved(r.step, scale, other.step)
    )


def image(problem: Problem, x: Vector, d: Vector) -> Residual:
    """H d, as force and as step."""
    force = problem.hessian(x, d)
    return Residual(force, problem.precondition(force))
