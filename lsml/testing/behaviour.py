"""Laws about one solve: that it ends, and what its numbers mean."""

from typing import Any

import torch

from lsml.problem import Problem
from lsml.rule import UpdateRule
from lsml.state import Status
from lsml.stop import Never
from lsml.testing.problems import Case
from lsml.testing.trace import SOLVE, demand, demand_equal, few_steps, trace
from lsml.typing import PerSample, Vector

ROUNDING = 1e-9  # relative to the first residual, for one carried by recurrence


def relative_residual(problem: Problem, x: Vector, scale: PerSample) -> PerSample:
    """What the error of x has to be."""
    norm = problem.norm(problem.residual(x))
    return torch.where(norm == 0, 0.0, norm / scale)


def check_solves(rule: UpdateRule[Any], case: Case) -> None:
    """Ends CONVERGED within the tolerance, or COMPLETED after all its passes."""
    problem = case.problem(rule.reference)
    if rule.passes is not None:
        state = trace(problem, rule, stop=Never()).state
        done = (state.status == Status.COMPLETED) & (state.iterations == rule.passes)
        demand(done.all(), case.name, "a rule must take all its passes, and no more")
        return
    state = trace(problem, rule).state
    solved = (state.status == Status.CONVERGED).all()
    demand(solved, case.name, f"must converge, but ended {state.status.tolist()}")
    error = relative_residual(problem, state.x, state.scale)
    demand((error <= SOLVE.tol).all(), case.name, "must converge to the tolerance")


def check_refuses_by_tag(rule: UpdateRule[Any], case: Case) -> None:
    """Refuses a problem that lacks what it relies on, naming it, or solves it."""
    problem = case.untagged(rule.reference)
    try:
        state = trace(problem, rule).state
    except ValueError as refusal:
        named = all(tag in str(refusal) for tag in rule.requires)
        law = "a refusal must name every tag that is missing"
        demand(bool(rule.requires) and named, case.name, law)
        return
    law = "must declare in `requires` what it relies on, or do without"
    demand((state.status <= Status.COMPLETED).all(), case.name, law)


def check_error_belongs_to_iterate(rule: UpdateRule[Any], case: Case) -> None:
    """Error k is the total residual of iterate k, over the scale."""
    run = trace(case.problem(rule.reference), rule)
    law = "the recorded history must be the errors that were observed"
    demand_equal(run.state.history, run.error, 0.0, case.name, law)
    for k, (x, error) in enumerate(zip(run.x, run.error, strict=True)):
        true = relative_residual(run.problem, x, run.state.scale)
        good = (error - true).abs() <= ROUNDING + 1e-6 * true
        demand(good.all(), case.name, f"error {k} must be that of iterate {k}")
    certified = relative_residual(run.problem, run.state.x, run.state.scale)
    law = "the certified error must be that of the field returned"
    demand_equal(run.state.error, certified, 1e-12, case.name, law)


def check_max_iter_zero(rule: UpdateRule[Any], case: Case) -> None:
    """No iterations: the start, unchanged and certified."""
    problem = case.problem(rule.reference)
    run = trace(problem, rule, max_iter=0)
    law = "with max_iter = 0 no iteration may be taken"
    none = bool((run.state.iterations == 0).all()) and len(run.error) == 1
    demand(none, case.name, law)
    demand((run.state.status == Status.MAX_ITER).all(), case.name, f"{law}, nor solved")
    law = "with max_iter = 0 the field must be the start"
    start = problem.field(problem.start())
    demand_equal(run.fields()[0], start, 1e-12, case.name, law)


def check_zero_load(rule: UpdateRule[Any], case: Case) -> None:
    """Without load the field is zero: at once, and however many steps are taken."""
    still = case.unloaded(range(case.batch)).problem(rule.reference)
    state = trace(still, rule).state
    solved = bool((state.status == Status.CONVERGED).all())
    at_once = solved and bool((state.iterations == 0).all())
    demand(at_once, case.name, "without load the start must be the solution")
    law = "without load every step must leave the field zero"
    demand((few_steps(still, rule).fields() == 0).all(), case.name, law)


def check_homogeneous(rule: UpdateRule[Any], case: Case) -> None:
    """A homogeneous medium is solved by x̄: one iteration at most."""
    problem = case.homogeneous().problem(rule.reference)
    run = trace(problem, rule)
    law = "a homogeneous medium must be solved in at most one iteration"
    demand((run.state.iterations <= 1).all(), case.name, law)
    demand((run.state.status <= Status.COMPLETED).all(), case.name, law)
    law = "a homogeneous medium must answer with the uniform field"
    start = problem.field(problem.start())
    demand_equal(run.fields()[-1], start, ROUNDING, case.name, law)
