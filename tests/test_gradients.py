"""Derivatives of a solve: unrolled, implicit and finite differences agree."""

import pytest
import torch

import lsml
from lsml.physics.moduli import upper

GRADIENTS = {"unrolled": lsml.Unrolled(), "implicit": lsml.Implicit()}
SCHEMES = ("fourier", "rotated", "hex8", "hex8-bbar")
SHAPES = {2: (3, 4), 3: (3, 2, 4)}
SIX_DIGITS = 1e-6
STEP = 1e-4  # central differences leave STEP² = 1e-8 of truncation
each_scheme = pytest.mark.parametrize("scheme", SCHEMES)
each_gradient = pytest.mark.parametrize("gradient", GRADIENTS)


def medium(ndim, batch=2):
    draw = torch.Generator().manual_seed(ndim)
    labels = torch.randint(2, (batch, *SHAPES[ndim]), generator=draw)
    labels.flatten(1)[:, :2] = torch.tensor([0, 1])
    return labels


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def numbers(*shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=draw, dtype=torch.float64)


def triangle(values):
    """A (6, 6) stiffness around 3 I from 21 small numbers."""
    base = 3 * torch.eye(6, dtype=torch.float64)
    for n, (i, j) in enumerate(upper(6)):
        place = torch.zeros(6, 6, dtype=torch.float64)
        place[i, j] = place[j, i] = 1.0
        base = base + 0.2 * values[n] * place
    return base


def young_and_poisson(p):
    """E and ν of both phases, those of the second one per sample."""
    return {
        "phases": [
            lsml.isotropic(E=1 + 0.1 * p[0], nu=0.3 + 0.02 * p[1]),
            lsml.isotropic(E=3 + 0.1 * p[2:4], nu=0.2 + 0.02 * p[4:6]),
        ]
    }


def cubic_constants(p):
    return {
        "phases": [
            lsml.isotropic(K=1.0, G=0.7 + 0.1 * p[0]),
            lsml.cubic(C11=4 + 0.1 * p[1], C12=1.5 + 0.1 * p[2], C44=0.8 + 0.1 * p[3]),
        ]
    }


def full_matrices(p):
    return {"phases": [lsml.isotropic(E=1.0, nu=0.3), triangle(p)]}


def mean_strain(p):
    return {"load": [p.reshape(2, 6), None]}


def mixed_load(p):
    """11 and 12 by strain, the others by stress; per sample."""
    rows = p.reshape(2, 6)
    by_strain = torch.tensor([True, False, False, False, False, True])
    nothing = torch.full_like(rows, torch.nan)
    return {
        "load": [
            torch.where(by_strain, rows, nothing),
            torch.where(by_strain, nothing, rows),
        ]
    }


def eigenstrain(p):
    """Of each phase, under mixed control, where it moves the mean strain too."""
    first = torch.tensor([1.0] + [torch.nan] * 5, dtype=torch.float64)
    rest = torch.tensor([torch.nan] + [0.3] * 5, dtype=torch.float64)
    return {"eigenstrain": p.reshape(2, 6), "load": [first, rest]}


PARAMETERS = {
    "young_and_poisson": (young_and_poisson, 6),
    "cubic_constants": (cubic_constants, 4),
    "full_matrices": (full_matrices, 21),
    "mean_strain": (mean_strain, 12),
    "mixed_load": (mixed_load, 12),
    "eigenstrain": (eigenstrain, 12),
}


def built(options, ndim, scheme):
    """The problem in 2-D keeps the components 11, 22, 12 of loads and eigenstrains."""
    plane = [0, 1, 5] if ndim == 2 else list(range(6))
    default = [tensor(1.0, -0.4, 0.2, 0.3, 0.5, 0.7), None]
    strain, stress = (
        None if t is None else t[..., plane] for t in options.get("load", default)
    )
    eigen = options.get("eigenstrain")
    return lsml.elasticity(
        medium(ndim),
        options.get(
            "phases", [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=3.0, nu=0.2)]
        ),
        lsml.load(strain=strain, stress=stress),
        scheme,
        spacing=(1.0, 2.0, 0.5)[:ndim],
        eigenstrain=None if eigen is None else eigen[:, plane],
    )


