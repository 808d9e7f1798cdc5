"""`lsml.compare`: any rules on any problems."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from numbers import Integral
from typing import Any, SupportsFloat, TypedDict, Unpack, cast

import torch

from lsml.acceleration import Compile
from lsml.comparison.contest import Stage, contest
from lsml.comparison.entrants import Entrant, Files, Named, entered, named, single
from lsml.comparison.measure import Form, Truth
from lsml.comparison.passes import Build, Limits, solved, unobserved
from lsml.comparison.result import Comparison
from lsml.displacement_form import DisplacementForm
from lsml.inputs import (
    LABELLED,
    ProblemOptions,
    as_problem,
    check_limits,
    in_form,
)
from lsml.mandel import names
from lsml.physics.elasticity import Spacing
from lsml.physics.loads import Load
from lsml.physics.phases import Phases
from lsml.problem import Problem
from lsml.rule import UpdateRule, check
from lsml.solution import Solution
from lsml.strain_form import StrainForm

GOALS = (1e-1, 1e-2, 1e-3, 1e-6)


class LabelOptions(TypedDict, total=False):
    """Options for labels, those of `lsml.solve` but the reference medium."""

    contrast: float
    phases: Phases
    load: Load
    discretization: str
    spacing: Spacing
    eigenstrain: Any
    dtype: torch.dtype
    device: torch.device | str


def compare(  # noqa: PLR0913 (the public entry)
    m: object,
    rules: Sequence[Named] | Mapping[str, Named],
    *,
    weights: Files | None = None,
    reference: Named = "cg",
    tol: float = 1e-8,
    max_iter: int = 1000,
    goals: Sequence[float] = GOALS,
    repeats: int = 3,
    compile: Compile = "auto",
    observe: Callable[[str], bool | None] = unobserved,
    **options: Unpack[LabelOptions],
) -> Comparison:
    """Errors of rules on the same problems, per iteration, per second, per operation.

    Every rule solves every sample down to ``tol`` more than once: with errors and
    operations recorded, sample by sample, and then against the clock, all samples of a
    problem in one batch, in turn with the other rules.

    Parameters
    ----------
    m : labels or a problem as in :func:`lsml.solve`, or several problems, each of which
        may be a batch: a list, or a mapping that names them. Labels take ``hex8-bbar``
        unless told otherwise.
    rules : names, strings that combine several, or rules; a mapping names them.
    weights : of learned rules, by the name that a rule goes by in ``rules``, or that it
        has in a string such as ``"rln:5 > cg"``.
    reference : rule that makes the converged solution which errors are relative to, and
        against which training is paid back.
    tol : certified residual of that solution, and of the rules.
    max_iter : iterations after which a sample gives up.
    goals : errors for which costs are told.
    repeats : timed solves of each rule, of which the median counts; one that takes ten
        seconds is not repeated. Before them a few iterations warm up. With 0 nothing is
        timed.
    compile : as in :func:`lsml.solve`; kernels that PyTorch compiles are only timed.
    observe : called with what is being done, such as ``"timing cg"``, at every iterate;
        once it returns True the comparison ends with what is done: rules that were
        interrupted say so.
    **options : for labels only, as in :func:`lsml.solve`; a reference medium is a
        matter of problems.

    Returns
    -------
    Comparison
        With a trial for every rule and problem, also where a rule fails or refuses.

    Raises
    ------
    ValueError
        Bad input: one sentence, before any work.
    ConvergenceError
        The reference does not converge.
    """
    check_limits(tol, max_iter)
    check_numbers(goals, repeats)
    builds = builders(m, options)
    problems = [compatible(build()) for build in builds.values()]
    given = named(rules)
    entrants = entered(given, weights or {}, problems)
    judge = judged(reference, entrants, problems)
    training = {each.name: each.training for each in entrants if each.learned}
    if training and judge.name not in given:
        entrants.append(judge)
    limits = Limits(tol, max_iter, compile, observe, f"solving by {judge.name}")
    pairs = list(zip(problems, judge.rules, strict=True))
    for problem, rule in pairs:
        refuse_reference(rule, problem)
    truths = [converged(problem, rule, limits) for problem, rule in pairs]
    trials = [
        trial
        for i, (name, true) in enumerate(zip(builds, truths, strict=True))
        for trial in contest(
            Stage(name, i, builds[name], true), entrants, limits, repeats
        )
    ]
    return Comparison(
        trials=tuple(trials),
        goals=tuple(float(goal) for goal in goals),
        reference=judge.name,
        tol=float(tol),
        components=tuple(names(problems[0].strain.grid.ndim)),
        training=training,
        setting=described(problems) | {"max_iter": max_iter, "repeats": repeats},
    )


def check_numbers(goals: Sequence[float], repeats: int) -> None:
    """Refuse goals that are no errors, and repeats that cannot be counted."""
    good = [isinstance(g, SupportsFloat) and 0 < float(g) < 1 for g in goals]
    if not good or not all(good):
        raise ValueError(f"goals = {goals!r} must be numbers between 0 and 1")
    if not isinstance(repeats, Integral) or repeats < 0:
        raise ValueError(f"repeats = {repeats!r} must be a whole number, 0 or more")


def builders(m: object, options: LabelOptions) -> dict[str, Build]:
    """What makes each problem: labels are made into one whenever it is timed."""
    several: dict[str, object] = {"": m}
    given = cast(ProblemOptions, options)
    if isinstance(m, Mapping):
        several = {str(name): problem for name, problem in m.items()}
    elif isinstance(m, list | tuple) and any(isinstance(p, Problem) for p in m):
        several = {f"problem {i}": problem for i, problem in enumerate(m)}
    if not several:
        raise ValueError("there is no problem to compare on")
    alone = isinstance(several.get(""), Problem) or "" not in several
    if not alone:
        given = {"discretization": LABELLED, **given}
    elif not all(isinstance(p, Problem) for p in several.values()):
        raise ValueError("several to compare on must all be problems, not labels")
    return {
        name: partial(as_problem, each, given, "cg") for name, each in several.items()
    }


def compatible(problem: Problem) -> Form:
    """The problem, if errors of energy can be told of it."""
    if not isinstance(problem, StrainForm | DisplacementForm):
        raise ValueError(
            f"compare needs a compatible problem, got {type(problem).__name__}"
        )
    return problem


def judged(
    reference: Named, entrants: Sequence[Entrant], problems: Sequence[Problem]
) -> Entrant:
    """The rule that makes the solutions."""
    name = single(reference)
    for each in entrants:
        if each.name == name and isinstance(reference, str):
            return each
    return entered({name: reference}, {}, problems)[0]


def refuse_reference(rule: UpdateRule[Any], problem: Problem) -> None:
    """Refuse a reference that cannot converge on a problem."""
    if rule.passes is not None:
        raise ValueError(
            f"the reference must go on until it converges; {type(rule).__name__} ends "
            f"after {rule.passes} passes"
        )
    check(in_form(problem, "displacement", rule), rule)


def converged(problem: Problem, rule: UpdateRule[Any], limits: Limits) -> list[Truth]:
    """The solution of each sample, which must have converged."""
    state, truths = solved(problem, rule, limits)
    Solution(state.problem, state, rule=type(rule).__name__).check()
    return truths


def described(problems: Sequence[Form]) -> dict[str, str | int | float]:
    """What the problems and the machine were."""
    first = problems[0].strain
    return {
        "problems": len(problems),
        "samples": sum(problem.batch for problem in problems),
        "shape": " × ".join(map(str, first.grid.shape)),
        "discretization": type(first.discretization).__name__,
        "dtype": str(first.background.dtype).removeprefix("torch."),
        "device": str(first.background.device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
