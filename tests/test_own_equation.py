"""The worked example of a user's own H = A + B."""

import re
import sys
from pathlib import Path

import pytest
import torch

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


def test_example_is_the_finite_difference_solution():
    """Against Newton on five-point differences: what both discretize is one equation.

    Fields differ by the error of the differences; catches a sign in B.
    """
    pytest.importorskip("matplotlib")
    from own_equation import particles

    problem, rho, _ = particles()
    phi = lsml.solve(problem, "anderson", tol=1e-8).field[0, 0]
    m, charge, u = problem.law.m, rho, torch.zeros_like(rho)
    h = problem.grid.spacing[0]
    for _ in range(4000):  # damped Jacobi
        around = sum(u.roll(s, a) for s in (1, -1) for a in (0, 1)) / h**2
        u = u - (4 / h**2 * u - around + m * u.sinh() - charge) / (4 / h**2 + 2)
    assert (phi - u).abs().max() < 0.03 * u.abs().max()
