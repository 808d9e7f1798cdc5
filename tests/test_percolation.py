"""Pores: what hangs together, what carries nothing, and that solves end."""

import numpy as np
import pytest
import torch
from cells import random_labels

import lsml
from lsml.physics.percolation import windings

HOLED = [lsml.isotropic(E=0.0, nu=0.3), lsml.isotropic(E=1.0, nu=0.3)]
PULL = lsml.load(strain=[1.0, 0, 0, 0, 0, 0])


def reached(solid, faces):
    """Axes that a walk from some voxel to an image of it crosses: brute force, on 5
    copies of the cell along each axis."""
    d, copies = solid.ndim, 5
    from scipy.ndimage import generate_binary_structure, label

    tiled = np.tile(solid, (copies,) * d)
    parts, _ = label(tiled, generate_binary_structure(d, 1 if faces else d))
    home = tuple(slice(2 * n, 3 * n) for n in solid.shape)
    crossed = np.zeros(d, bool)
    for jump in np.ndindex(*(3,) * d):
        step = np.array(jump) - 1
        there = tuple(
            slice((2 + s) * n, (3 + s) * n)
            for s, n in zip(step, solid.shape, strict=True)
        )
        same = (parts[home] == parts[there]) & (parts[home] > 0)
        if step.any() and same.any():
            crossed |= step != 0
    return crossed


@pytest.mark.parametrize("faces", [False, True])
@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 3), (1, 4), (5, 1, 3)])
def test_windings_of_random_images(shape, faces):
    """Theorem: a cluster meets its image iff a tiling of the cell joins them.

    Catches links across an edge or corner of the cell, and a wrong sign.
    """
    rng = np.random.default_rng(0)
    found = set()
    for share in (0.2, 0.35, 0.5, 0.65):
        for _ in range(6):
            solid = rng.random(shape) < share
            answer = (
                lsml.percolates(solid[None], faces=faces)[0].numpy()
                if (solid.ndim == 3)
                else np.any(
                    [w.any(0) for w in windings(solid, faces)] or [[False] * 2], 0
                )
            )
            assert (answer == reached(solid, faces)).all()
            found.add(tuple(answer.tolist()))
    assert len(found) > 1 or min(shape) == 1


def test_slanted_cluster():
    """Theorem: a diagonal touches its images at corners only, along (1, 1)."""
    loops = windings(np.eye(4, dtype=bool), faces=False)
    assert [sorted(map(tuple, np.abs(w))) for w in loops] == [[(1, 1)]]
    assert windings(np.eye(4, dtype=bool), faces=True) == []


@pytest.mark.parametrize("scheme", ["rotated", "hex8", "staggered"])
def test_rods_carry_along_themselves_only(scheme):
    """Theorem: of parallel rods κ* and C* are f κ and f E along them and exactly 0
    elsewhere, shear included.

    Catches a modulus that rounding makes negative.
    """
    image = np.zeros((4, 6, 6), int)
    image[:, 2:4, 2:4] = image[:, 5, 0] = 1
    share = image.mean()
    k = np.asarray(
        lsml.homogenize(lsml.conductivity(image, [0, 2.0], [1, 0, 0], scheme))
    )
    assert np.abs(k[0] - np.diag([2 * share, 0, 0])).max() < 1e-6
    assert (k[0][1:] == 0).all()
    c = lsml.homogenize(lsml.elasticity(image, HOLED, PULL, scheme))
    expected = np.zeros((6, 6))
    expected[0, 0] = share
    assert np.abs(np.asarray(c)[0] - expected).max() < 1e-6
    assert (np.asarray(c)[0][1:] == 0).all()
    assert (c.upper[0, 1:] == 0).all()


def test_islands_carry_nothing():
    """Theorem: islands have C* = 0, in each sample by itself."""
    images = np.zeros((2, 5, 4, 4), int)
    images[0, 1:3, 1:3, 1:3] = 1
    images[1, :, :, 1] = 1
    c = np.asarray(lsml.homogenize(lsml.elasticity(images, HOLED, PULL, "hex8")))
    assert (c[0] == 0).all()
    assert c[1][0, 0] > 0.1
    assert c[1][5, 5] > 0.05
    assert (c[1][2:5] == 0).all()


@pytest.mark.parametrize("build", ["elasticity", "conductivity"])
def test_a_flux_that_nothing_carries_is_refused(build):
    """Statement: one sentence before the solve; a flux of 0 is not one."""
    image = np.zeros((4, 6, 6), int)
    image[:, 2:4, 2:4] = 1
    if build == "conductivity":
        phases, args = [0.0, 1.0], ([0, None, 0], [None, 1.0, None])
        name, make, names = "flux 2", lsml.conductivity, ("gradient", "flux")
    else:
        phases = HOLED
        args = ([0, None, 0, 0, 0, 0], [None, 1.0] + [None] * 4)
        name, make, names = "stress 22", lsml.elasticity, ("strain", "stress")
    load = lsml.load(**dict(zip(names, args, strict=True)))
    with pytest.raises(ValueError, match=f"mean {name}, which nothing carries"):
        make(image, phases, load, "hex8")
    empty = [None if v is None else 0.0 for v in args[1]]
    still = lsml.load(**dict(zip(names, (args[0], empty), strict=True)))
    assert lsml.solve(make(image, phases, still, "hex8")).converged.all()


@pytest.mark.parametrize("scheme", ["rotated", "hex8", "staggered", "forward"])
@pytest.mark.parametrize("soft", [0.0, 1e-6, 1e6])
def test_extremes_converge(scheme, soft):
    """Statement: pores and contrasts of 1e6 either way end at the tolerance, with
    positive definite results between the Reuss and Voigt bounds.
    """
    x = np.indices((10, 9, 8)) / np.array([10, 9, 8])[:, None, None, None]
    wave = np.cos(2 * np.pi * x).sum(0) + 0.3 * np.sin(4 * np.pi * x).sum(0)
    image = (wave > -0.6).astype(int)
    phases = [lsml.isotropic(E=soft, nu=0.3), lsml.isotropic(E=1.0, nu=0.3)]
    problem = lsml.elasticity(image, phases, PULL, scheme)
    s = lsml.solve(problem, tol=1e-5, max_iter=3000)
    assert s.converged.all()
    stress = float(s.mean_stress[0, 0])
    stiff = [float(p.matrix()[0, 0]) for p in phases]
    assert 0 < stress <= np.average(stiff, weights=[1 - image.mean(), image.mean()])
    k = lsml.conductivity(image, [soft, 1.0], [1, 0, 0], scheme)
    assert lsml.solve(k, tol=1e-5, max_iter=3000).converged.all()


def test_labels_select_what_is_solid():
    """Statement: any list of labels may be the solid."""
    image = random_labels((4, 4, 4), 3, 1, 0)
    every = lsml.percolates(image, [0, 1, 2])
    assert bool(every.all())
    assert torch.equal(lsml.percolates(image, 7), torch.zeros(1, 3, dtype=torch.bool))
