"""The per-phase kernels Γ^h of Kelly & Kalidindi (2021), equations 11 and 22."""

import itertools

import numpy as np
import pytest
import torch
from cells import (
    SCHEMES,
    SPACING,
    components,
    distance,
    generator,
    random_labels,
    random_load,
    random_stiffness,
)

import lsml

SHAPES = [(4, 3, 5), (3, 1, 4), (6, 5)]


def media(shape):
    c = components(shape)
    return [
        lsml.isotropic(E=1.0, nu=0.3),
        lsml.anisotropic(random_stiffness(c, 2)),
        lsml.isotropic(E=8.0, nu=0.2),
    ]


def references(shape):
    return [
        None,
        lsml.isotropic(E=3.0, nu=0.1),
        lsml.anisotropic(random_stiffness(components(shape), 4, 2.0)),
    ]


def problem(scheme, shape, reference=None):
    return lsml.elasticity(
        random_labels(shape, 3, seed=1),
        media(shape),
        lsml.load(strain=random_load(components(shape), 2)),
        scheme,
        spacing=SPACING[: len(shape)],
        reference=reference,
    )


def random_strain(p, batch=3):
    shape = (batch, p.discretization.points * p.law.components, *p.grid.shape)
    return torch.randn(shape, dtype=torch.float64, generator=generator(6))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_sum_of_kernels_is_the_green_operator(scheme, shape):
    """Theorem: Σ_h Γ^h ∗ (m^h ε) = Γ τ(ε) for any ε, on any reference medium, and the
    indicators add up to one.

    Catches a kernel that forgets C⁰, or acts outside of its phase.
    """
    for reference in references(shape):
        p = problem(scheme, shape, reference)
        kernels = lsml.PhaseKernels(p)
        assert kernels.phases == 3
        assert bool((sum(kernels.indicator(h) for h in range(3)) == 1).all())
        x = random_strain(p, 1)
        assert distance(kernels(x), p.green(p.polarization(x))) < 1e-13


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_sum_at_the_solution_does_not_depend_on_the_reference(scheme, shape):
    """Theorem: at the solution the sum is x̄ − ε for every C⁰, isotropic or not; away
    from it, it does depend on C⁰.

    Catches a reference medium that differs between Γ and τ.
    """
    start = problem(scheme, shape)
    solution = lsml.solve(start, tol=1e-13, quadrature=True, throw=False)
    field = solution.strain.flatten(1, 2)
    expected = start.spread(start.background) - field
    other = []
    for reference in references(shape):
        kernels = lsml.PhaseKernels(problem(scheme, shape, reference))
        assert distance(kernels(field), expected) < 1e-10
        other.append(kernels(1.1 * field + 0.1 * random_strain(start, 1)))
    assert distance(other[1], other[2]) > 1e-2


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_stencil_is_the_convolution(scheme, shape):
    """Theorem: for a field that is uniform in each voxel, Γ^h ∗ field is the stencil
    convolved with it, by explicit shifts as by FFT.

    Catches a stencil transposed in its components, or mirrored in space.
    """
    p = problem(scheme, shape)
    kernels, c, q = lsml.PhaseKernels(p), p.law.components, p.discretization.points
    axes = tuple(range(-len(shape), 0))
    field = torch.randn(2, c, *shape, dtype=torch.float64, generator=generator(7))
    for h in range(3):
        stencil = kernels.stencil(h)
        assert stencil.shape == (c, c, *shape)
        points = kernels.convolve(h, field.repeat(1, q, *[1] * len(shape)))
        expected = points.unflatten(1, (q, c)).mean(1)
        shifted = torch.zeros_like(field)
        for offset in itertools.product(*map(range, shape)):
            moved = field.roll(offset, axes)
            shifted += torch.einsum("ij,bj...->bi...", stencil[:, :, *offset], moved)
        assert distance(shifted, expected) < 1e-12
        hat = torch.einsum(
            "ij...,bj...->bi...", torch.fft.fftn(stencil, dim=axes),
            torch.fft.fftn(field, dim=axes),
        )  # fmt: skip
        assert distance(torch.fft.ifftn(hat, dim=axes).real, expected) < 1e-12


@pytest.mark.parametrize("scheme", SCHEMES)
def test_stencil_of_the_mean_is_zero(scheme):
    """Theorem: Γ of a uniform polarization is zero, so a stencil sums to zero."""
    kernels = lsml.PhaseKernels(problem(scheme, (4, 3, 5)))
    stencil = kernels.stencil(1)
    assert float(stencil.flatten(2).sum(2).abs().max() / stencil.abs().max()) < 1e-13


def test_kernels_are_those_of_one_microstructure():
    """Statement: several samples, or an eigenstrain, are refused by name."""
    labels, load = random_labels((3, 4), 2, 2), lsml.load(strain=[1.0, 0, 0])
    phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=2.0, nu=0.3)]
    with pytest.raises(ValueError, match="one microstructure, got 2"):
        lsml.PhaseKernels(lsml.elasticity(labels, phases, load))
    eigen = [[1e-3, 0, 0], None]
    strained = lsml.elasticity(labels[0], phases, load, eigenstrain=eigen)
    with pytest.raises(ValueError, match="without eigenstrain"):
        lsml.PhaseKernels(strained)
    assert np.isfinite(strained.law.eigenfield.numpy()).all()
