"""Laws about side effects: between samples, on inputs, from run to run."""

from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lsml.problem import Problem
from lsml.rule import Iterate, UpdateRule
from lsml.state import Status
from lsml.stop import Never
from lsml.testing.problems import Case
from lsml.testing.trace import (
    STEPS,
    demand,
    demand_equal,
    few_steps,
    largest_difference,
)
from lsml.unroll import unroll

ALONE = 1e-12  # other samples in the same arithmetic, at most summed in another order


def tensors(thing: object) -> list[Tensor]:
    """Every tensor that a problem holds."""
    if isinstance(thing, Tensor):
        return [thing]
    if isinstance(thing, tuple):
        return [t for part in thing for t in tensors(part)]
    if is_dataclass(thing) and not isinstance(thing, type):
        return [t for f in fields(thing) for t in tensors(getattr(thing, f.name))]
    return []


def check_inputs_not_mutated(rule: UpdateRule[Any], case: Case) -> None:
    """Labels, moduli, load, operators and x0 stay as they were given."""
    problem = case.problem(rule.reference)
    x0 = 1.5 * problem.start()
    given = [x0, *tensors(case), *tensors(problem)]
    before = [t.clone() for t in given]
    few_steps(problem, rule, x0)
    law = "a solve must not write into its start, labels, moduli, load or operators"
    _demand_untouched(given, before, case.name, law)


def check_steps_are_pure(rule: UpdateRule[Any], case: Case) -> None:
    """Where a graph may be recorded, a step writes to nothing that it is given."""
    problem = case.problem(rule.reference)
    x, memory = rule.init(problem, problem.start(), 0)
    for k in range(2 if rule.passes is None else min(2, rule.passes)):
        residual = rule.residual(problem, x, memory, k)
        given = [t for t in (x, *residual, *memory) if t is not None]
        before = [t.clone() for t in given]
        new = rule.step(problem, Iterate(x, residual, k), memory)
        law = "a step that may be recorded must not write into iterate or memory"
        _demand_untouched(given, before, case.name, law)
        x, memory = new


def check_overwriting_is_harmless(rule: UpdateRule[Any], case: Case) -> None:
    """Where nothing is recorded, a step may overwrite its input, not change for it."""
    problem = case.problem(rule.reference)
    with torch.enable_grad():
        pure = _iterates(problem, rule)
    with torch.no_grad():
        handed_over = _iterates(problem, rule)
    law = "a step that overwrites what it was given must take the same step"
    for a, b in zip(handed_over, pure, strict=True):
        demand_equal(a, b, ALONE, case.name, law)


def _iterates(problem: Problem, rule: UpdateRule[Any]) -> list[Tensor]:
    x, memory = rule.init(problem, problem.start(), 0)
    seen = [x.clone()]
    for k in range(STEPS if rule.passes is None else min(STEPS, rule.passes)):
        residual = rule.residual(problem, x, memory, k)
        x, memory = rule.step(problem, Iterate(x, residual, k), memory)
        seen.append(x.clone())
    return seen


def _demand_untouched(
    given: list[Tensor], before: list[Tensor], name: str, law: str
) -> None:
    for now, then in zip(given, before, strict=True):
        demand(largest_difference(now, then) == 0, name, law)


def check_memory_by_sample(rule: UpdateRule[Any], case: Case) -> None:
    """Memory is a tuple of tensors whose first axis is the sample."""
    problem = case.problem(rule.reference)
    law = "memory must be a tuple of tensors with the sample as first axis"
    with torch.no_grad():
        x, memory = rule.init(problem, problem.start(), 0)
        _demand_by_sample(memory, case, law)
        if rule.passes != 0:
            residual = rule.residual(problem, x, memory, 0)
            x, memory = rule.step(problem, Iterate(x, residual, 0), memory)
            _demand_by_sample(memory, case, law)


def _demand_by_sample(memory: object, case: Case, law: str) -> None:
    demand(isinstance(memory, tuple), case.name, law)
    assert isinstance(memory, tuple)
    for t in memory:
        demand(isinstance(t, Tensor) and t.shape[:1] == (case.batch,), case.name, law)


def check_deterministic(rule: UpdateRule[Any], case: Case) -> None:
    """The same solve twice gives the same bits, whatever is solved in between."""
    problem = case.problem(rule.reference)
    first = few_steps(problem, rule)
    few_steps(case.homogeneous().problem(rule.reference), rule)
    again = few_steps(problem, rule)
    law = "two runs of the same solve must agree to the last bit"
    demand(torch.equal(first.x, again.x), case.name, law)
    demand(torch.equal(first.error, again.error), case.name, law)


def check_nan_isolated(rule: UpdateRule[Any], case: Case) -> None:
    """NaN in the start of one sample ends that one NONFINITE and no other."""
    problem = case.problem(rule.reference)
    clean, sick = problem.start(), problem.start().clone()
    sick[0].flatten()[-1] = torch.nan
    healthy, ill = few_steps(problem, rule, clean), few_steps(problem, rule, sick)
    law = "a sample with NaN in its start must end NONFINITE"
    demand(ill.state.status[0] == Status.NONFINITE, case.name, law)
    law = "NaN in one sample must leave the others alone"
    others = healthy.x[:, 1:]
    demand(len(ill.x) == len(healthy.x) or case.batch == 1, case.name, law)
    if case.batch > 1:
        demand_equal(ill.x[:, 1:], others, ALONE, case.name, law)
        same = torch.equal(ill.state.status[1:], healthy.state.status[1:])
        demand(same, case.name, law)


def check_keeps_precision(rule: UpdateRule[Any], case: Case) -> None:
    """float32 in, float32 out."""
    problem = case.in_precision(torch.float32).problem(rule.reference)
    law = "the iterates of a float32 problem must be float32"
    with torch.no_grad():
        x, memory = rule.init(problem, problem.start(), 0)
        demand(x.dtype == torch.float32, case.name, law)
        for k in range(STEPS if rule.passes is None else min(STEPS, rule.passes)):
            residual = rule.residual(problem, x, memory, k)
            x, memory = rule.step(problem, Iterate(x, residual, k), memory)
            demand(x.dtype == torch.float32, case.name, law)


def check_finite_gradient(rule: UpdateRule[Any], case: Case) -> None:
    """Backpropagation stays finite through samples that have nothing left to do."""
    problem, moduli = _differentiable(case.unloaded([0]), rule)
    x = unroll(problem, rule, stop=Never(), max_iter=STEPS).x
    if x.requires_grad:
        (gradient,) = torch.autograd.grad(x.square().sum(), moduli)
        law = "gradients must be finite where the residual is zero"
        demand(gradient.isfinite().all(), case.name, law)


def _differentiable(case: Case, rule: UpdateRule[Any]) -> tuple[Problem, Tensor]:
    moduli = case.phases.clone().requires_grad_()
    return replace(case, phases=moduli).problem(rule.reference), moduli
