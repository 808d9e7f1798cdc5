"""Identities that effective stiffnesses obey on any voxel image, to machine precision.

Sources: Milton (2002) and the papers named in `lsml.exact`. Fourier and rotated grids
with an even axis miss Nyquist modes; where that breaks an identity, the amount has a
closed form too, and is what is tested.
"""

import numpy as np
import pytest
import torch
from cells import (
    SCHEMES,
    SPACING,
    components,
    distance,
    effective,
    random_labels,
    random_rotations,
    random_stiffness,
)

import lsml
from lsml import exact
from lsml.mandel import PAIRS, rotation

PRECISION = 1e-10
ISOTROPIC = [(1.0, 0.1), (12.0, 0.4), (0.3, -0.2)]  # E, ν
pytestmark = pytest.mark.usefixtures("engine")


def axis_to(axis, ndim):
    """The permutation that takes the first axis of space to another."""
    r = np.zeros((ndim, ndim))
    for i in range(ndim):
        r[(i + axis) % ndim, i] = 1.0
    return torch.from_numpy(r)


def layers(shape, axis, phases, batch, seed):
    """Images that vary along one axis only, with layers of random thickness."""
    profile = random_labels((shape[axis],), phases, batch, seed)
    profile = profile.reshape(
        batch, *(-1 if a == axis else 1 for a in range(len(shape)))
    )
    return np.broadcast_to(profile, (batch, *shape)).copy()


def assert_laminate(scheme, shape, axis, batch, seed):
    ndim, c = len(shape), components(shape)
    labels = layers(shape, axis, 3, batch, seed)
    phases = torch.stack(
        [
            torch.stack(
                [
                    torch.from_numpy(random_stiffness(c, seed + 10 * b + h, 5.0**h))
                    for h in range(3)
                ]
            )
            for b in range(batch)
        ]
    )
    q = rotation(axis_to(axis, ndim))
    shares = exact.volume_fractions(labels, 3, ndim)
    found = effective(labels, q @ phases @ q.T, scheme, SPACING[:ndim])
    expected = q @ exact.laminate(phases, shares, ndim) @ q.T
    assert distance(found, expected) < PRECISION


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_layers_of_any_anisotropy_along_any_axis(scheme, axis, batch):
    """Theorem: the laminate formula (Backus 1962) is exact on the grid.

    For `rotated` and `hex8` at any number of layers, for `fourier` if it is odd.
    Catches exchanged axes or shear components, a lost √2, a spacing that changes a
    field which cannot depend on it, and tables given to the wrong sample.
    """
    odd, even = [3, 2, 4], [2, 1, 3]
    odd[axis], even[axis] = 7, 6
    assert_laminate(scheme, tuple(odd), axis, batch, seed=axis)
    if scheme != "fourier":
        assert_laminate(scheme, tuple(even), axis, batch, seed=axis + 50)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_layers_in_the_plane(scheme, axis):
    """Theorem: as in space, with the (3, 3) matrices of a plane problem.

    Catches a 2-D code path with its own order of components.
    """
    for n in (9, 8) if scheme != "fourier" else (9, 7):
        shape = (n, 4) if axis == 0 else (2, n)
        assert_laminate(scheme, shape, axis, 3, seed=n)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_layers_of_hooke_phases(scheme):
    """Theorem: C11* = 1/<1/C11>, C66* = 1/<1/C66>, C12* = <λ/C11>/<1/C11>,
    C22* = <C11 − λ²/C11> + <λ/C11>²/<1/C11>.

    Catches an error that `exact.laminate` would share with the solver.
    """
    labels = layers((7, 2, 3), 0, 3, 3, seed=4)
    phases = [lsml.isotropic(E=E, nu=nu) for E, nu in ISOTROPIC]
    lam = torch.tensor(
        [E * nu / ((1 + nu) * (1 - 2 * nu)) for E, nu in ISOTROPIC], dtype=torch.float64
    )
    mu = torch.tensor([E / (2 * (1 + nu)) for E, nu in ISOTROPIC], dtype=torch.float64)
    c11, shares = lam + 2 * mu, exact.volume_fractions(labels, 3, 3)

    def mean(values):
        return shares @ values

    c = effective(labels, phases, scheme, SPACING)
    for (i, j), expected in {
        (0, 0): 1 / mean(1 / c11),
        (4, 4): 2 / mean(1 / mu),
        (5, 5): 2 / mean(1 / mu),
        (3, 3): 2 * mean(mu),
        (0, 1): mean(lam / c11) / mean(1 / c11),
        (1, 1): mean(c11 - lam**2 / c11) + mean(lam / c11) ** 2 / mean(1 / c11),
        (2, 1): mean(lam - lam**2 / c11) + mean(lam / c11) ** 2 / mean(1 / c11),
    }.items():
        assert distance(c[:, i, j], expected) < PRECISION, (i, j)
    assert distance(exact.laminate(phases, shares), c) < PRECISION


