"""Young's, Poisson's and shear constants of a Mandel stiffness, and its anisotropy."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.mandel import DIMENSION, projectors, to_mandel


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


def youngs_modulus(
    stiffness: Float[Tensor, "b c c"], directions: Float[Tensor, "k d"]
) -> Float[Tensor, "b k"]:
    """E(n) of a pull along unit vectors n: 1/E = n⊗n : S : n⊗n.

    Nye (1957), Physical Properties of Crystals, §8. In 2-D it is that of plane strain.
    """
    pull = to_mandel(directions[:, :, None] * directions[:, None, :])
    compliance = torch.linalg.inv(stiffness)
    return 1 / torch.einsum("ki,bij,kj->bk", pull, compliance, pull)


@dataclass(frozen=True)
class Anisotropy:
    """How far a stiffness is from isotropic ones, one row per sample.

    Attributes
    ----------
    K, G : bulk and shear modulus of the nearest isotropic stiffness, that of least
        Euclidean distance |C − C_iso|; they are Voigt's averages. In 2-D K is the bulk
        modulus of the plane, λ + μ.
    K_reuss, G_reuss : those of the nearest isotropic compliance, Reuss's averages.
    distance : |C − C_iso|/|C|, from 0.
    universal : 5 G/G_R + K/K_R − 6 (Ranganathan & Ostoja-Starzewski 2008, Phys. Rev.
        Lett. 101), in 2-D 2 G/G_R + K/K_R − 3; 0 for isotropic ones only.
    log : √(5 ln²(G/G_R) + ln²(K/K_R)) (Kube 2016, AIP Adv. 6), in 2-D with 2 for 5.
    zener : ratio A ≥ 1 of the two shear moduli of the cubic crystal (in 2-D: square
        symmetry) that has this universal index; 1/A has it too.
    isotropic : the nearest one, a Mandel matrix.
    """

    K: Float[Tensor, " b"]
    G: Float[Tensor, " b"]
    K_reuss: Float[Tensor, " b"]
    G_reuss: Float[Tensor, " b"]
    distance: Float[Tensor, " b"]
    universal: Float[Tensor, " b"]
    log: Float[Tensor, " b"]
    zener: Float[Tensor, " b"]
    isotropic: Float[Tensor, "b c c"]


def anisotropy(stiffness: Float[Tensor, "b c c"]) -> Anisotropy:
    """Nearest isotropic stiffness and indices of a Mandel stiffness."""
    d = DIMENSION[stiffness.shape[-1]]
    parts = projectors(stiffness.shape[-1]).to(stiffness)
    rank = parts.diagonal(dim1=1, dim2=2).sum(1)
    voigt = torch.einsum("kij,bij->bk", parts, stiffness) / rank
    compliance = torch.linalg.inv(stiffness)
    reuss = rank / torch.einsum("kij,bij->bk", parts, compliance)
    nearest = torch.einsum("bk,kij->bij", voigt, parts)
    far = (stiffness - nearest).flatten(1).norm(dim=1)
    ratio = voigt / reuss
    universal = (rank * (ratio - 1)).sum(1)
    half = universal * {2: 1.0, 3: 5 / 12}[d]  # (A + 1/A)/2 − 1
    unit = torch.tensor([float(d), 2.0]).to(stiffness)
    bulk, shear = (voigt / unit).unbind(1)
    bulk_reuss, shear_reuss = (reuss / unit).unbind(1)
    return Anisotropy(
        bulk,
        shear,
        bulk_reuss,
        shear_reuss,
        far / stiffness.flatten(1).norm(dim=1),
        universal,
        (rank * ratio.log().square()).sum(1).sqrt(),
        1 + half + (half * (half + 2)).clamp_min(0).sqrt(),
        nearest,
    )