def quantity(make, p, ndim, scheme, gradient=None):
    """One number that sees every voxel and component of strain and stress."""
    problem = built(make(p), ndim, scheme)
    got = lsml.solve(problem, "cg", tol=1e-11, gradient=gradient)
    seen = torch.cat([got.strain, got.stress], 1)
    return (seen * numbers(*seen.shape, seed=1)).sum() + got.energy.sum()


def slope(make, p, direction, *arguments):
    """Central difference along a direction."""
    with torch.no_grad():
        ahead = quantity(make, p + STEP * direction, *arguments)
        behind = quantity(make, p - STEP * direction, *arguments)
    return (ahead - behind) / (2 * STEP)


@each_scheme
@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", PARAMETERS)
def test_derivatives_agree(name, ndim, scheme):
    """Theorem: Unrolled = Implicit = finite differences, to 6 digits.

    The reference medium is detached: it moves the iterates, and not the solution.
    Along a random direction in all parameters, and against each other one by one.
    Catches a sign or transpose in the adjoint, a forgotten dependence of x̄ on the
    load, of the mean on the eigenstrain, and sums over the wrong sample.
    """
    make, count = PARAMETERS[name]
    p, direction = numbers(count, seed=2), numbers(count, seed=3)
    expected = slope(make, p, direction, ndim, scheme)
    found = {}
    for kind, gradient in GRADIENTS.items():
        leaf = p.clone().requires_grad_()
        value = quantity(make, leaf, ndim, scheme, gradient)
        (found[kind],) = torch.autograd.grad(value, leaf)
        size = found[kind].norm() * direction.norm()
        assert (found[kind] @ direction - expected).abs() < SIX_DIGITS * size
    gap = (found["unrolled"] - found["implicit"]).norm()
    assert gap < SIX_DIGITS * found["implicit"].norm()


@pytest.mark.parametrize("form", ["strain", "displacement"])
@pytest.mark.parametrize("rule", ["moulinec", "steepest_descent", "cg"])
@each_gradient
def test_derivative_does_not_depend_on_rule_or_form(gradient, rule, form):
    """Theorem: the solution has one derivative, whatever finds it."""

    def derivative(rule, form, gradient):
        p = numbers(6, seed=2).requires_grad_()
        problem = built(young_and_poisson(p), 2, "rotated")
        got = lsml.solve(problem, rule, tol=1e-11, form=form, gradient=gradient)
        return torch.autograd.grad(got.stress.square().sum(), p)[0]

    expected = derivative("cg", "displacement", lsml.Implicit())
    got = derivative(rule, form, GRADIENTS[gradient])
    torch.testing.assert_close(got, expected, rtol=1e-7, atol=1e-7)


@each_scheme
def test_homogenize_is_differentiable(scheme):
    """The effective stiffness against finite differences in all its entries."""

    def stiffness(p):
        problem = built(young_and_poisson(p), 2, scheme)
        return lsml.homogenize(problem, tol=1e-12).stiffness

    p, direction = numbers(6, seed=2), numbers(6, seed=3)
    leaf = p.clone().requires_grad_()
    c = stiffness(leaf)
    weight = numbers(*c.shape, seed=4)
    (found,) = torch.autograd.grad((c * weight).sum(), leaf)
    with torch.no_grad():
        ahead, behind = stiffness(p + STEP * direction), stiffness(p - STEP * direction)
    expected = ((ahead - behind) * weight).sum() / (2 * STEP)
    assert (found @ direction - expected).abs() < SIX_DIGITS * found.norm()


def test_without_an_argument_the_derivative_is_implicit():
    """Moduli that require a gradient get the one that Implicit gives, and its tape."""
    p = numbers(6, seed=2)
    results = []
    for gradient in (None, lsml.Implicit()):
        leaf = p.clone().requires_grad_()
        value = quantity(young_and_poisson, leaf, 2, "hex8", gradient)
        results.append(torch.autograd.grad(value, leaf)[0])
    assert torch.equal(*results)


@pytest.mark.parametrize("gradient", [None, *GRADIENTS.values()])
def test_nothing_is_recorded_under_no_grad(gradient):
    """Inside torch.no_grad no result carries a graph."""
    leaf = numbers(6, seed=2).requires_grad_()
    with torch.no_grad():
        problem = built(young_and_poisson(leaf), 2, "rotated")
        got = lsml.solve(problem, gradient=gradient)
        assert not got.strain.requires_grad
        assert not got.stress.requires_grad