@pytest.mark.parametrize("shape", [(8, 3), (6, 2, 3)])
def test_fourier_misses_even_layers_by_the_nyquist_mode(shape):
    """Theorem: with an even number of layers the strain has no component along
    ν = (1, −1, 1, …), so that C11* = a/(a² − b²), a = <1/C11>, b = <ν/C11>.

    Catches a Nyquist mode that is not treated as the module states. If each layer is
    two voxels thick, b = 0 and the laminate is exact.
    """
    labels = layers(shape, 0, 3, 3, seed=6)
    phases = [lsml.isotropic(E=E, nu=nu) for E, nu in ISOTROPIC]
    c11 = np.array([float(p.moduli[0]) for p in phases])
    sign = (-1.0) ** np.arange(shape[0])
    soft = 1 / c11[labels.reshape(3, shape[0], -1)[:, :, 0]]
    a, b = soft.mean(1), (sign * soft).mean(1)
    found = effective(labels, phases, "fourier")[:, 0, 0]
    assert np.abs(b).min() > 1e-3
    assert distance(found, a / (a**2 - b**2)) < PRECISION
    thick = labels.repeat(2, 1)
    found = effective(thick, phases, "fourier")
    assert distance(found[:, 0, 0], 1 / a) < PRECISION


def unseen(scheme, shape):
    """Orthonormal functions (k, voxels) on which the scheme has no gradient, 1 first.

    From the statement in the module: `fourier` has none where every axis is at
    frequency zero or Nyquist, `rotated` none at Nyquist along two axes or more.
    """
    modes = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).reshape(
        len(shape), -1
    )
    n = np.array(shape)[:, None]
    nyquist = 2 * modes == n
    blind = {
        "fourier": (nyquist | (modes == 0)).all(0),
        "rotated": (nyquist.sum(0) >= 2) | (modes == 0).all(0),
    }[scheme]
    waves = np.exp(2j * np.pi * (modes[:, blind] / n).T @ modes)
    waves = waves[np.argsort(np.abs(waves - 1).sum(1))][1:]
    rest = np.concatenate([waves.real, waves.imag])
    _, s, v = np.linalg.svd(rest, full_matrices=False)
    rest = v[s > 1e-8 * max(1.0, s.max(initial=0.0))] * np.sqrt(n.prod())
    return np.concatenate([np.ones((1, modes.shape[1])), rest])


@pytest.mark.parametrize(
    "shape", [(5, 7, 3), (3, 1, 5), (7, 9), (4, 6, 5), (4, 2, 6), (6, 8), (4, 5)]
)
@pytest.mark.parametrize("scheme", ["fourier", "rotated"])
def test_hill_equal_shear_modulus(scheme, shape):
    """Theorem: phases of one shear modulus μ are isotropic together, with
    1/(K* + 4μ/3) = <1/(K + 4μ/3)> in any geometry (Hill 1963), at odd sizes.

    On even ones dilatation lacks the modes ν_i without a gradient (ν_0 = 1), and
    K* + 4μ/3 = (G⁻¹)_00 with G_ij = <ν_i ν_j/(K + 4μ/3)>. Catches a Green operator
    that is not that of the gradient, and other modes left out than stated.
    """
    mu, bulk = 0.7, np.array([0.3, 5.0, 40.0, 1.0])
    labels = random_labels(shape, 4, 3, seed=len(shape))
    phases = [lsml.isotropic(K=K, G=mu) for K in bulk]
    blind = unseen(scheme, shape)
    longitudinal = [
        np.linalg.inv((blind / (bulk[image.ravel()] + 4 * mu / 3)) @ blind.T)[0, 0]
        * blind.shape[1]
        for image in labels
    ]
    if all(n % 2 for n in shape):
        shares = exact.volume_fractions(labels, 4, len(shape))
        expected = exact.hill(bulk, mu, shares) + 4 * mu / 3
        assert distance(np.array(longitudinal), expected) < 1e-14
    found = effective(labels, phases, scheme, SPACING[: len(shape)])
    for c, m in zip(found, longitudinal, strict=True):
        whole = lsml.isotropic(lam=m - 2 * mu, mu=mu)
        one = (whole if len(shape) == 3 else whole.plane_strain()).matrix()
        assert distance(c, one) < PRECISION


