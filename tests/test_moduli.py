"""Stiffness from its moduli, the law that reads the table, and the reference medium."""

import numpy as np
import pytest
import torch
from cells import (
    SCHEMES,
    components,
    distance,
    generator,
    random_labels,
    random_stiffness,
)

import lsml
from lsml.law import PhaseLaw
from lsml.mandel import PLANE, projectors
from lsml.physics.phases import phase_table
from lsml.physics.reference import reference_medium, spectrum
from lsml.rule import arithmetic


def test_isotropic_pairs_agree():
    """Theorem: (E, ν), (K, G) and (λ, μ) name one tensor, λ I⊗I + 2μ 1, in float64.

    Numbers, NumPy numbers and one value per sample. Catches a bulk modulus of plane
    strain, γ taken for ε, and numbers rounded to float32 on the way.
    """
    E, nu = 7.3, 0.23  # noqa: N806
    lam, mu = E * nu / ((1 + nu) * (1 - 2 * nu)), E / (2 * (1 + nu))
    expected = np.zeros((6, 6))
    expected[:3, :3] = lam
    expected += 2 * mu * np.eye(6)
    for phase in (
        lsml.isotropic(E=E, nu=nu),
        lsml.isotropic(E=np.float64(E), nu=nu),
        lsml.isotropic(K=lam + 2 * mu / 3, G=mu),
        lsml.isotropic(lam=lam, mu=mu),
        lsml.anisotropic(expected),
        lsml.anisotropic(expected.tolist()),
    ):
        assert phase.matrix().dtype == torch.float64
        assert distance(phase.matrix(), expected) < 1e-15
    several = lsml.isotropic(E=torch.tensor([E, 2 * E], dtype=torch.float64), nu=nu)
    assert distance(several.matrix(), np.stack([expected, 2 * expected])) < 1e-15


def test_tensors_keep_their_dtype():
    """Statement: moduli tensors in float32 make a float32 problem, numbers float64."""
    single = lsml.isotropic(E=torch.tensor(1.0), nu=torch.tensor(0.3))
    assert single.moduli.dtype == torch.float32
    labels, load = [[0, 1], [1, 0]], lsml.load(strain=[1.0, 0, 0])
    assert lsml.elasticity(labels, [single] * 2, load).law.table.dtype == torch.float32
    integer = lsml.isotropic(E=1, nu=torch.tensor(0.3, dtype=torch.float64))
    assert integer.moduli.dtype == torch.float64


def test_cubic_that_is_isotropic():
    """Theorem: a cubic crystal with C44 = (C11 − C12)/2 is isotropic, with C44 = G.

    Catches C44 stored as Mandel's 2 C44, or doubled.
    """
    isotropic = lsml.isotropic(K=3.0, G=0.8)
    c11, c12 = (float(isotropic.moduli[k]) for k in (0, 1))
    cubic = lsml.cubic(c11, c12, (c11 - c12) / 2)
    assert distance(cubic.matrix(), isotropic.matrix()) < 1e-15


@pytest.mark.parametrize("seed", [1, 2])
def test_anisotropic_round_trip(seed):
    """Theorem: a matrix comes back as it is given, and so do its two reductions."""
    c = random_stiffness(6, seed)
    phase = lsml.anisotropic(c)
    assert distance(phase.matrix(), c) < 1e-15
    assert distance(phase.plane_strain().matrix(), c[np.ix_(PLANE, PLANE)]) < 1e-15
    cubic = lsml.cubic(5.0, 2.0, 1.0)
    assert distance(cubic.general().matrix(), cubic.matrix()) < 1e-15
    assert (
        distance(cubic.general().plane_strain().matrix(), cubic.plane_strain().matrix())
        == 0
    )


