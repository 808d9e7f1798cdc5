"""Conduction on the parts that it shares with elasticity."""

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
import torch
from cells import SPACING, distance, random_labels, random_stiffness

import lsml
from lsml import exact

SCHEMES = ["fourier", "rotated", "hex8", "staggered", "forward", "backward"]
GENERAL = [s for s in SCHEMES if s != "staggered"]
CONTRAST = [1.0, 10.0]


def matrices(d, batch, phases, seed=0):
    rows = [
        [random_stiffness(d, seed + 10 * b + h, 4.0**h) for h in range(phases)]
        for b in range(batch)
    ]
    return torch.from_numpy(np.array(rows))


def dense_answer(p, given, push, free):
    """Gradient (points·d·voxels) of one sample by dense algebra."""
    d, grid, law = p.grid.ndim, p.grid, p.law
    n, points = grid.size, p.points
    kind = law.coefficients.dtype
    unit = torch.eye(n, dtype=torch.float64).reshape(n, 1, *grid.shape)
    b = p.discretization.gradient(unit).flatten(1).T.to(kind)
    mean = torch.kron(torch.ones(points, 1), torch.kron(torch.eye(d), torch.ones(n, 1)))
    mean = mean.to(kind)
    full = points * d * n
    columns = torch.eye(full, dtype=kind)
    c = law(columns.reshape(full, points * d, *grid.shape)).flatten(1).T
    basis = torch.cat([b, mean[:, free]], 1)
    right = basis.T @ (mean @ push - c @ (mean @ given))
    left = basis.T @ c @ basis
    y = torch.linalg.lstsq(left, right[:, None], driver="gelsd")[0][:, 0]
    return mean @ given + basis @ y


@pytest.mark.parametrize("shape", [(3, 4, 2), (1, 5, 3), (4, 3), (5, 1)])
@pytest.mark.parametrize("scheme", GENERAL)
def test_equals_dense_algebra(scheme, shape):
    """Theorem: Bᵀκ(ē + B u) = 0 with B and κ as matrices, anisotropic phases of each of
    two samples, mean gradient in one component and mean flux in the others.

    Catches mixed control that forgets a component, tables given to the wrong sample,
    exchanged axes, and a Green operator with another gradient than the field's.
    """
    d = len(shape)
    labels = random_labels(shape, 2, 2, d)
    phases = matrices(d, 2, 2)
    gradient, flux = [0.3] + [None] * (d - 1), [None, -0.7, 0.4][:d]
    load = lsml.load(gradient=gradient, flux=flux)
    p = lsml.conductivity(labels, phases, load, scheme, SPACING[:d])
    s = lsml.solve(p, tol=1e-12, quadrature=True)
    given, push = torch.zeros(2, d, dtype=torch.float64)
    given[0], push[1:] = 0.3, torch.tensor(flux[1:], dtype=torch.float64)
    for k in range(2):
        one = p.select(torch.tensor([k]))
        expected = dense_answer(one, given, push, list(range(1, d)))
        assert distance(s.gradient[k].flatten(), expected) < 1e-9
    assert distance(s.mean_flux[:, 1:], push[1:].expand(2, -1)) < 1e-10
    assert distance(s.mean_gradient[:, 0], given[:1].expand(2)) < 1e-12
    assert s.potential.shape == (2, 1, *shape)


