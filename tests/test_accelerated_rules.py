"""Gradient methods with a memory, against dense NumPy versions and their theorems."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from cells import random_labels
from dense_systems import Dense, Skewed, dense_case, iterates, saturating

import lsml
from lsml.displacement_form import DisplacementForm
from lsml.rule import Iterate, arithmetic
from lsml.stop import Never, RelativeResidual
from lsml.testing import small_case
from lsml.testing.problems import in_strain
from lsml.unroll import unroll

STEPS = 7
SYSTEMS = {
    "rotated": dense_case("rotated", (4, 3)),
    "fourier": dense_case("fourier", (3, 5), mixed=False),
    "hex8": dense_case("hex8", (3, 2, 2)),
}
each_system = pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)


def agree(found, expected, tol=1e-9):
    """Iterate by iterate, relative to the largest one."""
    scale = np.abs(expected[-1]).max()
    gaps = [np.abs(a - b).max() / scale for a, b in zip(found, expected, strict=True)]
    assert max(gaps) < tol, gaps


def lengths(system):
    """Starting point, residual as a function of it, and dot product."""
    start = system.start.numpy().ravel()

    def residual(x):
        return system.n @ (system.b - system.a @ (x - start))

    return start, residual


@each_system
def test_barzilai_borwein_takes_secant_steps(system):
    """Theorem: γ₀ = 1, then γ_k = <Δx, Δx>/<Δx, NAΔx> in the metric of C⁰.

    Written with differences of iterates, as Barzilai & Borwein do. Catches the short
    step <Δx, Δr>/<Δr, Δr>, a length that lags once more, and another metric.
    """
    x, residual = lengths(system)
    expected, last = [x], None
    for _ in range(STEPS):
        r, gamma = residual(x), 1.0
        if last is not None:
            dx, dr = x - last[0], last[1] - r
            gamma = system.dot(dx, dx) / system.dot(dx, dr)
        last, x = (x, r), x + gamma * r
        expected.append(x)
    agree(iterates(system.problem, lsml.BarzilaiBorwein(), STEPS), expected)


@each_system
def test_barzilai_borwein_lags_one_behind_steepest_descent(system):
    """Theorem: on a quadratic, γ_{k+1} is the exact length along the k-th residual."""
    found = iterates(system.problem, lsml.BarzilaiBorwein(), 5)
    _, residual = lengths(system)
    for x, nxt, after in zip(found, found[1:], found[2:], strict=False):
        r, r_next = residual(x), residual(nxt)
        exact = system.dot(r, r) / system.dot(r, system.operator @ r)
        step = after - nxt
        np.testing.assert_allclose(step, exact * r_next, atol=1e-9 * np.abs(step).max())


def momentum_iterates(system, steps, beta_of):
    """y_{k+1} by the textbook: a step from y, then extrapolation past the last x."""
    y, residual = lengths(system)
    x, high = y, system.problem.bounds()[1].item()
    expected = [y]
    for k in range(steps):
        nxt = y + residual(y) / high
        y = nxt + beta_of(k) * (nxt - x)
        x = nxt
        expected.append(y)
    return expected


@each_system
def test_nesterov_extrapolates_past_the_last_point(system):
    """Theorem: x⁺ = y + r(y)/L, y⁺ = x⁺ + β(x⁺ − x) (Nesterov 2004, scheme 2.2.20).

    Catches momentum added to the wrong point, or carried by y instead of x.
    """
    rule = lsml.Nesterov(momentum=0.3)
    expected = momentum_iterates(system, STEPS, lambda k: 0.3)
    agree(iterates(system.problem, rule, STEPS), expected)


@each_system
def test_nesterov_sequence_starts_anew_uphill(system):
    """Theorem: β = (t − 1)/t⁺ until <r(y), x⁺ − x> < 0, then t = 1 again.

    The textbook loop with its restart; on these systems one happens. Catches a restart
    that keeps t, or keeps the momentum.
    """
    y, residual = lengths(system)
    x, t, high = y, 1.0, system.problem.bounds()[1].item()
    expected, restarts = [y], 0
    for _ in range(25):
        r = residual(y)
        nxt = y + r / high
        after = (1 + (1 + 4 * t * t) ** 0.5) / 2
        beta = (t - 1) / after
        if system.dot(r, nxt - x) < 0:
            beta, after, restarts = 0.0, 1.0, restarts + 1
        y, x, t = nxt + beta * (nxt - x), nxt, after
        expected.append(y)
    assert restarts > 0
    agree(iterates(system.problem, lsml.Nesterov(), 25), expected, 1e-8)


@each_system
def test_heavy_ball_is_polyaks(system):
    """Theorem: x⁺ = x + γ r + β(x − x⁻) with Polyak's optimal coefficients."""
    low, high = (bound.item() ** 0.5 for bound in system.problem.bounds())
    gamma, beta = 4 / (high + low) ** 2, ((high - low) / (high + low)) ** 2
    x, residual = lengths(system)
    last, expected = x, [x]
    for _ in range(STEPS):
        x, last = x + gamma * residual(x) + beta * (x - last), x
        expected.append(x)
    agree(iterates(system.problem, lsml.HeavyBall(), STEPS), expected)


