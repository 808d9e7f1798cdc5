"""The two passes of a comparison: one that measures and counts, one that times.

Measuring errors would spoil the times. In the pass that does, every sample is solved
alone, so that neither its errors nor its operations depend on the others of its batch.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from lsml.acceleration import Compile, accelerate, refine
from lsml.comparison.measure import Errors, Form, Measure, Truth
from lsml.counted import counted
from lsml.counting import Counter, Operations
from lsml.displacement_form import DisplacementForm
from lsml.inputs import in_form
from lsml.problem import Problem
from lsml.refined import RefinedForm
from lsml.rule import UpdateRule
from lsml.state import SolveState
from lsml.stop import RelativeResidual
from lsml.strain_form import StrainForm
from lsml.typing import Codes, PerSample, Vector
from lsml.unroll import Observer, unroll

Build = Callable[[], Problem]


def unobserved(doing: str) -> None:
    """Nobody wants to know."""


class Limits(NamedTuple):
    """When a rule stops, on which kernels it runs, and who is told of its steps.

    ``observe`` is told at every iterate what is being done; if it returns True, the
    rule does not go on.
    """

    tol: float
    max_iter: int
    compile: Compile
    observe: Callable[[str], bool | None] = unobserved
    doing: str = ""

    def stopped(self) -> bool:
        """Tell what is being done; whether to stop."""
        return bool(self.observe(self.doing))

    def form(self, raw: Problem, rule: UpdateRule[Any]) -> Form:
        """What `lsml.solve` would iterate on."""
        given = accelerate(in_form(raw, "displacement", rule), self.compile)
        problem = refine(given, self.tol).problem
        assert isinstance(problem, StrainForm | DisplacementForm)
        return problem

    def countable(self, raw: Problem, rule: UpdateRule[Any]) -> Form:
        """The same, on kernels that can be watched: not those that torch compiles."""
        watched = self.compile if on_cpu(raw) and self.compile == "auto" else False
        return self._replace(compile=watched).form(raw, rule)

    def run(
        self, problem: Problem, rule: UpdateRule[Any], observe: Observer | None
    ) -> SolveState:
        """By the driver, without a graph."""
        stop = RelativeResidual(self.tol)

        def watch(k: int, x: Vector, error: PerSample, status: Codes) -> bool:
            if observe is not None:
                observe(k, x, error, status)
            return self.stopped()

        with torch.no_grad():
            return unroll(
                problem, rule, stop=stop, max_iter=self.max_iter, observe=watch
            )


class Record(NamedTuple):
    """A solve of one sample; lists have an entry for each iterate, the start first."""

    state: SolveState
    errors: list[Errors]
    operations: list[Operations]


def on_cpu(problem: Problem) -> bool:
    """Whether it is in the memory of the processor."""
    return problem.start().device.type == "cpu"


def samples_of(form: Form) -> list[Form]:
    """A problem for each sample of a batch.

    Raises
    ------
    ValueError
        They cannot be taken apart.
    """
    if form.batch == 1:
        return [form]
    device = form.start().device
    parts = [form.select(torch.tensor([i], device=device)) for i in range(form.batch)]
    whole = [part for part in parts if part is not None]
    if len(whole) < form.batch:
        raise ValueError("compare needs problems whose samples can be taken apart")
    return whole


def in_float64(form: Form) -> Form:
    """The form in which errors are measured."""
    return form.exact if isinstance(form, RefinedForm) else form


def solved(
    raw: Problem, rule: UpdateRule[Any], limits: Limits
) -> tuple[SolveState, list[Truth]]:
    """The converged solution of each sample."""
    form = limits.countable(raw, rule)
    state = limits.run(form, rule, None)
    own = in_float64(form)
    plain = DisplacementForm(own.strain)
    u = state.x if isinstance(own, DisplacementForm) else plain.enter(state.x)
    pairs = zip(samples_of(plain), u.split(1), strict=True)
    return state, [Truth(DisplacementForm(each.strain), x) for each, x in pairs]


def recorded(
    raw: Problem, rule: UpdateRule[Any], truths: list[Truth], limits: Limits
) -> list[Record]:
    """Errors and operations of every iterate, sample by sample."""
    samples = samples_of(limits.countable(raw, rule))
    pairs = zip(samples, truths, strict=True)
    return [record(form, rule, truth, limits) for form, truth in pairs]


def record(form: Form, rule: UpdateRule[Any], truth: Truth, limits: Limits) -> Record:
    """One sample."""
    counter = Counter()
    errors: list[Errors] = []
    operations: list[Operations] = []
    measure = Measure.of(truth, in_float64(form))

    def observe(k: int, x: Vector, error: PerSample, status: Codes) -> None:
        operations.append(counter.total)
        with counter.silent():
            errors.append(measure(x))

    with counter:
        state = limits.run(counted(form, counter), rule, observe)
    return Record(state, errors, operations)


def clocked(build: Build, rule: UpdateRule[Any], limits: Limits) -> list[float]:
    """Seconds from the start to each iterate of the whole batch, set-up included."""
    started, clock = time.perf_counter(), []
    form = limits.form(build(), rule)
    device = form.start().device

    def observe(k: int, x: Vector, error: PerSample, status: Codes) -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        clock.append(time.perf_counter() - started)

    limits.run(form, rule, observe)
    return clock
