"""Mandel notation, in which tensors of elasticity are vectors and matrices.

Order 11, 22, 33, 23, 13, 12 in 3-D and 11, 22, 12 in 2-D, shear times √2 for stress
and strain alike, so that products of tensors are products of vectors and matrices.
This is the only place that knows the order; Voigt exists in the functions here only.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.discretization import Differential, Words

PAIRS = {
    2: ((0, 0), (1, 1), (0, 1)),
    3: ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)),
}
PLANE = (0, 1, 5)  # the 3-D components that plane strain keeps
DIMENSION = {3: 2, 6: 3}


def components(ndim: int) -> int:
    """Length of a Mandel vector: 3 in 2-D, 6 in 3-D."""
    return len(PAIRS[ndim])


def names(ndim: int) -> tuple[str, ...]:
    """Component names: 11, 22, 33, 23, 13, 12."""
    return tuple(f"{i + 1}{j + 1}" for i, j in PAIRS[ndim])


def symmetric_gradient(ndim: int) -> Differential:
    """Strain from displacement: ε_ij = (∂_i u_j + ∂_j u_i)/2 as a Mandel vector."""
    terms: list[tuple[int, int, int, float]] = []
    for c, (i, j) in enumerate(PAIRS[ndim]):
        if i == j:
            terms.append((c, i, i, 1.0))
        else:
            terms += [(c, i, j, 0.5**0.5), (c, j, i, 0.5**0.5)]
    symbols = (r"\varepsilon", r"\sigma")
    words = Words("strain", "stress", "displacement", "stiffness", names(ndim), symbols)
    return Differential(len(PAIRS[ndim]), ndim, tuple(terms), words)


def basis(ndim: int) -> Float[Tensor, "c d d"]:
    """The orthonormal symmetric tensors whose coefficients are Mandel components."""
    tensors = torch.zeros(components(ndim), ndim, ndim, dtype=torch.float64)
    for c, (i, j) in enumerate(PAIRS[ndim]):
        weight = 1.0 if i == j else 0.5**0.5
        tensors[c, i, j] = tensors[c, j, i] = weight
    return tensors


def to_mandel(tensor: Float[Tensor, "*b d d"]) -> Float[Tensor, "*b c"]:
    """Mandel vector of a symmetric tensor."""
    e = basis(tensor.shape[-1]).to(tensor)
    return torch.einsum("...ij,cij->...c", tensor, e)


def from_mandel(vector: Float[Tensor, "*b c"]) -> Float[Tensor, "*b d d"]:
    """Symmetric tensor of a Mandel vector."""
    e = basis(DIMENSION[vector.shape[-1]]).to(vector)
    return torch.einsum("...c,cij->...ij", vector, e)


def to_mandel4(tensor: Float[Tensor, "*b d d d d"]) -> Float[Tensor, "*b c c"]:
    """Mandel matrix of a fourth-order tensor with minor symmetries."""
    e = basis(tensor.shape[-1]).to(tensor)
    return torch.einsum("cij,...ijkl,ekl->...ce", e, tensor, e)


def from_mandel4(matrix: Float[Tensor, "*b c c"]) -> Float[Tensor, "*b d d d d"]:
    """Fourth-order tensor of a Mandel matrix."""
    e = basis(DIMENSION[matrix.shape[-1]]).to(matrix)
    return torch.einsum("cij,...ce,ekl->...ijkl", e, matrix, e)


def voigt_to_mandel(matrix: Float[Tensor, "*b c c"]) -> Float[Tensor, "*b c c"]:
    """Stiffness from Voigt notation with the same order (engineering shear strain)."""
    scale = _voigt_scale(matrix)
    return matrix * scale[:, None] * scale


def mandel_to_voigt(matrix: Float[Tensor, "*b c c"]) -> Float[Tensor, "*b c c"]:
    """Stiffness in Voigt notation with the same order."""
    scale = _voigt_scale(matrix)
    return matrix / (scale[:, None] * scale)


def _voigt_scale(matrix: Tensor) -> Tensor:
    pairs = PAIRS[DIMENSION[matrix.shape[-1]]]
    scale = [1.0 if i == j else 2**0.5 for i, j in pairs]
    return torch.tensor(scale, dtype=torch.float64).to(matrix)


def rotation(r: Float[Tensor, "*b d d"]) -> Float[Tensor, "*b c c"]:
    """Orthogonal matrix Q that turns Mandel vectors as r turns space: Q C Qᵀ."""
    e = basis(r.shape[-1]).to(r)
    turned = torch.einsum("...ij,cjk,...lk->...cil", r, e, r)
    return torch.einsum("eil,...cil->...ec", e, turned)


def projectors(c: int) -> Float[Tensor, "2 c c"]:
    """Spherical and deviatoric projectors J, K: C = 3K J + 2μ K (2-D: 2(λ+μ) J + …)."""
    unit = to_mandel(torch.eye(DIMENSION[c], dtype=torch.float64))
    spherical = torch.outer(unit, unit) / (unit @ unit)
    return torch.stack([spherical, torch.eye(c, dtype=torch.float64) - spherical])
