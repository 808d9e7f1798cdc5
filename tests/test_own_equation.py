"""The worked example of a user's own H = A + B."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import coo_array, diags_array, eye_array, kron
from scipy.sparse.linalg import spsolve

import lsml

sys.path.append(str(Path(__file__).parents[1] / "examples"))
EXAMPLE = Path(__file__).parents[1] / "examples" / "own_equation.py"


def test_example_is_short_solves_its_equation_and_draws(tmp_path, capsys):
    """Four rules, each to a small residual of the equation itself, and a picture.

    Catches an interface for which a user needs more than sixty lines.
    """
    pytest.importorskip("matplotlib")
    from own_equation import main

    assert len(EXAMPLE.read_text("utf-8").splitlines()) < 60
    main(str(tmp_path / "phi.png"))
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "Moulinec",
        "Anderson",
        "Auto",
        "Newton",
    ]
    residuals = [float(re.search(r"residual (\S+)", line)[1]) for line in lines]
    assert max(residuals) < 1e-6
    assert (tmp_path / "phi.png").stat().st_size > 1000


def difference(n):
    """−∂² in steps of 1, periodic."""
    rows = np.arange(n)
    return 2 * eye_array(n) - sum(
        coo_array((np.ones(n), (rows, (rows + s) % n)), shape=(n, n)) for s in (1, -1)
    )


def test_example_is_the_finite_difference_solution():
    """Against Newton on five-point differences: what both discretize is one equation.

    Fields differ by the error of the differences; catches a sign in B.
    """
    pytest.importorskip("matplotlib")
    from own_equation import particles

    problem, rho, _ = particles()
    phi = lsml.solve(problem, "anderson", tol=1e-8).field.numpy().ravel()
    m, charge = problem.law.m.numpy().ravel(), rho.numpy().ravel()
    nx, ny = problem.grid.shape
    laplace = kron(difference(nx), eye_array(ny)) + kron(eye_array(nx), difference(ny))
    laplace = laplace / problem.grid.spacing[0] ** 2
    u = np.zeros_like(phi)
    for _ in range(12):
        slope = laplace + diags_array(m * np.cosh(u))
        u = u - spsolve(slope.tocsc(), laplace @ u + m * np.sinh(u) - charge)
    assert np.abs(phi - u).max() < 0.03 * np.abs(u).max()
