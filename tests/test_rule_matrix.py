"""Every rule solves every problem that it admits, to the same fields."""

import pytest
from rule_matrix import CELLS, PHYSICS, assert_agrees, prepared, refusal, solved

import lsml
from lsml.inputs import RULES


@pytest.mark.parametrize(
    ("rule", "physics", "scheme", "ndim"),
    CELLS,
    ids=[f"{r}-{p}-{s}-{d}" for r, p, s, d in CELLS],
)
def test_cell_is_solved_or_refused_by_name(rule, physics, scheme, ndim):
    """Theorem: the solution is that of the problem, not of the rule.

    Stress where there are pores, for strain inside them is nobody's. A rule that does
    not admit the problem says which property is missing. Catches a rule that converges
    to another field, in any physics, scheme or dimension.
    """
    chosen, problem = prepared(rule, physics, scheme, ndim)
    if refusal(chosen, problem) is not None:
        with pytest.raises(ValueError, match=r"needs a problem|needs phases|bounds"):
            solved(chosen, problem)
        return
    state = solved(chosen, problem)
    assert state.converged.all(), state.status
    assert_agrees(state, problem, physics, scheme, ndim)


def test_no_rule_and_no_physics_stands_alone():
    """Every rule solves something, and every physics is solved by several rules."""
    admitted = {
        (rule, physics)
        for rule, physics, scheme, ndim in CELLS
        if refusal(*prepared(rule, physics, scheme, ndim)) is None
    }
    assert {rule for rule, _ in admitted} == set(RULES)
    for physics in PHYSICS:
        assert sum(p == physics for _, p in admitted) >= 3


@pytest.mark.parametrize("physics", PHYSICS)
def test_auto_solves_everything(physics, caplog):
    """It picks by tags, and log and `sol.rule` say what was picked, and why."""
    make = PHYSICS[physics].make
    with caplog.at_level("INFO", "lsml"):
        found = lsml.solve(make("rotated", 2), "auto", tol=1e-6)
    picked = type(lsml.Auto().picked(found.problem)).__name__
    assert found.rule == f"Auto: {picked}"
    assert f"auto takes {picked}: " in caplog.text
