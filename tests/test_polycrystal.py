"""Grains: rotations, their conventions, many of them, and what expands."""

import numpy as np
import pytest
import torch
from cells import SPACING, distance, random_labels, random_rotations, random_stiffness
from scipy.spatial.transform import Rotation

import lsml
from lsml import exact
from lsml.mandel import from_mandel4, to_mandel4

PULL = lsml.load(strain=[1.0, 0, 0, 0, 0, 0])


def test_rotated_as_a_tensor():
    """Theorem: C_ijkl = R_ia R_jb R_kc R_ld C_abcd, written out.

    Catches the transposed rotation, and a lost √2; the stiffness has no symmetry.
    """
    c, r = random_stiffness(6, 1), random_rotations(4, 2)
    full = from_mandel4(torch.from_numpy(c)).numpy()
    turned = np.einsum("pia,pjb,pkc,pld,abcd->pijkl", r, r, r, r, full)
    assert (
        distance(lsml.polycrystal(c, r), to_mandel4(torch.from_numpy(turned))) < 1e-14
    )
    each = np.stack([random_stiffness(6, s) for s in range(4)])
    one = torch.cat([lsml.polycrystal(each[k], r[k : k + 1]) for k in range(4)])
    assert distance(lsml.polycrystal(each, r), one) < 1e-15


def test_conventions():
    """Theorem: Bunge's angles and quaternions are those of SciPy's rotations.

    Catches the passive convention taken for the active one, and w in the last place.
    """
    rotations = Rotation.from_matrix(random_rotations(9, 3))
    r = torch.from_numpy(rotations.as_matrix())
    assert distance(lsml.bunge(rotations.as_euler("ZXZ")), r) < 1e-14
    wxyz = rotations.as_quat()[:, [3, 0, 1, 2]]
    assert distance(lsml.quaternion(wxyz), r) < 1e-14
    quarter = lsml.bunge([[np.pi / 2, 0, 0]])[0]  # crystal x lies along grid y
    assert distance(quarter @ torch.tensor([1.0, 0, 0]).double(), [0.0, 1, 0]) < 1e-15


@pytest.mark.parametrize("scheme", ["fourier", "rotated", "hex8", "forward"])
def test_a_turned_cell_has_turned_stiffness(scheme):
    """Theorem: turning labels by 90° about the third axis and all grains with them
    turns C*, up to the direction of one-sided differences.

    Catches grains turned the other way than the image.
    """
    labels = random_labels((4, 4, 3), 5, 1, 2)[0]
    r, c = random_rotations(5, 4), random_stiffness(6, 3)
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    moved = np.rot90(labels, 1, (0, 1)).copy()

    def effective(image, grains, name=scheme):
        problem = lsml.elasticity(image, lsml.polycrystal(c, grains), PULL, name)
        return lsml.homogenize(problem, tol=1e-11).stiffness[0]

    if scheme == "forward":
        flipped = effective(moved[::-1, ::-1, ::-1].copy(), turn @ r, "backward")
        direct = effective(moved, turn @ r)
        assert distance(flipped, direct) < 1e-9
        return
    q = lsml.mandel.rotation(torch.from_numpy(turn))
    assert distance(effective(moved, turn @ r), q @ effective(labels, r) @ q.T) < 1e-9


def test_sixty_five_thousand_grains():
    """Theorem: K* = (C11 + 2 C12)/3 (Hill 1952), here with a grain per voxel and more
    grains than 16 bits count.

    Catches labels cut to 16 bits, and work that is done once per phase.
    """
    shape = (41, 40, 40)
    labels = np.arange(np.prod(shape)).reshape(shape)
    assert labels.max() > 2**16 - 1
    r = Rotation.random(labels.size, random_state=0).as_matrix()
    table = lsml.polycrystal(lsml.cubic(3.0, 1.0, 1.5), r)
    pressure = lsml.load(strain=[1.0, 1, 1, 0, 0, 0])
    problem = lsml.elasticity(labels, table, pressure, "rotated")
    assert problem.law.labels.dtype == torch.int32
    assert problem.law.coefficients.shape == (1, labels.size, 21)
    s = lsml.solve(problem, tol=1e-8, max_iter=30)
    assert distance(s.mean_stress[0, :3], 5.0 * torch.ones(3)) < 1e-8


