"""The public entry point: from labels or a problem to a solution."""

import time
from typing import Any, Unpack

from lsml.acceleration import Compile, accelerate, refine
from lsml.criteria import FIELDS, check_stop
from lsml.gradients import Gradient, Task
from lsml.inputs import (
    ProblemOptions,
    Weights,
    as_problem,
    as_rule,
    as_start,
    check_limits,
    given_options,
    in_form,
)
from lsml.io.provenance import asked
from lsml.rule import UpdateRule
from lsml.running import Run
from lsml.solution import Solution
from lsml.typing import Field


def solve(  # noqa: PLR0913 (the public entry)
    m: object,
    rule: UpdateRule[Any] | str = "cg",
    *,
    weights: Weights = None,
    tol: float = 1e-6,
    max_iter: int = 1000,
    stop: str = "residual",
    x0: Field | None = None,
    gradient: Gradient | None = None,
    record: bool = False,
    progress: bool = False,
    throw: bool = True,
    quadrature: bool = False,
    form: str = "displacement",
    compile: Compile = "auto",
    **options: Unpack[ProblemOptions],
) -> Solution:
    """Strain and stress inside a heterogeneous material.

    Parameters
    ----------
    m : label image (*n) or batch (b, *n) (three axes are 3-D unless load or spacing are
        2-D), or a problem made by a builder such as
        :func:`lsml.elasticity`. Labels alone are the problem of Kelly & Kalidindi
        (2021): E = 1 and ``contrast`` (10), ν = 0.3, mean strain ε_11 = 10⁻³.
    rule : ``"cg"``, ``"moulinec"``, ``"steepest_descent"``, ``"fln"``, ``"rln-t"``,
        ``"rln"``, ``"mks"``, or any object with the :class:`lsml.UpdateRule` interface.
        Learned ones take ``hex8-bbar`` unless told otherwise. Names make chains, such
        as ``"rln-t:3 > cg"`` and ``"moulinec:10 > cg"`` (see :mod:`lsml.chain`).
    weights : of a learned rule, see :func:`lsml.load_rule`; a mapping from names to
        them for a chain with several.
    tol : certified residual in the C⁰ norm, relative to that of the mean strain.
    max_iter : iterations after which a sample gives up.
    stop : what ``tol`` bounds: ``"residual"``, or ``"energy"``, the energy norm of the
        strain's error relative to that of the mean strain x̄, which conjugate gradients
        bound as they go. ``solution.error`` is that number; not with pores.
    x0 : strain to start from, (b, c, *n) per voxel or at the quadrature points.
    gradient : :class:`lsml.Unrolled` or :class:`lsml.Implicit`; None takes Implicit
        when moduli or load require a gradient, and records nothing otherwise.
    record : keep the strain of every iterate.
    progress : show a line on stderr while it runs, on a terminal.
    throw : raise if a sample fails.
    quadrature : keep the quadrature points of strain and stress.
    form : unknown of the iteration, ``"displacement"`` (fast) or ``"strain"``; the
        iterates are the same.
    compile : ``"auto"`` takes fused kernels where they pay, ``True`` always, ``False``
        never; the numbers are the same up to rounding. ``solution.engine`` tells.
    **options : for labels only, those of :func:`lsml.elasticity` and ``contrast``.

    Returns
    -------
    Solution
        Fields and certificates, one per sample along the first axis.

    Raises
    ------
    ValueError
        Bad input: one sentence naming it and what was expected, before any work.
    ConvergenceError
        A sample failed and ``throw`` is set; it carries the solution.
    """
    started = time.perf_counter()
    check_limits(tol, max_iter)
    check_stop(stop, FIELDS)
    raw = as_problem(m, options, rule)
    chosen = as_rule(rule, weights, raw)
    given = in_form(raw, form, chosen)
    problem, engine, seconds = refine(accelerate(given, compile), tol)
    start = None if x0 is None else problem.enter(as_start(x0, problem))
    task = Task(problem, chosen, start, FIELDS[stop](problem, tol), max_iter)
    said = given_options(m, options) | {
        "rule": rule,
        "weights": weights,
        "tol": tol,
        "max_iter": max_iter,
        "stop": stop,
        "x0": x0,
        "gradient": gradient,
        "record": record,
        "quadrature": quadrature,
        "form": form,
        "compile": compile,
    }
    run = Run(task, started, engine, seconds, asked("solve", chosen, said))
    solution = run(gradient, record=record, progress=progress, quadrature=quadrature)
    return solution.check() if throw else solution
