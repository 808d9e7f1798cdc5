"""Derivatives through the rules of the literature."""

import pytest
import torch
from cells import random_labels

import lsml

RULES = [
    "anderson",
    "auto",
    "barzilai_borwein",
    "bicgstab",
    "eyre_milton",
    "heavy_ball",
    "minres",
    "nesterov",
    "newton",
    "nonlinear_cg",
]


def slope(rule, gradient):
    """Derivative of the mean stress with respect to three moduli."""
    p = torch.tensor([1.0, 4.0, 0.25], dtype=torch.float64, requires_grad=True)
    solved = lsml.solve(
        random_labels((3, 4)),
        rule,
        phases=[lsml.isotropic(E=p[0], nu=p[2]), lsml.isotropic(E=p[1], nu=0.3)],
        load=lsml.load(strain=[1.0, -0.4, 0.3]),
        tol=1e-11,
        gradient=gradient,
    )
    weights = torch.tensor([1.0, -0.3, 0.7], dtype=torch.float64)
    (found,) = torch.autograd.grad((solved.mean_stress * weights).sum(), p)
    return found


@pytest.fixture(scope="module")
def known():
    return slope("cg", lsml.Implicit(tol=1e-12))


@pytest.mark.parametrize("name", RULES)
def test_gradient_does_not_depend_on_the_rule(name, known):
    """Theorem: the derivative of a solution is that of the problem.

    By the adjoint that the rule solves itself, and through its own steps. Catches a
    step that is not recorded, and a rule that cannot solve the adjoint.
    """
    for gradient in (lsml.Implicit(), lsml.Unrolled()):
        torch.testing.assert_close(slope(name, gradient), known, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", [*RULES, "monchiet_bonnet", "augmented_lagrangian"])
def test_single_precision_reaches_any_tolerance(name):
    """float32 on the refined form: residuals in float64, everything else in float32.

    The strain form, which has no refinement, down to rounding. Catches a memory in the
    precision of the iterate, and a carried residual that drifts.
    """
    labels = random_labels((6, 5, 4), batch=2)
    strain = name in ("eyre_milton", "monchiet_bonnet", "augmented_lagrangian")
    tol = 1e-5 if strain else 1e-8
    solved = lsml.solve(labels, name, tol=tol, dtype=torch.float32, max_iter=300)
    expected = lsml.solve(labels, "cg", tol=1e-9)
    gap = (solved.strain.double() - expected.strain).abs().max()
    assert gap < 20 * tol * expected.strain.abs().max()
    assert solved.strain.dtype == (torch.float32 if strain else torch.float64)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("scheme", ["rotated", "hex8"])
def test_kernels_do_not_change_the_steps(name, scheme):
    """Fused kernels give the iterates of whole-array operations.

    Catches a rule that lets a kernel overwrite what it still needs.
    """
    pytest.importorskip("numba")
    labels, options = random_labels((5, 6, 4), batch=2), {"discretization": scheme}
    runs = [
        lsml.solve(labels, name, tol=1e-9, compile=compile, throw=False, **options)
        for compile in (False, True)
    ]
    assert torch.equal(runs[0].iterations, runs[1].iterations)
    scale = runs[0].strain.abs().max()
    torch.testing.assert_close(
        runs[0].strain, runs[1].strain, rtol=0, atol=1e-9 * float(scale)
    )
