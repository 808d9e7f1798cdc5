"""Staggered and one-sided differences: their phases, their order, what they refuse."""

import itertools

import numpy as np
import pytest
import torch
from cells import SPACING, components, distance, effective, random_labels
from test_discretization import strain_of

import lsml
from lsml import exact
from lsml.displacement_form import DisplacementForm
from lsml.grid import Grid
from lsml.mandel import PAIRS, symmetric_gradient
from lsml.physics.discretization import discretization

HOOKE = [lsml.isotropic(E=1.0, nu=0.1), lsml.isotropic(E=12.0, nu=0.4)]
MODULI = np.array([[1 / 1.1 * 0.1 / 0.8, 0.5 / 1.1], [12 * 0.4 / 1.4 / 0.2, 6 / 1.4]])


def stack(shape, axis, seed):
    """Layers across one axis, with labels 0 and 1."""
    profile = random_labels((shape[axis],), 2, 1, seed)[0]
    other = [a for a in range(len(shape)) if a != axis]
    return np.broadcast_to(np.expand_dims(profile, other), shape).copy()


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("scheme", ["staggered", "forward", "backward"])
def test_layers_are_exact(scheme, axis):
    """Theorem: a laminate is exact across any axis, at odd and even numbers of layers.

    Catches arithmetic means on edges and faces, a mean over the wrong neighbours, and
    a difference along another axis.
    """
    shape = [3, 2, 4]
    shape[axis] = 6
    labels = stack(tuple(shape), axis, axis)
    turn = np.roll(np.eye(3), axis, 0)
    q = lsml.mandel.rotation(torch.from_numpy(turn))
    shares = exact.volume_fractions(labels, 2)
    found = effective(labels[None], HOOKE, scheme, SPACING)
    assert distance(found, q @ exact.laminate(HOOKE, shares) @ q.T) < 1e-10
    k = lsml.homogenize(lsml.conductivity(labels, [1.0, 7.0], [1, 0, 0], scheme))
    expected = (
        turn @ exact.laminate_conductivity([1.0, 7.0], shares)[0].numpy() @ turn.T
    )
    assert distance(k.stiffness[0], torch.from_numpy(expected)) < 1e-10


def energy_of_staggered(u, labels, mean, h):
    """½ <σ : ε> voxel by voxel and edge by edge, from the displacements on faces."""
    d, shape = len(h), labels.shape
    total = 0.0
    lam, mu = MODULI[labels].transpose(-1, *range(d))
    for x in itertools.product(*map(range, shape)):

        def at(m, *steps, x=x):
            place = list(x)
            for a, s in steps:
                place[a] = (place[a] + s) % shape[a]
            return u[m][tuple(place)]

        normal = [mean[i, i] + (at(i, (i, 1)) - at(i)) / h[i] for i in range(d)]
        total += 0.5 * lam[x] * sum(normal) ** 2 + mu[x] * sum(n**2 for n in normal)
        for i, j in PAIRS[d]:
            if i != j:
                shear = (at(i) - at(i, (j, -1))) / h[j] + (at(j) - at(j, (i, -1))) / h[
                    i
                ]
                meet = []
                for si, sj in itertools.product((0, -1), repeat=2):
                    place = list(x)
                    place[i], place[j] = (x[i] + si) % shape[i], (x[j] + sj) % shape[j]
                    meet.append(mu[tuple(place)])
                on_edge = 4 / sum(1 / m for m in meet)
                total += 2 * on_edge * (mean[i, j] + shear / 2) ** 2
    return total / labels.size


@pytest.mark.parametrize("shape", [(4, 3, 2), (5, 4)])
def test_energy_of_the_staggered_grid(shape):
    """Theorem: the energy is that of normal strains at centres and of shear strains on
    edges, whose modulus is the harmonic mean of four voxels; written as loops.

    Catches a component at another place than its modulus, and its force (derivative).
    """
    d, c = len(shape), components(shape)
    labels = random_labels(shape, 2, 1, 3)[0]
    values = np.linspace(-1.0, 1.5, c)
    load = lsml.load(strain=values)
    p = lsml.elasticity(labels, HOOKE, load, "staggered", spacing=SPACING[:d])
    mean = np.zeros((d, d))
    for value, (i, j) in zip(values, PAIRS[d], strict=True):
        mean[i, j] = mean[j, i] = value if i == j else value / 2**0.5
    form = DisplacementForm(p)
    rng = np.random.default_rng(1)
    u, v = rng.normal(size=(2, d, *shape))

    def energy(t):
        x = torch.from_numpy((u + t * v).reshape(1, -1))
        return float(form.strain.law.energy(form.field(x)).mean())

    def expected(t):
        return energy_of_staggered(u + t * v, labels, mean, SPACING[:d])

    assert abs(energy(0.0) / expected(0.0) - 1) < 1e-12
    force = form.force(torch.from_numpy(u.reshape(1, -1)))
    work = float(form.pairing(force, torch.from_numpy(v.reshape(1, -1)))[0])
    slope = (expected(1.0) - expected(-1.0)) / 2  # exact for a quadratic
    assert abs(work / -slope - 1) < 1e-10


def places(scheme, ndim):
    """Where the potentials and the components stand, in voxels from the corner."""
    if scheme != "staggered":
        return [np.zeros(ndim)] * ndim, None
    unit = np.eye(ndim)
    seats = [0.5 - 0.5 * unit[m] for m in range(ndim)]
    fields = [0.5 - 0.5 * (unit[i] + unit[j]) * (i != j) for i, j in PAIRS[ndim]]
    return seats, fields


