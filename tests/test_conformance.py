"""Every rule obeys every law, and every law catches a rule that breaks it."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

import lsml
from lsml.displacement_form import DisplacementForm
from lsml.numerics import per_sample
from lsml.problem import Residual
from lsml.rule import Rule
from lsml.testing import ALL_CASES, CHECKS, check_rule, small_case
from lsml.testing.problems import in_strain


class FixedPasses:
    """As a third party writes it: no base class, three relaxed Moulinec steps."""

    requires: ClassVar[frozenset] = frozenset()
    passes = 3

    @property
    def reference(self):
        return lambda low, high: (low + high) / 2

    def init(self, problem, x, k):
        return x, ()

    def residual(self, problem, x, memory, k):
        return problem.residual(x)

    def step(self, problem, it, memory):
        return it.x + (0.9, 1.0, 0.8)[it.k] * it.residual.step, memory


MOULINEC, CG = lsml.Moulinec(), lsml.ConjugateGradient()
DESCENT = lsml.SteepestDescent(objective="residual")
RULES = {
    "moulinec": MOULINEC,
    "cg": CG,
    "descent": lsml.SteepestDescent(),
    "descent constant": lsml.SteepestDescent(step_length=0.9),
    "descent scheduled": lsml.SteepestDescent(step_length=(0.7, 1.1, 1.0)),
    "descent residual": DESCENT,
    "descent residual constant": lsml.SteepestDescent("residual", 0.6),
    "descent residual scheduled": lsml.SteepestDescent("residual", [0.4, 0.7]),
    "schedule": lsml.Schedule(MOULINEC, 2, CG),
    "schedule after passes": lsml.Schedule(FixedPasses(), 3, DESCENT),
    "schedule to passes": lsml.Schedule(CG, 1, FixedPasses()),
    "safeguarded": lsml.Safeguarded(CG, MOULINEC),
    "safeguarded passes": lsml.Safeguarded(FixedPasses(), MOULINEC),
    "fixed passes": FixedPasses(),
}
# One fifth of the cases to each rule in turn: each fifth has both forms, and together
# the rules take every law through every case.
SHARE = {name: ALL_CASES[i % 5 :: 5] for i, name in enumerate(RULES)}


@pytest.mark.parametrize("law", CHECKS)
@pytest.mark.parametrize("name", RULES)
def test_rule_obeys(name, law):
    """Theorem: every rule obeys every law of `lsml.testing` (stated there)."""
    for case in SHARE[name]:
        CHECKS[law](RULES[name], case)


def test_check_rule_runs_every_law_on_the_cases_given():
    """A healthy rule passes; a sick one fails on the cases that it is given only."""
    flat = small_case("rotated", in_strain, (3, 2), 1)
    check_rule(FixedPasses(), [flat])
    check_rule(Permuted(), [flat])
    with pytest.raises(AssertionError, match="sample"):
        check_rule(Permuted(), [small_case("rotated", in_strain, (3, 2), 3)])


# Rules with one bug each, for the law that has to catch it.


@dataclass(frozen=True)
class Stuck(lsml.Moulinec):
    """Takes no step."""

    def step(self, problem, it, memory):
        return it.x, memory


@dataclass(frozen=True)
class Careless(lsml.ConjugateGradient):
    """Relies on symmetry and does not say so."""

    requires: ClassVar[frozenset] = frozenset()


@dataclass(frozen=True)
class Lagging(Rule):
    """Its residual is that of the iterate before."""

    def init(self, problem, x, k):
        return x, tuple(problem.residual(x))[:2]

    def residual(self, problem, x, memory, k):
        return Residual(*memory)

    def step(self, problem, it, memory):
        now = problem.residual(it.x)
        return it.x + now.step, tuple(now)[:2]


@dataclass(frozen=True)
class Boastful(lsml.Moulinec):
    """Says half of its residual."""

    def residual(self, problem, x, memory, k):
        true = problem.residual(x)
        return Residual(true.force / 2, true.step / 2)


@dataclass(frozen=True)
class Eager(lsml.Moulinec):
    """Takes a step before the first."""

    def init(self, problem, x, k):
        return x + problem.residual(x).step, ()


@dataclass(frozen=True)
class Biased(lsml.Moulinec):
    """A network whose last layer has a bias."""

    def step(self, problem, it, memory):
        bias = torch.linspace(0, 1e-9, it.x.shape[-1], dtype=it.x.dtype)
        return it.x + it.residual.step + bias, memory


@dataclass(frozen=True)
class Unguarded(lsml.Moulinec):
    """Divides by a norm that can be zero."""

    def step(self, problem, it, memory):
        norm = per_sample(problem.norm(it.residual), it.x)
        return it.x + it.residual.step * (norm / norm), memory


@dataclass(frozen=True)
class NeverContent(lsml.Moulinec):
    """Adds a constant to its residual, so that nothing is small enough."""

    def residual(self, problem, x, memory, k):
        true = problem.residual(x)
        force = true.force + 1e-3 * problem.residual(0 * x).force + 1e-6
        return Residual(force, true.step + 1e-6)


@dataclass(frozen=True)
class Permuted(lsml.Moulinec):
    """Treats the first sample better than the others."""

    def step(self, problem, it, memory):
        share = 1 / torch.arange(1, len(it.x) + 1, dtype=it.x.dtype)
        return it.x + per_sample(share, it.x) * it.residual.step, memory


@dataclass(frozen=True)
class Averaging(lsml.Moulinec):
    """Takes a mean over the whole batch, as the code of the seed paper does."""

    def step(self, problem, it, memory):
        step = it.residual.step
        return it.x + step + 0.1 * (step.mean(0, keepdim=True) - step), memory


@dataclass(frozen=True)
class Padded(lsml.Moulinec):
    """Knows where the border of the array is, like a convolution padded by zeros."""

    def step(self, problem, it, memory):
        step = it.residual.step
        weight = torch.linspace(0.8, 1.0, step.shape[-1], dtype=step.dtype)
        return it.x + weight * step, memory


@dataclass(frozen=True)
class Clipped(lsml.Moulinec):
    """Clips its step at a strain that someone found reasonable."""

    def step(self, problem, it, memory):
        return it.x + it.residual.step.clamp(-1e-4, 1e-4), memory


@dataclass(frozen=True)
class Overwriting(lsml.Moulinec):
    """Works in place."""

    def step(self, problem, it, memory):
        return it.x.add_(it.residual.step), memory


@dataclass(frozen=True)
class Greedy(lsml.Moulinec):
    """Writes into the moduli of the problem."""

    def step(self, problem, it, memory):
        problem.strain.law.coefficients.mul_(1.01)
        return it.x + it.residual.step, memory


@dataclass(frozen=True)
class Late(lsml.Moulinec):
    """Reads its iterate once more after it has overwritten it."""

    def step(self, problem, it, memory):
        one = torch.ones(len(it.x), dtype=torch.float64)
        x = problem.combine(it.x, one, it.residual.step, it.x)
        return x + 0.1 * (x - it.x), memory


@dataclass(frozen=True)
class Flat(lsml.Moulinec):
    """Remembers one number for all samples."""

    def init(self, problem, x, k):
        return x, (x.new_zeros(()),)


class Counting(Rule):
    """Keeps a count on itself."""

    def __init__(self):
        self.calls = 0

    def step(self, problem, it, memory):
        self.calls += 1
        return it.x + it.residual.step / (1 + 1e-3 * self.calls), memory


@dataclass(frozen=True)
class Hiding(lsml.Moulinec):
    """Hides what went wrong."""

    def init(self, problem, x, k):
        return x.nan_to_num(0.0), ()


@dataclass(frozen=True)
class Wide(lsml.Moulinec):
    """Computes in float64 and forgets to come back."""

    def step(self, problem, it, memory):
        return it.x.double() + it.residual.step.double(), memory


@dataclass(frozen=True)
class Cusped(lsml.Moulinec):
    """Normalizes by a norm that has no derivative at zero."""

    def step(self, problem, it, memory):
        norm = per_sample(problem.norm(it.residual), it.x)
        return it.x + it.residual.step * norm / (norm + 1e-30), memory


MUTANTS = [
    ("solves", Stuck()),
    ("refuses_by_tag", Careless()),
    ("error_belongs_to_iterate", Lagging()),
    ("error_belongs_to_iterate", Boastful()),
    ("max_iter_zero", Eager()),
    ("zero_load", Biased()),
    ("zero_load", Unguarded()),
    ("homogeneous", NeverContent()),
    ("permutation", Permuted()),
    ("batch_equals_single", Averaging()),
    ("translation", Padded()),
    ("unit_scaling", Clipped()),
    ("inputs_not_mutated", Greedy()),
    ("steps_are_pure", Overwriting()),
    ("overwriting_is_harmless", Late()),
    ("memory_by_sample", Flat()),
    ("deterministic", Counting()),
    ("nan_isolated", Averaging()),
    ("nan_isolated", Hiding()),
    ("keeps_precision", Wide()),
    ("finite_gradient", Cusped()),
]
PAIR = (
    small_case("rotated", in_strain, (4, 3), 3),
    small_case("fourier", DisplacementForm, (3, 4), 3),
)


@pytest.mark.parametrize("case", PAIR, ids=lambda case: case.form.__name__)
@pytest.mark.parametrize(
    ("law", "rule"), MUTANTS, ids=[f"{n}-{type(r).__name__}" for n, r in MUTANTS]
)
def test_law_catches(law, rule, case):
    """A check that cannot fail is a defect: each catches its bug, on both forms.

    The message names law and case; an unrelated exception would not be a catch.
    """
    with pytest.raises(AssertionError, match=r"must|iterations") as caught:
        CHECKS[law](rule, case)
    assert case.name in str(caught.value)


def test_every_law_has_a_mutant():
    """No law goes without a rule that it is known to catch."""
    assert {law for law, _ in MUTANTS} == set(CHECKS)


def test_cases_cover_what_they_promise():
    """The product of scheme, form and dimension is complete; the rest occurs."""
    kinds = {
        (c.discretization, c.form.__name__, c.labels.ndim - 1, c.load.names[0])
        for c in ALL_CASES
    }
    elements = {k for k in kinds if k[0] != "staggered" and k[3] == "strain"}
    assert len(elements) == 3 * 2 * 2
    assert {k[0] for k in kinds if k[3] == "gradient"} == {k[0] for k in kinds}
    shapes = [c.labels.shape[1:] for c in ALL_CASES]
    assert any(1 in s for s in shapes)
    assert any(n % 2 for s in shapes for n in s)
    assert any(n % 2 == 0 for s in shapes for n in s)
    assert {c.batch for c in ALL_CASES} == {1, 3}
    assert {c.eigenstrain is None for c in ALL_CASES} == {True, False}
    assert all(bool(c.load.flux.isnan().any()) for c in ALL_CASES)


def test_a_case_of_another_physics_can_be_made():
    """Cases are values: another spacing or load is one `replace` away."""
    case = replace(PAIR[0], name="coarse", spacing=(3.0, 0.1))
    CHECKS["solves"](MOULINEC, case)
