"""A batch solved in waves, one driver call for each, told as one solve."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

import torch
from jaxtyping import Integer
from torch import Tensor

from lsml.displacement_form import DisplacementForm
from lsml.gradients import Task
from lsml.law import PhaseLaw
from lsml.problem import Problem
from lsml.rule import UpdateRule
from lsml.state import SolveState, Status
from lsml.strain_form import StrainForm
from lsml.typing import Codes, PerSample, Vector
from lsml.unroll import Observer

Samples: TypeAlias = Integer[Tensor, " _"]  # numbers of some samples of a batch


@dataclass(frozen=True)
class Wave:
    """Some samples of the batch of a task."""

    problem: Problem
    samples: Samples
    task: Task

    def run(self, rule: UpdateRule[Any], watch: "Watch") -> SolveState:
        """Solve these samples."""
        task, x0 = self.task, self.task.x0
        return replace(
            task,
            problem=self.problem,
            rule=rule,
            x0=None if x0 is None else x0[self.samples],
            stop=task.stop.select(self.samples),
            observe=watch.over(self.samples),
        ).run()


class Watch:
    """Shows an observer the whole batch, whichever samples are being solved.

    The iterates of a wave follow those of the one before; who has not begun stands at
    its start, with error 1.
    """

    def __init__(self, observe: Observer | None, start: Vector) -> None:
        self._observe, self._x, self._last = observe, start, -1
        self._error = start.new_ones(len(start), dtype=torch.float64)
        running = int(Status.RUNNING)
        self._status = torch.full_like(self._error, running, dtype=torch.int64)

    def over(self, samples: Samples) -> Observer | None:
        """What the driver is to call for a wave of these samples."""
        if self._observe is None:
            return None
        base = self._last + 1

        def observe(k: int, x: Vector, error: PerSample, status: Codes) -> bool | None:
            self._x = self._x.index_copy(0, samples, x.to(self._x))
            self._error = self._error.index_copy(0, samples, error)
            self._status = self._status.index_copy(0, samples, status)
            self._last = base + k
            assert self._observe is not None
            return self._observe(self._last, self._x, self._error, self._status)

        return observe


def merged(problem: Problem, waves: Sequence[tuple[Samples, SolveState]]) -> SolveState:
    """One state of the whole batch, every sample where it belongs."""
    order = torch.cat([samples for samples, _ in waves]).argsort()
    states = [state for _, state in waves]
    most = max(len(s.history) for s in states)
    pads = [s.history[-1:].expand(most - len(s.history), -1) for s in states]
    whole = [torch.cat([s.history, p]) for s, p in zip(states, pads, strict=True)]
    rows = {
        part.name: torch.cat([getattr(s, part.name) for s in states])[order]
        for part in fields(SolveState)
        if part.name != "history"
        and all(isinstance(getattr(s, part.name), Tensor) for s in states)
    }
    return replace(
        states[0],
        problem=problem,
        history=torch.cat(whole, 1)[:, order],
        memory=(),
        **rows,
    )


def first_of_each(problem: Problem) -> tuple[Samples, Samples]:
    """The first sample of each system of equations, and all the others.

    Two samples have the same one if they load the same microstructure of the same
    phases and leave the same mean components free.
    """
    everyone = torch.arange(problem.batch, device=problem.start().device)
    if not isinstance(problem, StrainForm | DisplacementForm):
        return everyone, everyone[:0]
    law, free = problem.strain.law, problem.strain.load.free
    if not isinstance(law, PhaseLaw):
        return everyone, everyone[:0]
    media = max(len(law.labels), len(law.coefficients))
    medium = everyone // (problem.batch // media)
    keys = torch.cat([medium[:, None].to(free), free], 1)
    _, system = keys.unique(dim=0, return_inverse=True)
    same = system[:, None] == system
    first = same.int().argmax(1) == everyone
    return everyone[first], everyone[~first]
