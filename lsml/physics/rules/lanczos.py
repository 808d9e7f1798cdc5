"""Conjugate gradients that keep the lowest Ritz vectors of what they have seen.

A conjugate gradient solve is a Lanczos process: its residuals are the basis, its step
lengths the tridiagonal matrix. A window of the basis is kept; when it is full, it is
restarted with the lowest Ritz vectors of now and of one step before (eigCG,
Stathopoulos & Orginos 2010), which loses next to nothing of them.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Inexact, Integer
from torch import Tensor

from lsml.bundle import pack, split
from lsml.numerics import per_sample, safe_div
from lsml.physics.rules.deflated import Deflated, DeflatedCG
from lsml.problem import Problem, Residual
from lsml.rule import Iterate
from lsml.typing import Mean, Memory, PerSample, Tags, Vector

SPAN = 1e-10  # singular value under which the Ritz vectors of two steps are dependent


class Window(NamedTuple):
    """Basis, the projection of A on it, and how the next vector will be coupled to it.

    ``filled`` vectors are there; ``tail`` is the part of the next diagonal entry that
    the last step length makes.
    """

    basis: Inexact[Tensor, "b m *v"]
    projected: Float[Tensor, "b m m"]
    coupling: Float[Tensor, "b m"]
    filled: Integer[Tensor, " b"]
    tail: PerSample


@dataclass(frozen=True)
class RitzCG:
    """The iterates of ``rule``, and Ritz vectors for nothing but memory.

    Attributes
    ----------
    rule : deflated by a space, or by none.
    vectors : k Ritz vectors wanted; the window restarts with up to 2 k.
    window : m vectors of memory per sample, more than 2 k.
    passes : steps after which the rule is complete. A rule with passes hands its last
        memory out, where :func:`ritz_vectors` finds what was seen.
    """

    rule: DeflatedCG
    vectors: int
    window: int
    passes: int
    requires: ClassVar[Tags] = DeflatedCG.requires

    def __post_init__(self) -> None:
        if not 0 < 2 * self.vectors < self.window:
            raise ValueError(
                f"a window of {self.window} cannot hold {self.vectors} Ritz vectors: "
                f"it must be greater than {2 * max(1, self.vectors)}"
            )

    @property
    def reference(self) -> Mean:
        """Of the rule."""
        return self.rule.reference

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Memory]:
        """Nothing seen yet."""
        x, inner = self.rule.init(problem, x, k)
        b, m = len(x), self.window
        z = inner.step
        zeros = torch.zeros(b, m + 1, m, dtype=torch.float64, device=z.device)
        window = Window(
            z.new_zeros(b, m, *z.shape[1:]),
            zeros[:, :m],
            zeros[:, m],
            torch.zeros_like(inner.owner),
            torch.zeros_like(inner.norm2),
        )
        return x, pack(inner, window)

    def residual(self, problem: Problem, x: Vector, memory: Memory, k: int) -> Residual:
        """As of the rule."""
        return self.rule.residual(problem, x, apart(memory)[0], k)

    def step(
        self, problem: Problem, it: Iterate, memory: Memory
    ) -> tuple[Vector, Memory]:
        """A step of the rule; the residual before it joins the basis."""
        old, window = apart(memory)
        pure = torch.is_grad_enabled()
        with torch.no_grad():
            window = _joined(window, old, pure)
        x, new = self.rule.step(problem, it, old)
        with torch.no_grad():
            window = self._restarted(_closed(window, old, new))
        return x, pack(new, window)

    def _restarted(self, window: Window) -> Window:
        """Full windows with their lowest Ritz vectors alone."""
        full = (window.filled == self.window).nonzero()[:, 0].tolist()
        if not full:
            return window
        for i in full:
            q, theta = lowest(window.projected[i], self.vectors)
            few = q.shape[1]
            flat = window.basis[i].flatten(1)
            flat[:few] = q.T.to(flat) @ flat
            coupled = window.coupling[i] @ q
            window.projected[i] = 0.0
            window.projected[i, :few, :few] = torch.diag(theta)
            window.coupling[i] = 0.0
            window.coupling[i, :few] = coupled
            window.filled[i] = few
        return window


def apart(memory: Memory) -> tuple[Deflated, Window]:
    """What the rule remembers, and what was seen."""
    rule, seen = split(memory)
    return Deflated(*rule), Window(*seen)


def ritz_vectors(memory: Memory, vectors: int) -> Inexact[Tensor, "b k *v"]:
    """The lowest Ritz vectors of a solve; zero where it was too short for so many."""
    window = apart(memory)[1]
    out = window.basis.new_zeros(len(window.basis), vectors, *window.basis.shape[2:])
    for i, count in enumerate(window.filled.tolist()):
        basis = window.basis[i, :count].flatten(1)
        _, q = torch.linalg.eigh(window.projected[i, :count, :count])
        few = min(vectors, count)
        out[i, :few] = (q[:, :few].T.to(basis) @ basis).reshape_as(out[i, :few])
    return out


def lowest(
    projected: Float[Tensor, "m m"], vectors: int
) -> tuple[Float[Tensor, "m n"], Float[Tensor, " n"]]:
    """Lowest Ritz vectors of the window and of the window without its last vector."""
    now = torch.linalg.eigh(projected).eigenvectors[:, :vectors]
    earlier = torch.linalg.eigh(projected[:-1, :-1]).eigenvectors[:, :vectors]
    both = torch.cat([now, torch.nn.functional.pad(earlier, (0, 0, 0, 1))], 1)
    u, size, _ = torch.linalg.svd(both, full_matrices=False)
    u = u[:, size > SPAN]
    theta, turn = torch.linalg.eigh(u.T @ projected @ u)
    return u @ turn, theta


def _joined(window: Window, old: Deflated, pure: bool) -> Window:
    """The next vector of the basis and its couplings; `_closed` counts it.

    ``pure`` leaves the old basis as it is.
    """
    rows = torch.arange(len(old.norm2), device=old.norm2.device)
    basis = window.basis.clone() if pure else window.basis
    size = old.norm2.clamp_min(0).sqrt()
    unit = per_sample(safe_div(torch.ones_like(size), size), old.step)
    basis[rows, window.filled] = unit * old.step
    projected = window.projected.clone()
    projected[rows, window.filled] = window.coupling
    projected[rows, :, window.filled] = window.coupling
    return window._replace(basis=basis, projected=projected)


def _closed(window: Window, old: Deflated, new: Deflated) -> Window:
    """The diagonal entry of the vector that has joined, and its coupling to the next.

    A step without length, or that solved the coarse problem, is not of the process.
    """
    rows = torch.arange(len(old.norm2), device=old.norm2.device)
    inverse = safe_div(torch.ones_like(new.length), new.length)
    diagonal = inverse + safe_div(old.norm2, old.before) * window.tail
    window.projected[rows, window.filled, window.filled] = diagonal
    beta = safe_div(new.norm2, old.norm2).clamp_min(0)
    coupling = torch.zeros_like(window.coupling)
    coupling[rows, window.filled] = -inverse * beta.sqrt()
    seen = (old.before > 0) & (new.length != 0)
    return window._replace(
        coupling=torch.where(seen[:, None], coupling, 0.0),
        filled=window.filled + seen,
        tail=inverse,
    )