@pytest.mark.parametrize("shape", [(5, 3, 7), (4, 6, 2), (3, 4, 1)])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_pressure_on_a_cubic_polycrystal(scheme, shape):
    """Theorem: C* : I = 3K I with K = (C11 + 2 C12)/3 for cubic grains of any shape
    and orientation, every scheme and size; here three samples, a grain per voxel.

    Catches rotated stiffnesses with a wrong shear factor, and reduced spectra that
    lose the mean.
    """
    c11, c12, c44 = 3.0, 1.2, 1.9
    grains = int(np.prod(shape))
    crystal = lsml.cubic(c11, c12, c44).matrix()
    turns = torch.from_numpy(random_rotations(3 * grains, seed=2))
    q = rotation(turns).reshape(3, grains, 6, 6)
    labels = np.stack([np.random.default_rng(b).permutation(grains) for b in range(3)])
    found = effective(labels.reshape(3, *shape), q @ crystal @ q.mT, scheme, SPACING)
    unit = torch.tensor([1.0, 1, 1, 0, 0, 0], dtype=torch.float64)
    bulk = exact.cubic_polycrystal_bulk(c11, c12)
    assert distance(found @ unit, 3 * bulk * unit.expand(3, 6)) < PRECISION
    assert distance(found, crystal.expand_as(found)) > 1e-2


@pytest.mark.parametrize("shape", [(5, 3, 7), (4, 6, 5), (2, 4, 1)])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_levin_thermal_expansion(scheme, shape):
    """Theorem: α* of two isotropic phases follows from C* (Levin 1967), by either way
    to measure it: −σ̄ = C* α* when clamped, ε̄ = α* when free of stress.

    Catches an eigenstrain of the wrong sign or phase, in the law or in the stress, and
    a stress-controlled mean that ignores it.
    """
    bulk, shear, alpha = [2.0, 11.0], [1.5, 3.0], [-1.0e-3, 4.0e-3]
    labels = random_labels(shape, 2, 3, seed=5)
    phases = [lsml.isotropic(K=K, G=G) for K, G in zip(bulk, shear, strict=True)]
    shares = exact.volume_fractions(labels, 2, 3)
    c = effective(labels, phases, scheme, SPACING)
    expected = exact.levin_thermal_expansion(c, bulk, alpha, shares)
    eigen = [[a, a, a, 0, 0, 0] for a in alpha]
    for load in (lsml.load(strain=[0.0] * 6), lsml.load(stress=[0.0] * 6)):
        problem = lsml.elasticity(
            labels, phases, load, scheme, spacing=SPACING, eigenstrain=eigen
        )
        solution = lsml.solve(problem, tol=1e-13, throw=False)
        assert float(solution.error.max()) < 1e-12
        if load.field.isnan().all():
            measured = solution.mean_strain
            assert float(solution.mean_stress.abs().max()) < 1e-12 * alpha[1] * bulk[1]
        else:
            clamped = -solution.mean_stress[..., None]
            measured = torch.linalg.solve(c, clamped)[..., 0]
            assert float(solution.mean_strain.abs().max()) < 1e-16
        assert distance(measured, expected) < PRECISION


