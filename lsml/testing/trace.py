"""A solve with everything kept that laws are stated about."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Inexact, Integer
from torch import Tensor

from lsml.problem import Problem
from lsml.rule import UpdateRule
from lsml.state import SolveState
from lsml.stop import Never, RelativeResidual, StopCriterion
from lsml.typing import Codes, Mask, PerSample, Vector
from lsml.unroll import unroll

SOLVE = RelativeResidual(1e-3)
STEPS = 4  # enough for memory to matter, few enough for rounding not to


@dataclass(frozen=True)
class Trace:
    """Every iterate x of a solve, its error and the status that it was given."""

    problem: Problem
    state: SolveState
    x: Inexact[Tensor, "k b *v"]
    error: Float[Tensor, "k b"]
    status: Integer[Tensor, "k b"]

    def fields(self) -> Inexact[Tensor, "k b c *n"]:
        """Field of every iterate."""
        return torch.stack([self.problem.field(x) for x in self.x])


def trace(
    problem: Problem,
    rule: UpdateRule[Any],
    x0: Vector | None = None,
    *,
    stop: StopCriterion = SOLVE,
    max_iter: int = 120,
) -> Trace:
    """Run the driver and keep a copy of all that it shows."""
    seen: list[tuple[Vector, PerSample, Codes]] = []

    def observe(k: int, x: Vector, error: PerSample, status: Codes) -> None:
        seen.append((x.detach().clone(), error.clone(), status.clone()))

    with torch.no_grad():
        state = unroll(problem, rule, x0, stop=stop, max_iter=max_iter, observe=observe)
    x, error, status = (torch.stack(each) for each in zip(*seen, strict=True))
    return Trace(problem, state, x, error, status)


def few_steps(
    problem: Problem, rule: UpdateRule[Any], x0: Vector | None = None
) -> Trace:
    """The first steps of a rule, taken whatever the error."""
    return trace(problem, rule, x0, stop=Never(), max_iter=STEPS)


def largest_difference(a: Tensor, b: Tensor) -> float:
    """Largest |a − b| over the largest |b|; NaN on both sides is no difference."""
    if a.shape != b.shape:
        return float("inf")
    same = (a == b) | (a.isnan() & b.isnan())
    gap = torch.where(same, 0.0, (a - b).abs()).nan_to_num(torch.inf)
    size = b.abs().nan_to_num(0.0).max()
    return float(gap.max() / torch.where(size > 0, size, 1.0))


def demand(held: bool | Tensor, case: str, law: str) -> None:
    """Raise an AssertionError that says which law broke on which case."""
    if not bool(held):
        raise AssertionError(f"{law} [{case}]")


def demand_equal(a: Tensor, b: Tensor, tol: float, case: str, law: str) -> None:
    """Demand equality up to ``tol`` of the largest value; exactly that if 0."""
    gap = largest_difference(a, b)
    demand(gap <= tol, case, f"{law}; they differ by {gap:.1e}, more than {tol:.0e}")


def ended(status: Codes) -> Mask:
    """Which samples no longer run."""
    return status != 0
