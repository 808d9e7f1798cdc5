"""Composite voxels: their fractions, their normals, and the mixtures in them."""

import itertools

import numpy as np
import pytest
import torch
from cells import distance, random_labels, random_rotations, random_stiffness

import lsml
from lsml import exact
from lsml.mandel import rotation
from lsml.physics.coarsening import Coarse

PHASES = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=20.0, nu=0.1)]


def halfspace(normal, shape, level):
    """1 where position · normal exceeds the level, around the middle."""
    axes = [np.arange(n) - (n - 1) / 2 for n in shape]
    x = np.stack(np.meshgrid(*axes, indexing="ij"))
    return (np.einsum("i,i...->...", normal, x) > level).astype(int)


@pytest.mark.parametrize("shape", [(6, 4, 8), (8, 6)])
@pytest.mark.parametrize("batch", [1, 3])
def test_fractions_and_pure_voxels(shape, batch):
    """Statement: each voxel has the fractions of its sub-image, and a pure one keeps
    its label; counted by loops. Catches blocks that mix axes.
    """
    labels = random_labels(shape, 3, batch, 1)
    labels[:, :4] = 2
    spacing = (1.0,) * len(shape)
    coarse = lsml.coarsen(labels, 2, spacing=spacing)
    assert coarse.labels.shape == (batch, *(n // 2 for n in shape))
    for index in np.ndindex(*coarse.labels.shape):
        block = labels[index[0]][tuple(slice(2 * i, 2 * i + 2) for i in index[1:])]
        counts = np.bincount(block.ravel(), minlength=3) / block.size
        row = int(coarse.labels[index])
        assert np.allclose(coarse.fractions[row], counts)
        assert (counts.max() < 1) == (row > 2)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 2.0, 0.5)])
def test_normal_of_a_plane(spacing):
    """Theorem: of a voxel halved by a plane through its middle the line of the centres
    of mass of a cube's halves tends to the normal; along the axes it is exact.

    Catches a normal in voxels where edges differ, and swapped axes.
    """
    for axis in range(3):
        unit = np.eye(3)[axis]
        coarse = lsml.coarsen(halfspace(unit, (8, 8, 8), 1), 8, spacing=spacing)
        row = int(coarse.labels[0, 0, 0])
        assert np.allclose(coarse.normals[row].abs(), unit)
    diagonal = np.array([1.0, 1.0, 0.0])
    coarse = lsml.coarsen(halfspace(diagonal, (8, 8, 8), 0), 8, spacing=spacing)
    expected = diagonal * spacing / np.linalg.norm(diagonal * spacing)
    assert np.allclose(coarse.normals[int(coarse.labels[0, 0, 0])], expected)


def mixture(normal, share=0.3):
    normal = torch.as_tensor(np.asarray(normal))[None]
    rows = [[1.0, 0], [0, 1], [share, 1 - share]]
    fractions = torch.tensor(rows, dtype=torch.float64)
    d = normal.shape[1]
    normals = torch.cat([torch.zeros(2, d).double(), normal])
    return Coarse(torch.full((1,) * d, 2), fractions, normals)


def test_laminate_along_any_normal():
    """Theorem: turning phases and normal turns the laminate; along the first axis it is
    Backus's. Catches a frame that is not a rotation, or turned backwards.
    """
    for seed in range(3):
        r = torch.from_numpy(random_rotations(1, seed))[0]
        q = rotation(r)
        phases = torch.from_numpy(np.stack([random_stiffness(6, s) for s in (1, 2)]))
        plain = exact.laminate(phases, [0.3, 0.7])[0]
        found = mixture(r[:, 0]).stiffness(q @ phases @ q.T)[2]
        assert distance(found, q @ plain @ q.T) < 1e-12
        k = torch.from_numpy(np.stack([random_stiffness(3, s) for s in (1, 2)]))
        plain = exact.laminate_conductivity(k, [0.3, 0.7])[0]
        assert distance(
            mixture(r[:, 0]).conductivity(r @ k @ r.T)[2], r @ plain @ r.T
        ) < (1e-12)
    angle = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    q = rotation(angle)
    phases = torch.from_numpy(np.stack([random_stiffness(3, s) for s in (1, 2)]))
    plain = exact.laminate(phases, [0.3, 0.7], 2)[0]
    found = mixture(angle[:, 0]).stiffness(q @ phases @ q.T)[2]
    assert distance(found, q @ plain @ q.T) < 1e-12


