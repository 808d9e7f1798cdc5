"""Coefficients that are known beforehand: Chebyshev's, given ones, tuned ones."""

from math import sqrt

import numpy as np
import pytest
import torch
from cells import random_labels, random_load

import lsml
from lsml.displacement_form import DisplacementForm
from lsml.inputs import in_form
from lsml.lippmann_schwinger import LippmannSchwinger
from lsml.physics.rules.momentum import energy_gained, fit, like_chebyshev
from lsml.rule import Iterate
from lsml.state import Status
from lsml.stop import Never
from lsml.testing import CASES, CHECKS
from lsml.testing.trace import trace

FORMS = ["strain", "displacement"]
SCHEMES = ["fourier", "rotated", "hex8"]
CHEBYSHEV = lsml.Chebyshev()
SPACE = [1e-3, 0, 0, 0, 0, 0]
GIVEN = lsml.Momentum([0.9, 1.1, 1.0], [0.2, 0.1]).requires_grad_(False)
RULES = {"chebyshev": CHEBYSHEV, "momentum": GIVEN}


def cell(shape=(3, 4), scheme="rotated", batch=2, form="displacement", contrast=7.0):
    """Samples with different phases, so that their spectra differ."""
    c = 3 if len(shape) == 2 else 6
    labels = torch.as_tensor(random_labels(shape, batch=batch, seed=4))
    stiff = contrast + 3.0 * torch.arange(batch, dtype=torch.float64)
    ratio = 0.2 + 0.1 * torch.arange(batch, dtype=torch.float64)
    phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=stiff, nu=ratio)]
    load = lsml.load(strain=1e-3 * random_load(c, 1, batch))
    problem = lsml.elasticity(
        labels, phases, load, scheme, spacing=(1.0, 2.0, 0.5)[: len(shape)]
    )
    return in_form(problem, form, CHEBYSHEV)


def dense(problem):
    """The preconditioned hessian on the space of unknowns, per sample."""
    start = problem.start()
    size = start[0].numel()
    columns = []
    for j in range(size):
        d = torch.zeros_like(start).flatten(1)
        d[:, j] = 1.0
        d = problem.project(d.view_as(start))
        image = problem.precondition(problem.hessian(start, d))
        columns.append(image.flatten(1))
    return torch.stack(columns, 2)


@pytest.mark.parametrize("law", CHECKS)
@pytest.mark.parametrize("name", RULES)
def test_rule_obeys(name, law):
    """Theorem: every law of `lsml.testing`."""
    for case in CASES[list(RULES).index(name) :: 4]:
        CHECKS[law](RULES[name], case)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_bounds_contain_the_spectrum(scheme, form):
    """Every eigenvalue on admissible increments, of each sample its own.

    Catches bounds of another medium, of another sample, or of the whole batch. They
    are not far: the spectrum of a random medium fills most of the interval.
    """
    problem = cell(scheme=scheme, form=form)
    low, high = problem.bounds()
    assert float((low - low[0]).abs().max()) > 0.01
    for i, matrix in enumerate(dense(problem)):
        values = np.linalg.eigvals(matrix.numpy())
        assert np.abs(values.imag).max() < 1e-7
        found = values.real[values.real > 1e-8]  # 0: what no increment reaches
        assert low[i] * (1 - 1e-9) <= found.min() <= 2.5 * low[i]
        assert 0.6 * high[i] <= found.max() <= high[i] * (1 + 1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_bounds_follow_the_samples_and_the_reference(form):
    """Of some of the samples, of each load case, and of the medium that a rule has."""
    problem = cell(batch=3, form=form)
    low, high = problem.bounds()
    part = problem.select(torch.tensor([2, 0]))
    torch.testing.assert_close(part.bounds()[0], low[[2, 0]])
    torch.testing.assert_close(part.bounds()[1], high[[2, 0]])
    torch.testing.assert_close(low + high, torch.full_like(low, 2.0))
    cases = lsml.load(strain=torch.eye(3, dtype=torch.float64).expand(2, 3, 3))
    labels = random_labels((3, 4), batch=2)
    phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=4.0, nu=0.3)]
    many = lsml.elasticity(labels, phases, cases)
    assert many.bounds()[0].shape == (6,)
    least, greatest = many.bounds()
    torch.testing.assert_close(greatest, 4.0 * least)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_residuals_are_chebyshev_polynomials(scheme, form):
    """Theorem: r_k = T_k((θ − A)/δ) r_0 / T_k(θ/δ), by eigenvectors of a dense A.

    Catches a coefficient that is off by one step, and residuals that are not those of
    the iterates.
    """
    problem = cell(scheme=scheme, form=form)
    run = trace(problem, CHEBYSHEV, stop=Never(), max_iter=7)
    low, high = (b.numpy() for b in problem.bounds())
    for i, matrix in enumerate(dense(problem)):
        values, vectors = np.linalg.eig(matrix.numpy())
        steps = [problem.residual(x).step[i].flatten().numpy() for x in run.x]
        shares = np.linalg.solve(vectors, steps[0].astype(complex))
        middle, half = (high[i] + low[i]) / 2, (high[i] - low[i]) / 2
        for k, step in enumerate(steps):
            t = np.polynomial.chebyshev.Chebyshev.basis(k)
            filtered = t((middle - values) / half) / t(middle / half)
            want = (vectors @ (filtered * shares)).real
            np.testing.assert_allclose(step, want, atol=1e-11 * np.abs(steps[0]).max())


