"""Gauss-Radau bounds of the energy, its prediction, and how solves stop on them.

The oracle is dense: conjugate gradients' problem as a matrix, its spectral measure, and
quadratures from the eigenvalues of Jacobi matrices, none of which the package computes.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from cells import SCHEMES, SPACING, components, random_labels, random_stiffness

import lsml
from lsml.criteria import by_energy, of_stiffness
from lsml.displacement_form import DisplacementForm
from lsml.energy import Spectrum
from lsml.gauss_radau import Gauge, opened
from lsml.homogenization import unit_loads
from lsml.physics.reference import extreme_ratios
from lsml.problem import Residual
from lsml.readout import predicted
from lsml.rule import Iterate, Rule, arithmetic
from lsml.state import Status
from lsml.testing.problems import CASES
from lsml.unroll import unroll

CG = lsml.ConjugateGradient()
CELLS = [(3, 4, 2), (4, 1, 5), (5, 4), (3, 7)]


def random_problem(scheme, shape, batch, seed, phases=2, top=1e4):
    """Anisotropic phases of another contrast, 1.5 to ``top``, in every sample."""
    draw, c = np.random.default_rng(seed), components(shape)
    contrasts = np.exp(draw.uniform(np.log(1.5), np.log(top), (batch, phases - 1)))
    tables = [
        [random_stiffness(c, 7 * seed + b)]
        + [random_stiffness(c, 11 * seed + b + j, k) for j, k in enumerate(row)]
        for b, row in enumerate(contrasts)
    ]
    return lsml.elasticity(
        random_labels(shape, phases, batch, seed),
        np.array(tables),
        lsml.load(strain=[1.0] + [0.0] * (c - 1)),
        scheme,
        spacing=SPACING[: len(shape)],
    )


def unit_form(problem):
    return DisplacementForm(unit_loads(problem.strain.referred(arithmetic)))


def iterates(form, steps):
    """Gauges, residuals and unknowns of conjugate gradients, nothing overwritten."""
    x, memory = CG.init(form, form.start(), 0)
    for k in range(steps + 1):
        residual = CG.residual(form, x, memory, k)
        yield Gauge.unpacked(memory.gauge), residual, x
        x, memory = CG.step(form, Iterate(x, residual, k), memory)


def dense(form, apply):
    """A linear map as a matrix for every sample."""
    units = torch.eye(form.start().shape[1], dtype=torch.float64)
    return torch.stack([apply(e.expand(form.batch, -1).contiguous()) for e in units], 2)


def solution(form):
    """The answer by a dense pseudo-inverse."""
    x = form.start()
    matrix = dense(form, lambda d: form.hessian(x, d))
    inverse = torch.linalg.pinv(matrix, rtol=1e-11, hermitian=True)
    return x + (inverse @ form.force(x)[..., None])[..., 0]


def spectral_measure(form):
    """Eigenvalues of N^½ H N^½ and weights of the first residual, by NumPy."""
    x = form.start()
    hessian = dense(form, lambda d: form.hessian(x, d))[0].numpy()
    values, vectors = np.linalg.eigh(dense(form, form.precondition)[0].numpy())
    half = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    ratios, modes = np.linalg.eigh(half @ hessian @ half)
    weights = (modes.T @ half @ form.force(x)[0].numpy()) ** 2 / form.strain.grid.size
    return ratios, np.where(ratios > 1e-8, weights, 0.0)


def jacobi(ratios, weights, size):
    """Lanczos with full reorthogonalization: diagonal and off-diagonal."""
    basis = [np.sqrt(weights / weights.sum())]
    diagonal, beside = [], []
    for _ in range(size):
        v = ratios * basis[-1]
        diagonal.append(v @ basis[-1])
        for _ in range(2):
            v = v - sum((v @ u) * u for u in basis)
        beside.append(np.linalg.norm(v))
        basis.append(v / beside[-1])
    return np.array(diagonal), np.array(beside)


def quadrature(diagonal, beside, mass, node=None):
    """∫ 1/λ by Gauss, or by Gauss-Radau with one more point at ``node``."""
    k = len(diagonal)
    matrix = (
        np.diag(diagonal) + np.diag(beside[: k - 1], 1) + np.diag(beside[: k - 1], -1)
    )
    if node is not None:  # Golub 1973
        last = np.zeros(k)
        last[-1] = beside[k - 1] ** 2
        extra = node + np.linalg.solve(matrix - node * np.eye(k), last)[-1]
        matrix = np.pad(matrix, (0, 1))
        matrix[-1, -1] = extra
        matrix[-1, -2] = matrix[-2, -1] = beside[k - 1]
    points, vectors = np.linalg.eigh(matrix)
    return mass * np.sum(vectors[0] ** 2 / points)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("shape", [(3, 2, 2), (3, 4)])
def test_scalars_are_gauss_and_gauss_radau_quadratures(scheme, shape):
    """Theorem: what k steps have gained is the k-point Gauss quadrature of 1/λ over the
    spectral measure of the residual, and with a bound of the rest it is the (k+1)-point
    Gauss-Radau quadrature with a node at that end (Golub & Meurant 2010).

    Catches an index shifted by one in the recurrence and a bound of another residual.
    """
    form = unit_form(random_problem(scheme, shape, 1, 3, top=30))
    ratios, weights = spectral_measure(form)
    low, high = (float(end[0]) for end in extreme_ratios(form.strain))
    steps = 6
    diagonal, beside = jacobi(ratios, weights, steps)
    mass = weights.sum()
    for k, (gauge, residual, _) in enumerate(iterates(form, steps)):
        least, most = (float(end[0]) for end in gauge.bounds(residual.work))
        gained = float(gauge.gained[0])
        if k == 0:
            assert gained == 0
            assert np.isclose(most, mass / low, rtol=1e-9)
            assert np.isclose(least, mass / high, rtol=1e-9)
            continue
        part = diagonal[:k], beside[:k], mass
        assert np.isclose(gained, quadrature(*part), rtol=1e-9)
        assert np.isclose(gained + most, quadrature(*part, low), rtol=1e-8)
        assert np.isclose(gained + least, quadrature(*part, high), rtol=1e-8)


@pytest.mark.parametrize("shape", CELLS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_bounds_contain_the_truth_at_every_iterate(scheme, shape):
    """Theorem: the bounds hold at every iterate, to the limit of rounding and beyond,
    and the prediction lies between them.

    1152 cases in all, each a load case on a random medium of two or three anisotropic
    phases at contrasts from 1.5 to 10⁴, 40 iterates each. Catches a node inside the
    spectrum, a recurrence that rounding turns over, and predictions not clipped.
    """
    form = unit_form(random_problem(scheme, shape, 16, 1, phases=2 + shape[0] % 2))
    spectrum = Spectrum(*extreme_ratios(form.strain), predicted)
    limit, slack = solution(form), 1e-20 * form.magnitude().square()
    for _, residual, x in iterates(form, 40):
        error = limit - x
        true = form.pairing(form.hessian(x, error), error)
        least, most, likely, _ = spectrum.gap(form, residual).T
        assert bool((least <= true + slack).all())
        assert bool((true <= most + slack).all())
        assert bool((least <= likely).all())
        assert bool((likely <= most).all())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("stop", ["certified", "predict"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_intervals_contain_the_truth_and_the_value(scheme, stop, dtype):
    """Theorem: whatever it stops on, lower ≤ C*_ii ≤ upper, and so is the value.

    Moduli that float32 represents, so that both precisions mean the same medium.
    Catches rounding left out of a bound, and a certificate by what a rule carries.
    """
    shape = {"certified": (3, 4, 2), "predict": (5, 4)}[stop]
    form = random_problem(scheme, shape, 4, 5, top=1e3).strain
    table, labels = form.law.table.float(), form.law.labels
    load = lsml.load(strain=[1.0] + [0.0] * (components(shape) - 1))
    exact = lsml.elasticity(labels, table.double(), load, scheme)
    truth = lsml.homogenize(exact, tol=1e-11)
    diagonal = truth.stiffness.diagonal(dim1=1, dim2=2)
    for tol in (3e-2, 1e-3):
        problem = lsml.elasticity(labels, table.to(dtype), load, scheme)
        found = lsml.homogenize(problem, tol=tol, stop=stop)
        value = found.stiffness.diagonal(dim1=1, dim2=2)
        assert bool((found.lower <= diagonal * (1 + 1e-10)).all())
        assert bool((diagonal * (1 - 1e-10) <= found.upper).all())
        assert bool((found.lower <= value).all())
        assert bool((value <= found.upper).all())
        ending = {"certified": Status.CONVERGED, "predict": Status.PREDICTED}[stop]
        assert bool((found.solution.status == ending).all())


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("stop", ["certified", "predict"])
def test_batch_mates_do_not_matter(stop):
    """Theorem: a batch is its samples, each stopping at its own iteration.

    Contrasts from 2 to 500, so that samples leave the batch one by one. Catches scalars
    that stay behind when the batch is made smaller.
    """
    labels = random_labels((4, 3, 5), 2, 4, seed=9)
    phases = np.array([[np.eye(6), k * np.eye(6)] for k in (2.0, 500.0, 10.0, 90.0)])
    batch = lsml.homogenize(labels, phases=phases, tol=1e-3, stop=stop)
    assert len(set(batch.iterations[:, 0].tolist())) > 2
    for i in range(4):
        one = lsml.homogenize(labels[i], phases=phases[i : i + 1], tol=1e-3, stop=stop)
        assert torch.equal(one.iterations[0], batch.iterations[i])
        for name in ("stiffness", "lower", "upper"):
            got, expected = getattr(batch, name)[i], getattr(one, name)[0]
            assert torch.allclose(got, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("stop", ["certified", "predict"])
@pytest.mark.parametrize("scheme", ["rotated", "hex8", "hex8-bbar"])
def test_native_kernels_stop_where_whole_arrays_do(scheme, stop):
    """Same iterations, values and intervals on both engines.

    Catches scalars taken from other dot products than those of the step.
    """
    pytest.importorskip("numba")
    labels = random_labels((4, 6, 5), 2, 2, seed=3)
    options = {"contrast": 80, "tol": 1e-4, "stop": stop, "discretization": scheme}
    eager = lsml.homogenize(labels, compile=False, **options)
    native = lsml.homogenize(labels, compile=True, **options)
    assert native.solution.engine == "native"
    assert torch.equal(eager.iterations, native.iterations)
    for name in ("stiffness", "lower", "upper"):
        assert torch.allclose(getattr(eager, name), getattr(native, name), rtol=1e-9)


def test_prediction_is_sooner_and_better_than_the_energy():
    """On average over load cases and media, at the iteration at which it stops.

    Catches a prediction of the wrong sign or that is not subtracted.
    """
    draw, stops, better = np.random.default_rng(5), [], []
    labels = np.stack([smooth(draw) for _ in range(6)])
    truth = lsml.homogenize(labels, contrast=50, tol=1e-9)
    early = lsml.homogenize(labels, contrast=50, tol=1e-3, stop="predict")
    late = lsml.homogenize(labels, contrast=50, tol=1e-3)
    true = truth.stiffness.diagonal(dim1=1, dim2=2)
    error = (early.stiffness.diagonal(dim1=1, dim2=2) - true).abs()
    stops = (early.iterations.double() / late.iterations).mean()
    better = (error / (early.upper - true)).mean()
    assert float(stops) < 0.8
    assert float(better) < 0.35
    assert float(((error / true) <= 1e-3).double().mean()) >= 0.9


def smooth(draw):
    """A two-phase medium with grains of some voxels."""
    noise = np.fft.rfftn(draw.normal(size=(10, 10, 10)))
    k = np.stack(
        np.meshgrid(*[np.fft.fftfreq(10)] * 2, np.fft.rfftfreq(10), indexing="ij")
    )
    field = np.fft.irfftn(noise * np.exp(-60 * (k**2).sum(0)), (10, 10, 10), (0, 1, 2))
    return (field > np.quantile(field, 0.6)).astype(int)


def test_with_pores_the_interval_is_one_sided_and_says_so():
    """Pores: λ_min = 0, so that no residual bounds the energy from below.

    Catches 0/0 in a factor, a lower end made of a prediction, and a NaN in its place.
    """
    draw = np.random.default_rng(2)
    labels = np.stack([1 - smooth(draw) for _ in range(2)])
    options = {
        "phases": [lsml.isotropic(E=0.0, nu=0.3), lsml.isotropic(E=1.0, nu=0.3)],
        "discretization": "hex8",
    }
    true = lsml.homogenize(labels, tol=1e-7, **options).stiffness
    for stop in ("certified", "predict"):
        found = lsml.homogenize(labels, tol=1e-3, stop=stop, **options)
        value, exact = (t.diagonal(dim1=1, dim2=2) for t in (found.stiffness, true))
        assert bool((found.lower == 0).all())
        assert bool((exact <= found.upper * (1 + 1e-6)).all())
        assert bool((value <= found.upper).all())
        assert bool((((value - exact) / exact).abs() < 3e-3).all())
        assert "from above only" in repr(found)
    assert set(found.solution.status.tolist()) == {Status.PREDICTED}


@dataclass(frozen=True)
class Boaster(Rule):
    """Never moves, and says that its residual is nothing and has no way to go."""

    gauged: ClassVar[bool] = True

    def residual(self, problem, x, memory, k):
        low, high = extreme_ratios(problem.strain)
        gauge = opened(low, high, 0.0)._replace(gains=torch.ones(len(x), 3).double())
        zero = torch.zeros_like(x)
        return Residual(zero, zero, low * 0, gauge.packed())

    def step(self, problem, it, memory):
        return it.x, memory


@pytest.mark.parametrize("stop", ["certified", "energy"])
def test_scalars_that_do_not_belong_to_the_iterate_prove_nothing(stop):
    """The certificate allows for how far the carried residual is from the true one.

    Catches bounds that believe the carried norm.
    """
    form = unit_form(random_problem("rotated", (3, 4, 2), 2, 4, top=20))
    spectrum = Spectrum(*extreme_ratios(form.strain))
    criterion = (
        of_stiffness(stop, spectrum, 1e-3)
        if stop != "energy"
        else by_energy(form, 1e-3)
    )
    limit = solution(form)
    state = unroll(form, Boaster(), stop=criterion, max_iter=3)
    assert bool((state.status == Status.STAGNATED).all())
    error = limit - state.x
    true = form.pairing(form.hessian(state.x, error), error)
    assert bool((true <= state.gap[:, 1] * (1 + 1e-9)).all())
    assert bool((true >= state.gap[:, 0] * (1 - 1e-9)).all())


@pytest.mark.parametrize("case", CASES[1::2], ids=lambda case: case.name)
def test_energy_error_of_fields_is_a_bound(case):
    """Theorem: ‖ε − ε_k‖_C ≤ error · ‖ε − x̄‖_C ≤ tol · ‖ε − x̄‖_C, for mixed loads and
    eigenstrain too, from x̄ and from any other start.

    Catches a scale that is the start's instead of x̄'s, and an energy without the part
    of free mean strains.
    """
    form = case.problem(arithmetic)
    assert isinstance(form, DisplacementForm)
    stop = by_energy(form, 1e-3)
    limit = solution(form)
    draw = torch.Generator().manual_seed(1)
    random = torch.randn(form.start().shape, generator=draw).double()
    starts = {
        "mean strain": form.start(),
        "good": limit + 1e-5 * random * limit.abs().mean(),
        "bad": 30 * random * limit.abs().mean(),
    }

    def square(d):
        return form.pairing(form.hessian(d, d), d)

    whole = square(limit - form.start())
    for start in starts.values():
        state = unroll(form, CG, start, stop=stop)
        assert bool((state.status == Status.CONVERGED).all())
        true = (square(limit - state.x) / whole).sqrt()
        assert bool((true <= state.error + 1e-9).all())
        assert bool((state.error <= 1e-3).all())


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_solve_stops_on_the_energy(dtype):
    """`solve(stop="energy")` is within ``tol`` of a much tighter solve; float32 is
    refined to a tolerance below its rounding.

    Catches scalars in float32 that are believed beyond their rounding.
    """
    labels = random_labels((6, 5, 7), 2, 2, seed=1)
    fine = lsml.solve(labels, contrast=100, tol=1e-12, discretization="hex8")
    for tol in (1e-2, 1e-7):
        found = lsml.solve(
            labels, contrast=100, tol=tol, stop="energy", dtype=dtype,
            discretization="hex8",
        )  # fmt: skip
        form = DisplacementForm(fine.form)
        d = fine.state.x - found.state.x.double()
        whole = fine.state.x
        true = form.pairing(form.hessian(d, d), d) / form.pairing(
            form.hessian(whole, whole), whole
        )
        assert bool((true.sqrt() <= found.error).all())
        assert bool((found.error <= tol).all())
        strain = (fine.strain - found.strain.double()).flatten(1).norm(dim=1)
        mean = fine.strain.flatten(2).mean(2).norm(dim=1) * (6 * 5 * 7) ** 0.5
        assert bool((strain / mean <= 2 * found.error_bound + 1e-6).all())


def test_status_codes_keep_their_meaning():
    """Files hold codes: those that were there stay, and PREDICTED is no failure."""
    codes = ["RUNNING", "CONVERGED", "COMPLETED", "MAX_ITER", "STAGNATED", "DIVERGED"]
    assert [Status(i).name for i in range(6)] == codes
    assert Status.NONFINITE == 6
    assert Status.PREDICTED == 7
    failed = [s.name for s in Status if s.failed]
    assert failed == ["MAX_ITER", "STAGNATED", "DIVERGED", "NONFINITE", "INTERRUPTED"]
    assert all(s.advice for s in Status)


def test_what_cannot_be_stopped_on_is_refused():
    """One sentence, before any work."""
    labels = random_labels((3, 4, 2))[0]
    for rule in ("moulinec", "steepest_descent"):
        with pytest.raises(ValueError, match="scalars of conjugate gradients"):
            lsml.homogenize(labels, rule, stop="predict")
    with pytest.raises(ValueError, match="certified, predict"):
        lsml.homogenize(labels, stop="early")
    with pytest.raises(ValueError, match="residual, energy"):
        lsml.solve(labels, stop="early")
    with pytest.raises(ValueError, match="positive stiffness"):
        lsml.solve(labels, contrast=0, stop="energy")
    with pytest.raises(ValueError, match="form='displacement'"):
        lsml.solve(labels, form="strain", stop="energy")


def test_prediction_after_other_rules():
    """`Schedule(first, n, CG)`: the scalars begin where conjugate gradients do.

    Catches a criterion that reads scalars of a rule that has none.
    """
    labels = random_labels((4, 5, 6), 2, 2, seed=8)
    rule = lsml.Schedule(lsml.Moulinec(), 2, CG)
    found = lsml.homogenize(labels, rule, contrast=30, tol=1e-3, stop="predict")
    truth = lsml.homogenize(labels, contrast=30, tol=1e-11)
    true = truth.stiffness.diagonal(dim1=1, dim2=2)
    assert bool((found.solution.status == Status.PREDICTED).all())
    assert bool(((found.lower <= true) & (true <= found.upper)).all())


def test_out_of_iterations_the_interval_still_holds():
    """Whatever has been reached is returned with bounds as tight as the scalars allow.

    Catches an interval of the last claim instead of the last iterate.
    """
    problem = random_problem("hex8", (3, 4, 2), 3, 6, top=50)
    truth = lsml.homogenize(problem, tol=1e-11).stiffness.diagonal(dim1=1, dim2=2)
    found = lsml.homogenize(problem, tol=1e-8, max_iter=4, throw=False)
    assert bool((found.solution.status == Status.MAX_ITER).all())
    assert bool(((found.lower <= truth) & (truth <= found.upper)).all())
    form = unit_form(problem)
    x = found.solution.state.x
    loose = form.norm(form.residual(x)).square() / extreme_ratios(form.strain)[0]
    width = (found.upper - found.lower).flatten()
    assert bool((width < loose).all())