@pytest.mark.parametrize("scheme", [s for s in SCHEMES if s != "hex8-bbar"])
@pytest.mark.parametrize("shape", [(5, 7), (4, 6)])
def test_plane_strain_is_a_slice_of_space(scheme, shape):
    """Theorem: in-plane strain and stress of the 2-D problem are those of the 3-D one
    on a cell one voxel thick, for isotropic and cubic phases, batch of three.

    Not with an averaged dilatation, which in 2-D is that of the plane. Catches plane
    stress, exchanged components, and a shear modulus halved.
    """
    labels = random_labels(shape, 2, 3, seed=1)
    phases = [lsml.isotropic(E=1.0, nu=0.35), lsml.cubic(20.0, 5.0, 3.0)]
    mean = np.random.default_rng(2).normal(size=(3, 3))
    spatial = np.zeros((3, 6))
    spatial[:, PLANE] = mean
    flat = lsml.solve(
        lsml.elasticity(
            labels, phases, lsml.load(strain=mean), scheme, spacing=(1.0, 0.5)
        ),
        tol=1e-13,
        throw=False,
    )
    thick = lsml.solve(
        lsml.elasticity(
            labels[..., None],
            phases,
            lsml.load(strain=spatial),
            scheme,
            spacing=(1.0, 0.5, 3.0),
        ),
        tol=1e-13,
        throw=False,
    )
    assert distance(thick.strain[:, PLANE, ..., 0], flat.strain) < 1e-11
    assert distance(thick.stress[:, PLANE, ..., 0], flat.stress) < 1e-11
    assert float(thick.strain[:, [2, 3, 4]].abs().max()) < 1e-11


def kinds(shape):
    c = components(shape)
    general = lsml.anisotropic(random_stiffness(c, 3))
    return {
        "isotropic": [lsml.isotropic(E=E, nu=0.3) for E in (1.0, 5.0, 9.0)],
        "mixed": [lsml.isotropic(E=1.0, nu=0.1), general, lsml.cubic(4.0, 1.0, 2.0)],
        "per sample": [
            [lsml.isotropic(E=1.0 + b, nu=0.1), lsml.cubic(4.0, b, 2.0), general]
            for b in (0.0, 1.0, 2.0)
        ],
        "array": np.stack([random_stiffness(c, s) for s in (1, 2, 3)]),
        "arrays": np.stack([random_stiffness(c, s) for s in range(9)]).reshape(
            3, 3, c, c
        ),
    }


@pytest.mark.parametrize("points", [1, 4])
@pytest.mark.parametrize("cases", [1, 2])
@pytest.mark.parametrize(
    "kind", ["isotropic", "mixed", "per sample", "array", "arrays"]
)
@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5)])
def test_law_is_the_dense_product(shape, kind, cases, points):
    """Theorem: σ = C[label] (ε − ε*[label]) at every point, and ½ (ε − ε*) : σ.

    Catches a table read for the wrong sample or phase, load cases in another order
    than (sample, case), and points taken for components.
    """
    c = components(shape)
    labels = torch.from_numpy(random_labels(shape, 3, 3, seed=2)).to(torch.uint8)
    coefficients, entries = phase_table(kinds(shape)[kind], len(shape))
    draw = generator(5)
    t = coefficients.shape[0]
    eigen = torch.randn(t, 3, c, dtype=torch.float64, generator=draw)
    law = PhaseLaw(labels, coefficients, entries, eigen)
    x = torch.randn(3 * cases, points * c, *shape, dtype=torch.float64, generator=draw)
    sample = torch.arange(3)[:, None].expand(3, cases).flatten()
    table = law.table.expand(3, -1, -1, -1)[sample]
    offset = eigen.expand(3, -1, -1)[sample]
    image = labels.long()[sample]
    row = torch.arange(3 * cases).reshape(-1, *[1] * len(shape))
    stiffness, free = table[row, image], offset[row, image]
    elastic = x.unflatten(1, (points, c)) - free.movedim(-1, 1)[:, None]
    stress = torch.einsum("b...ij,bqj...->bqi...", stiffness, elastic)
    assert distance(law(x), stress.flatten(1, 2)) < 1e-14
    assert distance(law.energy(x), 0.5 * (stress * elastic).sum(2)) < 1e-14
    v = torch.randn(x.shape, dtype=torch.float64, generator=draw)
    bent = torch.einsum("b...ij,bqj...->bqi...", stiffness, v.unflatten(1, (points, c)))
    assert distance(law.tangent(x, v), bent.flatten(1, 2)) < 1e-14


