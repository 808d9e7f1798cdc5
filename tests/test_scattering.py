"""Helmholtz scattering: closed forms, dense solves, derivatives, and bad input."""

import numpy as np
import pytest
import torch
from scipy.special import hankel1

import lsml
from lsml import exact
from lsml.physics.absorption import LEAK
from lsml.testing.trace import trace

SHAPES = [(9,), (5, 4), (3, 2, 4)]
SPACINGS = (0.11, 0.13, 0.17)


def random_index(shape, batch=2, seed=0):
    """Lossy scatterers of index 1 to 2, unlike in each sample."""
    draw = np.random.default_rng(seed + sum(shape))
    real, loss = draw.random((2, batch, *shape))
    return torch.from_numpy(1 + real + (0.5 + 0.3 * loss) * 1j)


def random_wave(shape, batch=2, seed=1):
    draw = np.random.default_rng(seed + sum(shape))
    parts = draw.standard_normal((2, batch, *shape))
    return torch.from_numpy(parts[0] + 1j * parts[1])


def fourier_matrix(n, h):
    """Second derivative of the trigonometric interpolant at n points."""
    transform = np.fft.fft(np.eye(n))
    xi = 2 * np.pi * np.fft.fftfreq(n, h)
    return np.linalg.inv(transform) @ (-(xi**2)[:, None] * transform)


def dense_answer(problem, source):
    """(∇² + k²)⁻¹ (−S) in the whole cell by LU, one sample."""
    grid = problem.grid
    matrix = np.diag(problem.law.k2[0].numpy().ravel())
    for axis, (n, h) in enumerate(zip(grid.shape, grid.spacing, strict=True)):
        before, after = np.prod(grid.shape[:axis]), np.prod(grid.shape[axis + 1 :])
        parts = np.eye(int(before)), fourier_matrix(n, h), np.eye(int(after))
        matrix = matrix + np.kron(np.kron(parts[0], parts[1]), parts[2])
    padded = np.zeros(grid.shape, complex)
    padded[problem.window] = source
    return np.linalg.solve(matrix, -padded.ravel()).reshape(grid.shape)


@pytest.mark.parametrize(
    ("name", "depth"),
    [("born", 0.0), ("anderson", 0.0), ("bicgstab", 1.0), ("auto", 0.3)],
)
@pytest.mark.parametrize("shape", SHAPES)
def test_wave_is_that_of_a_direct_solve(shape, name, depth):
    """Theorem: every rule ends at (∇² + k²)⁻¹(−S), in any dimension, layers included.

    Catches a layer on the wrong axis, a window that is off by one, a factor in k², and
    a source that leaks into the layers.
    """
    index, source = random_index(shape), random_wave(shape)
    layers = [depth, 0.0, 0.0][: len(shape)]
    options = {"spacing": SPACINGS[: len(shape)], "layers": layers}
    problem = lsml.helmholtz(index, 1.0, source=source, **options)
    solved = lsml.solve(problem, name, tol=1e-7, max_iter=900)
    assert solved.field.shape == (2, 1, *shape)
    for i in range(2):
        one = lsml.helmholtz(index[i], 1.0, source=source[i], **options)
        expected = dense_answer(one, source[i].numpy())[one.window]
        gap = np.abs(solved.field[i, 0].numpy() - expected).max()
        assert gap < 1e-5 * np.abs(expected).max()


