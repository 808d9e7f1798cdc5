"""Localization, anisotropy and complex effective tensors against what they must be."""

import numpy as np
import pytest
import torch
from cells import (
    SPACING,
    distance,
    random_labels,
    random_rotations,
    random_stiffness,
)

import lsml
from lsml import exact
from lsml.engineering import anisotropy
from lsml.mandel import rotation

PHASES = [lsml.isotropic(E=1.0, nu=0.1), lsml.isotropic(E=9.0, nu=0.4)]
COMPLEX = [1.0 + 0.2j, 6.0 - 2.5j, 0.3 + 0.0j]


def tight(shape, scheme="rotated", phases=PHASES, batch=2):
    """C* to rounding."""
    return lsml.homogenize(
        random_labels(shape, len(phases), batch),
        phases=phases,
        discretization=scheme,
        spacing=SPACING[: len(shape)],
        tol=1e-13,
    )


@pytest.mark.parametrize(
    ("shape", "scheme"), [((3, 2, 4), "rotated"), ((5, 4), "hex8"), ((3, 5), "fourier")]
)
def test_localization_averages_to_the_unit_and_to_the_stiffness(shape, scheme):
    """Theorem: <A> = 1, <C A> = C*, <B> = 1, and B C* = C A at every voxel.

    Catches rows and columns of A swapped, which a symmetric C* would hide.
    """
    found = tight(shape, scheme)
    law = found.solution.form.law
    c = law.table[0][law.labels.long()].movedim((-2, -1), (1, 2))
    a, b = found.localization, found.concentration
    unit = torch.eye(a.shape[1], dtype=a.dtype).expand_as(found.stiffness)
    assert distance(a.flatten(3).mean(3), unit) < 1e-12
    stress = torch.einsum("sij...,sjk...->sik...", c, a)
    assert distance(stress.flatten(3).mean(3), found.stiffness) < 1e-7
    assert distance(b.flatten(3).mean(3), unit) < 1e-6
    assert (
        distance(torch.einsum("sij...,sjk->sik...", b, found.stiffness), stress) < 1e-12
    )
    assert float((a - a.transpose(1, 2)).abs().max()) > 0.05


def test_localization_gives_the_strain_of_any_load():
    """Theorem: ε(x) = A(x) ε̄, by another solve."""
    labels, mean = random_labels((4, 3, 2), 2), torch.linspace(-1, 1, 6).double()
    found = lsml.homogenize(labels, phases=PHASES, tol=1e-13)
    problem = lsml.elasticity(labels, PHASES, lsml.load(strain=mean))
    strain = lsml.solve(problem, tol=1e-11).strain
    expected = torch.einsum("sij...,j->si...", found.localization, mean)
    assert distance(strain, expected) < 1e-7


def test_localization_gives_the_thermal_expansion():
    """Theorem (Levin 1967, any number of phases): C* α* = <Aᵀ C α>.

    Against a solve without mean stress; catches A for its transpose.
    """
    phases = [lsml.anisotropic(random_stiffness(6, seed)) for seed in range(3)]
    alpha = torch.randn(3, 6, generator=torch.Generator().manual_seed(1)).double()
    labels = random_labels((3, 4, 2), 3)
    found = lsml.homogenize(labels, phases=phases, tol=1e-13)
    law = found.solution.form.law
    stress = torch.einsum("pij,pj->pi", law.table[0], alpha)[law.labels.long()]
    mean = torch.einsum("sji...,s...j->si...", found.localization, stress)
    expected = torch.linalg.solve(found.stiffness, mean.flatten(2).mean(2))
    free = lsml.thermal_expansion(labels, phases, list(alpha), tol=1e-11)
    assert distance(free.strain, expected) < 1e-7


def test_localization_in_conduction():
    """Theorem: <A> = 1 and <κ A> = κ* for a complex κ, too."""
    labels = random_labels((4, 5), 3, 2)
    problem = lsml.conductivity(labels, COMPLEX, [1.0, 0.0])
    found = lsml.homogenize(problem, "bicgstab", tol=1e-10)
    kappa = torch.tensor(COMPLEX)[torch.from_numpy(labels)][:, None, None]
    a = found.localization
    assert distance((kappa * a).flatten(3).mean(3), found.stiffness) < 1e-7
    assert distance(a.flatten(3).mean(3), torch.eye(2).expand(2, 2, 2)) < 1e-12


@pytest.mark.parametrize("rule", ["bicgstab", "moulinec"])
@pytest.mark.parametrize("scheme", ["rotated", "hex8", "staggered"])
def test_complex_laminate(scheme, rule):
    """Theorem: layers conduct in parallel and in series, with complex κ as with real.

    Catches a Hermitian product where the bilinear one is meant: κ* would be that of
    the conjugate in places.
    """
    layers = np.array([0, 1, 2, 2, 1])
    labels = np.broadcast_to(layers[:, None], (5, 3))
    problem = lsml.conductivity(labels, COMPLEX, [1.0, 0.0], scheme)
    found = lsml.homogenize(problem, rule, tol=1e-9).stiffness[0]
    kappa = np.array(COMPLEX)[layers]
    expected = np.diag([1 / (1 / kappa).mean(), kappa.mean()])
    assert distance(found, expected) < 1e-10


