"""Load paths: load steps one after the other, each from where the last one ended.

A step is a problem with given internal variables, and its answer makes the problem of
the next one. It starts from the linear extrapolation of the last two answers (Moulinec
& Suquet 1998).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Inexact, Integer
from torch import Tensor

from lsml.acceleration import Compile, accelerate, refine
from lsml.atomic import check_target
from lsml.criteria import FIELDS
from lsml.displacement_form import DisplacementForm
from lsml.gradients import Task
from lsml.inputs import as_rule, check_limits, in_form
from lsml.io.asked import Provenance
from lsml.io.checkpoint import fingerprint
from lsml.io.provenance import asked
from lsml.macro_load import MacroLoad
from lsml.numerics import per_sample
from lsml.path_state import Record, State, load_state, save_state, stacked
from lsml.physics.assemble import macro_load, on_device
from lsml.physics.loads import LOADING, Load
from lsml.physics.percolation import check_load
from lsml.rule import UpdateRule
from lsml.running import Run
from lsml.solution import Solution
from lsml.state import Status
from lsml.strain_form import StrainForm
from lsml.typing import Vector

REACH = 4.0  # times the last increment, as far as answers are extrapolated

Watch = Callable[[int, Solution], None]


@dataclass(frozen=True)
class LoadPath:
    """T load steps of b samples.

    Attributes
    ----------
    mean_strain, mean_stress : at the end of each step.
    status, iterations, error : how each step ended, as in :class:`lsml.Solution`.
    history : relative residual of every iterate of every step, NaN after its end.
    problem : under the last load, with the internal variables that it has left: that
        of a further step, once it is put under another load.
    solution : of the last step; None if that was read from a file.
    """

    mean_strain: Inexact[Tensor, "t b c"]
    mean_stress: Inexact[Tensor, "t b c"]
    status: Integer[Tensor, "t b"]
    iterations: Integer[Tensor, "t b"]
    error: Float[Tensor, "t b"]
    history: Float[Tensor, "t b k"]
    problem: StrainForm
    solution: Solution | None

    def __repr__(self) -> str:
        """Steps, how they ended, and the worst certified error."""
        t, b = self.status.shape
        names = {Status(int(code)).name for code in self.status.unique()}
        return (
            f"LoadPath({t} steps × {b} samples, {sorted(names)}, "
            f"{int(self.iterations.max(1).values.sum())} iterations, "
            f"error ≤ {float(self.error.max()):.1e})"
        )


def load_path(  # noqa: PLR0913 (the public entry)
    problem: object,
    loads: Sequence[Load],
    rule: UpdateRule[Any] | str = "auto",
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    file: str | Path | None = None,
    each: Watch | None = None,
    throw: bool = True,
    form: str = "displacement",
    compile: Compile = "auto",
) -> LoadPath:
    """Take a cell through a sequence of mean strains and stresses.

    Parameters
    ----------
    problem : made by a builder such as :func:`lsml.plasticity`, with the internal
        variables of the start. Its load has no influence.
    loads : from :func:`lsml.load`, one per step, for the same number of samples. Which
        components are prescribed as strain and which as stress may change.
    file : HDF5, written after each step. If it is there, the path goes on behind its
        last step, with the numbers that it would have had. Loads may be appended; a
        file of another problem, rule, tolerance or limit is refused.
    each : called with number and solution of each step that is taken.
    throw : raise if a step fails. Otherwise the path ends with that step, which does
        not go into the file.
    rule, tol, max_iter, form, compile : as in :func:`lsml.solve`.

    Raises
    ------
    ValueError
        Bad input: one sentence naming it and what was expected, before any work.
    ConvergenceError
        A step failed and ``throw`` is set; it carries the solution.
    """
    check_limits(tol, max_iter)
    if not isinstance(problem, StrainForm | DisplacementForm):
        raise ValueError(
            "load_path needs a problem made by a builder such as lsml.plasticity, got "
            f"{type(problem).__name__}"
        )
    chosen = as_rule(rule, None, problem)
    base = problem.strain.referred(chosen.reference)
    plan = Plan(base, macro_loads(base, loads), chosen, tol, max_iter, form, compile)
    state = plan.opened(file)
    solution = None
    for k in range(len(state.records), len(loads)):
        solution, reached = plan.step(state, k)
        if throw:
            solution.check()
        state = reached
        if each is not None:
            each(k, solution)
        if any(Status(code).failed for code in solution.status.tolist()):
            break
        if file is not None:
            save_state(file, plan.owner, state, plan.loads)
    last = base.under(plan.loads[len(state.records) - 1])
    return LoadPath(*stacked(state.records), last.of(state.law), solution)


@dataclass(frozen=True)
class Plan:
    """What all steps have in common.

    Attributes
    ----------
    base : on the reference medium of the rule, with the first internal variables.
    """

    base: StrainForm
    loads: list[MacroLoad]
    rule: UpdateRule[Any]
    tol: float
    max_iter: int
    form: str
    compile: Compile

    @property
    def owner(self) -> str:
        """What a file must have been written for."""
        base = self.base
        medium = base.law, base.reference, base.discretization
        return fingerprint(medium, self.rule, self.tol, self.max_iter, self.form)

    def opened(self, file: str | Path | None) -> State:
        """The state that a file holds, or that of the beginning.

        Raises
        ------
        ValueError
            The file cannot be written, or is of another path.
        """
        begin = State(self.base.law, None, None, [])
        if file is None:
            return begin
        check_target(file)
        return load_state(file, self.owner, begin, self.loads)

    def step(self, state: State, k: int) -> tuple[Solution, State]:
        """Step k, from the state before it."""
        started = time.perf_counter()
        strain = self.base.under(self.loads[k])
        if state.law is not self.base.law:
            strain = strain.of(state.law)
        given = in_form(strain, self.form, self.rule)
        problem, engine, seconds = refine(accelerate(given, self.compile), self.tol)
        start = problem.start().detach()
        guess = None if state.last is None else start + self._ahead(state, k, start)
        stop = FIELDS["residual"](problem, self.tol)
        task = Task(problem, self.rule, guess, stop, self.max_iter)
        run = Run(task, started, engine, seconds, self._asked(k))
        solution = run(None, record=False, progress=False, quadrature=False)
        x = solution.state.x
        with torch.set_grad_enabled(solution.tracked):
            law = state.law.after(solution.problem.field(x))
        moved = x.detach().to(start) - start
        record = Record.of(solution)
        return solution, State(law, moved, state.last, [*state.records, record])

    def _asked(self, k: int) -> Provenance:
        options = {
            "step": k,
            "tol": self.tol,
            "max_iter": self.max_iter,
            "form": self.form,
            "compile": self.compile,
        }
        return asked("load_path", self.rule, options)

    def _ahead(self, state: State, k: int, like: Vector) -> Vector:
        """Deviation from x̄ to start with: α further than from the last but one."""
        assert state.last is not None
        latest = fitted(state.last, like)
        before = 0 * latest if state.before is None else fitted(state.before, like)
        now, last = self._background(k), self._background(k - 1)
        old = self._background(k - 2) if k > 1 else torch.zeros_like(last)
        metric = self.base.reference.mean(last - old)
        done = ((last - old).conj() * metric).real.sum(1)
        along = ((now - last).conj() * metric).real.sum(1)
        share = torch.where(done > 0, along / done, 0.0).clamp(0, REACH)
        return latest + per_sample(share, latest) * (latest - before)

    def _background(self, k: int) -> Tensor:
        """x̄ of a step."""
        return self.base.under(self.loads[k]).background.detach()


def fitted(x: Inexact[Tensor, "b *w"], like: Vector) -> Vector:
    """Without the free mean, or with one that is zero, as it is in ``like``."""
    size = like.shape[1]
    if x.shape[1] >= size:
        return x[:, :size]
    missing = torch.zeros_like(like[:, x.shape[1] :])
    return torch.cat([x, missing], 1)


def macro_loads(base: StrainForm, loads: Sequence[Load]) -> list[MacroLoad]:
    """The loads of all steps, in double precision.

    Raises
    ------
    ValueError
        No loads, loads of another physics, for other samples, or that nothing carries.
    """
    phases, scheme = base.law.initial(), base.discretization
    if phases is None:
        raise ValueError(f"load_path needs phases, got {type(base.law).__name__}")
    if not isinstance(loads, Sequence) or not loads:
        raise ValueError("loads must list one load, made by lsml.load, for each step")
    wide, macros = on_device(phases, torch.float64), []
    names = LOADING[scheme.differential.words.field]
    for k, load in enumerate(loads):
        if not isinstance(load, Load) or load.names != names:
            name = names[0]
            raise ValueError(f"loads: step {k} must be made by lsml.load({name}=...)")
        macros.append(macro_load(load, wide))
        check_load(wide, macros[-1], scheme)
    sizes = [len(load.field) for load in macros]
    known = next(iter(base.law.internal().values()), macros[0].field)
    wrong = next((k for k, b in enumerate(sizes) if b != len(known)), None)
    if wrong is not None:
        raise ValueError(
            f"loads: step {wrong} is for {sizes[wrong]} samples, must be for "
            f"{len(known)}"
        )
    return macros
