"""How to differentiate a solve: an argument, not a property of the rule."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from lsml.linearized import Linearized
from lsml.problem import Problem
from lsml.rule import UpdateRule, check_tangent
from lsml.state import SolveState, Status
from lsml.stop import RelativeResidual, StopCriterion
from lsml.typing import Tags, Vector
from lsml.unroll import Observer, unroll

NEEDED: tuple[Tags, ...] = (
    frozenset({"symmetric", "compatible"}),
    frozenset({"reciprocal"}),
)


@dataclass(frozen=True)
class Task:
    """A solve to be run: the arguments of :func:`lsml.unroll.unroll`."""

    problem: Problem
    rule: UpdateRule[Any]
    x0: Vector | None
    stop: StopCriterion
    max_iter: int
    observe: Observer | None = None

    def run(self) -> SolveState:
        """Unroll, recording a graph where one is asked for."""
        if isinstance(self.rule, Campaign):
            return self.rule.campaign(self)
        return unroll(
            self.problem,
            self.rule,
            self.x0,
            stop=self.stop,
            max_iter=self.max_iter,
            observe=self.observe,
        )


@runtime_checkable
class Campaign(Protocol):
    """A rule that makes several calls of the driver of one solve.

    Such as :class:`lsml.Recycled`, which solves some samples first, for the others to
    profit from. Inside of other rules it is the ``UpdateRule`` that it also is.
    """

    def campaign(self, task: Task) -> SolveState:
        """Solve the whole batch."""
        ...


@runtime_checkable
class Gradient(Protocol):
    """Runs a solve and decides what backward will do."""

    def __call__(self, task: Task) -> SolveState:
        """Solve."""
        ...


@dataclass(frozen=True)
class Detached:
    """No derivative: nothing is recorded."""

    def __call__(self, task: Task) -> SolveState:
        """Solve without a graph."""
        with torch.no_grad():
            return task.run()


@dataclass(frozen=True)
class Unrolled:
    """Backpropagate through the iterations; memory grows with their number.

    The derivative is that of the iterates, not of the solution: none after no steps.
    """

    def __call__(self, task: Task) -> SolveState:
        """Solve with the graph recorded."""
        return task.run()


@dataclass(frozen=True)
class Implicit:
    """Backpropagate by the implicit function theorem, at the memory of one field.

    The adjoint equation Hᴴ λ = ∂L/∂x is a Lippmann-Schwinger problem on the same
    reference medium and is solved by the same driver.

    Attributes
    ----------
    rule : solves the adjoint; None for the rule of the forward solve.
    tol : relative residual of the adjoint; None for the tolerance of the solve.

    Raises
    ------
    ValueError
        The problem is neither symmetric and compatible nor reciprocal.
    RuntimeError
        In ``backward``, if the adjoint does not converge, and in a second one.
    """

    rule: UpdateRule[Any] | None = None
    tol: float | None = None

    def __call__(self, task: Task) -> SolveState:
        """Solve without a graph, then attach one evaluation of the force."""
        problem = task.problem
        if not any(enough <= problem.tags for enough in NEEDED):
            missing = NEEDED[0] - problem.tags
            raise ValueError(f"Implicit needs a problem that is {sorted(missing)}")
        check_tangent(problem, "Implicit")
        state = Detached()(task)
        offset = problem.start()
        x = offset + (state.x - offset).detach()

        def pull_back(g: Tensor) -> Tensor:
            tangent = problem.linearized(state.x)
            drive = problem.dual(state.x, g.contiguous())
            answer = self._adjoint(task, Linearized(tangent, state.x, drive))
            return problem.adjoint(state.x, g, answer)

        attached: Tensor = _Attach.apply(x, problem.force(x), pull_back)  # type: ignore[no-untyped-call]
        return replace(state, x=attached)

    def _adjoint(self, task: Task, problem: Linearized) -> Vector:
        tol = task.stop.tol if self.tol is None else self.tol
        solved = unroll(
            problem,
            self.rule or task.rule,
            stop=RelativeResidual(tol),
            max_iter=task.max_iter,
        )
        if bool((solved.status != Status.CONVERGED).any()):
            raise RuntimeError(
                f"the adjoint solve stopped at error {float(solved.error.max()):.1e}, "
                f"above {tol:.1e}: raise max_iter or Implicit(tol=...)"
            )
        return solved.x


class _Attach(torch.autograd.Function):
    """x, whose derivative with respect to the force is a given linear map."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, force: Tensor, pull_back: Callable[[Tensor], Tensor]
    ) -> Tensor:
        ctx.pull_back = pull_back
        ctx.save_for_backward(force)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, None]:
        with torch.no_grad():
            answer = ctx.pull_back(g)
        # once_differentiable would not do: torch.autograd.grad skips its error, which
        # does not lie on the way to the moduli.
        return g, _Once.apply(answer, g, *ctx.saved_tensors), None  # type: ignore[no-untyped-call]


class _Once(torch.autograd.Function):
    """The answer of an adjoint, which depends on drive and force as nothing records."""

    @staticmethod
    def forward(ctx: Any, answer: Tensor, *_: Tensor) -> Tensor:
        return answer.clone()

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> None:
        raise RuntimeError("Implicit gives first derivatives only: use Unrolled")