def reduction(problem, rule, first, last):
    """Factor per iteration by which the residual falls between two of them."""
    history = unroll(problem, rule, stop=Never(), max_iter=last).history[:, 0]
    return float(history[last] / history[first]) ** (1 / (last - first))


def layered(contrast):
    """A laminate loaded across: its spectrum has both ends of the phases' ratios."""
    labels = np.zeros((24, 2), int)
    labels[::3] = 1
    phases = [lsml.isotropic(E=1.0, nu=0.0), lsml.isotropic(E=contrast, nu=0.0)]
    load = lsml.load(strain=[1e-3, 0.0, 7e-4])
    return lsml.elasticity(labels, phases, load, "rotated")


@pytest.mark.parametrize("contrast", [20.0, 200.0])
def test_momentum_reaches_the_rate_of_chebyshev(contrast):
    """Theorem: heavy ball (√κ − 1)/(√κ + 1) per step, Nesterov 1 − 1/√κ at most.

    Polyak's coefficients make a double root, which costs a factor k in step k. Catches
    L or μ in place of its root, and a reference medium that moves them.
    """
    root = contrast**0.5
    rate, first, last = (root - 1) / (root + 1), int(4 * root), int(11 * root)
    ball, fast = lsml.HeavyBall(), lsml.Nesterov(momentum=rate)
    problem = DisplacementForm(layered(contrast).referred(ball.reference))
    found = reduction(problem, ball, first, last)
    double = (last / first) ** (1 / (last - first))
    assert 0.9 * rate < found < 1.01 * double * rate
    problem = DisplacementForm(layered(contrast).referred(fast.reference))
    assert reduction(problem, fast, 0, first) < 1 - 1 / root


def test_heavy_ball_refuses_pores():
    """Before any work, in one sentence that says what to take."""
    phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=0.0, nu=0.3)]
    with pytest.raises(ValueError, match="HeavyBall needs phases that all have stiff"):
        lsml.solve(random_labels((4, 4, 4)), "heavy_ball", phases=phases)


def krylov(system, k):
    """Orthonormal basis of span{r, NAr, …} of dimension k, in the metric of C⁰."""
    basis = []
    v = system.r
    for _ in range(k):
        for _ in range(2):
            for b in basis:
                v = v - system.dot(b, v) * b
        basis.append(v / system.norm(v))
        v = system.operator @ basis[-1]
    return np.stack(basis, 1)


def root_of(metric):
    """W with WᵀW = metric: norms in C⁰ are Euclidean norms of W x."""
    size, vectors = np.linalg.eigh(metric)
    return (vectors * np.clip(size, 0, None) ** 0.5).T