def test_law_holds_labels_and_a_table():
    """Statement: memory per voxel is one byte, whatever the anisotropy.

    Catches a stiffness field stored per voxel.
    """
    labels = random_labels((9, 8, 7), 3, 2)
    problem = lsml.elasticity(
        labels, kinds((9, 8, 7))["mixed"], lsml.load(strain=[1.0, 0, 0, 0, 0, 0])
    )
    assert problem.law.labels.dtype == torch.uint8
    assert problem.law.coefficients.shape == (1, 3, 21)


def reference_of(phases, c=6):
    table = torch.stack([p.matrix() for p in phases])[None]
    return reference_medium(table, projectors(c), arithmetic)[0], table


@pytest.mark.parametrize("nus", [(0.3, 0.3), (0.1, 0.4)])
def test_reference_of_hooke_phases_is_their_midrange(nus):
    """Theorem: K⁰ and μ⁰ are the midranges, with a scale factor of exactly 1, for
    equal and for different ν (Moulinec & Suquet 1998).

    Catches a mean over the volume, of E and ν, or a scale that moves it.
    """
    phases = [
        lsml.isotropic(E=E, nu=nu) for E, nu in zip((1.0, 10.0), nus, strict=True)
    ]
    medium, table = reference_of(phases)
    assert distance(medium, table[0].mean(0)) < 1e-15
    low, high = spectrum(table, medium[None])
    assert float(low + high) == pytest.approx(2, rel=1e-14)


def test_reference_takes_each_modulus_from_its_extremes():
    """Theorem: with three phases K⁰ = (K_min + K_max)/2 and μ⁰ likewise, up to the
    one factor that makes λ_min + λ_max = 2."""
    bulk, shear = (1.0, 2.0, 9.0), (4.0, 1.0, 2.0)
    phases = [lsml.isotropic(K=K, G=G) for K, G in zip(bulk, shear, strict=True)]
    medium, table = reference_of(phases)
    ratio = medium @ torch.linalg.inv(lsml.isotropic(K=5.0, G=2.5).matrix())
    assert distance(ratio, ratio[0, 0] * torch.eye(6, dtype=torch.float64)) < 1e-14
    low, high = spectrum(table, medium[None])
    assert float(low + high) == pytest.approx(2, rel=1e-14)


@pytest.mark.parametrize("c", [3, 6])
def test_reference_of_anisotropic_phases(c):
    """Theorem: C⁰ is isotropic and λ_min + λ_max = 2, so that Moulinec converges.

    Catches a scale by the mean stiffness, on which it may diverge.
    """
    phases = [lsml.anisotropic(random_stiffness(c, s, 4.0**s)) for s in range(3)]
    medium, table = reference_of(phases, c)
    j, k = projectors(c)
    parts = (medium * j).sum() * j + (medium * k).sum() / (c - 1) * k
    assert distance(medium, parts) < 1e-14
    low, high = spectrum(table, medium[None])
    assert float(low + high) == pytest.approx(2, rel=1e-14)
    dense = torch.linalg.eigvals(torch.linalg.solve(medium, table[0])).real
    assert float(low) == pytest.approx(float(dense.min()), rel=1e-12)
    assert float(high) == pytest.approx(float(dense.max()), rel=1e-12)


@pytest.mark.parametrize("kind", ["isotropic", "cubic", "anisotropic"])
def test_reference_of_equal_phases_is_the_phase(kind):
    """Theorem: a homogeneous medium is its own reference."""
    phase = {
        "isotropic": lsml.isotropic(E=2.0, nu=0.2),
        "cubic": lsml.cubic(3.0, 1.0, 2.0),
        "anisotropic": lsml.anisotropic(random_stiffness(6, 1)),
    }[kind]
    medium, table = reference_of([phase] * 3)
    assert distance(medium, table[0, 0]) == 0