def test_complex_tensor_is_symmetric_and_certified():
    """Theorem: κ* = κ*ᵀ without conjugation; the disk of a rough solve holds the tight
    value, and its radius is of second order in the residual.

    Catches a radius that bounds the real part only, and mean flux for Galerkin's value.
    """
    crystal = np.array([[3.0 - 1j, 0.5j], [0.5j, 1.0]])
    problem = lsml.conductivity(
        random_labels((5, 6), 2), [np.eye(2) + 0j, crystal], [1.0, 0.0]
    )
    exactly = lsml.homogenize(problem, "bicgstab", tol=1e-11)
    rough = lsml.homogenize(problem, "moulinec", tol=3e-2)
    assert distance(exactly.stiffness, exactly.stiffness.mT) < 1e-15
    assert float(exactly.stiffness.imag.abs().max()) > 0.05
    miss = (rough.stiffness - exactly.stiffness).diagonal(dim1=1, dim2=2).abs()
    radius = (rough.upper - rough.lower) / 2
    assert bool((miss <= radius).all())
    assert bool((radius < 1e-2).all())
    assert bool((exactly.upper - exactly.lower < 1e-10).all())


def test_complex_multiple_of_a_real_problem():
    """Theorem: κ* of exp(iφ) κ is exp(iφ) κ*."""
    labels, turn = random_labels((4, 5), 2), np.exp(0.7j)
    real = lsml.conductivity(labels, [1.0, 7.0], [1.0, 0.0])
    turned = lsml.conductivity(labels, [turn, 7.0 * turn], [1.0, 0.0])
    expected = turn * np.asarray(lsml.homogenize(real, tol=1e-13))
    found = lsml.homogenize(turned, "bicgstab", tol=1e-10)
    assert distance(np.asarray(found), expected) < 1e-10


def test_conjugate_gradients_refuse_complex_moduli():
    """In one sentence that names what is missing."""
    problem = lsml.conductivity(random_labels((3, 4), 3), COMPLEX, [1.0, 0.0])
    with pytest.raises(ValueError, match="symmetric"):
        lsml.homogenize(problem)
    with pytest.raises(ValueError, match="scalars of conjugate gradients"):
        lsml.homogenize(problem, "bicgstab", stop="predict")


def test_isotropic_stiffness_has_no_anisotropy():
    """Theorem: the nearest isotropic stiffness of an isotropic one is itself.

    In 2-D its bulk modulus is λ + μ.
    """
    phase = lsml.isotropic(lam=2.0, mu=0.5)
    for c, bulk in (
        (phase.matrix()[None], 2.0 + 2 * 0.5 / 3),
        (phase.plane_strain().matrix()[None], 2.5),
    ):
        found = anisotropy(c)
        assert float(found.K) == pytest.approx(bulk)
        assert float(found.G) == pytest.approx(0.5)
        assert float(found.K_reuss) == pytest.approx(bulk)
        for index in (found.distance, found.universal, found.log):
            assert abs(float(index)) < 1e-12
        assert float(found.zener) == pytest.approx(1.0, abs=1e-6)
        assert distance(found.isotropic, c) < 1e-14


@pytest.mark.parametrize("ratio", [0.2, 3.0])
def test_indices_of_cubic_crystals(ratio):
    """Theorem: for cubic crystals A^U = (6/5)(√A − 1/√A)², so that ``zener`` is
    2 C44/(C11 − C12) or its inverse; in the plane it is the same for square symmetry.
    """
    crystal = lsml.cubic(5.0, 2.0, 1.5 * ratio)
    found = anisotropy(crystal.matrix()[None])
    zener = max(ratio, 1 / ratio)
    expected = 1.2 * (zener**0.5 - zener**-0.5) ** 2
    assert float(found.universal) == pytest.approx(expected)
    assert float(found.zener) == pytest.approx(zener)
    plane = anisotropy(crystal.plane_strain().matrix()[None])
    assert float(plane.zener) == pytest.approx(zener)


def test_nearest_isotropic_stiffness_is_nearest_and_turns_with_nothing():
    """Theorem: what is left is orthogonal to all isotropic tensors; indices and moduli
    do not depend on the orientation.

    Catches projectors that are not normalized by their rank.
    """
    c = torch.as_tensor(random_stiffness(6, 5))[None]
    found = anisotropy(c)
    rest = c - found.isotropic
    for other in (lsml.isotropic(K=1.0, G=2.0), lsml.isotropic(K=3.0, G=0.1)):
        assert abs(float((rest * other.matrix()).sum())) < 1e-12
    q = rotation(torch.as_tensor(random_rotations(1, 2)))
    turned = anisotropy(q @ c @ q.mT)
    for name in ("K", "G", "K_reuss", "G_reuss", "distance", "universal", "log"):
        a, b = getattr(found, name), getattr(turned, name)
        assert float(a) == pytest.approx(float(b)), name
    assert float(found.K) > float(found.K_reuss)


def test_effective_stiffness_tells_its_anisotropy():
    """A laminate is anisotropic; a conductivity has no elastic anisotropy."""
    layers = np.broadcast_to(np.array([0, 1, 1])[:, None, None], (3, 2, 2))
    found = lsml.homogenize(layers, phases=PHASES, tol=1e-12)
    shares = exact.volume_fractions(layers, 2)
    expected = anisotropy(exact.laminate(PHASES, shares))
    assert distance(found.anisotropy().universal, expected.universal) < 1e-8
    problem = lsml.conductivity(layers, [1.0, 2.0], [1.0, 0, 0])
    with pytest.raises(ValueError, match="no elastic anisotropy"):
        lsml.homogenize(problem).anisotropy()
