"""Closed forms and series of conduction and inclusions, against tables and solves."""

from math import pi

import numpy as np
import pytest
import torch
from cells import distance, random_labels

import lsml
from lsml import exact

CYLINDERS = {
    0.1: 1.17822,
    0.2: 1.39146,
    0.3: 1.65204,
    0.4: 1.98063,
    0.5: 2.41547,
    0.6: 3.03722,
    0.7: 4.06171,
}
SPHERES = {0.1: 1.24334, 0.2: 1.53172, 0.3: 1.88774, 0.4: 2.36443, 0.5: 3.1446}


def kappa(labels, phases, scheme, tol=1e-12):
    """κ* of one plane image."""
    problem = lsml.conductivity(labels, phases, [1.0, 0.0], scheme)
    return lsml.homogenize(problem, tol=tol).stiffness[0]


def test_arrays_are_the_published_tables():
    """Theorem: Rayleigh's multipoles give the tables of Perrins, McKenzie & McPhedran
    (1979) and McPhedran & McKenzie (1978). Catches a wrong lattice sum or coupling.
    """
    for fraction, value in CYLINDERS.items():
        assert abs(exact.cylinder_array(10.0, fraction) - value) < 6e-6
    for fraction, value in SPHERES.items():
        digits = 6e-5 if fraction == 0.5 else 6e-6
        assert abs(exact.sphere_array(10.0, fraction) - value) < digits


@pytest.mark.parametrize("ratio", [0.0, 0.1, 3.0, 1e6])
def test_arrays_at_small_fractions(ratio):
    """Theorem: to first order κ* = 1 + d f (z − 1)/(z + d − 1), in d dimensions, and
    exchanging conductor and insulator mirrors the plane: κ*(z) κ*(1/z) = 1.
    """
    f = 1e-4
    for d, array in ((2, exact.cylinder_array), (3, exact.sphere_array)):
        slope = (array(ratio, f) - 1) / f
        assert abs(slope - d * (ratio - 1) / (ratio + d - 1)) < 2e-3
    if ratio > 0:
        both = exact.cylinder_array(ratio, 0.4) * exact.cylinder_array(1 / ratio, 0.4)
        assert abs(both - 1) < 1e-9
    assert exact.sphere_array(1.0, 0.3) == 1.0
    with pytest.raises(ValueError, match=r"0.5236, where spheres touch"):
        exact.sphere_array(2.0, 0.53)


def test_closed_forms():
    """Statement: the numbers that Obnosov's formula, Maxwell's and the bounds give."""
    values = {2: 1.18321596, 10: 1.54421999, 100: 1.70948241}
    for z, value in values.items():
        assert abs(exact.obnosov(1.0, z) - value) < 1e-8
        assert abs(exact.obnosov(3.0, 3.0 * z) - 3 * value) < 1e-7
        assert abs(exact.obnosov(1.0, 1 / z) * value - 1) < 1e-8
    assert exact.checkerboard(2.0, 8.0) == 4.0
    low, high = exact.hashin_shtrikman_conductivity([1.0, 10.0], [0.7, 0.3])
    maxwell = 1 + 3 * 0.3 / (12 / 9 - 0.3)
    assert abs(float(low) - maxwell) < 1e-14
    assert float(high) > float(low)
    assert float(low) < exact.sphere_array(10.0, 0.3) < float(high)