def least_residual(system, k):
    """The residual of least norm that x₀ + K_k holds, as a step."""
    if k == 0:
        return system.r
    image, root = system.operator @ krylov(system, k), root_of(system.metric)
    y = np.linalg.lstsq(root @ image, root @ system.r, rcond=None)[0]
    return system.r - image @ y


def indefinite(system):
    """The same with the law's sign turned in one phase: symmetric, not positive."""
    form = system.problem.strain
    table = form.law.coefficients.clone()
    table[:, 0] *= -0.37
    law = replace(form.law, coefficients=table)
    return Dense(DisplacementForm(replace(form, law=law, rebuild=None)))


@pytest.mark.parametrize("turned", [False, True], ids=["definite", "indefinite"])
@each_system
def test_minres_leaves_the_least_residual_of_the_krylov_space(system, turned):
    """Theorem: MINRES minimizes ‖r‖ over x₀ + K_k, definite or not.

    The residual itself, by dense least squares on an orthonormal Krylov basis. Catches
    a lost Lanczos coefficient, a rotation applied too early, the Euclidean norm.
    """
    system = indefinite(system) if turned else system
    _, residual = lengths(system)
    size = system.norm(system.r)
    for k, x in enumerate(iterates(system.problem, lsml.MinimalResidual(), 8)):
        gap = residual(x) - least_residual(system, k)
        assert system.norm(gap) < 1e-8 * size


@pytest.mark.parametrize("turned", [False, True], ids=["definite", "indefinite"])
@each_system
def test_anderson_is_one_step_behind_gmres(system, turned):
    """Theorem (Walker & Ni 2011): x_{k+1} is a fixed-point step from GMRES's k-th.

    So its residual is (I − NA) times the least one. Catches a column in the wrong
    slot, a lost difference, and a least squares problem in another norm.
    """
    system = indefinite(system) if turned else system
    _, residual = lengths(system)
    size = system.norm(system.r)
    for k, x in enumerate(iterates(system.problem, lsml.Anderson(depth=9), 8)[1:]):
        least = least_residual(system, k)
        gap = residual(x) - (least - system.operator @ least)
        assert system.norm(gap) < 1e-6 * size


@each_system
def test_minres_carries_its_true_residual_and_lowers_it(system):
    """Theorem: the carried residual is that of the iterate; its norm never grows."""
    rule = lsml.MinimalResidual()
    with torch.no_grad():
        x, memory = rule.init(system.problem, system.start, 0)
        norms = []
        for k in range(8):
            r = rule.residual(system.problem, x, memory, k)
            true = system.problem.residual(x)
            scale = system.problem.force(system.start).abs().max()
            assert float((r.force - true.force).abs().max() / scale) < 1e-10
            norms.append(float(system.problem.norm(r)))
            x, memory = rule.step(system.problem, Iterate(x, r, k), memory)
    assert all(b <= a * (1 + 1e-12) for a, b in pairwise(norms))


@each_system
def test_anderson_is_the_least_squares_of_its_window(system):
    """Theorem: x⁺ = x + g − (ΔX + ΔG) γ, γ = argmin ‖r − ΔR γ‖, depth 3.

    Walker & Ni's algorithm with differences of stored iterates and a dense least
    squares. Catches a window that forgets the wrong difference, or none.
    """
    root = root_of(system.metric)
    x, residual = lengths(system)
    xs, rs = [x], [residual(x)]
    for _ in range(STEPS):
        back = 0.0
        if len(xs) > 1:
            dx = np.diff(np.stack(xs[-4:], 1))
            dr = np.diff(np.stack(rs[-4:], 1))
            y = np.linalg.lstsq(root @ dr, root @ rs[-1], rcond=None)[0]
            back = (dx + dr) @ y
        xs.append(xs[-1] + rs[-1] - back)
        rs.append(residual(xs[-1]))
    agree(iterates(system.problem, lsml.Anderson(depth=3), STEPS), xs, 1e-8)