def test_derivatives():
    """Theorem: <σ> depends on the crystal's moduli as finite differences say."""
    labels = random_labels((3, 3, 2), 4, 1, 2)[0]
    r = random_rotations(4, 4)

    def answer(c44):
        grains = lsml.polycrystal(lsml.cubic(3.0, 1.0, c44), r)
        return lsml.solve(lsml.elasticity(labels, grains, PULL), tol=1e-12).mean_stress[
            0, 0
        ]

    c44 = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(answer(c44), c44)
    with torch.no_grad():
        slope = (answer(c44 + 1e-5) - answer(c44 - 1e-5)) / 2e-5
    assert abs(float(slope - found)) < 1e-8


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (lambda: lsml.polycrystal(np.eye(6), -np.eye(3)[None]), ("0", "reflection")),
        (lambda: lsml.polycrystal(np.eye(6), 2 * np.eye(3)[None]), ("0", "identity")),
        (lambda: lsml.polycrystal(np.eye(6), np.eye(3)), ("(3, 3)", "(p, 3, 3)")),
        (lambda: lsml.polycrystal(np.eye(3), np.eye(3)[None]), ("3-D", "(3, 3)")),
        (
            lambda: lsml.polycrystal(
                np.stack([np.eye(6)] * 2), np.stack([np.eye(3)] * 3)
            ),
            ("2 crystals", "3 orientations"),
        ),
        (lambda: lsml.quaternion([[1.0, 1, 0, 0]]), ("0", "length 1.41421")),
        (lambda: lsml.quaternion([[1.0, 0, 0]]), ("(1, 3)", "(p, 4)")),
        (lambda: lsml.bunge([1.0, 0, 0]), ("(3,)", "(p, 3)")),
        (lambda: lsml.bunge([[np.nan, 0, 0]]), ("finite",)),
    ],
)
def test_bad_orientations(call, parts):
    """Statement: an orientation that is not a rotation is named."""
    with pytest.raises(ValueError, match=r".") as caught:
        call()
    assert all(part in str(caught.value) for part in parts), str(caught.value)


@pytest.mark.parametrize(
    "scheme", ["fourier", "rotated", "hex8", "hex8-bbar", "staggered", "forward"]
)
def test_levin(scheme):
    """Theorem: with two isotropic phases α* follows from C* (Levin 1967; Rosen & Hashin
    1970) on any grid; three samples, two-sided.

    Catches an eigenstrain that is not weighted as the stiffness is.
    """
    labels = random_labels((4, 3, 5), 2, 3, 5)
    bulk, alpha = (1.0, 10.0), (1.2e-5, 3e-6)
    phases = [lsml.isotropic(K=bulk[0], G=0.6), lsml.isotropic(K=bulk[1], G=7.0)]
    found = lsml.thermal_expansion(
        labels, phases, alpha, tol=1e-12, discretization=scheme, spacing=SPACING
    )
    problem = lsml.elasticity(labels, phases, PULL, scheme, SPACING)
    c = lsml.homogenize(problem, tol=1e-13)
    shares = exact.volume_fractions(labels, 2)
    expected = exact.levin_thermal_expansion(c, bulk, alpha, shares)
    assert distance(found.strain, expected) < 1e-10
    assert distance(found.tensor[:, 0, 1] * 2**0.5, found.strain[:, 5]) < 1e-14


def test_expansion_of_layers():
    """Theorem: of phases of one stiffness α* = <α> in every component, in any geometry;
    for tensors and vectors alike.
    """
    labels = np.zeros((5, 1, 1), int)
    labels[:2] = 1
    crystal = random_stiffness(6, 3)
    a, b = torch.randn(2, 3, 3, dtype=torch.float64)
    a, b = a + a.mT, b + b.mT
    as_vector = lsml.mandel.to_mandel(b)
    found = lsml.thermal_expansion(labels, [crystal] * 2, [a, as_vector], tol=1e-12)
    assert distance(found.tensor[0], 0.6 * a + 0.4 * b) < 1e-10
    with pytest.raises(ValueError, match=r"expansion of shape \(2,\)"):
        lsml.thermal_expansion(labels, [crystal] * 2, [[1.0, 2.0], 1.0])
