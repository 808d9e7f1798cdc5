"""Young's, Poisson's and shear constants of a Mandel stiffness."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.mandel import DIMENSION


@dataclass(frozen=True)
class EngineeringConstants:
    """Constants of the compliance S = C⁻¹, one row per sample.

    Attributes
    ----------
    E : 1/S_ii for each axis.
    nu : (b, d, d) with ν_ij = −S_ji/S_ii, the contraction along j under a pull along i;
        NaN on the diagonal.
    G : shear moduli τ/γ with the engineering angle γ = 2ε, in Mandel order 23 13 12
        (2-D: 12).

    In 2-D they are those of plane strain, not of the material.
    """

    E: Float[Tensor, "b d"]
    nu: Float[Tensor, "b d d"]
    G: Float[Tensor, "b s"]


def engineering_constants(stiffness: Float[Tensor, "b c c"]) -> EngineeringConstants:
    """E, ν, G of a Mandel stiffness."""
    compliance = torch.linalg.inv(stiffness)
    d = DIMENSION[stiffness.shape[-1]]
    diagonal = compliance.diagonal(dim1=-2, dim2=-1)
    nu = -compliance[:, :d, :d].transpose(1, 2) / diagonal[:, :d, None]
    itself = torch.eye(d, dtype=torch.bool, device=nu.device)
    nu = nu.masked_fill(itself, torch.nan)
    return EngineeringConstants(1 / diagonal[:, :d], nu, 1 / (2 * diagonal[:, d:]))
