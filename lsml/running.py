"""One solve from problem to solution: derivative, observers and clock around it."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lsml.gradients import Detached, Gradient, Implicit, Task
from lsml.io.asked import Provenance
from lsml.learned.rule import LearnedRule
from lsml.physics.rules.auto import Auto
from lsml.problem import Problem
from lsml.progress import ProgressLine, Recorder
from lsml.rule import UpdateRule
from lsml.solution import Solution
from lsml.state import SolveState
from lsml.typing import Codes, PerSample, Vector
from lsml.unroll import Observer


@dataclass(frozen=True)
class Run:
    """A task, and since when it is timed."""

    task: Task
    started: float
    engine: str = "eager"
    compiled: float = 0.0  # seconds spent on getting the kernels
    asked: Provenance | None = None

    def __call__(
        self,
        gradient: Gradient | None,
        *,
        record: bool,
        progress: bool,
        quadrature: bool,
    ) -> Solution:
        """Solve and wrap."""
        name = called(self.task.rule, self.task.problem)
        recorder = Recorder(self._voxels(quadrature))
        observers: list[Observer] = [recorder] if record else []
        chosen = self._gradient() if gradient is None else gradient
        with ExitStack() as stack:
            if progress:
                line = ProgressLine(self.task.stop.tol, name)
                observers.append(stack.enter_context(line))
            ready = time.perf_counter()
            observe = together(observers) if observers else None
            state = chosen(replace(self.task, observe=observe))
        problem, x = self.task.problem.present(state.x)
        return Solution(
            problem,
            replace(state, problem=problem, x=x),
            quadrature,
            torch.stack(recorder.fields, 1) if record else None,
            self._timings(ready, state),
            name,
            engine=self.engine,
            tracked=torch.is_grad_enabled() and not isinstance(chosen, Detached),
            predicted=self._predicted(state),
            provenance=self.asked,
        )

    def _predicted(self, state: SolveState) -> Tensor | None:
        rule = self.task.rule
        if not isinstance(rule, LearnedRule) or state.memory == ():
            return None
        return rule.output(state.memory)

    def _gradient(self) -> Gradient:
        wanted = torch.is_grad_enabled() and self.task.problem.differentiable
        return Implicit() if wanted else Detached()

    def _voxels(self, quadrature: bool) -> Callable[[Vector], Tensor]:
        def voxels(x: Vector) -> Tensor:
            problem, x = self.task.problem.present(x)
            if quadrature:
                return problem.field(x).unflatten(1, (problem.points, -1))
            return problem.voxel_field(x)

        return voxels

    def _timings(self, ready: float, state: SolveState) -> dict[str, float]:
        if state.x.is_cuda:
            torch.cuda.synchronize(state.x.device)
        ended = time.perf_counter()
        times = {
            "setup": ready - self.started - self.compiled,
            "solve": ended - ready,
            "iteration": (ended - ready) / max(1, int(state.iterations.max())),
        }
        return times if self.engine == "eager" else times | {"compile": self.compiled}


def called(rule: UpdateRule[Any], problem: Problem) -> str:
    """Name of a rule, and of the one that it picks for a problem."""
    name = type(rule).__name__
    if isinstance(rule, Auto):
        return f"{name}: {called(rule.picked(problem), problem)}"
    return name


def together(observers: list[Observer]) -> Observer:
    """One observer that calls several."""

    def observe(k: int, x: Vector, error: PerSample, status: Codes) -> None:
        for each in observers:
            each(k, x, error, status)

    return observe
