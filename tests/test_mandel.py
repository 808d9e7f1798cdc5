"""Mandel notation against tensors written out with all their indices."""

import numpy as np
import pytest
import torch
from cells import distance, generator, random_rotations, random_stiffness

import lsml
from lsml import mandel


def random_tensor4(ndim, seed):
    """Minor symmetries only: C_ijkl ≠ C_klij."""
    t = torch.randn(3, *[ndim] * 4, dtype=torch.float64, generator=generator(seed))
    t = (t + t.transpose(1, 2)) / 2
    return (t + t.transpose(3, 4)) / 2


@pytest.mark.parametrize("ndim", [2, 3])
def test_round_trips_of_unsymmetric_tensors(ndim):
    """Theorem: both maps are bijections, also without major symmetry.

    Catches a conversion that returns the transpose, which symmetric tensors hide.
    """
    t = random_tensor4(ndim, 1)
    m = mandel.to_mandel4(t)
    assert distance(m, m.mT) > 0.1
    assert distance(mandel.from_mandel4(m), t) < 1e-15
    v = torch.randn(3, mandel.components(ndim), dtype=torch.float64)
    assert distance(mandel.to_mandel(mandel.from_mandel(v)), v) < 1e-15
    assert distance(mandel.to_mandel4(mandel.from_mandel4(m)), m) < 1e-15
    assert distance(mandel.mandel_to_voigt(mandel.voigt_to_mandel(m)), m) < 1e-15


@pytest.mark.parametrize("ndim", [2, 3])
def test_isometry(ndim):
    """Theorem: a : b, C : a and C : D are the products of vectors and matrices.

    Catches a √2 on one of stress and strain only, and exchanged shear components.
    """
    c, d = random_tensor4(ndim, 2), random_tensor4(ndim, 3)
    v = torch.randn(2, 3, mandel.components(ndim), dtype=torch.float64)
    a, b = (mandel.from_mandel(x) for x in v)
    inner = torch.einsum("bij,bij->b", a, b)
    assert distance((v[0] * v[1]).sum(1), inner) < 1e-14
    applied = torch.einsum("bijkl,bkl->bij", c, a)
    product = torch.einsum("bce,be->bc", mandel.to_mandel4(c), v[0])
    assert distance(product, mandel.to_mandel(applied)) < 1e-14
    twice = torch.einsum("bijmn,bmnkl->bijkl", c, d)
    product = mandel.to_mandel4(c) @ mandel.to_mandel4(d)
    assert distance(product, mandel.to_mandel4(twice)) < 1e-14


def test_order_of_components():
    """Statement: 11 22 33 23 13 12, in 2-D 11 22 12, shear times √2."""
    t = torch.tensor([[1.0, 6, 5], [6, 2, 4], [5, 4, 3]], dtype=torch.float64)
    expected = torch.tensor([1, 2, 3, 4, 5, 6], dtype=torch.float64)
    expected[3:] *= np.sqrt(2.0)
    assert distance(mandel.to_mandel(t), expected) < 1e-15
    assert distance(mandel.to_mandel(t[:2, :2]), expected[[0, 1, 5]]) < 1e-15
    assert mandel.names(3) == ("11", "22", "33", "23", "13", "12")
    assert mandel.names(2) == ("11", "22", "12")


def test_voigt_of_a_cubic_crystal():
    """Theorem: copper, C11 = 168.4, C12 = 121.4, C44 = 75.4 GPa: Voigt's C44 = C_2323
    stands once in Voigt notation and twice in Mandel's, to the last digit.

    Catches engineering shear taken for tensor shear, and a √2 in single precision.
    """
    voigt = torch.zeros(6, 6, dtype=torch.float64)
    voigt[:3, :3] = 121.4
    voigt.diagonal()[:] = torch.tensor([168.4] * 3 + [75.4] * 3, dtype=torch.float64)
    crystal = lsml.cubic(C11=168.4, C12=121.4, C44=75.4).matrix()
    assert distance(mandel.voigt_to_mandel(voigt), crystal) < 1e-15
    assert distance(mandel.mandel_to_voigt(crystal), voigt) < 1e-15
    tensor = mandel.from_mandel4(crystal)
    assert float(tensor[1, 2, 1, 2]) == pytest.approx(75.4, rel=1e-15)
    assert float(tensor[0, 0, 2, 2]) == pytest.approx(121.4, rel=1e-15)
    coupled = torch.zeros(6, 6, dtype=torch.float64)
    coupled[0, 4] = coupled[4, 0] = 3.0
    assert float(mandel.voigt_to_mandel(coupled)[0, 4]) == 3.0 * np.sqrt(2.0)


def test_rotation_of_one_ply():
    """Theorem: a ply with C1111 = 10, C2222 = 2, C1122 = 0, C1212 = 1, its fibres
    turned from axis 1 towards axis 2 by +30°, has by the classical formulas
    C11' = c⁴·10 + s⁴·2 + 4s²c²·1 = 6.5 and C16' = c³s·10 − cs³·2 − 2cs(c² − s²)·1.

    Catches a rotation by −φ: its C16' has the other sign.
    """
    ply = torch.diag(torch.tensor([10.0, 2.0, 2.0], dtype=torch.float64))
    angle = np.pi / 6
    c, s = np.cos(angle), np.sin(angle)
    q = mandel.rotation(torch.tensor([[c, -s], [s, c]], dtype=torch.float64))
    turned = q @ ply @ q.T
    assert float(turned[0, 0]) == pytest.approx(6.5, rel=1e-14)
    shear = 10 * c**3 * s - 2 * c * s**3 - 2 * c * s * (c**2 - s**2)
    assert shear == pytest.approx(2.598076211, rel=1e-9)
    assert float(turned[0, 2]) == pytest.approx(2**0.5 * shear, rel=1e-14)
    fibre = torch.tensor([c * c, s * s, 2**0.5 * c * s], dtype=torch.float64)
    along = torch.tensor([1.0, 0, 0], dtype=torch.float64)
    assert distance(q @ along, fibre) < 1e-15


def test_rotation_of_tensors():
    """Theorem: Q is orthogonal, Q(rs) = Q(r)Q(s), and Q C Qᵀ is the tensor
    r_ip r_jq r_kr r_ls C_pqrs; improper rotations included.

    Catches r and rᵀ exchanged, which a single symmetric rotation hides.
    """
    r, s = torch.from_numpy(random_rotations(2, 5))
    r = -r
    q = mandel.rotation(r)
    assert distance(q @ q.T, torch.eye(6, dtype=torch.float64)) < 1e-14
    product = mandel.rotation(r) @ mandel.rotation(s)
    assert distance(mandel.rotation(r @ s), product) < 1e-14
    c = torch.from_numpy(random_stiffness(6, 1))
    turned = torch.einsum("ip,jq,kr,ls,pqrs->ijkl", r, r, r, r, mandel.from_mandel4(c))
    assert distance(q @ c @ q.T, mandel.to_mandel4(turned)) < 1e-14


@pytest.mark.parametrize("c", [3, 6])
def test_projectors(c):
    """Theorem: J and K are orthogonal projectors of rank 1 and c − 1 with sum I."""
    j, k = mandel.projectors(c)
    assert distance(j + k, torch.eye(c, dtype=torch.float64)) < 1e-15
    assert float((j @ k).abs().max()) < 1e-15
    assert float(j.trace()) == pytest.approx(1, rel=1e-15)
    assert distance(j @ j, j) < 1e-15