@pytest.mark.parametrize(
    ("bulk", "shear", "expansion", "message"),
    [
        ([1.0, 1.0], None, [0.0, 1.0], "must differ"),
        ([1.0, 2.0, 3.0], None, [0.0, 1.0], "must be"),
    ],
)
def test_levin_refuses_what_leaves_expansion_open(bulk, shear, expansion, message):
    """Statement: two phases, two bulk moduli, or a ValueError that says so."""
    with pytest.raises(ValueError, match=message):
        exact.levin_thermal_expansion(torch.eye(6), bulk, expansion, [0.5, 0.5])


def test_hashin_shtrikman_numbers():
    """Theorem: K = (1, 10), μ = (0.6, 7), f = 0.3: the bounds of Hashin & Shtrikman.

    In any order of the phases; the bounds of one phase are its moduli. Catches a
    bound built on the other phase, or bounds exchanged.
    """
    for turn in (1, -1):
        k, g = exact.hashin_shtrikman(
            [1.0, 10.0][::turn], [0.6, 7.0][::turn], [0.7, 0.3][::turn]
        )
        found = [float(v) for v in (*k, *g)]
        assert found == pytest.approx([1.60000, 2.67735, 1.01287, 1.81363], abs=5e-6)
    k, g = exact.hashin_shtrikman([3.0, 3.0], [2.0, 2.0], [0.4, 0.6])
    assert [float(v) for v in (*k, *g)] == pytest.approx([3, 3, 2, 2], rel=1e-14)


def test_hashin_shtrikman_meets_hill_at_equal_shear():
    """Theorem: with one shear modulus both bounds of K* are Hill's value."""
    bulk, shares = [1.0, 4.0, 9.0], [[0.2, 0.3, 0.5], [0.6, 0.4, 0.0]]
    k, g = exact.hashin_shtrikman(bulk, [2.0] * 3, shares)
    expected = exact.hill(bulk, 2.0, shares)
    assert distance(k.lower, expected) < 1e-14
    assert distance(k.upper, expected) < 1e-14
    assert distance(g.upper, torch.full((2,), 2.0, dtype=torch.float64)) < 1e-14


@pytest.mark.parametrize("fractions", [[0.5, 0.6], [1.2, -0.2], [1.0], [[1.0], [1.0]]])
def test_fractions_are_checked(fractions):
    """Statement: fractions that are none raise a ValueError that names them."""
    phases = [lsml.isotropic(E=E, nu=nu) for E, nu in ISOTROPIC[:2]]
    for mean in (exact.voigt, exact.reuss, exact.laminate):
        with pytest.raises(ValueError, match="fractions"):
            mean(phases, fractions)
    with pytest.raises(ValueError, match="fractions"):
        exact.hill([1.0, 2.0], 1.0, fractions)


def test_laminate_lies_between_reuss_and_voigt_and_is_neither():
    """Theorem: on the components that layers share as stress C* is Reuss-like, on the
    others Voigt-like: P*⁻¹ = <P⁻¹>, and (C*⁻¹)⁻¹ in the plane is the mean of the
    layers' (plane stress is shared strain). Catches transposed blocks."""
    phases = np.stack([random_stiffness(6, h, 3.0**h) for h in range(3)])
    shares = [0.2, 0.5, 0.3]
    c = exact.laminate(phases, shares)[0]
    low, high = exact.reuss(phases, shares)[0], exact.voigt(phases, shares)[0]
    across = [k for k, pair in enumerate(PAIRS[3]) if 0 in pair]
    along = [k for k, pair in enumerate(PAIRS[3]) if 0 not in pair]
    mean = np.einsum("p,pij->ij", shares, np.linalg.inv(phases[:, across][..., across]))
    assert distance(torch.linalg.inv(c[across][:, across]), mean) < 1e-13
    inner = [np.linalg.inv(np.linalg.inv(p)[along][:, along]) for p in phases]
    plane = torch.linalg.inv(torch.linalg.inv(c)[along][:, along])
    mean = np.einsum("p,pij->ij", shares, np.stack(inner))
    assert distance(plane, mean) < 1e-13
    assert float(torch.linalg.eigvalsh(c - low).min()) > -1e-13
    assert float(torch.linalg.eigvalsh(high - c).min()) > -1e-13
