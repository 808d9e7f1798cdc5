"""Strain form and displacement form are the same problem, and descent descends."""

import pytest
import torch

import lsml
from lsml.displacement_form import DisplacementForm
from lsml.numerics import per_sample
from lsml.problem import Residual
from lsml.rule import Iterate, arithmetic
from lsml.testing import CASES
from lsml.testing.trace import few_steps, largest_difference

RULES = {
    "moulinec": lsml.Moulinec(),
    "cg": lsml.ConjugateGradient(),
    "descent": lsml.SteepestDescent(),
    "descent scheduled": lsml.SteepestDescent(step_length=[0.7, 1.1]),
    "descent residual": lsml.SteepestDescent("residual"),
    "descent residual constant": lsml.SteepestDescent("residual", 0.5),
    "schedule": lsml.Schedule(lsml.Moulinec(), 2, lsml.ConjugateGradient()),
    "safeguarded": lsml.Safeguarded(lsml.ConjugateGradient(), lsml.Moulinec()),
}
STEPS = 6
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
each_form = pytest.mark.parametrize("form", [lambda s: s, DisplacementForm])


def random_like(x, seed):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(x.shape, generator=draw, dtype=x.dtype)


def admissible(problem, seed):
    """An increment and a point of the problem, of the size of its load."""
    d = 1e-3 * problem.project(random_like(problem.start(), seed))
    return problem.admit(problem.start() + d), d


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("case", CASES[::2], ids=lambda case: case.name)
def test_forms_give_the_same_iterates(name, case):
    """Theorem: x = x̄ + B u + ē turns each step of one form into one of the other.

    Every scheme, 2-D and 3-D, mixed control and eigenstrain; point by point and
    iterate by iterate, errors too. Catches a lost free mean, a transpose without the
    1/q of the quadrature, and a norm that differs between the forms.
    """
    problem, rule = case.strain_form(RULES[name].reference), RULES[name]
    histories = {}
    for form in ("strain", "displacement"):
        histories[form] = lsml.solve(
            problem,
            rule,
            tol=1e-12,
            max_iter=STEPS,
            form=form,
            record=True,
            quadrature=True,
            throw=False,
        )
    one, other = histories["strain"], histories["displacement"]
    assert largest_difference(one.iterates, other.iterates) <= 1e-10
    assert largest_difference(one.stress, other.stress) <= 1e-10
    assert largest_difference(one.displacement, other.displacement) <= 1e-9
    torch.testing.assert_close(one.history, other.history, rtol=1e-6, atol=1e-12)


@each_case
def test_constant_step_of_one_is_moulinec(case):
    """Theorem: descent along the fixed-point residual with γ = 1 is x ← Φ(x)."""
    problem = case.problem(arithmetic)
    descent = few_steps(problem, lsml.SteepestDescent(step_length=1.0))
    basic = few_steps(problem, lsml.Moulinec())
    assert largest_difference(descent.fields(), basic.fields()) <= 1e-12


def half_square(problem, x):
    return problem.square(problem.residual(x)) / 2


def work(problem, a, b):
    """Inner product of C⁰, <a, C⁰ b>, by polarization of the squared norm."""
    fields = [problem.field(d) - problem.field(0 * d) for d in (a, b)]
    s = problem.strain
    return s.pairing(s.reference(fields[0]), fields[1])


@each_form
@pytest.mark.parametrize("case", CASES[::2], ids=lambda case: case.name)
def test_direction_is_minus_the_gradient(case, form):
    """Theorem: <d, v>_{C⁰} = −D(½‖y − Φ(y)‖²)·v for every admissible v.

    The seed's equations 25-27 in the inner product of C⁰, against central
    differences, which are exact for a quadratic. Catches r in the place of ΓC r, a
    wrong sign, and another metric.
    """
    problem = form(case.strain_form(arithmetic))
    x, v = admissible(problem, 1)[0], admissible(problem, 2)[1]
    rule = lsml.SteepestDescent("residual", step_length=1.0)
    start, memory = rule.init(problem, x, 0)
    it = Iterate(start, rule.residual(problem, start, memory, 0), 0)
    d = rule.step(problem, it, memory)[0] - start
    slope = (half_square(problem, x + v) - half_square(problem, x - v)) / 2
    scale = work(problem, d, d).sqrt() * work(problem, v, v).sqrt()
    gap = (work(problem, d, v) + slope).abs() / scale
    assert gap.max() < 1e-10


@each_form
@pytest.mark.parametrize("objective", ["energy", "residual"])
@pytest.mark.parametrize("case", CASES[1::4], ids=lambda case: case.name)
def test_exact_step_minimizes_along_the_direction(case, objective, form):
    """Theorem: no other length along the direction gives a lower objective.

    A search over lengths on both sides, with the energy integrated from the force.
    Catches a curvature of the other objective, and a factor 2.
    """
    problem = form(case.strain_form(arithmetic))
    x = admissible(problem, 3)[0]
    rule = lsml.SteepestDescent(objective)
    start, memory = rule.init(problem, x, 0)
    d = rule.step(problem, Iterate(start, Residual(*memory), 0), memory)[0] - start

    def value(t):
        if objective == "residual":
            return half_square(problem, x + t * d)
        middle = problem.force(x + t / 2 * d)  # exact: the force is affine in t
        return -t * problem.pairing(middle, d)

    best = value(1.0)
    lengths = [0.0, 0.5, 0.9, 0.99, 1.01, 1.1, 1.5]
    others = torch.stack([value(t) for t in lengths])
    assert bool((others > best).all())
    if objective == "residual":
        assert bool((best < 0.999 * half_square(problem, x)).all())


