"""Anderson acceleration of any rule without memory (Anderson 1965; Walker & Ni 2011).

For FFT-based micromechanics Wicht, Schneider & Böhlke (2021, IJNME 122).
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Inexact
from torch import Tensor

from lsml.numerics import per_sample
from lsml.physics.rules.moulinec import Moulinec
from lsml.physics.rules.products import product
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, Rule, UpdateRule
from lsml.typing import Mean, Tags, Vector

RIDGE = 4.0  # units of rounding added to a Gram matrix of unit vectors, per column


class Window(NamedTuple):
    """Differences between iterates, of which the last ``depth`` are kept.

    Attributes
    ----------
    images : Δx + Δg for the increment g of the accelerated rule.
    steps : Δr for the residual r, as a step.
    gram : <Δr, Δr>.
    force, step, increment, taken : r, g and Δx of the last iterate.
    """

    images: Inexact[Tensor, "b m *v"]
    steps: Inexact[Tensor, "b m *v"]
    gram: Inexact[Tensor, "b m m"]
    force: Vector
    step: Vector
    increment: Vector
    taken: Vector


@dataclass(frozen=True)
class Anderson(Rule):
    """The combination of the last iterates that has the least linear residual.

    On a linear problem, as long as the window holds every iterate, the residual norms
    of GMRES. The least squares are solved by normal equations of columns scaled to
    unit length, regularized at rounding.

    Attributes
    ----------
    rule : what is accelerated, one that remembers nothing.
    depth : m, differences kept: 2 m + 4 vectors of memory.

    Raises
    ------
    ValueError
        ``rule`` has a memory, or a fixed number of passes.
    """

    rule: UpdateRule[Any] = field(default_factory=Moulinec)
    depth: int = 5
    passes: ClassVar[None] = None

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ValueError(f"depth = {self.depth} must be 1 or more")
        if self.rule.passes is not None:
            raise ValueError(
                f"Anderson cannot accelerate {type(self.rule).__name__}, which is "
                f"complete after {self.rule.passes} passes"
            )

    @property
    def ingredients(self) -> tuple[UpdateRule[Any], ...]:
        """The accelerated one."""
        return (self.rule,)

    @property
    def requires(self) -> Tags:  # type: ignore[override]
        """Of the accelerated rule, whose steps need not contract."""
        return self.rule.requires - {"bounded"}

    @property
    def reference(self) -> Mean:
        """Of the accelerated rule."""
        return self.rule.reference

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Window]:
        """An empty window."""
        x, inner = self.rule.init(problem, x, k)
        if inner != ():
            raise ValueError(
                f"Anderson accelerates a rule without memory, such as Moulinec; "
                f"{type(self.rule).__name__} remembers its past"
            )
        r = self.rule.residual(problem, x, (), k)
        nothing, m = torch.zeros_like(r.step), self.depth
        wide = torch.promote_types(r.step.dtype, torch.float64)
        window = nothing[:, None].expand(-1, m, *[-1] * (nothing.ndim - 1))
        gram = torch.zeros(len(x), m, m, dtype=wide, device=x.device)
        still = (torch.zeros_like(r.force), nothing, nothing, nothing)
        return x, Window(window.clone(), window.clone(), gram, *still)

    def residual(self, problem: Problem, x: Vector, memory: Window, k: int) -> Residual:
        """Of the accelerated rule."""
        return self.rule.residual(problem, x, (), k)

    def step(
        self, problem: Problem, it: Iterate, memory: Window
    ) -> tuple[Vector, Window]:
        """One step of the rule, and what the past improves on it."""
        r, x = it.residual, it.x.clone()
        g = (self.rule.step(problem, it._replace(x=x), ())[0] - it.x).to(r.step.dtype)
        memory = self._entered(problem, it, g, memory)
        weights = least_squares(memory.gram, self._against(problem, r, memory.steps))
        back = torch.einsum("bm,bm...->b...", weights.to(g.dtype), memory.images)
        taken = g - back
        window = memory._replace(force=r.force, step=r.step, increment=g, taken=taken)
        return it.x + taken, window

    def _entered(
        self, problem: Problem, it: Iterate, g: Vector, memory: Window
    ) -> Window:
        """The window with the newest differences in the place of the oldest."""
        moved = memory.step.flatten(1).abs().amax(1) > 0
        started = problem.pooled(moved.double()) > 0
        on = per_sample(started, g)
        r = Residual(
            torch.where(on, it.residual.force - memory.force, 0),
            torch.where(on, it.residual.step - memory.step, 0),
        )
        image = torch.where(on, memory.taken + g - memory.increment, 0)
        slot = torch.tensor([it.k % self.depth], device=g.device)
        steps = placed(memory.steps, slot, r.step)
        row = self._against(problem, r, steps)
        gram = memory.gram.index_copy(1, slot, row.conj()[:, None])
        gram = gram.index_copy(2, slot, row[:, :, None])
        return memory._replace(
            images=placed(memory.images, slot, image), steps=steps, gram=gram
        )

    @staticmethod
    def _against(
        problem: Problem, r: Residual, steps: Inexact[Tensor, "b m *v"]
    ) -> Inexact[Tensor, "b m"]:
        """<Δr, r> for each column."""
        columns = [product(problem, r, d).conj() for d in steps.unbind(1)]
        return torch.stack(columns, 1)


def placed(
    columns: Inexact[Tensor, "b m *v"], slot: Tensor, new: Vector
) -> Inexact[Tensor, "b m *v"]:
    """One column replaced, in place where no graph can be recorded."""
    if torch.is_grad_enabled():
        return columns.index_copy(1, slot, new[:, None])
    return columns.index_copy_(1, slot, new[:, None])


def least_squares(
    gram: Inexact[Tensor, "b m m"], against: Inexact[Tensor, "b m"]
) -> Inexact[Tensor, "b m"]:
    """Coefficients of the columns whose combination is nearest; 0 for empty ones.

    A sample that is not finite gets NaN, and only that one.
    """
    length = gram.diagonal(dim1=1, dim2=2).real
    some = length > 0
    unit = torch.where(some, length, 1).sqrt()
    scaled = gram / (unit[:, :, None] * unit[:, None, :])
    ridge = RIDGE * gram.shape[-1] * torch.finfo(gram.dtype).eps
    empty = torch.where(some, ridge, 1).to(gram.dtype)
    solved, _ = torch.linalg.solve_ex(
        scaled + torch.diag_embed(empty), (against / unit)[..., None]
    )
    return solved[..., 0] / unit
