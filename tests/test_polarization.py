"""Polarization schemes against their original forms, in dense NumPy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from cells import random_labels, random_load, random_stiffness
from dense_systems import iterates

import lsml
from lsml.displacement_form import DisplacementForm
from lsml.law import PhaseLaw, Uniform
from lsml.physics.rules.means import geometric
from lsml.rule import arithmetic
from lsml.testing import small_case
from lsml.testing.problems import in_strain
from lsml.unroll import unroll

RULES = [
    lsml.EyreMilton(),
    lsml.AugmentedLagrangian(),
    lsml.MonchietBonnet(),
    lsml.Polarization(1.7, 0.9),
]
CASES = [
    small_case("fourier", in_strain, (5, 3), 1),
    small_case("rotated", in_strain, (3, 2, 3), 1),
    small_case("hex8", in_strain, (3, 2), 1, mixed=True),
    small_case("rotated", in_strain, (3, 4), 1, mixed=True),
]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


class Matrices:
    """C, C⁰ and the projector on compatible fields of a problem, one block per point.

    The projector comes from a basis of gradients, without any Green operator.
    """

    def __init__(self, problem):
        start = problem.start()
        k, voxels = start.shape[1], problem.grid.size
        self.points = k // problem.law.components * voxels
        self.shape = start.shape
        self.c = self.of(lambda d: problem.law.tangent(start, d), start)
        self.c0 = self.of(problem.reference, start)
        self.eigen = -problem.law(0 * start).numpy().ravel()  # C x*
        self.mean = start.numpy().ravel()  # x̄
        self.prescribed = problem.spread(problem.load.flux).expand(start.shape)
        self.prescribed = self.prescribed.numpy().ravel()
        m = problem.discretization.differential.potentials
        unit = torch.eye(m * voxels, dtype=start.dtype)
        unit = unit.reshape(m * voxels, m, *problem.grid.shape)
        basis = problem.discretization.gradient(unit).flatten(1).numpy().T
        free = problem.load.free
        uniform = problem.spread(torch.diag(free[0])).expand(-1, *start.shape[1:])
        basis = np.concatenate([basis, uniform.flatten(1).numpy().T], 1)
        left, size, _ = np.linalg.svd(basis, full_matrices=False)
        b = left[:, size > 1e-10 * size[0]]
        self.gamma = b @ np.linalg.solve(b.T @ self.c0 @ b, b.T)

    @staticmethod
    def of(apply, like):
        unit = torch.eye(like.numel(), dtype=like.dtype).reshape(-1, *like.shape[1:])
        return np.stack([apply(e[None]).numpy().ravel() for e in unit], 1)


@each_case
@pytest.mark.parametrize("rule", RULES, ids=lambda r: f"{r.alpha:.1f}-{r.beta:.1f}")
def test_iterates_are_those_of_the_polarization(rule, case):
    """Theorem: x = (C + C⁰)⁻¹ P, P ← P − α C⁰Γ(σ − σ̄) − β C⁰(x − x̄ − ΓC⁰(x − x̄)).

    Equations 14-17 of Moulinec & Silva (2014) with dense matrices, Γ from a basis of
    gradients. Catches a sign of the reference medium, α and β exchanged, an eigenstrain
    or a mean stress that is left out, and a resolvent of the wrong microstructure.
    """
    problem = case.strain_form(rule.reference)
    m = Matrices(problem)
    inverse = np.linalg.inv(m.c + m.c0)
    p = (m.c + m.c0) @ m.mean - m.eigen  # σ(x̄) + C⁰ x̄
    expected = []
    for _ in range(7):
        x = inverse @ (p + m.eigen)
        expected.append(x)
        flux, off = m.c @ x - m.eigen, x - m.mean
        balance = m.c0 @ m.gamma @ (flux - m.prescribed)
        apart = m.c0 @ (off - m.gamma @ m.c0 @ off)
        p = p - rule.alpha * balance - rule.beta * apart
    found = iterates(problem, rule, 6)
    scale = np.abs(m.mean).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * scale)


@each_case
def test_eyre_milton_is_the_reflected_series(case):
    """Theorem: P ← 2C⁰x̄ + (I − 2C⁰Γ)(C − C⁰)(C + C⁰)⁻¹ P (Eyre & Milton 1999).

    Two reflections, one in real space and one in Fourier space; without eigenstrain and
    mean stress, for which their form is stated. Catches a damped step in its place.
    """
    plain = replace(case, eigenstrain=None)
    problem = plain.strain_form(geometric)
    if bool(problem.load.free.any()):
        pytest.skip("stated for a prescribed mean strain")
    m = Matrices(problem)
    ratio = (m.c - m.c0) @ np.linalg.inv(m.c + m.c0)
    reflection = np.eye(len(ratio)) - 2 * m.c0 @ m.gamma
    p, expected = (m.c + m.c0) @ m.mean, []
    for _ in range(7):
        expected.append(np.linalg.solve(m.c + m.c0, p))
        p = 2 * m.c0 @ m.mean + reflection @ ratio @ p
    found = iterates(problem, lsml.EyreMilton(), 6)
    scale = np.abs(m.mean).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * scale)


@each_case
def test_augmented_lagrangian_is_uzawas_iteration(case):
    """Theorem: α = β = 1 is ALG2 of Michel, Moulinec & Suquet (2000), three fields.

    ε compatible, e local, λ a multiplier: minimize the augmented Lagrangian in ε, then
    in e, then λ ← λ + C⁰(ε − e). Catches a step of the wrong member of the family.
    """
    problem = case.strain_form(geometric)
    m = Matrices(problem)
    e, expected = m.mean, []
    multiplier = m.c @ e - m.eigen
    for _ in range(7):
        expected.append(e)
        drive = m.c0 @ (e - m.mean) - (multiplier - m.prescribed)
        strain = m.mean + m.gamma @ drive
        e = np.linalg.solve(m.c + m.c0, multiplier + m.c0 @ strain + m.eigen)
        multiplier = multiplier + m.c0 @ (strain - e)
    found = iterates(problem, lsml.AugmentedLagrangian(), 6)
    scale = np.abs(m.mean).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * scale)


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("kind", ["isotropic", "anisotropic"])
def test_resolvent_inverts_the_law(kind, samples):
    """Theorem: (σ + S)⁻¹ (σ(x) + S x) = x, at every point of every sample.

    Two load cases on each microstructure, tables and eigenstrains of their own.
    Catches an inverse of the wrong sample's table, a sign of the eigenfield, and a
    pattern of entries that the inverse does not follow.
    """
    labels = torch.from_numpy(random_labels((3, 4), 3, samples))
    if kind == "isotropic":
        stiffness = [lsml.isotropic(E=e, nu=0.2).plane_strain() for e in (1, 5, 0)]
        table = torch.stack([s.matrix() for s in stiffness]).expand(samples, 3, 3, 3)
        shift = lsml.isotropic(E=2.0, nu=0.4).plane_strain().matrix()
        shift = shift.expand(samples, 3, 3)
    else:
        tables = [[random_stiffness(3, 9 * s + k) for k in range(3)] for s in
                  range(samples)]  # fmt: skip
        table = torch.tensor(np.array(tables))
        shift = torch.tensor(np.array([random_stiffness(3, 70 + s) for s in
                                       range(samples)]))  # fmt: skip
    eigen = random_load(3, 5, 3 * samples).reshape(samples, 3, 3)
    entries = tuple((i, j, 3 * i + j) for i in range(3) for j in range(3))
    law = PhaseLaw(labels, table.reshape(samples, 3, 9), entries, eigen)
    x = torch.randn(2 * samples, 2 * 3, 3, 4).double()
    again = law.resolvent(shift)(law(x) + Uniform(shift)(x))
    torch.testing.assert_close(again, x, rtol=0, atol=1e-12)


def test_resolvent_keeps_the_pattern_of_isotropic_phases():
    """Three moduli per phase stay three: the inverse is not spread as 21.

    Catches the general pattern in the place of the cubic one, six times the work.
    """
    phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=9.0, nu=0.2)]
    load = lsml.load(strain=[1e-3, 0, 0, 0, 0, 0])
    problem = lsml.elasticity(random_labels((3, 2, 4)), phases, load)
    inverse = problem.law.resolvent(problem.reference.matrix)
    assert inverse.entries == problem.law.entries
    tables = problem.law.table + problem.reference.matrix[:, None]
    unit = torch.eye(6).double().expand_as(tables)
    torch.testing.assert_close(inverse.table @ tables, unit)


def test_reference_is_the_geometric_mean():
    """√(κ₁κ₂), modulus by modulus; a pore leaves a medium that can be inverted."""
    phases = [lsml.isotropic(K=2.0, G=1.0), lsml.isotropic(K=50.0, G=16.0)]
    load = lsml.load(strain=[1e-3, 0, 0, 0, 0, 0])
    problem = lsml.elasticity(random_labels((3, 2, 2)), phases, load)
    found = problem.referred(lsml.EyreMilton().reference).reference.matrix[0]
    expected = lsml.isotropic(K=10.0, G=4.0).matrix()
    torch.testing.assert_close(found, expected)
    pore = geometric(torch.zeros(1).double(), torch.ones(1).double())
    assert 0 < float(pore) < 1


@pytest.mark.parametrize("rule", RULES[:3], ids=lambda r: type(r).__name__)
def test_solve_takes_the_strain_form(rule):
    """`lsml.solve` iterates on strains, because these rules leave compatible ones.

    The driver alone, given displacements, says what they lack. Catches a refusal of a
    rule by name under the default form.
    """
    labels = random_labels((4, 5, 3), batch=2)
    found = lsml.solve(labels, rule, tol=1e-9, max_iter=200)
    expected = lsml.solve(labels, "cg", tol=1e-10)
    gap = (found.strain - expected.strain).abs().max() / expected.strain.abs().max()
    assert gap < 1e-7
    problem = DisplacementForm(found.problem)
    with pytest.raises(ValueError, match=r"needs a problem that is \['resolvable'\]"):
        unroll(problem, rule)


@pytest.mark.parametrize("rule", RULES[1:3], ids=lambda r: type(r).__name__)
def test_damped_schemes_converge_with_pores(rule):
    """Theorem: α = β < 2 converges at infinite contrast (Douglas & Rachford 1956).

    In 2-D, pores that touch each other only at corners. Catches a reference medium that
    a pore makes singular.
    """
    labels = np.zeros((12, 12), int)
    labels[3:7, 2:9] = 1
    phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=0.0, nu=0.0)]
    options = {"phases": phases, "load": lsml.load(strain=[1e-3, 2e-4, 5e-4])}
    found = lsml.solve(labels, rule, tol=1e-6, max_iter=2000, **options)
    expected = lsml.solve(labels, "cg", tol=1e-8, **options)
    gap = (found.mean_stress - expected.mean_stress).abs().max()
    assert gap < 1e-4 * expected.mean_stress.abs().max()


@pytest.mark.parametrize("bad", [0.0, 2.1, -1.0, float("nan")])
def test_parameters_out_of_range_are_refused(bad):
    """The family diverges outside ]0, 2]."""
    with pytest.raises(ValueError, match=r"alpha = .* must be above 0 and at most 2"):
        lsml.Polarization(bad, 1.0)


def test_moulinec_reference_is_not_used():
    """The geometric mean, not the midrange, is what gives O(√κ)."""
    assert lsml.EyreMilton().reference is geometric
    assert lsml.Moulinec().reference is arithmetic