def test_nothing_is_recorded_where_nothing_asks():
    """Plain numbers give plain tensors, and Detached drops a graph that was asked."""
    plain = lsml.solve(built({}, 2, "rotated"))
    assert not plain.strain.requires_grad
    leaf = numbers(6, seed=2).requires_grad_()
    got = lsml.solve(
        built(young_and_poisson(leaf), 2, "rotated"), gradient=lsml.Detached()
    )
    assert not got.state.x.requires_grad


def test_an_adjoint_that_fails_raises():
    """Backward raises, and names the remedy, rather than return a rough gradient."""
    leaf = numbers(6, seed=2).requires_grad_()
    problem = built(young_and_poisson(leaf), 2, "rotated")
    rough = lsml.Implicit(rule=lsml.Moulinec(), tol=1e-300)
    got = lsml.solve(problem, "moulinec", tol=1e-3, max_iter=20, gradient=rough)
    with pytest.raises(RuntimeError, match=r"adjoint solve stopped at error"):
        got.stress.sum().backward()
    assert leaf.grad is None


@pytest.mark.parametrize("power", [1, 2])
def test_a_second_derivative_through_implicit_raises(power):
    """Implicit is once differentiable: a second derivative is refused, not wrong.

    Also of a quantity that is linear in the field, whose drive does not depend on
    the moduli while the adjoint does. Unrolled gives it.
    """
    leaf = numbers(6, seed=2).requires_grad_()
    for gradient in GRADIENTS.values():
        problem = built(young_and_poisson(leaf), 2, "rotated")
        got = lsml.solve(problem, tol=1e-10, gradient=gradient)
        value = got.strain[:, 0, 0].pow(power).sum()
        (first,) = torch.autograd.grad(value, leaf, create_graph=True)
        if isinstance(gradient, lsml.Unrolled):
            assert bool(torch.autograd.grad(first.sum(), leaf)[0].isfinite().all())
            continue
        with pytest.raises(RuntimeError, match="use Unrolled"):
            torch.autograd.grad(first.sum(), leaf)


def test_implicit_refuses_what_it_cannot_differentiate():
    """A problem that is not symmetric and compatible is refused by name."""
    from lsml.testing import CASES

    untagged = CASES[0].untagged(lsml.Moulinec().reference)
    with pytest.raises(ValueError, match="symmetric"):
        lsml.solve(untagged, "moulinec", gradient=lsml.Implicit())


@pytest.mark.parametrize("detach", ["no_grad", "argument"])
def test_a_detached_solution_has_no_graph_at_all(detach):
    """Fields are made when asked for, maybe later: still nothing may be recorded.

    Catches a stress that derives from the moduli but not from the strain that they
    made, whose gradient is wrong without warning.
    """
    p = numbers(6).requires_grad_()
    problem = built(young_and_poisson(p), 3, "rotated")
    if detach == "no_grad":
        with torch.no_grad():
            solution = lsml.solve(problem)
    else:
        solution = lsml.solve(problem, gradient=lsml.Detached())
    for value in (solution.stress, solution.strain, solution.energy):
        assert not value.requires_grad
    assert not lsml.homogenize(problem).solution.stress.requires_grad


@each_scheme
def test_displacement_has_a_derivative_in_single_precision(scheme):
    """A translation of the cell does no work, and is no part of the displacement.

    Catches an adjoint driven by the mean of the weights, which no stiffness resists
    and which drowns its residual in rounding.
    """
    labels = medium(3)
    young = torch.tensor(3.0, requires_grad=True)
    phases = [lsml.isotropic(E=torch.tensor(1.0), nu=torch.tensor(0.3))]
    phases += [lsml.isotropic(E=young, nu=torch.tensor(0.2))]
    load = lsml.load(strain=[1e-3, 0, 0, 0, 0, 4e-4])
    u = lsml.solve(lsml.elasticity(labels, phases, load, scheme), tol=1e-4).displacement
    assert u.dtype == torch.float32
    weights = 100 + numbers(*u.shape).float()
    (single,) = torch.autograd.grad((u * weights).sum(), young)
    twice = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=twice, nu=0.2)]
    u = lsml.solve(lsml.elasticity(labels, phases, load, scheme), tol=1e-9).displacement
    (double,) = torch.autograd.grad((u * weights.double()).sum(), twice)
    torch.testing.assert_close(single.double(), double, rtol=5e-3, atol=0)