@pytest.mark.parametrize("shape", [(6, 5, 4), (7, 4)])
def test_staggered_is_the_finite_volume_scheme(shape):
    """Theorem: `staggered` solves the two-point fluxes of cell-centred finite volumes,
    with harmonic means of the conductivity on faces; assembled by SciPy.

    Catches an arithmetic mean, and a face that belongs to another voxel.
    """
    d, h = len(shape), SPACING[: len(shape)]
    labels, mean = random_labels(shape, 3, 1, 1)[0], np.array([1.0, 0.5, -0.2])[:d]
    values = np.array([1.0, 10.0, 0.02])
    k, cells = values[labels], np.arange(labels.size).reshape(shape)
    matrix = scipy.sparse.csr_array((labels.size, labels.size))
    right = np.zeros(labels.size)
    faces = []
    for a in range(d):
        behind = np.roll(k, 1, a)
        faces.append(2 * k * behind / (k + behind))
        here, there = cells.ravel(), np.roll(cells, 1, a).ravel()
        ones = np.ones(labels.size)
        places = (np.r_[here, here], np.r_[here, there])
        jump = scipy.sparse.coo_array((np.r_[ones, -ones], places)).tocsr() / h[a]
        weight = scipy.sparse.diags_array(faces[a].ravel())
        matrix = matrix + jump.T @ weight @ jump
        right -= jump.T @ (faces[a].ravel() * mean[a])
    u = np.zeros(labels.size)
    u[1:] = scipy.sparse.linalg.spsolve(matrix.tocsr()[1:, 1:].tocsc(), right[1:])
    u = u.reshape(shape)
    flux = [
        (faces[a] * (mean[a] + (u - np.roll(u, 1, a)) / h[a])).mean() for a in range(d)
    ]
    p = lsml.conductivity(labels, values, mean, "staggered", h)
    s = lsml.solve(p, tol=1e-12)
    assert distance(s.mean_flux[0], np.array(flux)) < 1e-10
    assert distance(s.potential[0, 0], torch.from_numpy(u - u.mean())) < 1e-9


@pytest.mark.parametrize("scheme", ["rotated", "hex8", "staggered", "fourier"])
def test_complex_phases_equal_dense_algebra(scheme):
    """Theorem: complex symmetric κ, in 2-D with mixed complex loads; Moulinec on the
    reference medium that is chosen for it.

    Catches a conjugate too many, imaginary parts lost on the way, and a medium that
    makes the fixed point diverge.
    """
    labels = random_labels((3, 4), 2, 1, 2)[0]
    lossy = [[2 + 1j, 0.3j], [0.3j, 1.5 - 0.5j]] if scheme != "staggered" else 2 + 1j
    phases = [1.0, lossy]
    load = lsml.load(gradient=[1.0, None], flux=[None, 0.5j])
    p = lsml.conductivity(labels, phases, load, scheme)
    s = lsml.solve(p, "moulinec", tol=1e-11, quadrature=True)
    given = torch.tensor([1.0, 0.0], dtype=torch.complex128)
    push = torch.tensor([0.0, 0.5j], dtype=torch.complex128)
    expected = dense_answer(p, given, push, [1])
    assert distance(s.gradient[0].flatten(), expected) < 1e-9
    error = (s.gradient[0].flatten() - expected).abs().square().mean().sqrt()
    assert float(error) <= float(s.error_bound) * 10


def test_complex_phases_have_no_conjugate_gradients():
    """Statement: the tags say that κ is not Hermitian; what needs that is refused."""
    p = lsml.conductivity([[0, 1], [1, 0]], [1.0, 2 + 1j], [1, 0])
    assert "symmetric" not in p.tags
    for call in (lsml.solve, lsml.homogenize):
        with pytest.raises(ValueError, match=r"symmetric|complex"):
            call(p)
    with pytest.raises(ValueError, match=r"real part of conductivity is not positive"):
        lsml.conductivity([[0, 1]], [1.0, -1 + 1j], [1, 0])
    with pytest.raises(ValueError, match=r"load is complex"):
        lsml.conductivity([[0, 1]], CONTRAST, [1j, 0])