def slab(index, thickness, per_wavelength):
    """Reflected and transmitted power, and by how much the slab is resolved."""
    n = per_wavelength
    image = torch.ones(2 * n + round(thickness * n), dtype=torch.float64)
    image[n:-n] = index
    wave = lsml.plane_wave(image.shape, 1.0, [1.0], [1 / n])
    problem = lsml.helmholtz(image, 1.0, wave, [1 / n])
    scattered = lsml.solve(problem, "bicgstab", tol=1e-8).field[0, 0]
    power = scattered[: n // 2].abs().square().mean()
    return float(power), float((scattered + wave)[-n // 2 :].abs().square().mean())


def test_slab_reflects_what_theory_says():
    """Theorem: R of a quarter-wave plate, to second order, and 0 of a half-wave plate.

    Measured: R − 0.147929 = 2.0e-2, 4.5e-3, 9.0e-4 at 12 to 48 voxels per wavelength,
    of which the layers may make 2 |r| LEAK. Catches an incident wave that enters the
    layers, and a wrong k₀ in the source.
    """
    known = exact.slab_reflectance(1.5, 1 / 6, 1.0)
    assert known == pytest.approx(0.147929, abs=1e-6)
    found = [slab(1.5, 1 / 6, n) for n in (12, 24, 48)]
    errors = [abs(reflected - known) for reflected, _ in found]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert errors[-1] < 1.3e-3
    assert ((orders > 1.8) & (orders < 2.5)).all(), orders
    for reflected, transmitted in [*found, slab(1.5, 1 / 3, 24)]:
        assert reflected + transmitted == pytest.approx(1, abs=4 * LEAK)
    assert slab(1.5, 1 / 3, 24)[0] < 4 * LEAK**2


def disc(n, diameter):
    """Share of each pixel of n × n that a disc in the middle covers."""
    fine = 8
    x = (np.arange(n * fine) + 0.5) / fine - n / 2
    inside = np.hypot(x[:, None], x[None]) < diameter / 2
    return inside.reshape(n, fine, n, fine).mean((1, 3))


def efficiency(index, size, across):
    """Q from the power that leaves the cylinder, −Im ∫ u_s* (k² − k₀²) u over it."""
    h = 1 / across  # the diameter is 1
    wavelength = np.pi / size
    share = torch.from_numpy(disc(across + 4, across))
    medium = (1 + (index**2 - 1) * share).sqrt()
    wave = lsml.plane_wave(medium.shape, wavelength, [0.6, 0.8], [h, h])
    problem = lsml.helmholtz(medium, wavelength, wave, [h, h], layers=2.5)
    scattered = lsml.solve(problem, "bicgstab", tol=1e-6).field[0, 0]
    k = 2 * size
    contrast = k**2 * (medium.square() - 1)
    power = -(scattered.conj() * contrast * (scattered + wave)).imag.sum() * h**2
    return float(power) / k


@pytest.mark.parametrize(("size", "known"), [(1.0, 0.152847), (2.0, 0.486366)])
def test_cylinder_scatters_what_the_series_says(size, known):
    """Theorem: Q of Bohren & Huffman's series, under an oblique wave.

    Catches layers that send something back, and a power that is not
    conserved.
    """
    assert exact.cylinder_scattering(1.2, size) == pytest.approx(known, abs=1e-6)
    errors = [abs(efficiency(1.2, size, n) / known - 1) for n in (4, 8, 16)]
    assert errors[2] < errors[0] / 4
    assert errors[2] < 1e-3


@pytest.mark.parametrize("shape", [(40,), (30, 24)])
def test_layers_let_waves_out(shape):
    """Theorem: a round source in empty space radiates like the free Green function.

    i/(2k) exp(ikr) in 1-D, i/4 H₀(kr) in 2-D, times the transform of the source at k;
    the layers leave ``LEAK`` of the waves to either side. Catches layers that reflect,
    or that amplify.
    """
    h, width, d = 0.1, 0.15, len(shape)
    grids = [h * (np.arange(n) - (n - 1) / 2) for n in shape]
    r = np.sqrt(sum(x**2 for x in np.meshgrid(*grids, indexing="ij")))
    k = 2 * np.pi
    source = np.exp(-(r**2) / (2 * width**2)) / (2 * np.pi * width**2) ** (d / 2)
    free = {1: 1j / (2 * k) * np.exp(1j * k * r), 2: 0.25j * hankel1(0, k * r)}[d]
    expected = np.exp(-((k * width) ** 2) / 2) * free
    problem = lsml.helmholtz(
        np.ones(shape), 1.0, spacing=[h] * d, source=source, layers=2.5
    )
    found = lsml.solve(problem, "bicgstab", tol=1e-6).field[0, 0]
    far = r > 6 * width
    gap = np.abs(found.numpy() - expected)[far].max() / np.abs(expected)[far].max()
    assert gap < {1: 2.2, 2: 8}[d] * LEAK


def test_born_series_is_a_contraction():
    """Theorem: ‖1 − γ(1 + Γτ')‖ < 1 whatever the contrast, in the layers too.

    Catches an ε that is taken before the layers are added, or for another sample.
    """
    index = random_index((3, 4), batch=1, seed=3)
    index[0, 1, 1] = 4.0
    problem = lsml.helmholtz(
        index, 1.0, source=np.ones((3, 4)), spacing=[0.1, 0.1], layers=[0.4, 0.0]
    )
    size = problem.grid.size
    unit = torch.eye(size, dtype=torch.complex128).reshape(size, 1, *problem.grid.shape)
    x = problem.start().expand_as(unit)
    step = (unit - problem.scatter(x, problem.hessian(x, unit))).flatten(1).T
    assert torch.linalg.matrix_norm(step, 2) < 1
    distance = (problem.law.k2 - problem.reference.matrix[0, 0, 0].real).abs().max()
    assert distance <= problem.reference.matrix.imag.min() * (1 + 1e-12)


@pytest.mark.parametrize("shape", [(7,), (4, 3)])
@pytest.mark.parametrize("gradient", [lsml.Implicit(tol=1e-11), lsml.Unrolled()])
def test_gradient_is_that_of_finite_differences(shape, gradient):
    """Theorem: dL/dn of a real loss of the wave, real and imaginary part of n apart.

    The adjoint is the transposed, conjugate problem; catches a missing conjugate, a
    reference medium that is differentiated, and a source whose k² is not.
    """
    index = random_index(shape).requires_grad_(True)
    index.data[(slice(None), *([0, -1] for _ in shape))] = 1.0
    if len(shape) > 1:
        index.data[:, [0, -1]], index.data[:, :, [0, -1]] = 1.0, 1.0
    wave, weights = random_wave(shape, 1), random_wave(shape, seed=5)
    spacing = SPACINGS[: len(shape)]

    def loss(medium, **options):
        problem = lsml.helmholtz(medium, 1.0, wave, spacing, layers=0.8)
        found = lsml.solve(problem, "bicgstab", tol=1e-11, max_iter=200, **options)
        seen = found.field[:, 0] * weights
        return seen.sum().abs() ** 2 + seen.real.square().sum()

    value = loss(index, gradient=gradient)
    (slope,) = torch.autograd.grad(value, index)
    draw = random_wave(shape, seed=9)
    inner = torch.zeros(shape, dtype=torch.bool)
    inner[tuple(slice(1, -1) for _ in shape)] = True
    for direction in (draw * inner, 1j * draw * inner):
        step = 1e-5 * direction
        with torch.no_grad():
            known = (loss(index + step) - loss(index - step)) / 2e-5
        found = (slope.conj() * direction).real.sum()
        assert float(found) == pytest.approx(float(known), rel=1e-5)


def test_waves_are_reciprocal():
    """Theorem: what a source at A makes at B is what the same source at B makes at A.

    With unlike, lossy media between. Catches layers that are not the same on both
    sides, and an index that is shifted against the source.
    """
    index = random_index((8, 5), batch=1)
    source = torch.zeros(2, 8, 5, dtype=torch.complex128)
    source[0, 1, 1] = source[1, 6, 3] = 1.0
    problem = lsml.helmholtz(index, 1.0, source=source, spacing=[0.1, 0.15])
    field = lsml.solve(problem, "bicgstab", tol=1e-10).field[:, 0]
    torch.testing.assert_close(field[0, 6, 3], field[1, 1, 1], rtol=1e-7, atol=0)


def test_samples_do_not_mix_and_leave_early():
    """Theorem: a batch is its samples one at a time, also after some have ended.

    Catches a k₀² that is shared, and a selection that forgets the Green operator.
    """
    index = random_index((6, 5), batch=3)
    index[1] = 1.2 + 0.4j
    wave = random_wave((6, 5), batch=3)
    options = {"spacing": [0.1, 0.1], "layers": 0.0}
    batch = lsml.helmholtz(index, 1.0, source=wave, **options)
    whole = lsml.solve(batch, "born", tol=1e-4)
    assert len(set(whole.iterations.tolist())) > 1
    for i in range(3):
        alone = lsml.solve(
            lsml.helmholtz(index[i], 1.0, source=wave[i], **options),
            "born",
            tol=1e-4,
        )
        assert alone.iterations[0] == whole.iterations[i]
        torch.testing.assert_close(
            alone.field[0], whole.field[i], rtol=1e-9, atol=1e-12
        )
    rows = torch.tensor([2, 0])
    some, x = batch.select(rows), batch.start() * 1.5
    torch.testing.assert_close(some.force(x[rows]), batch.force(x)[rows])


def test_nothing_scatters_in_an_empty_medium():
    """An incident wave in the host alone: no scattered one, at once, in float32 too."""
    wave = lsml.plane_wave((12, 9), 1.0, [1.0, -2.0], [0.1, 0.1], host=1.3)
    for dtype in (torch.float32, torch.float64):
        problem = lsml.helmholtz(
            np.full((12, 9), 1.3), 1.0, wave, [0.1, 0.1], host=1.3, dtype=dtype
        )
        run = trace(problem, lsml.Born())
        assert run.state.iterations.max() == 0
        assert lsml.solve(problem, "born").field.abs().max() < 1e-5
        assert problem.start().dtype == dtype.to_complex()


def test_plane_wave_solves_the_equation():
    """Theorem: ∇²u = −k²u; on a periodic cell of whole wavelengths, to rounding."""
    n, h = 12, 0.25
    wave = lsml.plane_wave((n, n), 1.5, [1.0, 0.0], [h, h], host=1.0)
    second = fourier_matrix(n, h) @ wave.numpy()
    assert np.abs(second + (2 * np.pi / 1.5) ** 2 * wave.numpy()).max() < 1e-10


BAD = [
    ({"index": -np.ones(4)}, "index must have a positive real part"),
    ({"index": 1 - 0.1j * np.ones(4)}, "no negative imaginary part"),
    ({"index": np.full(4, np.nan)}, "index is not finite"),
    ({"index": "glass"}, "index must be an array of numbers"),
    ({"wavelength": 0}, "wavelength = 0 must be a number, positive and finite"),
    ({"host": -1}, "host = -1 must be a number"),
    ({"source": None}, "nothing makes a wave: give incident= or source="),
    ({"source": np.ones(5)}, r"source of shape \(5,\) must be \(4,\)"),
    ({"source": np.ones((3, 4)), "index": np.ones((2, 4))}, "holds 2 samples"),
    ({"layers": -1}, "layers = -1 must be a thickness in wavelengths"),
    ({"layers": [1, 1]}, "or 1 of them"),
    ({"spacing": [0.6]}, "does not resolve waves of length 1"),
    ({"dtype": torch.int32}, "dtype torch.int32 must be"),
    ({"incident": np.ones(4), "index": [1, 1, 1, 2]}, "at the border of axis 0"),
]


@pytest.mark.parametrize(("changed", "sentence"), BAD)
def test_bad_input_is_refused(changed, sentence):
    """One sentence, before any work."""
    given = {"index": np.ones(4), "wavelength": 1.0, "spacing": [0.1]}
    given |= {"source": np.ones(4)} | changed
    with pytest.raises(ValueError, match=sentence):
        lsml.helmholtz(**given)


@pytest.mark.parametrize("direction", [[0, 0], [1.0], [np.inf, 1]])
def test_bad_direction_is_refused(direction):
    with pytest.raises(ValueError, match="must be 2 numbers, not all zero"):
        lsml.plane_wave((3, 4), 1.0, direction)


@pytest.mark.parametrize("name", ["cg", "newton", "eyre_milton"])
def test_rules_that_need_a_real_energy_are_refused(name):
    """Complex k² given to conjugate gradients: a sentence that names what it lacks."""
    problem = lsml.helmholtz(np.ones(5), 1.0, source=np.ones(5), spacing=[0.1])
    with pytest.raises(ValueError, match=r"needs a problem that is \[.*compatible"):
        lsml.solve(problem, name)