def test_anderson_accelerates_any_rule_without_memory():
    """Monchiet-Bonnet inside is faster than alone; a rule with memory is refused.

    Catches a norm of residuals that is no norm for incompatible iterates.
    """
    case = small_case("rotated", in_strain, (6, 5), 3)
    stiff = case.phases.clone()
    stiff[:, 1] *= 10
    case = replace(case, phases=stiff)
    stop = RelativeResidual(1e-8)
    for inner, gain in ((lsml.MonchietBonnet(), 0.85), (lsml.Moulinec(), 0.35)):
        rule = lsml.Anderson(inner, depth=8)
        problem = case.problem(rule.reference)
        alone = unroll(problem, inner, stop=stop)
        both = unroll(problem, rule, stop=stop)
        assert both.converged.all()
        assert both.iterations.max() < gain * alone.iterations.max()
    with pytest.raises(ValueError, match="without memory, such as Moulinec; Conj"):
        unroll(problem, lsml.Anderson(lsml.ConjugateGradient()))
    with pytest.raises(ValueError, match="depth = 0 must be 1 or more"):
        lsml.Anderson(depth=0)


@each_system
@pytest.mark.parametrize("conjugacy", ["fletcher_reeves", "polak_ribiere"])
def test_nonlinear_conjugate_gradients_are_linear_ones(system, conjugacy):
    """Theorem: with exact lengths on a quadratic both formulas are those of CG.

    Catches a length by the wrong slope, and β of the wrong pair of residuals.
    """
    found = iterates(system.problem, lsml.NonlinearCG(conjugacy), STEPS)
    expected = iterates(system.problem, lsml.ConjugateGradient(), STEPS)
    agree(found, expected, 1e-8)


@each_system
def test_bicgstab_is_van_der_vorsts(system):
    """Theorem: the algorithm of the paper on the preconditioned, nonsymmetric system.

    In the metric of C⁰, with a skew part added to the law. Catches a shadow that moves,
    ω by the wrong quotient, and a direction that keeps v.
    """
    form = system.problem.strain
    twisted = replace(form, law=Skewed(form.law), rebuild=None)
    system = Dense(DisplacementForm(twisted))
    a, dot = system.operator, system.dot
    assert np.abs(system.a - system.a.T).max() > 1e-3 * np.abs(system.a).max()
    x, residual = lengths(system)
    r = residual(x)
    shadow, p, rho, expected = r, r, dot(r, r), [x]
    for _ in range(STEPS):
        v = a @ p
        alpha = rho / dot(shadow, v)
        s = r - alpha * v
        t = a @ s
        omega = dot(t, s) / dot(t, t)
        x = x + alpha * p + omega * s
        r = s - omega * t
        rho, old = dot(shadow, r), rho
        p = r + rho / old * alpha / omega * (p - omega * v)
        expected.append(x)
    agree(iterates(system.problem, lsml.BiCGStab(), STEPS), expected, 1e-7)


def test_bicgstab_solves_where_symmetry_is_missing():
    """On the law with a skew part CG is refused; BiCGStab ends at the answer."""
    case = small_case("rotated", DisplacementForm, (4, 5, 3), 3)
    plain = case.strain_form(arithmetic)
    general = case.untagged(arithmetic)
    for problem in (
        DisplacementForm(replace(plain, law=Skewed(plain.law), rebuild=None)),
        replace(general, law=Skewed(plain.law)),
    ):
        state = unroll(problem, lsml.BiCGStab(), stop=RelativeResidual(1e-9))
        assert state.converged.all()
        with pytest.raises(ValueError, match="symmetric"):
            unroll(problem, lsml.ConjugateGradient())


