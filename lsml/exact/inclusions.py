"""A sphere in an infinite medium, and mixtures that are made of it (Eshelby 1957)."""

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.mandel import projectors
from lsml.physics.phases import Phase, fitted


def eshelby_sphere(nu: float) -> Float[Tensor, "6 6"]:
    """Eshelby's tensor of a sphere, ε = S ε*, in a matrix of Poisson's ratio ν.

    S = α J + β K with α = (1 + ν)/(3(1 − ν)), β = 2(4 − 5ν)/(15(1 − ν)) (Eshelby 1957,
    Proc. R. Soc. A 241).
    """
    spherical, deviatoric = projectors(6)
    alpha = (1 + nu) / (3 * (1 - nu))
    beta = 2 * (4 - 5 * nu) / (15 * (1 - nu))
    return alpha * spherical + beta * deviatoric


def sphere_localization(matrix: Phase, sphere: Phase) -> Float[Tensor, "6 6"]:
    """Strain of a sphere per strain far away, A = (I + S C_m⁻¹ (C_i − C_m))⁻¹.

    Parameters
    ----------
    matrix : isotropic stiffness around it.
    sphere : its own, of any anisotropy; zero makes a hole.

    Raises
    ------
    ValueError
        The matrix is not isotropic.
    """
    outer, inner = _matrix(matrix), _matrix(sphere)
    spherical, deviatoric = projectors(6)
    bulk = float((spherical * outer).sum()) / 3
    shear = float((deviatoric * outer).sum()) / 10
    isotropic = 3 * bulk * spherical + 2 * shear * deviatoric
    if bool(((outer - isotropic).abs() > 1e-9 * outer.abs().max()).any()):
        raise ValueError(
            "matrix must be isotropic, as Eshelby's tensor here is for one"
        )
    nu = (3 * bulk - 2 * shear) / (2 * (3 * bulk + shear))
    unit = torch.eye(6, dtype=torch.float64)
    misfit = torch.linalg.solve(outer, inner - outer)
    return torch.linalg.inv(unit + eshelby_sphere(nu) @ misfit)


def dilute_spheres(
    matrix: Phase, sphere: Phase, fraction: float
) -> Float[Tensor, "6 6"]:
    """C* = C_m + f (C_i − C_m) A, to first order in the volume fraction f."""
    outer, inner = _matrix(matrix), _matrix(sphere)
    return outer + fraction * (inner - outer) @ sphere_localization(matrix, sphere)


def mori_tanaka(matrix: Phase, sphere: Phase, fraction: float) -> Float[Tensor, "6 6"]:
    """C* = C_m + f (C_i − C_m) A ((1 − f) I + f A)⁻¹ (Mori & Tanaka 1973).

    Of isotropic spheres the Hashin-Shtrikman bound with the matrix as reference.
    """
    outer, inner = _matrix(matrix), _matrix(sphere)
    a = sphere_localization(matrix, sphere)
    unit = torch.eye(6, dtype=torch.float64)
    mean = torch.linalg.inv((1 - fraction) * unit + fraction * a)
    return outer + fraction * (inner - outer) @ a @ mean


def _matrix(phase: Phase) -> Tensor:
    return fitted(phase, 3).matrix().detach().double()