@pytest.mark.parametrize("shape", [(5, 3, 7), (7, 9)])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_bounds_and_symmetry(scheme, shape):
    """Theorem: κ* is symmetric, lies between Wiener's bounds as a quadratic form, and
    <j·e> = <j>·<e> (Hill-Mandel); certified intervals contain the refined value.
    """
    labels, d = random_labels(shape, 2, 1, 4), len(shape)
    p = lsml.conductivity(labels, CONTRAST, np.eye(d)[None], scheme, SPACING[:d])
    k = lsml.homogenize(p, tol=1e-11)
    low, high = exact.wiener(CONTRAST, exact.volume_fractions(labels, 2, d)[0], d)
    assert distance(k.stiffness, k.stiffness.mT) < 1e-12
    for gap in (k.stiffness - low, high - k.stiffness):
        assert float(torch.linalg.eigvalsh(gap).min()) > -1e-10
    rough = lsml.homogenize(p, tol=1e-2)
    diagonal = k.stiffness.diagonal(dim1=1, dim2=2)
    assert bool(((rough.lower <= diagonal) & (diagonal <= rough.upper)).all())
    s = lsml.solve(p, tol=1e-11, quadrature=True)
    work = (s.gradient * s.flux).sum(2).flatten(1).mean(1)
    assert distance(work, (s.mean_gradient * s.mean_flux).sum(1)) < 1e-10
    assert distance(2 * s.energy, work) < 1e-12


def test_numbers_matrices_and_arrays_are_one():
    """Theorem: κ as numbers, as multiples of the identity, and as arrays for each
    sample are the same problem. Catches a list of numbers taken for a matrix, and
    numbers cut to float32 on the way.
    """
    labels = random_labels((4, 3), 2, 2, 1)
    same = [
        [1.1, 7.3],
        np.array([1.1, 7.3]),
        [[1.1, 7.3], [1.1, 7.3]],
        np.array([[1.1, 7.3]] * 2),
        [1.1, 7.3 * np.eye(2)],
        [[[1.1, 0], [0, 1.1]], 7.3],
        torch.tensor([1.1, 7.3], dtype=torch.float64),
        1.0 * np.array([1.1 * np.eye(2), 7.3 * np.eye(2)]),
    ]
    found = [
        lsml.solve(lsml.conductivity(labels, each, [1, 0]), tol=1e-11).mean_flux
        for each in same
    ]
    for other in found[1:]:
        assert distance(other, found[0]) < 1e-10