@pytest.mark.parametrize("contrast", [2.0, 40.0])
def test_rate_is_never_worse_than_the_bound(contrast):
    """‖r_k‖ ≤ 2ρᵏ/(1 + ρ²ᵏ) ‖r_0‖ in C⁰, for every sample and every k."""
    problem = cell((5, 4, 3), "hex8", contrast=contrast)
    run = trace(problem, CHEBYSHEV, stop=Never(), max_iter=25)
    low, high = problem.bounds()
    root = (high / low).sqrt()
    rate = ((root - 1) / (root + 1))[None] ** torch.arange(26)[:, None]
    bound = 2 * rate / (1 + rate**2)
    assert bool((run.error <= bound * run.error[0] * (1 + 1e-9)).all())


def test_a_step_takes_no_dot_product(monkeypatch):
    """Nothing of a step depends on a sum over the field: a CUDA graph could hold it."""
    problem = cell()
    x, memory = CHEBYSHEV.init(problem, problem.start(), 0)

    def forbidden(*_):
        raise AssertionError("a dot product")

    for name in ("pairing", "square", "norm", "residual"):
        monkeypatch.setattr(DisplacementForm, name, forbidden)
    for name in ("item", "tolist", "__bool__", "__float__", "nonzero"):
        monkeypatch.setattr(torch.Tensor, name, forbidden)
    with torch.no_grad():
        for k in range(3):
            residual = CHEBYSHEV.residual(problem, x, memory, k)
            x, memory = CHEBYSHEV.step(problem, Iterate(x, residual, k), memory)


def test_pores_are_refused_before_any_work():
    """In one sentence; so are problems whose spectrum nobody knows, and chains."""
    labels = random_labels((5, 4))
    stiff = lsml.isotropic(E=1.0, nu=0.3).matrix()
    phases = torch.stack([0 * stiff, stiff])
    porous = lsml.elasticity(labels[..., None], phases, lsml.load(strain=SPACE))
    late = lsml.Schedule(lsml.Moulinec(), 3, CHEBYSHEV)
    with pytest.raises(ValueError, match="Chebyshev needs phases that all have stiff"):
        lsml.solve(porous, late)
    form = cell().strain
    general = LippmannSchwinger(
        form.grid, form.law, form.reference, form.green, form.start()
    )
    with pytest.raises(ValueError, match=r"needs a problem that is \['compatible'\]"):
        lsml.solve(general, CHEBYSHEV)
    with pytest.raises(ValueError, match="does not tell bounds of its spectrum"):
        general.bounds()


def test_a_homogeneous_medium_has_an_interval_of_no_width():
    """δ = 0: solved in one step, without a division by it."""
    labels = torch.zeros(4, 5, dtype=torch.long)
    sol = lsml.solve(labels, "chebyshev", contrast=10.0, tol=1e-12)
    assert sol.iterations.tolist() == [0]
    load = lsml.load(strain=[1e-3, None, None], stress=[None, 0.0, 0.0])
    tension = lsml.elasticity(labels, [lsml.isotropic(E=2.0, nu=0.3)], load)
    start = torch.randn(1, 3, 4, 5, generator=torch.Generator().manual_seed(1)).double()
    sol = lsml.solve(tension, CHEBYSHEV, x0=start, tol=1e-10)
    assert sol.iterations.tolist() == [1]


