"""What a network sees of an elastic iteration: dimensionless thermodynamic fields.

Strain, stress and the preconditioned residual, after Kelly & Kalidindi (2024,
thermodynamically informed iterative neural operators), each in the unit of its own root
mean square, and the moduli of the phases over those of the reference medium. Nothing of
load, units or cell size is left, so that one network can serve them all.
"""

from typing import NamedTuple, TypeGuard

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.mandel import DIMENSION, components, projectors
from lsml.numerics import per_sample, safe_div
from lsml.problem import Problem, Residual, Specimen
from lsml.typing import Field, Mean, PerSample, Vector

SOFTEST = 1e-6  # share of the reference that a pore counts as


class Encodings(NamedTuple):
    """Mandel components, each field of unit mean square; averages over each voxel.

    Attributes
    ----------
    strain, stress : of the iterate; the stress as the strain that it would cause in the
        reference medium.
    step : the preconditioned residual −Γσ, a strain.
    answer : the stress by which the medium answers that step, likewise as a strain.
    local_step, local_answer : the same two at the quadrature points, (b, q·c, *n): what
        varies inside a voxel is no small part of them.
    """

    strain: Field
    stress: Field
    step: Field
    answer: Field
    local_step: Float[Tensor, "b qc *n"]
    local_answer: Float[Tensor, "b qc *n"]


class Phases(NamedTuple):
    """Isotropic moduli of a microstructure.

    Attributes
    ----------
    relative : logarithms of bulk and shear modulus over those of the reference medium.
    reference : twice those of the reference medium: the eigenvalues of its stiffness.
    """

    relative: Float[Tensor, "b 2 *n"]
    reference: Float[Tensor, "b 2"]


def is_elastic(specimen: Specimen | None) -> TypeGuard[Specimen]:
    """Whether a problem shows its phases, and fields of Mandel vectors."""
    if specimen is None:
        return False
    labels, table = specimen.image
    return table.shape[-1] == components(labels.ndim - 1) and not table.is_complex()


def phases_of(specimen: Specimen, mean: Mean) -> Phases:
    """The moduli; of an anisotropic phase, those of the nearest isotropic stiffness.

    Parameters
    ----------
    mean : of the least and the greatest, which makes the reference.
    """
    labels, table = specimen.image
    parts = projectors(table.shape[-1]).to(table)
    sizes = parts.diagonal(dim1=-2, dim2=-1).sum(-1)
    moduli = torch.einsum("bpcd,kcd->bpk", table, parts) / sizes
    reference = mean(moduli.amin(1), moduli.amax(1))
    logarithms = (moduli / reference[:, None]).clamp_min(SOFTEST).log()
    index = labels.flatten(1).long()[:, None].expand(-1, 2, -1)
    spread = logarithms.transpose(1, 2).gather(2, index)
    return Phases(spread.unflatten(2, labels.shape[1:]), reference)


def encoded(
    problem: Problem, x: Vector, residual: Residual, reference: Float[Tensor, "b 2"]
) -> Encodings:
    """Encodings of the iterate x, whose residual has its ``work`` with it.

    The step is enlarged to the size of the load, so that rounding does not swallow it.
    """
    start, step = problem.start(), residual.step
    moved = start + per_sample(enlargement(problem, residual), start) * step
    driven = problem.field(moved) - problem.field(start)
    answer = strain_of(problem.flux(moved) - problem.flux(start), reference)
    voxels = (
        problem.voxel_field(x),
        strain_of(problem.voxel_flux(x), reference),
        *(f.unflatten(1, (problem.points, -1)).mean(1) for f in (driven, answer)),
    )
    return Encodings(*(unit(f.to(step.dtype)) for f in (*voxels, driven, answer)))


def strain_of(
    stress: Float[Tensor, "b qc *n"], reference: Float[Tensor, "b 2"]
) -> Float[Tensor, "b qc *n"]:
    """Strain of the isotropic medium with these eigenvalues of its stiffness."""
    c = components(stress.ndim - 2)
    shear, points = reference.to(stress)[:, 1], stress.unflatten(1, (-1, c))
    normal = DIMENSION[c]
    mean = points[:, :, :normal].mean(2, keepdim=True)
    bulk = reference.to(stress)[:, 0]
    diagonal = points.new_tensor([float(i < normal) for i in range(c)])
    sphere = mean * diagonal.reshape(-1, *[1] * (stress.ndim - 2))
    excess = per_sample(1 / bulk - 1 / shear, sphere)
    return (per_sample(1 / shear, points) * points + excess * sphere).flatten(1, 2)


def unit(field: Field) -> Field:
    """The field over its root mean square; zero stays zero, with zero gradient."""
    square = field.flatten(1).square().mean(1, dtype=torch.float64)
    some = square > 0
    inverse = torch.where(some, square, 1.0).rsqrt() * some
    return field * per_sample(inverse, field)


def enlargement(problem: Problem, residual: Residual) -> PerSample:
    """Size of the load over that of a residual; 0 for 0/0."""
    size = problem.norm(residual).detach()
    return safe_div(problem.magnitude().detach().to(size), size)