def order(scheme, ndim):
    """Observed order of the strain, at the voxel corner if not staggered."""
    found = []
    for n in (24, 48):
        grid = Grid((n,) * ndim, (2 * np.pi / n,) * ndim)
        d = discretization(scheme, grid, symmetric_gradient(ndim))
        seats, fields = places(scheme, ndim)
        fields = fields or [np.zeros(ndim)] * components((1,) * ndim)
        u = [wave(n, seat)[0][m] for m, seat in enumerate(seats)]
        exact_strain = [strain_of(wave(n, at)[1])[c] for c, at in enumerate(fields)]
        strain = d.gradient(torch.from_numpy(np.stack(u))[None])[0]
        found.append(distance(strain, torch.stack(exact_strain)))
    return np.log2(found[0] / found[1])


def wave(n, offset):
    """A smooth displacement and its gradient [i, m] = ∂_i u_m."""
    d = len(offset)
    axes = [2 * np.pi * (np.arange(n) + o) / n for o in offset]
    x = np.meshgrid(*axes, indexing="ij")
    phase = [sum((1 + (i + m) % 2) * x[i] for i in range(d)) + m for m in range(d)]
    u = np.stack([np.sin(p) for p in phase])
    slopes = [
        [(1 + (i + m) % 2) * np.cos(phase[m]) for m in range(d)] for i in range(d)
    ]
    return u, np.array(slopes)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize(
    ("scheme", "expected"), [("staggered", 2), ("forward", 1), ("backward", 1)]
)
def test_order_of_convergence(scheme, expected, ndim):
    """Theorem: central differences are of second order where they stand, one-sided
    ones of first order at the corner.

    Catches a strain or a displacement that stands elsewhere than stated.
    """
    assert abs(order(scheme, ndim) - expected) < 0.1


def test_mirrored():
    """Theorem: `backward` on an image is `forward` on the mirrored one, mirrored.

    Catches one of the two that is not one-sided.
    """
    labels = random_labels((4, 5, 3), 2, 1, 7)[0]
    forward = effective(labels[None], HOOKE, "forward", SPACING)
    backward = effective(
        labels[None, ::-1, ::-1, ::-1].copy(), HOOKE, "backward", SPACING
    )
    assert distance(forward, backward) < 1e-10


@pytest.mark.parametrize("scheme", ["staggered", "forward"])
def test_equals_dense_algebra(scheme):
    """Theorem: the strain solves BᵀC(x̄ + B u) = 0, with B as a matrix; mixed load and
    eigenstrain included, for a batch.

    Catches a complex N that is not the inverse, and laws that share no neighbours.
    """
    labels = random_labels((3, 4), 2, 2, 5)
    load = lsml.load(strain=[1e-2, None, None], stress=[None, 0.1, -0.2])
    eigen = [[1e-2, 0.0, 3e-3], [0.0, 2e-2, 1e-3]]
    p = lsml.elasticity(labels, HOOKE, load, scheme, (1.0, 2.0), eigenstrain=eigen)
    solution = lsml.solve(p, tol=1e-12)
    n = 24
    unit = torch.eye(n, dtype=torch.float64).reshape(n, 2, 3, 4)
    b = p.discretization.gradient(unit).flatten(1).T
    mean = torch.kron(torch.eye(3, dtype=torch.float64), torch.ones(12, 1).double())
    basis = torch.cat([b, mean[:, 1:]], 1)
    given = torch.tensor([1e-2, 0, 0], dtype=torch.float64).repeat_interleave(12)
    push = torch.tensor([0, 0.1, -0.2], dtype=torch.float64).repeat_interleave(12)
    for k in range(2):
        one = p.select(torch.tensor([k]))

        def flux(x, law=one.law):
            return law(x.reshape(1, 3, 3, 4)).flatten()

        offset = flux(torch.zeros(36, dtype=torch.float64))
        c = torch.stack([flux(row) - offset for row in torch.eye(36).double()], 1)
        assert distance(c, c.T) < 1e-14
        right = basis.T @ (push - c @ given - offset)
        y = torch.linalg.lstsq(basis.T @ c @ basis, right[:, None], driver="gelsd")[0]
        assert distance(solution.strain[k].flatten(), given + (basis @ y)[:, 0]) < 1e-9


def test_refusals():
    """Statement: a phase that couples components at different places is named."""
    skew = np.eye(3) + 0.2 * (np.eye(3)[[2, 1, 0]] - np.diag([0, 1, 0]))
    plane = lsml.load(strain=[1.0, 0, 0])
    with pytest.raises(ValueError, match=r"phase 1 couples components 0 and 2"):
        lsml.elasticity([[0, 1]], [np.eye(3), skew], plane, "staggered")
    with pytest.raises(ValueError, match=r"phase 1 couples components 0 and 1"):
        lsml.conductivity([[0, 1]], [1.0, [[2, 1], [1, 2]]], [1, 0], "staggered")
    turned = lsml.elasticity([[0, 1]], [np.eye(3), 2 * np.eye(3)], plane, "staggered")
    assert lsml.solve(turned).converged.all()
    with pytest.raises(ValueError, match=r"hex8-bbar.*use 'hex8'"):
        lsml.conductivity([[0, 1]], [1.0, 2.0], [1, 0], "hex8-bbar")
