"""The convergent Born series, and other rules on complex problems."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from absorbing_waves import Index, dense_answer, scattering

import lsml
from lsml.rule import Iterate
from lsml.stop import RelativeResidual
from lsml.unroll import unroll

RULES = {"born": lsml.Born(), "bicgstab": lsml.BiCGStab(), "anderson": lsml.Anderson()}


@pytest.mark.parametrize("shape", [(6, 9), (5, 4, 3)])
@pytest.mark.parametrize("name", RULES)
def test_wave_is_that_of_a_direct_solve(name, shape):
    """Theorem: what converges is (∇² + k²)⁻¹(−S), strong scatterers included.

    Each sample with its own k₀². Catches a conjugate that is missing in a product, a
    real part where the whole was needed, and the wrong sign of the absorption.
    """
    problem, source = scattering(shape)
    expected = dense_answer(problem, source)
    state = unroll(problem, RULES[name], stop=RelativeResidual(1e-9), max_iter=2000)
    assert state.converged.all()
    gap = (state.x - expected).abs().max() / expected.abs().max()
    assert gap < 1e-7


def test_every_born_step_is_that_of_the_paper():
    """Theorem: ψ ← Mψ + γ G S, M = γ G V − γ + 1, γ = iV/ε (equations 11 and 16).

    With G = 1/(ξ² − k₀² − iε) and V = k² − k₀² − iε written out. Catches γ without its
    i, and a series that is not preconditioned at all.
    """
    problem, source = scattering((5, 6), batch=1)
    k0 = problem.reference.matrix[0, 0, 0]
    v = problem.law.k2 - k0
    gamma = 1j * v / k0.imag
    psi = problem.background
    rule = lsml.Born()
    x, memory = rule.init(problem, psi, 0)
    for k in range(6):
        psi = psi - gamma * psi + gamma * -problem.green(v * psi + source)
        residual = rule.residual(problem, x, memory, k)
        x, memory = rule.step(problem, Iterate(x, residual, k), memory)
        torch.testing.assert_close(x, psi, rtol=1e-11, atol=1e-13)


def test_plain_series_diverges_where_the_convergent_one_does_not():
    """Theorem: ‖γGV − γ + 1‖ < 1, while ‖GV‖ > 1 for scatterers this strong.

    Catches a test problem that any series would solve.
    """
    problem, _ = scattering((8, 8), strength=6.0)
    stop = RelativeResidual(1e-6)
    plain = unroll(problem, lsml.Moulinec(), stop=stop, max_iter=400)
    born = unroll(problem, lsml.Born(), stop=stop, max_iter=4000)
    assert born.converged.all()
    assert not plain.converged.any()
    some = scattering((4, 5), batch=1, strength=6.0)[0]
    unit = torch.eye(20, dtype=torch.complex128).reshape(20, 1, 4, 5)
    image = some.green(some.polarization(unit))
    series = image.flatten(1).T
    convergent = (unit - some.scatter(unit, unit + image)).flatten(1).T
    assert torch.linalg.matrix_norm(series, 2) > 1
    assert torch.linalg.matrix_norm(convergent, 2) < 1


@pytest.mark.parametrize("name", ["cg", "minres", "barzilai_borwein", "eyre_milton"])
def test_complex_problems_are_refused_by_real_rules(name):
    """One sentence that names what a complex k² lacks."""
    problem, _ = scattering((4, 3))
    with pytest.raises(ValueError, match=r"needs a problem that is \[.*compatible"):
        lsml.solve(problem, name)


def test_complex_conduction():
    """Complex conductivities: every rule that admits them ends at the same field.

    Against a dense solve of BᵀκB u = −Bᵀκ ē. Catches real parts taken of products.
    """
    labels = np.random.default_rng(3).integers(0, 2, (5, 6))
    phases = [1.0 + 0.5j, 6.0 - 4.0j]
    problem = lsml.conductivity(labels, phases, [1.0, 0.3], "rotated")
    assert "symmetric" not in problem.tags
    answers = {}
    for name in ("moulinec", "anderson", "bicgstab", "eyre_milton", "monchiet_bonnet"):
        solved = lsml.solve(problem, name, tol=1e-10, max_iter=3000)
        answers[name] = solved.problem.voxel_field(solved.state.x)
    b, size = problem.discretization, labels.size
    unit = torch.eye(size, dtype=torch.complex128).reshape(size, 1, 5, 6)
    gradient = b.gradient(unit).flatten(1).T
    kappa = (
        torch.tensor(phases, dtype=torch.complex128)[torch.from_numpy(labels)]
        .flatten()
        .repeat(2)
    )
    mean = torch.tensor([1.0, 0.3]).to(kappa).repeat_interleave(size)
    stiffness = gradient.T @ (kappa[:, None] * gradient)
    u = torch.linalg.lstsq(
        stiffness, -(gradient.T @ (kappa * mean)), driver="gelsd"
    ).solution
    expected = (mean + gradient @ u).reshape(1, 2, 5, 6)
    for name, field in answers.items():
        gap = (field - expected).abs().max() / expected.abs().max()
        assert gap < 1e-7, (name, float(gap))
    with pytest.raises(ValueError, match=r"\['positive', 'symmetric'\]"):
        lsml.solve(problem, "cg")


def test_absorption_has_to_be_declared():
    """A law that is not tagged *absorbing* is refused by name."""

    class Plain(Index):
        tags = frozenset({"linear"})

    problem, _ = scattering((4, 3))
    plain = replace(problem, law=Plain(problem.law.k2))
    with pytest.raises(ValueError, match=r"Born needs a problem that is \['absorbing"):
        unroll(plain, lsml.Born())