@pytest.mark.parametrize("form", [in_strain, DisplacementForm])
def test_newton_on_a_linear_problem_is_its_inner_rule(form):
    """Theorem: one Newton step to the share η is the inner rule's solve to η.

    Same field, and as many inner steps counted. Catches a tangent taken elsewhere, a
    drive of the wrong sign, and inner tolerances that mean something else.
    """
    case = small_case("rotated", form, (5, 4, 3), 3)
    problem = case.problem(arithmetic)
    for inner in (lsml.ConjugateGradient(), lsml.BarzilaiBorwein()):
        expected = unroll(problem, inner, stop=RelativeResidual(1e-5))
        newton = lsml.Newton(inner, forcing=1e-5)
        x, memory = newton.init(problem, problem.start(), 0)
        it = Iterate(x, newton.residual(problem, x, memory, 0), 0)
        x, memory = newton.step(problem, it, memory)
        scale = float((expected.x - problem.start()).abs().max())
        assert float((x - expected.x).abs().max()) < 1e-9 * scale
        assert torch.equal(memory.inner, expected.iterations)


def bent(shape=(5, 4, 3), scheme="rotated", strength=2.0):
    """A nonlinear problem whose tangent is less than half of C where it is strained."""
    case = small_case(scheme, in_strain, shape, 2)
    return lambda mean: DisplacementForm(saturating(case.strain_form(mean), strength))


NONLINEAR = {
    "barzilai_borwein": lsml.BarzilaiBorwein(),
    "nesterov": lsml.Nesterov(),
    "nonlinear_cg": lsml.NonlinearCG(),
    "fletcher_reeves": lsml.NonlinearCG("fletcher_reeves"),
    "schneider": lsml.NonlinearCG("fletcher_reeves", length=1.0),
    "anderson": lsml.Anderson(),
    "newton": lsml.Newton(),
    "newton minres": lsml.Newton(lsml.MinimalResidual(), forcing=1e-2),
    "auto": lsml.Auto(),
}


@pytest.mark.parametrize("name", NONLINEAR)
def test_nonlinear_problem_has_one_solution(name):
    """Theorem: a strictly convex energy has one minimum, whichever rule finds it.

    Catches a rule that relies on linearity and does not say so, a stale tangent, and a
    carried residual of the linear model.
    """
    make, rule = bent(), NONLINEAR[name]
    stop = RelativeResidual(1e-10)
    problem = make(rule.reference)
    found = unroll(problem, rule, stop=stop, max_iter=600)
    expected = unroll(make(arithmetic), lsml.Moulinec(), stop=stop, max_iter=4000)
    assert expected.converged.all()
    assert found.converged.all()
    a, b = problem.field(found.x), problem.field(expected.x)
    torch.testing.assert_close(a, b, rtol=0, atol=1e-8 * float(b.abs().max()))
    assert found.iterations.max() < expected.iterations.max()


def test_newton_converges_faster_than_linearly():
    """Theorem (Eisenstat & Walker 1996): with their η the order is above 1.5.

    Catches a forcing term that stays constant and a tangent that is not the tangent.
    """
    problem = bent(strength=8.0)(arithmetic)
    state = unroll(problem, lsml.Newton(), stop=RelativeResidual(1e-12), max_iter=30)
    assert state.converged.all()
    falls = state.history[:, 0].log()
    late = [float(b / a) for a, b in pairwise(falls[2:])]
    assert max(late) > 1.5
    assert int(state.iterations.max()) < 12


def test_newton_asks_of_the_law_what_its_tangent_lacks():
    """A Newton step needs symmetry for CG, not for BiCGStab; never linearity."""
    assert "linear" not in lsml.Newton().requires
    assert lsml.Newton(lsml.BiCGStab()).requires == frozenset()
    with pytest.raises(ValueError, match="forcing = 2 must lie between 0 and 1"):
        lsml.Newton(forcing=2)
    with pytest.raises(ValueError, match="max_inner = 0 must be 1 or more"):
        lsml.Newton(max_inner=0)
