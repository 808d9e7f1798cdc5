"""Homogeneous media, bounds, symmetry, Hill-Mandel, and the certified interval."""

import numpy as np
import pytest
import torch
from cells import (
    SCHEMES,
    SHAPES,
    SPACING,
    components,
    distance,
    effective,
    random_labels,
    random_load,
    random_stiffness,
)

import lsml
from lsml import exact

PRECISION = 1e-10
pytestmark = pytest.mark.usefixtures("engine")


def media(shape, batch, seed=0):
    """A table per sample: isotropic, cubic and fully anisotropic."""
    c = components(shape)
    tables = []
    for b in range(batch):
        phases = [
            lsml.isotropic(E=1.0 + b, nu=0.3),
            lsml.cubic(12.0, 5.0, 2.0 + b),
            lsml.anisotropic(random_stiffness(c, seed + b)),
        ]
        tables.append(phases)
    return tables


def matrices(tables, shape):
    """The same as an array (b, p, c, c)."""
    plane = len(shape) == 2
    return torch.stack(
        [
            torch.stack([(p.plane_strain() if plane else p).matrix() for p in row])
            for row in tables
        ]
    )


def random_problem(scheme, shape, batch, load, seed=0):
    return lsml.elasticity(
        random_labels(shape, 3, batch, seed),
        media(shape, batch, seed),
        load,
        scheme,
        spacing=SPACING[: len(shape)],
    )


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("kind", ["isotropic", "cubic", "anisotropic"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_homogeneous_medium(scheme, kind, batch):
    """Theorem: without heterogeneity the strain is the mean strain, found in at most
    one iteration by every rule, and C* = C; under a stress too.

    Catches a Green operator that answers to a uniform polarization, and a first
    residual of rounding taken for the scale of the error.
    """
    for shape in SHAPES:
        c = components(shape)
        phase = {
            "isotropic": lsml.isotropic(E=3.0, nu=0.2),
            "cubic": lsml.cubic(3.0, 1.0, 2.0),
            "anisotropic": lsml.anisotropic(random_stiffness(c, 7)),
        }[kind]
        labels = random_labels(shape, 2, batch)
        c_star = lsml.homogenize(
            labels,
            phases=[phase] * 2,
            discretization=scheme,
            spacing=SPACING[: len(shape)],
        )
        assert int(c_star.iterations.max()) <= 1
        expected = phase.plane_strain() if c == 3 else phase
        expected = expected.matrix().expand(batch, c, c)
        assert distance(c_star.stiffness, expected) < PRECISION
        mean = random_load(c, 1, batch)
        stress = (expected @ mean[..., None])[..., 0]
        for rule in ("cg", "moulinec", "steepest_descent"):
            for load in (lsml.load(strain=mean), lsml.load(stress=stress)):
                problem = lsml.elasticity(labels, [phase] * 2, load, scheme)
                solution = lsml.solve(problem, rule, tol=1e-10)
                assert int(solution.iterations.max()) <= 1
                uniform = mean.reshape(batch, c, *[1] * len(shape))
                assert distance(solution.strain, uniform.expand_as(solution.strain)) < (
                    PRECISION
                )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_reuss_and_voigt_bound_the_effective_stiffness(scheme, shape):
    """Theorem: C_R ≤ C* ≤ C_V as quadratic forms (Hill 1952), on any grid.

    Catches a stiffness applied to the wrong voxel and an energy counted wrongly at
    the quadrature points, whatever the phases.
    """
    labels, tables = random_labels(shape, 3, 3, 4), media(shape, 3, 4)
    c = effective(labels, tables, scheme, SPACING[: len(shape)])
    shares = exact.volume_fractions(labels, 3, len(shape))
    lower = exact.reuss(tables, shares, len(shape))
    upper = exact.voigt(tables, shares, len(shape))
    slack = PRECISION * upper.abs().max()
    assert float(torch.linalg.eigvalsh(c - lower).min()) > -slack
    assert float(torch.linalg.eigvalsh(upper - c).min()) > -slack
    assert float((upper - lower).abs().max()) > 0.1


def test_voigt_and_reuss_are_the_means():
    """Statement: <C> and <C⁻¹>⁻¹ with one table or one per sample, in 2-D and 3-D."""
    shares = [[0.2, 0.5, 0.3], [0.0, 0.4, 0.6]]
    for shape in ((5, 3), (3, 3, 3)):
        tables = media(shape, 2)
        table = matrices(tables, shape)
        weights = torch.tensor(shares, dtype=torch.float64)[..., None, None]
        upper = (weights * table).sum(1)
        lower = torch.linalg.inv((weights * torch.linalg.inv(table)).sum(1))
        assert distance(exact.voigt(tables, shares, len(shape)), upper) < 1e-15
        assert distance(exact.reuss(tables, shares, len(shape)), lower) < 1e-14
        one = exact.voigt(tables[1], shares[1], len(shape))
        assert distance(one, upper[1:]) < 1e-15
    with pytest.raises(ValueError, match="zero stiffness"):
        exact.reuss([lsml.isotropic(E=0.0, nu=0.3)] * 2, [0.5, 0.5])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_stresses_of_unit_strains_make_a_symmetric_matrix(scheme, shape):
    """Theorem: C* = C*ᵀ, columns taken from separate solves and not symmetrized, and
    equal to what `homogenize` returns.

    Catches load cases in another order than (sample, case), and a √2 on one side.
    """
    c = components(shape)
    load = lsml.load(strain=torch.eye(c, dtype=torch.float64)[None])
    problem = random_problem(scheme, shape, 3, load)
    solution = lsml.solve(problem, tol=1e-12)
    columns = solution.mean_stress.unflatten(0, (3, c))
    assert distance(columns, columns.mT) < PRECISION
    assert distance(lsml.homogenize(problem, tol=1e-13).stiffness, columns) < PRECISION


@pytest.mark.parametrize("control", ["strain", "stress", "mixed"])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_hill_mandel_and_the_load(scheme, batch, control):
    """Theorem: <σ : ε> = <σ> : <ε> for equilibrium and compatibility of one scheme,
    with <ε> = load, or <σ> = load, component by component.

    Catches a divergence that is not the transpose of the gradient, averages that
    leave out quadrature points, and free means that were not iterated.
    """
    for shape in SHAPES:
        c = components(shape)
        value = random_load(c, 3, batch)
        fixed = {"strain": c, "stress": 0, "mixed": 2}[control]
        strain, stress = value.clone(), value.clone()
        strain[:, fixed:], stress[:, :fixed] = torch.nan, torch.nan
        load = lsml.load(strain=strain, stress=stress)
        problem = random_problem(scheme, shape, batch, load)
        solution = lsml.solve(problem, tol=1e-12, quadrature=True)
        work = (solution.strain * solution.stress).flatten(3).mean((1, 3)).sum(1)
        means = (solution.mean_strain * solution.mean_stress).sum(1)
        assert distance(work, means) < PRECISION
        assert distance(2 * solution.energy, work) < 1e-13
        whole = torch.cat(
            [solution.mean_strain[:, :fixed], solution.mean_stress[:, fixed:]], 1
        )
        assert distance(whole, value) < PRECISION


@pytest.mark.parametrize("scheme", SCHEMES)
def test_stress_control_is_the_inverse_of_strain_control(scheme):
    """Theorem: the mean strain under a mean stress is C*⁻¹ times it.

    Catches a free mean that stops at the answer of the reference medium.
    """
    for shape in SHAPES[1::2]:
        stress = random_load(components(shape), 3, 3)
        problem = random_problem(scheme, shape, 3, lsml.load(stress=stress))
        c = lsml.homogenize(problem, tol=1e-13).stiffness
        expected = torch.linalg.solve(c, stress[..., None])[..., 0]
        assert distance(lsml.solve(problem, tol=1e-12).mean_strain, expected) < (
            PRECISION
        )


def two_random_phases(shape, contrasts, draw):
    """A table (b, 2, c, c) of anisotropic phases, one contrast per sample."""
    c, seeds = components(shape), draw.integers(10**6, size=(len(contrasts), 2))
    return np.stack(
        [
            np.stack([random_stiffness(c, s[0]), random_stiffness(c, s[1], k)])
            for s, k in zip(seeds, contrasts, strict=True)
        ]
    )


@pytest.mark.parametrize("shape", [(3, 4, 2), (4, 1, 5), (5, 4), (3, 7)])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_certified_interval_contains_the_truth(scheme, shape):
    """Theorem: lower ≤ C*_ii ≤ upper, (upper − lower)/(2 lower) ≤ tol, and off the
    diagonal the error is at most the geometric mean of the widths.

    On 108 random media in all, with 3 or 6 load cases each and contrasts up to 80.
    Catches a bound with the wrong power of λ_min, an energy summed over quadrature
    points instead of averaged, and a residual that the rule only claims.
    """
    draw = np.random.default_rng(sum(shape) + SCHEMES.index(scheme))
    problem = lsml.elasticity(
        random_labels(shape, 2, 9, seed=len(shape)),
        two_random_phases(shape, draw.uniform(1, 20, 9), draw),
        lsml.load(strain=[0.0] * components(shape)),
        scheme,
        spacing=SPACING[: len(shape)],
    )
    fine = lsml.homogenize(problem, tol=1e-12)
    truth, rounding = fine.stiffness.diagonal(dim1=1, dim2=2), 1e-11 * fine.upper
    for tol, rule in ((1e-2, "cg"), (1e-3, "steepest_descent"), (1e-4, "cg")):
        rough = lsml.homogenize(problem, rule, tol=tol)
        assert bool((rough.lower <= truth + rounding).all())
        assert bool((truth <= rough.upper + rounding).all())
        width = rough.upper - rough.lower
        assert bool((width / (2 * rough.lower) <= tol).all())
        error = (rough.stiffness - fine.stiffness).abs()
        allowed = (width[:, :, None] * width[:, None, :]).sqrt()
        assert bool((error <= allowed + rounding.amax()).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_certified_interval_allows_for_rounding(scheme, dtype):
    """A laminate is exact but for rounding, and its modulus must be inside.

    Catches an interval that has no width where the residual has none.
    """
    labels = np.repeat([0, 1, 0], [1, 3, 1]).reshape(5, 1, 1)
    phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=7.0, nu=0.1)]
    found = lsml.homogenize(labels, phases=phases, discretization=scheme, dtype=dtype)
    true = exact.laminate(phases, [0.4, 0.6])[0].diagonal()
    assert (found.lower[0].double() <= true).all()
    assert (true <= found.upper[0].double()).all()
    width = (found.upper - found.lower) / found.upper
    assert (width <= 1e4 * torch.finfo(dtype).eps).all()


def test_with_pores_the_lower_end_is_zero():
    """No lower bound follows from a residual there; catches 0/0 and −∞."""
    found = lsml.homogenize(np.array([0, 1, 1, 0]).reshape(4, 1, 1), contrast=0)
    assert (found.lower == 0).all()
    assert (found.upper >= found.stiffness.diagonal(dim1=1, dim2=2)).all()
