"""The one loop: every rule, physical or learned, is run from here."""

from collections.abc import Callable
from typing import Any

import torch

from lsml.crew import Crew, Ledger, Verdict, certify, opening
from lsml.numerics import keep
from lsml.problem import Problem
from lsml.rule import UpdateRule
from lsml.rule import check as check
from lsml.state import SolveState, Status
from lsml.stop import RelativeResidual, StopCriterion
from lsml.typing import Codes, PerSample, Vector

Observer = Callable[[int, Vector, PerSample, Codes], bool | None]


def unroll(
    problem: Problem,
    rule: UpdateRule[Any],
    x0: Vector | None = None,
    *,
    stop: StopCriterion = RelativeResidual(),  # noqa: B008 (frozen)
    max_iter: int = 1000,
    observe: Observer | None = None,
) -> SolveState:
    """Iterate ``rule`` on every sample until it ends.

    Parameters
    ----------
    observe : called with (k, x, error, status) for every iterate, x̄ or x0 being
        iterate 0. The next step may overwrite x: copy what is kept. If it returns True
        the iteration ends there: what still runs is INTERRUPTED.

    Raises
    ------
    ValueError
        The problem lacks a property that the rule relies on.
    """
    check(problem, rule)
    limit = max_iter if rule.passes is None else min(max_iter, rule.passes)
    start = problem.start() if x0 is None else x0.clone()
    scale, verdict, history = first_scale(problem, stop, start), opening(start), []
    x, memory = rule.init(problem, start, 0)
    residual = rule.residual(problem, x, memory, 0)
    everyone = torch.arange(len(x), device=x.device)
    crew = Crew(problem, stop, scale, x, memory, residual, everyone)
    iterations = torch.zeros_like(verdict.status)
    ledger = Ledger(memories=rule.passes is not None)
    for k in range(limit + 1):
        verdict, failed = crew.judge(verdict)
        history.append(verdict.error)
        running = verdict.status == Status.RUNNING
        ledger.enter(crew, running)
        told = observe is not None and observe(
            k, ledger.vectors(crew), verdict.error, verdict.status
        )
        if told or k == limit or not bool(running.any()):
            break
        if bool(failed.any()):  # the residual that the rule carries has drifted
            crew = crew.restart(rule, failed, k)
        crew = crew.without_ended(running).step(rule, k)
        iterations = iterations + running
    x = ledger.vectors(crew)
    last = crew.settle(verdict)
    verdict = close(problem, stop, x, scale, last, ending(rule, limit, bool(told)))
    status, error, gap = verdict.status, verdict.error, verdict.gap
    errors, memory = torch.stack(history), ledger.memory(crew)
    return SolveState(problem, x, status, iterations, error, scale, errors, memory, gap)


def ending(rule: UpdateRule[Any], limit: int, told: bool) -> Status:
    """What a sample is that still runs when the iterations end."""
    if told:
        return Status.INTERRUPTED
    whole = rule.passes is not None and limit >= rule.passes
    return Status.COMPLETED if whole else Status.MAX_ITER


@torch.no_grad()
def first_scale(problem: Problem, stop: StopCriterion, x: Vector) -> PerSample:
    """Scale of the errors, from the residual at x̄ and not from the word of a rule.

    Without any load there is none; then errors are relative to the residual at x.
    """
    scale = stop.scale(problem, problem.norm(problem.residual(problem.start())))
    if bool((scale == 0).any()):
        scale = torch.where(scale == 0, problem.norm(problem.residual(x)), scale)
    return scale


def close(
    problem: Problem,
    stop: StopCriterion,
    x: Vector,
    scale: PerSample,
    last: Verdict,
    ending: Status,
) -> Verdict:
    """End what still runs, and evaluate the error of what has blown up."""
    running = last.status == Status.RUNNING
    status = torch.where(running, int(ending), last.status)
    lost = (status == Status.DIVERGED) | (status == Status.NONFINITE)
    if not bool(lost.any()):
        return last._replace(status=status)
    proof = certify(problem, stop, x, scale)
    error = torch.where(lost, proof.error, last.error)
    gap = keep(lost, proof.gap, last.gap)
    return last._replace(status=status, error=error, gap=gap)