def test_by_name_and_finished_by_conjugate_gradients():
    """Certified like every other rule, and the same field."""
    labels = random_labels((5, 4, 3), batch=2)
    true = lsml.solve(labels, tol=1e-10).strain
    for rule in ("chebyshev", "chebyshev:6 > cg"):
        sol = lsml.solve(labels, rule, tol=1e-8)
        assert sol.converged.all()
        torch.testing.assert_close(sol.strain, true, rtol=0, atol=1e-10)


def test_given_coefficients_are_those_of_chebyshev():
    """`like_chebyshev` writes the same coefficients down as numbers."""
    problem = cell(batch=1)
    low, high = (float(b) for b in problem.bounds())
    given = like_chebyshev(low, high, 6)
    mine = trace(problem, given, stop=Never(), max_iter=6)
    its = trace(problem, CHEBYSHEV, stop=Never(), max_iter=6)
    torch.testing.assert_close(mine.x, its.x, rtol=1e-11, atol=1e-18)
    assert mine.state.status.tolist() == [Status.COMPLETED]


def test_one_length_is_moulinec():
    """s = 1 without momentum is the basic scheme."""
    problem = cell(form="strain")
    one = lsml.Momentum([1.0, 1.0, 1.0], [0.0, 0.0])
    mine = trace(problem, one, stop=Never(), max_iter=3).x
    its = trace(problem, lsml.Moulinec(), stop=Never(), max_iter=3).x
    torch.testing.assert_close(mine, its, rtol=0, atol=1e-14)


def test_loss_is_the_energy_and_its_gradient_is_right():
    """Against ½<ε, Cε> of both fields, and against finite differences.

    Catches a loss with the sign or the half missing, and coefficients that no graph
    reaches.
    """
    problem = cell(form="strain")
    rule = lsml.Momentum([0.8, 1.2, 0.9], [0.15, 0.3])
    loss = energy_gained(rule, problem)
    end = trace(problem, rule, stop=Never(), max_iter=3).x[-1]

    def energy(x):
        return problem.law.energy(x).flatten(1).mean(1)

    start = problem.start()
    first = problem.square(problem.residual(start))
    want = ((energy(end) - energy(start)) / first).mean()
    torch.testing.assert_close(loss.detach(), want)
    loss.backward()
    for parameter in rule.parameters():
        for i in range(len(parameter)):
            sides = []
            for sign in (1, -1):
                with torch.no_grad():
                    parameter[i] += sign * 1e-5
                    sides.append(float(energy_gained(rule, problem)))
                    parameter[i] -= sign * 1e-5
            slope = (sides[0] - sides[1]) / 2e-5
            assert abs(slope - float(parameter.grad[i])) < 1e-6 * max(1, abs(slope))


def test_tuning_beats_the_interval_and_not_conjugate_gradients():
    """Theorem: of all iterations with k matrices CG has the least energy, per sample.

    Tuned coefficients lie between it and Chebyshev's, which know the interval only.
    """
    problem = cell((6, 5), contrast=10.0)
    low, high = (float(b.mean()) for b in problem.bounds())
    rule = like_chebyshev(low, high, 4)
    losses = fit(rule, problem, epochs=60, rate=2e-2)
    assert losses[-1] < losses[0]
    start = problem.start()
    first = problem.square(problem.residual(start))
    best = trace(problem, lsml.ConjugateGradient(), stop=Never(), max_iter=4).x[-1]
    forces = problem.force(start) + problem.force(best)
    least = (problem.pairing(forces, start - best) / 2 / first).mean()
    assert float(least) <= losses[-1]


@pytest.mark.parametrize(
    ("lengths", "turns"), [([], []), ([1.0], [0.1]), ([1.0, 1.0], [])]
)
def test_coefficients_that_do_not_fit_are_refused(lengths, turns):
    with pytest.raises(ValueError, match="a turn for each but the first"):
        lsml.Momentum(lengths, turns)


def test_spectral_interval_of_two_phases():
    """κ is the contrast where ν is the same, and the rate follows from it."""
    problem = lsml.elasticity(
        random_labels((4, 4)),
        [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=9.0, nu=0.3)],
        lsml.load(strain=[1e-3, 0, 0]),
    )
    low, high = problem.bounds()
    assert abs(float(high / low) - 9.0) < 1e-9
    assert abs(sqrt(float(high / low)) - 3.0) < 1e-9