@pytest.mark.parametrize("scheme", ["rotated", "staggered", "forward"])
def test_gradients_equal_finite_differences(scheme):
    """Theorem: the derivative of <j> with respect to conductivities and load is that of
    finite differences. Catches a law that hides its coefficients from the adjoint.
    """
    labels = random_labels((4, 3, 2), 2, 1, 8)[0]

    def answer(values):
        load = lsml.load(gradient=torch.stack([values[2], values[2] * 0, values[2]]))
        p = lsml.conductivity(labels, values[:2], load, scheme)
        return lsml.solve(p, tol=1e-12).mean_flux[0, 0]

    values = torch.tensor([1.0, 6.0, 0.8], dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(answer(values), values)
    for i, step in enumerate(1e-5 * torch.eye(3, dtype=torch.float64)):
        with torch.no_grad():
            slope = (answer(values + step) - answer(values - step)) / 2e-5
        assert abs(float(slope - found[i])) < 1e-7


def test_float32_reaches_the_tolerance():
    """Theorem: a problem in float32 (complex64) is refined as in elasticity."""
    labels = random_labels((8, 7), 2, 1, 8)[0]
    fine = lsml.solve(lsml.conductivity(labels, CONTRAST, [1, 0]), tol=1e-9)
    p = lsml.conductivity(labels, CONTRAST, [1, 0], dtype=torch.float32)
    rough = lsml.solve(p, tol=1e-6)
    assert rough.flux.dtype == torch.float32
    assert distance(rough.mean_flux.double(), fine.mean_flux) < 1e-6
    lossy = [1.0, 3 + 1j]
    fine = lsml.solve(lsml.conductivity(labels, lossy, [1, 0]), "moulinec", tol=1e-9)
    p = lsml.conductivity(labels, lossy, [1, 0], dtype=torch.float32)
    rough = lsml.solve(p, "moulinec", tol=1e-6)
    assert rough.flux.dtype == torch.complex64
    assert distance(rough.mean_flux.to(torch.complex128), fine.mean_flux) < 1e-5


@pytest.mark.parametrize("engine", ["auto", True])
def test_kernels_of_elasticity_are_not_taken(engine, monkeypatch):
    """Statement: conduction runs on whole-array operations, whatever is asked for."""
    for size in ("SMALL", "COLD"):
        monkeypatch.setattr(f"lsml.acceleration.{size}", 0)
    p = lsml.conductivity(random_labels((4, 5), 2, 1, 8), CONTRAST, [1, 0], "hex8")
    assert lsml.solve(p, compile=engine).engine == "eager"


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (lambda: lsml.conductivity([[0, 1]], [1.0], [1, 0]), ("labels contain 1",)),
        (lambda: lsml.conductivity([[0, 1]], CONTRAST, [1.0]), ("1 components",)),
        (lambda: lsml.conductivity([[0]], [-1.0], [1, 0]), ("not positive definite",)),
        (lambda: lsml.conductivity([[0]], [np.nan], [1, 0]), ("not finite",)),
        (lambda: lsml.conductivity([[0]], ["a"], [1, 0]), ("number",)),
        (lambda: lsml.conductivity([[0]], [np.eye(3)], [1, 0]), ("(3, 3)", "2-D")),
        (
            lambda: lsml.conductivity([[0]], [[[1, 0.5], [0, 1]]], [1, 0]),
            ("not symmetric",),
        ),
        (
            lambda: lsml.conductivity([[0]], [1.0], lsml.load(strain=[1, 0])),
            ("mean strain", "gradient="),
        ),
        (
            lambda: lsml.elasticity([[0]], [np.eye(3)], lsml.load(gradient=[1, 0, 0])),
            ("mean gradient", "strain="),
        ),
        (lambda: lsml.load(strain=[1.0], flux=[1.0]), ("strain=", "gradient=")),
        (
            lambda: lsml.conductivity([[0, 1]], CONTRAST, [1, 0], reference=1 + 1j),
            ("reference", "real"),
        ),
        (
            lambda: lsml.conductivity([[0, 1]], [0.0, 1.0], [1, 0], "fourier"),
            ("phase 0", "zero conductivity", "fourier"),
        ),
    ],
)
def test_bad_input(call, parts):
    """Statement: one sentence, before any work."""
    with pytest.raises(ValueError, match=r".") as caught:
        call()
    message = str(caught.value)
    assert all(part in message for part in parts), message
    assert "\n" not in message
    assert ". " not in message


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 2)])
def test_files_and_pictures(shape, tmp_path):
    """Statement: what is written bears the names of conduction, and its numbers."""
    import h5py

    d = len(shape)
    p = lsml.conductivity(random_labels(shape, 2, 1, 1)[0], CONTRAST, np.eye(d)[0])
    s = lsml.solve(p)
    with h5py.File(s.save(tmp_path / "s.h5")) as file:
        assert list(file.attrs["components"]) == [str(i + 1) for i in range(d)]
        assert np.array_equal(file["flux"][...], s.flux.numpy())
        assert file["potential"].shape == (1, 1, *shape)
        assert np.array_equal(file["load/gradient"][0], np.eye(d)[0])
        assert "strain" not in file
    pytest.importorskip("pyvista", reason='needs pip install "lsml[plot]"')
    import pyvista

    image = pyvista.read(s.to_vtk(tmp_path / "s.vti"))
    flux = image.cell_data["flux"]
    assert flux.shape == (int(np.prod(shape)), 3)
    assert np.allclose(flux[:, 0], s.flux[0, 0].numpy().flatten(order="F"))
    assert image.point_data["periodic_potential"].ndim == 1
    assert "gradient" in s.plot().axes[1].get_title()
