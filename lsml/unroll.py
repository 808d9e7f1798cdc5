"""The one loop: every rule, physical or learned, is run from here."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lsml.numerics import keep, keep_memory
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, UpdateRule
from lsml.state import SolveState, Status
from lsml.stop import RelativeResidual, StopCriterion
from lsml.typing import Codes, Mask, Memory, PerSample, Vector

BLOW_UP = 1e6  # growth of the error that counts as divergence
PROGRESS = 0.5  # a restart must at least halve the certified error

Observer = Callable[[int, Vector, PerSample, Codes], None]


class Verdict(NamedTuple):
    """Per sample: error of iterate k, status, last certified and first error."""

    error: PerSample
    status: Codes
    certified: PerSample
    first: PerSample


def unroll(
    problem: Problem,
    rule: UpdateRule[Any],
    x0: Vector | None = None,
    *,
    stop: StopCriterion = RelativeResidual(),  # noqa: B008 (frozen)
    max_iter: int = 1000,
    observe: Observer | None = None,
) -> SolveState:
    """Iterate ``rule`` on every sample until it ends, freezing those that have.

    Parameters
    ----------
    observe : called with (k, x, error, status) for every iterate, x̄ or x0 being
        iterate 0.

    Raises
    ------
    ValueError
        The problem lacks a property that the rule relies on.
    """
    check(problem, rule)
    limit = max_iter if rule.passes is None else min(max_iter, rule.passes)
    start = problem.start() if x0 is None else x0
    x, memory = rule.init(problem, start, 0)
    residual = rule.residual(problem, x, memory, 0)
    scale = first_scale(problem, stop, x)
    verdict = opening(x)
    iterations, history = torch.zeros_like(verdict.status), []
    for k in range(limit + 1):
        claimed = stop_error(problem, stop, x, residual, scale)
        verdict, failed = judge(problem, stop, x, claimed, scale, verdict)
        history.append(verdict.error)
        if observe is not None:
            observe(k, x, verdict.error, verdict.status)
        active = verdict.status == Status.RUNNING
        if k == limit or not bool(active.any()):
            break
        if bool(failed.any()):  # the residual that the rule carries has drifted
            x, memory = blend(failed, rule.init(problem, x, k), (x, memory))
            residual = rule.residual(problem, x, memory, k)
        iterations = iterations + active
        new = rule.step(problem, Iterate(x, residual, k), memory)
        x, memory = blend(active, new, (x, memory))
        residual = rule.residual(problem, x, memory, k + 1)
    ending = Status.MAX_ITER if rule.passes is None or limit < rule.passes else None
    status, error = close(problem, stop, x, scale, verdict, ending or Status.COMPLETED)
    return SolveState(
        problem, x, status, iterations, error, scale, torch.stack(history)
    )


def check(problem: Problem, rule: UpdateRule[Any]) -> None:
    """Refuse a rule on a problem that lacks what it relies on."""
    missing = rule.requires - problem.tags
    if missing:
        raise ValueError(
            f"{type(rule).__name__} needs a problem that is {sorted(missing)}; "
            f"this one is {sorted(problem.tags)}"
        )


def opening(x: Vector) -> Verdict:
    """Before the first error: everything runs, nothing is certified."""
    running = torch.zeros(x.shape[0], dtype=torch.int64, device=x.device)
    never = torch.full((x.shape[0],), torch.inf, dtype=torch.float64, device=x.device)
    return Verdict(never, running, never, never)


@torch.no_grad()
def first_scale(problem: Problem, stop: StopCriterion, x: Vector) -> PerSample:
    """Scale of the errors, from the residual at x̄ and not from the word of a rule.

    Without any load there is none; then errors are relative to the residual at x.
    """
    scale = stop.scale(problem, problem.norm(problem.residual(problem.start())))
    if bool((scale == 0).any()):
        scale = torch.where(scale == 0, problem.norm(problem.residual(x)), scale)
    return scale


@torch.no_grad()
def stop_error(
    problem: Problem,
    stop: StopCriterion,
    x: Vector,
    residual: Residual,
    scale: PerSample,
) -> PerSample:
    """Error of iterate x, outside of any graph."""
    return stop.error(problem, x, residual, scale).detach()


def judge(
    problem: Problem,
    stop: StopCriterion,
    x: Vector,
    claimed: PerSample,
    scale: PerSample,
    last: Verdict,
) -> tuple[Verdict, Mask]:
    """Status after iterate k, and the samples whose claim to converge failed.

    A claim counts only if the total residual, evaluated here, confirms it. One that
    fails without progress since the previous failure is at the limit of rounding.
    """
    running = last.status == Status.RUNNING
    claims = running & (claimed <= stop.tol)
    error, certified = torch.where(running, claimed, last.error), last.certified
    if bool(claims.any()):
        total = certify(problem, stop, x, scale)
        error = torch.where(claims, total, error)
        certified = torch.where(claims, total, certified)
    failed = claims & ~(error <= stop.tol)
    first = torch.where(last.first.isinf(), error, last.first)
    status = last.status
    for ended, code in (
        (claims & ~failed, Status.CONVERGED),
        (failed & (error > PROGRESS * last.certified), Status.STAGNATED),
        (error > BLOW_UP * first.clamp_min(1), Status.DIVERGED),
        (~error.isfinite(), Status.NONFINITE),
    ):
        status = torch.where(running & ended, int(code), status)
    verdict = Verdict(error, status, certified, first)
    return verdict, failed & (status == Status.RUNNING)


def certify(
    problem: Problem, stop: StopCriterion, x: Vector, scale: PerSample
) -> PerSample:
    """Error of x by its total residual, evaluated and not carried."""
    with torch.no_grad():
        residual = problem.residual(x)
    return stop_error(problem, stop, x, residual, scale)


def close(
    problem: Problem,
    stop: StopCriterion,
    x: Vector,
    scale: PerSample,
    last: Verdict,
    ending: Status,
) -> tuple[Codes, PerSample]:
    """End what still runs, and certify what no claim has."""
    error = last.error
    unsure = (last.status != Status.CONVERGED) & (last.status != Status.STAGNATED)
    if bool(unsure.any()):
        error = torch.where(unsure, certify(problem, stop, x, scale), error)
    running = last.status == Status.RUNNING
    return torch.where(running, int(ending), last.status), error


def blend(
    active: Mask, new: tuple[Vector, Memory], old: tuple[Vector, Memory]
) -> tuple[Tensor, Memory]:
    """New unknown and memory for the active samples, the old ones for the others."""
    if bool(active.all()):
        return new
    return keep(active, new[0], old[0]), keep_memory(active, new[1], old[1])
