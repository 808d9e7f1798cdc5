"""Gradients: transpose, symbol, projection, unseen modes, order, and the element."""

import itertools

import numpy as np
import pytest
import torch
from cells import (
    DIFFERENCES,
    ELEMENTS,
    SCHEMES,
    SPACING,
    components,
    distance,
    generator,
    random_stiffness,
)

import lsml
from lsml.discretization import triangle
from lsml.displacement_form import DisplacementForm
from lsml.green import green_operator
from lsml.grid import Grid
from lsml.law import Uniform
from lsml.mandel import PAIRS, symmetric_gradient
from lsml.physics.discretization import discretization

SMALL = [(3, 4, 2), (1, 5, 4), (2, 2, 3), (4, 6), (5, 1), (3, 2)]
GAUSS = np.array([-1, 1]) / (2 * 3**0.5)


def make(scheme, shape):
    grid = Grid(shape, SPACING[: len(shape)])
    return discretization(scheme, grid, symmetric_gradient(len(shape)))


def random_field(d, components, seed, batch=2):
    shape = (batch, components, *d.grid.shape)
    return torch.randn(shape, dtype=torch.float64, generator=generator(seed))


def flux_components(d):
    return d.points * d.differential.components


def medium(d, seed=3):
    c = d.differential.components
    return torch.from_numpy(random_stiffness(c, seed))[None]


def green(d):
    return green_operator(d, medium(d), torch.zeros(1, d.differential.components))


@pytest.mark.parametrize("shape", SMALL)
@pytest.mark.parametrize("scheme", SCHEMES + DIFFERENCES)
def test_transpose(scheme, shape):
    """Theorem: <σ, B u> = <Bᵀσ, u> for all fields.

    Catches a shift the wrong way, a lost weight, and the conjugate left out.
    """
    d = make(scheme, shape)
    u, flux = random_field(d, len(shape), 1), random_field(d, flux_components(d), 2)
    left = (d.gradient(u) * flux).flatten(1).sum(1)
    right = (u * d.transpose(flux)).flatten(1).sum(1)
    scale = d.gradient(u).norm() * flux.norm()
    assert float((left - right).abs().max() / scale) < 1e-14