def test_spheres_of_eshelby():
    """Theorem: Mori-Tanaka of isotropic spheres is the lower Hashin-Shtrikman bound;
    its slope at f = 0 is the dilute one; a rigid-free sphere strains as its matrix.
    """
    matrix, sphere = lsml.isotropic(K=1.0, G=0.6), lsml.isotropic(K=10.0, G=7.0)
    bulk, shear = exact.hashin_shtrikman([1.0, 10.0], [0.6, 7.0], [0.7, 0.3])
    for bound, value in (
        (bulk.lower, 1.6),
        (bulk.upper, 2.67735),
        (shear.lower, 1.01287),
        (shear.upper, 1.81363),
    ):
        assert abs(float(bound) - value) < 6e-6
    expected = lsml.isotropic(K=float(bulk.lower), G=float(shear.lower)).matrix()
    assert distance(exact.mori_tanaka(matrix, sphere, 0.3), expected) < 1e-14
    slope = (exact.mori_tanaka(matrix, sphere, 1e-6) - matrix.matrix()) / 1e-6
    dilute = exact.dilute_spheres(matrix, sphere, 1.0) - matrix.matrix()
    assert distance(slope, dilute) < 1e-5
    assert distance(exact.sphere_localization(matrix, matrix), torch.eye(6)) < 1e-15
    with pytest.raises(ValueError, match=r"matrix must be isotropic"):
        exact.sphere_localization(lsml.cubic(3.0, 1.0, 1.5), sphere)


def test_scattering():
    """Statement: a quarter-wave slab reflects 0.147929, a half-wave one nothing; the
    series of the cylinder.
    """
    assert abs(exact.slab_reflectance(1.5, 1 / 6, 1.0) - 0.147929) < 1e-6
    assert exact.slab_reflectance(1.5, 1 / 3, 1.0) < 1e-30
    for size, value in ((1.0, 0.152847), (2.0, 0.486366), (5.0, 2.255824)):
        assert abs(exact.cylinder_scattering(1.2, size) - value) < 1e-6
    assert exact.cylinder_scattering(1.0, 2.0) < 1e-28


@pytest.mark.parametrize("scheme", ["fourier", "rotated"])
def test_duality(scheme):
    """Theorem: κ*(a, b) R κ*(b, a) Rᵀ = ab I in the plane, at odd sizes (Keller 1964).

    Catches a gradient whose rotation is not divergence-free on the grid.
    """
    labels = random_labels((7, 5), 2, 1, 3)[0]
    first, second = (
        kappa(labels, [1.0, 10.0], scheme),
        kappa(labels, [10.0, 1.0], scheme),
    )
    assert distance(second, exact.dual(first, 10.0)) < 1e-10


@pytest.mark.parametrize(
    "scheme", ["fourier", "rotated", "hex8", "staggered", "forward", "backward"]
)
def test_homogeneous_medium(scheme):
    """Theorem: it is solved in at most one iteration, and κ* = κ."""
    k = [[2.0, 0.0], [0.0, 1.0]]
    p = lsml.conductivity(random_labels((4, 5), 2, 1, 0), [k, k], [1, 2], scheme)
    s = lsml.solve(p)
    assert int(s.iterations.max()) <= 1
    assert distance(s.mean_flux[0], [2.0, 2.0]) < 1e-14


@pytest.mark.parametrize("scheme", ["rotated", "hex8", "staggered"])
@pytest.mark.parametrize("ratio", [0.1, 10.0])
def test_obnosov_converges(scheme, ratio):
    """Theorem: the error against Obnosov's squares halves, or better, per doubling."""
    errors = []
    for n in (8, 16, 32):
        labels = np.zeros((n, n), int)
        labels[: n // 2, : n // 2] = 1
        p = lsml.conductivity(labels, [1.0, ratio], [1.0, 0.0], scheme)
        found = float(lsml.solve(p, tol=1e-9).mean_flux[0, 0])
        errors.append(abs(found - exact.obnosov(1.0, ratio)))
    assert errors[1] < errors[0] / 1.9
    assert errors[2] < errors[1] / 1.9


def test_cylinders_on_a_grid():
    """Theorem: κ* of 64² voxels is that of the series within 1 % (f = 0.3, z = 10)."""
    x = (np.indices((64, 64)) + 0.5) / 64 - 0.5
    labels = ((x**2).sum(0) < 0.3 / pi).astype(int)
    p = lsml.conductivity(labels, [1.0, 10.0], [1.0, 0.0], "hex8")
    found = float(lsml.solve(p).mean_flux[0, 0])
    assert abs(found / exact.cylinder_array(10.0, labels.mean()) - 1) < 1e-2
