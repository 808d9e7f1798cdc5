"""The rules of the literature obey the laws that every update rule obeys."""

import pytest

import lsml
from lsml.testing import ALL_CASES, CHECKS

RULES = {
    "eyre_milton": lsml.EyreMilton(),
    "augmented_lagrangian": lsml.AugmentedLagrangian(),
    "monchiet_bonnet": lsml.MonchietBonnet(),
    "unequal polarization": lsml.Polarization(1.7, 0.9),
    "barzilai_borwein": lsml.BarzilaiBorwein(),
    "nesterov": lsml.Nesterov(),
    "nesterov constant": lsml.Nesterov(momentum=0.2),
    "heavy_ball": lsml.HeavyBall(),
    "anderson": lsml.Anderson(),
    "anderson polarization": lsml.Anderson(lsml.MonchietBonnet(), 2),
    "minres": lsml.MinimalResidual(),
    "nonlinear_cg": lsml.NonlinearCG(),
    "nonlinear_cg without search": lsml.NonlinearCG("fletcher_reeves", 1.0),
    "newton": lsml.Newton(),
    "bicgstab": lsml.BiCGStab(),
    "auto": lsml.Auto(),
    "safeguarded": lsml.Safeguarded(lsml.BarzilaiBorwein(), lsml.Moulinec()),
    "schedule": lsml.Schedule(lsml.Anderson(depth=2), 3, lsml.MinimalResidual()),
}


def admitted(rule):
    """Cases that a rule does not refuse."""
    return [c for c in ALL_CASES if rule.requires <= c.problem(rule.reference).tags]


# Three cases to each rule in turn; together the rules take every law through all.
SHARE = {
    name: admitted(rule)[i % 6 :: 6] for i, (name, rule) in enumerate(RULES.items())
}


@pytest.mark.parametrize("law", CHECKS)
@pytest.mark.parametrize("name", RULES)
def test_rule_obeys(name, law):
    """Theorem: every rule obeys every law of `lsml.testing` (stated there)."""
    for case in SHARE[name]:
        CHECKS[law](RULES[name], case)


def test_every_case_is_somebodys():
    """No grid, load or form is left out."""
    assert {c.name for cases in SHARE.values() for c in cases} == {
        c.name for c in ALL_CASES
    }