def plane_waves(d):
    """Every mode of the half spectrum: its index, and e^{iθ·x} as cosine and sine."""
    shape = d.grid.shape
    half = (*shape[:-1], shape[-1] // 2 + 1)
    axes = [torch.arange(n, dtype=torch.float64) for n in shape]
    place = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    for index in itertools.product(*map(range, half)):
        turns = torch.tensor(index, dtype=torch.float64) / torch.tensor(shape)
        phase = 2 * torch.pi * torch.einsum("d,d...->...", turns, place)
        yield index, phase.cos(), phase.sin()


def full(packed, m):
    """Hermitian m × m matrices (m, m, *k) from their upper triangles (p, *k)."""
    upper = dict(zip(triangle(m), packed, strict=True))
    rows = [
        [upper[i, j] if i <= j else upper[j, i].conj() for j in range(m)]
        for i in range(m)
    ]
    return torch.stack([torch.stack(row) for row in rows]) + 0j


def averaged(d, strain):
    """Strains of all points (q·c); `hex8-bbar` puts the mean in place of the trace."""
    if "BBar" not in type(d).__name__:
        return strain
    points = strain.unflatten(0, (d.points, -1)).clone()
    normal = points[:, : d.grid.ndim]
    trace = normal.sum(1, keepdim=True)
    normal += (trace.mean(0) - trace) / d.grid.ndim
    return points.flatten()


@pytest.mark.parametrize("shape", SMALL)
@pytest.mark.parametrize("scheme", SCHEMES + DIFFERENCES)
def test_symbol_is_that_of_the_stencil(scheme, shape):
    """Theorem: B(v e^{iθ·x}) = (S k(θ) v) e^{iθ·x} for every mode, Nyquist included,
    and Bᵀ C B / q multiplies it by `stiffness`.

    Catches a symbol of another scheme, of other spacings, or with other points.
    """
    d, c = make(scheme, shape), medium(make(scheme, shape))
    s = d.differential.matrix(c)
    symbols = d.symbols(torch.device("cpu"))
    stiffness = full(d.stiffness(c)[0], d.differential.potentials)
    v = random_field(d, len(shape), 4, 1).flatten(2)[0, :, 0]
    for index, cosine, sine in plane_waves(d):
        wave = torch.complex(cosine, sine)
        column = v.reshape(-1, *[1] * len(shape))
        strain = torch.complex(
            *(d.gradient((column * part)[None]) for part in (cosine, sine))
        )[0]
        expected = torch.cat(
            [
                torch.einsum("cmi,mi,m->c", s + 0j, k[:, :, *index], v + 0j)
                for k in symbols
            ]
        )
        expected = averaged(d, expected).reshape(-1, *[1] * len(shape)) * wave
        assert float((strain - expected).abs().max()) < 1e-13
        flux = [Uniform(c)(part[None]) for part in (strain.real, strain.imag)]
        force = torch.complex(*(d.transpose(f)[0] for f in flux)) / d.points
        expected = (stiffness[:, :, *index] @ (v + 0j)).reshape(
            -1, *[1] * len(shape)
        ) * wave
        assert float((force - expected).abs().max()) < 1e-12


@pytest.mark.parametrize("shape", SMALL)
@pytest.mark.parametrize("scheme", SCHEMES + DIFFERENCES)
def test_green_operator_is_a_projection(scheme, shape):
    """Theorem: Γ is self-adjoint, ΓC⁰ idempotent, Γ of a uniform field is zero, and
    every Γτ is a gradient of this scheme with mean zero.

    Catches an N that is not the inverse of BᵀC⁰B, and a mean that leaks.
    """
    d = make(scheme, shape)
    gamma, c0, n = green(d), Uniform(medium(d)), flux_components(d)
    a, b = random_field(d, n, 1), random_field(d, n, 2)
    ga, gb = gamma(a), gamma(b)
    left, right = (ga * b).flatten(1).sum(1), (a * gb).flatten(1).sum(1)
    assert float((left - right).abs().max() / (a * gb).abs().sum()) < 1e-14
    assert distance(gamma(c0(ga)), ga) < 1e-12
    mean = d.average(ga)
    assert float(mean.abs().max() / ga.abs().max()) < 1e-14
    uniform = a[(..., *[slice(0, 1)] * len(shape))].unflatten(1, (d.points, -1))[:, :1]
    uniform = uniform.expand(-1, d.points, *[-1] * (len(shape) + 1)).flatten(1, 2)
    assert float(gamma(uniform.expand_as(a)).abs().max()) < 1e-13
    columns = dense_gradient(d)
    _, _, rank, _ = torch.linalg.lstsq(columns, ga.flatten(1).T, driver="gelsd")
    fit = columns @ torch.linalg.lstsq(columns, ga.flatten(1).T, driver="gelsd")[0]
    assert distance(fit, ga.flatten(1).T) < 1e-11
    assert int(rank) == len(shape) * seen(scheme, shape)


def dense_gradient(d):
    """B as a matrix, one column per nodal displacement."""
    n = d.grid.size * d.grid.ndim
    unit = torch.eye(n, dtype=torch.float64).reshape(n, d.grid.ndim, *d.grid.shape)
    return d.gradient(unit).flatten(1).T


def seen(scheme, shape):
    """Fourier modes, of all, whose gradient is not zero by the scheme's policy."""
    modes = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    nyquist = 2 * modes == np.array(shape).reshape(-1, *[1] * len(shape))
    mean = (modes == 0).all(0)
    return {
        "fourier": ~(nyquist | (modes == 0)).all(0),
        "rotated": ~(mean | (nyquist.sum(0) >= 2)),
        "hex8": ~mean,
        "hex8-bbar": ~mean,
        "staggered": ~mean,
        "forward": ~mean,
        "backward": ~mean,
    }[scheme].sum()


@pytest.mark.parametrize(
    ("scheme", "shape", "unseen"),
    [
        ("fourier", (5, 7, 3), 1),
        ("fourier", (4, 5, 3), 2),
        ("fourier", (4, 6, 2), 8),
        ("rotated", (5, 7, 3), 1),
        ("rotated", (4, 5, 3), 1),
        ("rotated", (4, 6, 5), 1 + 5),
        ("rotated", (4, 6, 8), 1 + 1 + 3 + 5 + 7),
        ("rotated", (4, 6), 2),
        ("hex8", (4, 6, 8), 1),
        ("hex8-bbar", (4, 6, 8), 1),
        ("hex8-bbar", (4, 6), 1),
        ("staggered", (4, 6, 2), 1),
        ("forward", (4, 6, 2), 1),
        ("backward", (4, 6), 1),
    ],
)
def test_modes_left_out(scheme, shape, unseen):
    """Statement: N is zero on the modes without a gradient and on no other.

    `fourier`: zero or Nyquist on every axis. `rotated`: the mean, and Nyquist along
    two axes or more. `hex8`, also averaged: the mean. Catches a threshold that takes
    soft modes for empty ones, or lets rounding through.
    """
    d = make(scheme, shape)
    assert np.prod(shape) - seen(scheme, shape) == unseen
    empty = (green(d).inverse == 0).all(1)[0].double()
    n = shape[-1]
    twice = torch.full((n // 2 + 1,), 2.0, dtype=torch.float64)
    twice[0] = 1.0
    if n % 2 == 0:
        twice[-1] = 1.0
    assert int((empty * twice).sum()) == unseen
    assert bool(green(d).inverse.isfinite().all())


def smooth(shape, offsets):
    """A periodic analytic displacement (d, *n) and its gradient ∂_i u_m at a place.

    ``offsets`` is the position within the voxel, in voxels; the cell is 2π long.
    """
    d = len(shape)
    x = [
        2 * np.pi * (np.arange(n) + o) / n for n, o in zip(shape, offsets, strict=True)
    ]
    x = np.meshgrid(*x, indexing="ij")
    u, grad = [], []
    for m in range(d):
        inner = sum((1 + (i + m) % 2) * x[i] for i in range(d)) + m
        value = np.exp(np.sin(inner) / 2) + 0.3 * np.cos(x[m])
        slope = np.exp(np.sin(inner) / 2) * np.cos(inner) / 2
        u.append(value)
        partial = [(1 + (i + m) % 2) * slope for i in range(d)]
        partial[m] = partial[m] - 0.3 * np.sin(x[m])
        grad.append(partial)
    return np.stack(u), np.array(grad)


def strain_of(grad):
    """Mandel strain (c, *n) of ∂_i u_m, written out."""
    rows = []
    for i, j in PAIRS[len(grad)]:
        if i == j:
            rows.append(grad[i, i])
        else:
            rows.append((grad[i, j] + grad[j, i]) / 2**0.5)
    return torch.from_numpy(np.stack(rows))


def errors(scheme, shape):
    """Error of the voxel strain of exact nodal values, and of the displacement that
    answers to the stress of the exact strain at the quadrature points."""
    ndim = len(shape)
    grid = Grid(shape, tuple(2 * np.pi / n for n in shape))
    d = discretization(scheme, grid, symmetric_gradient(ndim))
    one = [0.0] if scheme == "fourier" else [0.5]
    nodes = one if scheme in ("fourier", "rotated") else 0.5 + GAUSS
    u = torch.from_numpy(smooth(shape, [0.0] * ndim)[0])
    centre = strain_of(smooth(shape, one * ndim)[1])
    voxel = d.gradient(u[None]).unflatten(1, (d.points, -1)).mean(1)[0]
    points = itertools.product(nodes, repeat=ndim)
    exact = torch.cat([strain_of(smooth(shape, p)[1]) for p in points])
    gamma = green(d)
    answer = gamma.potential(gamma.pull(Uniform(medium(d))(exact[None])))[0]
    zero_mean = u - u.flatten(1).mean(1).reshape(-1, *[1] * ndim)
    return distance(voxel, centre), distance(answer, zero_mean)


@pytest.mark.parametrize("scheme", ELEMENTS)
@pytest.mark.parametrize("ndim", [2, 3])
def test_second_order(scheme, ndim):
    """Theorem: strains at the centres and displacements converge as h².

    On a manufactured smooth displacement in an anisotropic medium, other numbers of
    voxels on each axis. Catches points, or components of a point, out of place.
    """
    base = (40, 50) if ndim == 2 else (30, 33, 32)
    coarse, fine = errors(scheme, base), errors(scheme, tuple(2 * n for n in base))
    for e, f in zip(coarse, fine, strict=True):
        assert abs(np.log2(e / f) - 2) < 0.1


@pytest.mark.parametrize("ndim", [2, 3])
def test_fourier_is_spectral(ndim):
    """Theorem: for an analytic displacement the error falls faster than any power.

    Catches a wrong length of the cell and a Nyquist mode that is not dropped.
    """
    shapes = [(16, 18), (32, 36), (64, 65)] if ndim == 2 else [(16, 15, 17), (48,) * 3]
    found = [errors("fourier", shape) for shape in shapes]
    assert max(found[-1]) < 1e-9
    assert min(found[0]) > 1e-4


@pytest.mark.parametrize("scheme", ["rotated", "hex8"])
@pytest.mark.parametrize("shape", SMALL)
def test_affine_plus_periodic(scheme, shape):
    """Theorem: x̄ + B u is the gradient of the displacement x̄·X + u on the voxel mesh
    with its images, by differences of corner values written independently.

    Catches a stencil that wraps the wrong way, and a mean strain not added once.
    """
    ndim, c = len(shape), components(shape)
    h = np.array(SPACING[:ndim])
    problem = lsml.elasticity(
        np.zeros(shape, int),
        [lsml.isotropic(E=1.0, nu=0.3)],
        lsml.load(strain=np.linspace(-1, 2, c)),
        scheme,
        spacing=SPACING[:ndim],
    )
    form = DisplacementForm(problem)
    x = random_field(problem.discretization, ndim, 8, 1).flatten(1)
    mean = np.zeros((ndim, ndim))
    for value, (i, j) in zip(np.linspace(-1, 2, c), PAIRS[ndim], strict=True):
        mean[i, j] = mean[j, i] = value if i == j else value / 2**0.5
    corners = np.pad(
        x.numpy().reshape(ndim, *shape), [(0, 0)] + [(0, 1)] * ndim, mode="wrap"
    )
    index = np.stack(np.meshgrid(*[np.arange(n + 1) for n in shape], indexing="ij"))
    corners = corners + np.einsum("mi,i,i...->m...", mean, h, index)
    nodes = 0.5 + GAUSS if scheme == "hex8" else [0.5]
    expected = []
    for point in itertools.product(nodes, repeat=ndim):
        grad = np.zeros((ndim, ndim, *shape))
        for corner in itertools.product((0, 1), repeat=ndim):
            at = tuple(slice(k, k + n) for k, n in zip(corner, shape, strict=True))
            weight = [p if k else 1 - p for p, k in zip(point, corner, strict=True)]
            for i in range(ndim):
                rest = np.prod([w for a, w in enumerate(weight) if a != i])
                grad[:, i] += (2 * corner[i] - 1) / h[i] * rest * corners[:, *at]
        expected.append(strain_of(grad))
    assert distance(form.field(x)[0], torch.cat(expected)) < 1e-14


def element_stiffness(c, h):
    """∫ Bᵀ C B over a trilinear (bilinear) voxel by 2 × 2 (× 2) Gauss points; and
    ∫ Bᵀ C, the forces that hold a mean strain. Corners in binary order."""
    weighted = [np.prod(h) / 2 ** len(h) * b.T @ c for b in gradients(len(c), h)]
    k = sum(w @ b for w, b in zip(weighted, gradients(len(c), h), strict=True))
    return k, sum(weighted)


def bbar_stiffness(c, h):
    """The same for B̄ = B_deviatoric + mean of B_volumetric (Hughes 1980)."""
    ndim = len(h)
    one = np.zeros(len(c))
    one[:ndim] = 1.0
    volumetric = np.outer(one, one) / ndim
    points = gradients(len(c), h)
    mean = volumetric @ np.mean(points, axis=0)
    bars = [b - volumetric @ b + mean for b in points]
    weight = np.prod(h) / 2**ndim
    return weight * sum(b.T @ c @ b for b in bars), weight * sum(b.T @ c for b in bars)


def gradients(components, h):
    """Matrices B from corner displacements to strain, one per Gauss point."""
    ndim, matrices = len(h), []
    corners = list(itertools.product((0, 1), repeat=ndim))
    for point in itertools.product(0.5 + GAUSS, repeat=ndim):
        b = np.zeros((components, ndim * len(corners)))
        for n, corner in enumerate(corners):
            slope = []
            for i in range(ndim):
                factors = [
                    p if s else 1 - p for p, s in zip(point, corner, strict=True)
                ]
                factors[i] = (1.0 if corner[i] else -1.0) / h[i]
                slope.append(np.prod(factors))
            for row, (i, j) in enumerate(PAIRS[ndim]):
                if i == j:
                    b[row, ndim * n + i] += slope[i]
                else:
                    b[row, ndim * n + i] += slope[j] / 2**0.5
                    b[row, ndim * n + j] += slope[i] / 2**0.5
        matrices.append(b)
    return matrices


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("hex8", (7, 6, 5)),
        ("quad4", (7, 6)),
        ("hex8", (2, 5, 1)),
        ("hex8-bbar", (7, 6, 5)),
        ("hex8-bbar", (7, 6)),
    ],
)
@pytest.mark.parametrize("anisotropic", [False, True])
def test_force_is_that_of_assembled_elements(name, shape, anisotropic):
    """Theorem: the nodal forces of `hex8` (`quad4` in plane strain) are those of
    element stiffnesses with full Gauss integration, assembled voxel by voxel; those of
    `hex8-bbar`, of element stiffnesses by Hughes's B̄.

    Catches reduced integration, a wrong weight per point, mixed-up axes, and a
    dilatation averaged with the wrong share.
    """
    ndim, c = len(shape), components(shape)
    h = SPACING[:ndim]
    labels = np.random.default_rng(3).integers(0, 2, shape)
    hooke = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=20.0, nu=0.1)]
    full = [lsml.anisotropic(random_stiffness(c, s)) for s in (5, 6)]
    phases = full if anisotropic else hooke
    mean = np.random.default_rng(4).normal(size=c)
    problem = lsml.elasticity(labels, phases, lsml.load(strain=mean), name, spacing=h)
    u = np.random.default_rng(5).normal(size=(ndim, *shape))
    force = DisplacementForm(problem).force(torch.from_numpy(u).reshape(1, -1))
    plane = [p.plane_strain() if ndim == 2 else p for p in phases]
    element = element_stiffness if name != "hex8-bbar" else bbar_stiffness
    elements = [element(p.matrix().numpy(), h) for p in plane]
    expected = np.zeros_like(u)
    for voxel in itertools.product(*map(range, shape)):
        nodes = [
            tuple((v + s) % n for v, s, n in zip(voxel, corner, shape, strict=True))
            for corner in itertools.product((0, 1), repeat=ndim)
        ]
        k, held = elements[labels[voxel]]
        f = k @ np.concatenate([u[:, *node] for node in nodes]) + held @ mean
        for n, node in enumerate(nodes):
            expected[:, *node] -= f[ndim * n : ndim * (n + 1)]
    found = force.reshape(ndim, *shape) * np.prod(h)
    assert distance(found, expected) < 1e-12
