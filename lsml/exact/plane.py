"""Two-dimensional conduction, where a rotation by 90° turns fluxes into gradients."""

from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.exact.shares import as64


def checkerboard(first: float, second: float) -> float:
    """κ* = √(κ₁ κ₂), and so for any two phases that can trade places.

    Keller (1964, J. Math. Phys. 5), Dykhne (1971, Sov. Phys. JETP 32).
    """
    return sqrt(first * second)


def obnosov(matrix: float, square: float) -> float:
    """κ* of a square array of squares that fill a quarter of the plane.

    κ* = κ_m √((1 + 3z)/(3 + z)) with z = κ_i/κ_m (Obnosov 1999, SIAM J. Appl. Math.).
    """
    z = square / matrix
    return matrix * sqrt((1 + 3 * z) / (3 + z))


def dual(effective: object, product: float) -> Float[Tensor, "*b 2 2"]:
    """κ* of the medium in which two phases of ``product`` κ₁κ₂ have traded places.

    κ₁κ₂ R κ*⁻¹ Rᵀ for the rotation R by 90°, in any geometry (Keller 1964; Mendelson
    1975, J. Appl. Phys. 46).
    """
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    return product * turn @ torch.linalg.inv(as64(effective)) @ turn.T