def test_rules_are_ordered():
    """Theorem: Reuss ≤ laminate ≤ Voigt as quadratic forms, and pure labels stay."""
    mixed = mixture([0.6, 0.0, 0.8])
    tables = [mixed.stiffness(PHASES, rule) for rule in ("reuss", "laminate", "voigt")]
    for low, high in itertools.pairwise(tables):
        assert float(torch.linalg.eigvalsh(high[2] - low[2]).min()) > -1e-12
        assert float((high[2] - low[2]).abs().max()) > 0.1
        assert distance(low[:2], torch.stack([p.matrix() for p in PHASES])) < 1e-15
    assert distance(tables[2][2], exact.voigt(PHASES, [0.3, 0.7])[0]) < 1e-14
    assert distance(tables[0][2], exact.reuss(PHASES, [0.3, 0.7])[0]) < 1e-13


def test_a_pore_in_a_voxel():
    """Theorem: empty layers transmit no stress: limit of soft ones."""
    soft = [1e-9, 1.0]
    for rule in ("reuss", "laminate", "voigt"):
        empty = mixture([1.0, 0, 0]).conductivity([0.0, 1.0], rule)[2]
        limit = mixture([1.0, 0, 0]).conductivity(soft, rule)[2]
        assert float((empty - limit).abs().max()) < 1e-8
    hole = [lsml.isotropic(E=0.0, nu=0.3), PHASES[1]]
    nearly = [lsml.isotropic(E=1e-8, nu=0.3), PHASES[1]]
    n = [0.6, 0.0, 0.8]
    gap = mixture(n).stiffness(hole)[2] - mixture(n).stiffness(nearly)[2]
    assert float(gap.abs().max()) < 1e-6


def test_coarse_laminate_is_exact():
    """Theorem: of layers that a coarse grid cuts, laminate voxels keep C*; Voigt and
    Reuss do not. Catches a table whose rows are not those of the labels.
    """
    fine = np.zeros((12, 4, 4), int)
    fine[1:6] = 1
    coarse = lsml.coarsen(fine, 4)
    load = lsml.load(strain=[1.0, 0, 0, 0, 0, 0])
    expected = exact.laminate(PHASES, exact.volume_fractions(fine, 2)[0])

    def effective(rule):
        table = coarse.stiffness(PHASES, rule)
        problem = lsml.elasticity(coarse.labels, table, load, "hex8")
        return lsml.homogenize(problem, tol=1e-12).stiffness

    assert distance(effective("laminate"), expected) < 1e-10
    assert distance(effective("voigt"), expected) > 1e-2
    assert distance(effective("reuss"), expected) > 1e-2


def test_laminate_voxels_resolve_a_sphere():
    """Statement (Kabel, Merkert & Schneider 2015): at one coarse resolution laminate
    voxels come nearer to the fine answer than labels taken at the centres.
    """
    x = (np.indices((24,) * 3) - 11.5) / 24
    fine = ((x**2).sum(0) < 0.35**2).astype(int)
    k = [1.0, 10.0]

    def effective(labels, table):
        problem = lsml.conductivity(labels, table, [1, 0, 0])
        return float(lsml.solve(problem, tol=1e-7).mean_flux[0, 0])

    truth = exact.sphere_array(10.0, 4 / 3 * np.pi * 0.35**3)
    coarse = lsml.coarsen(fine, 4)
    mixed = effective(coarse.labels, coarse.conductivity(k))
    centres = effective(fine[2::4, 2::4, 2::4], k)
    assert abs(mixed - truth) < 0.5 * abs(centres - truth)


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (lambda: lsml.coarsen(np.zeros((4, 6), int), 4), ("factor = 4", "(4, 6)")),
        (lambda: lsml.coarsen(np.zeros((4, 6), int), 0), ("factor = 0",)),
        (
            lambda: mixture([1.0, 0, 0]).stiffness(PHASES, "hill"),
            ("'hill'", "laminate"),
        ),
        (lambda: mixture([1.0, 0, 0]).stiffness(PHASES[:1]), ("1 tables of 1", "2")),
    ],
)
def test_bad_input(call, parts):
    """Statement: one sentence that names what was given."""
    with pytest.raises(ValueError, match=r".") as caught:
        call()
    assert all(part in str(caught.value) for part in parts), str(caught.value)