@each_form
@each_case
def test_hessian_is_minus_the_derivative_of_the_force(case, form):
    """Theorem: force(x + d) = force(x) − H d, and H is symmetric and positive.

    Central differences are exact for an affine law. Catches eigenstrain counted in
    the tangent, and a Hessian without the free mean.
    """
    problem = form(case.strain_form(arithmetic))
    x, d = admissible(problem, 4)
    e = admissible(problem, 5)[1]
    difference = (problem.force(x - d) - problem.force(x + d)) / 2
    assert largest_difference(problem.hessian(x, d), difference) < 1e-10
    one = problem.pairing(problem.hessian(x, d), e)
    other = problem.pairing(problem.hessian(x, e), d)
    positive = problem.pairing(problem.hessian(x, d), d)
    assert bool((positive > 0).all())
    assert bool(((one - other).abs() < 1e-12 * positive).all())


@each_form
@each_case
def test_precondition_is_self_adjoint(case, form):
    """Theorem: <f, N g> = <g, N f> ≥ 0, and N inverts the reference medium.

    Any f and g, not forces of fields. Catches a transpose that is not the adjoint of
    the gradient, and a Nyquist mode that has a gradient in one of them only.
    """
    problem = form(case.strain_form(arithmetic))
    f, g = (random_like(problem.start(), seed) for seed in (6, 7))
    one = problem.pairing(f, problem.precondition(g))
    other = problem.pairing(g, problem.precondition(f))
    size = problem.pairing(f, problem.precondition(f))
    assert bool((size > 0).all())
    assert bool(((one - other).abs() < 1e-12 * size).all())


@each_form
@each_case
def test_admit_is_a_projection(case, form):
    """Theorem: admit and project are idempotent, and x̄ is admissible.

    In the strain form project is orthogonal in C⁰: what it removes does no work.
    """
    problem = form(case.strain_form(arithmetic))
    x = problem.start() + 1e-3 * random_like(problem.start(), 8)
    once = problem.admit(x)
    assert largest_difference(problem.admit(once), once) < 1e-12
    d = x - problem.start()
    part = problem.project(d)
    assert largest_difference(problem.project(part), part) < 1e-12
    start = problem.start()
    assert largest_difference(problem.admit(start), start) < 1e-13
    removed = work(problem, part, d - part).abs()
    assert bool((removed <= 1e-12 * work(problem, d, d)).all())


@each_case
def test_residual_splits_orthogonally(case):
    """Theorem: ‖Φ(x) − x‖² = ‖out of balance‖² + ‖incompatible‖² in C⁰.

    Φ(x) − x = Γ force(x) + (admit(x) − x) for any x. Catches a residual that sees
    only one of the two, or a mean that is counted twice.
    """
    problem = case.strain_form(arithmetic)
    x = problem.start() + 1e-3 * random_like(problem.start(), 9)
    balance = problem.precondition(problem.force(x))
    incompatible = problem.admit(x) - x
    total = problem.residual(x)
    assert largest_difference(total.step, balance + incompatible) < 1e-12
    parts = [problem.square(Residual(total.force, s)) for s in (balance, incompatible)]
    torch.testing.assert_close(problem.square(total), sum(parts), rtol=1e-12, atol=0)
    assert all(bool((p > 0).all()) for p in parts)


@each_form
@each_case
def test_square_is_the_work_of_force_on_step(case, form):
    """Theorem: ‖r‖² = <force, step> on admissible fields, the same in both forms."""
    problem = form(case.strain_form(arithmetic))
    x, _ = admissible(problem, 10)
    residual = problem.residual(x)
    square = problem.square(residual)
    paired = problem.pairing(residual.force, residual.step)
    torch.testing.assert_close(square, paired, rtol=1e-10, atol=0)
    strain = problem.strain
    torch.testing.assert_close(
        square, strain.square(strain.residual(problem.field(x))), rtol=1e-10, atol=0
    )


@each_case
def test_entering_the_displacement_form_keeps_a_compatible_field(case):
    """Theorem: field(enter(e)) is e for compatible e, its admissible part otherwise."""
    strain = case.strain_form(arithmetic)
    form = DisplacementForm(strain)
    field = strain.start() + 1e-3 * random_like(strain.start(), 11)
    nearest = strain.admit(field)
    assert largest_difference(form.field(form.enter(field)), nearest) < 1e-12
    x = form.enter(field)
    assert largest_difference(form.join(*form.split(x)), x) < 1e-15
    assert per_sample(torch.ones(case.batch), x).shape[0] == case.batch


@pytest.mark.parametrize("case", CASES[1::2], ids=lambda case: case.name)
def test_no_unknown_breaks_the_prescribed_mean(case):
    """Theorem: the mean strain is the prescribed one for any numbers in the unknown.

    The residual of the displacement form does not look at it. Catches an unknown
    whose numbers in prescribed components count, with which a rule that is careless
    there would be certified under another load.
    """
    form = case.problem(arithmetic)
    load = form.strain.load
    x = 1e-3 * random_like(form.start(), 12)
    points = form.field(x).unflatten(1, (form.strain.discretization.points, -1))
    mean = points.flatten(3).mean((1, 3))
    assert largest_difference(mean * (1 - load.free), load.field) < 1e-12
