"""The general Lippmann-Schwinger problem: any H = A + B, without any structure."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Inexact
from torch import Tensor

from lsml.grid import Grid
from lsml.law import Law
from lsml.numerics import dot, root
from lsml.problem import Problem, Residual, Shown
from lsml.typing import Codes, Field, PerSample, Tags, Vector


@runtime_checkable
class Divisible(Protocol):
    """A Green operator that can be taken apart, as :meth:`Problem.select` takes it."""

    def select(self, samples: Codes, batch: int) -> Callable[[Field], Field]:
        """That of some of ``batch`` samples."""
        ...


@dataclass(frozen=True)
class LippmannSchwinger(Problem):
    """Any H = A + B: a law, the reference A, its Green operator Γ = A⁻¹, a background.

    The general form of Kelly & Kalidindi (2021, section 2.2), with no assumption on
    the physics; ``green`` maps a flux to a field and may be any callable. A law that
    is tagged *reciprocal* vouches for it too: Γ is its own transpose.

    Attributes
    ----------
    window : the part of the cell, one slice for each axis, whose fields are handed out;
        all of it if there are none.
    """

    grid: Grid
    law: Law
    reference: Law
    green: Callable[[Field], Field]
    background: Field
    window: tuple[slice, ...] = ()

    @property
    def tags(self) -> Tags:
        """Those of the law, save the one that takes a metric, and of a medium."""
        return self.law.tags - {"resolvable"} | {"bounded"}

    @property
    def batch(self) -> int:
        """Samples b."""
        return self.background.shape[0]

    @property
    def differentiable(self) -> bool:
        """Whether law or background ask for their gradient."""
        return self.law.differentiable or self.background.requires_grad

    def start(self) -> Vector:
        """x̄."""
        return self.background

    def enter(self, field: Field) -> Vector:
        """The field itself."""
        return field

    def field(self, x: Vector) -> Field:
        """The unknown itself."""
        return x

    def flux(self, x: Vector) -> Field:
        """σ(x)."""
        return self.law(x)

    def voxel_field(self, x: Vector) -> Field:
        """The field in the window."""
        return self._shown(self.field(x))

    def voxel_flux(self, x: Vector) -> Field:
        """The flux in the window."""
        return self._shown(self.flux(x))

    def shown(self, x: Vector) -> Shown:
        """The field in the window."""
        return Shown(self.grid.spacing, {"field": self.voxel_field(x)})

    def admit(self, x: Vector) -> Vector:
        """Every field is admissible."""
        return x

    def project(self, d: Vector) -> Vector:
        """Every increment is admissible."""
        return d

    def polarization(self, x: Field) -> Field:
        """τ(x) = σ(x) − C⁰ x, the B of H = A + B."""
        return self.law(x) - self.reference(x)

    def fixed_point(self, x: Field) -> Field:
        """Φ(x) = x̄ − Γ τ(x)."""
        return self.background - self.green(self.polarization(x))

    def force(self, x: Vector) -> Vector:
        """Φ(x) − x: force and step are the same without a metric."""
        return self.fixed_point(x) - x

    def precondition(self, force: Vector, out: Vector | None = None) -> Vector:
        """Identity."""
        return force

    def hessian(self, x: Vector, d: Vector, out: Vector | None = None) -> Vector:
        """(I + Γ τ'(x)) d."""
        return d + self.green(self.law.tangent(x, d) - self.reference(d))

    def pairing(self, force: Vector, d: Vector) -> PerSample:
        """Volume average of force·d."""
        return self.grid.sum(dot(force, d)) / self.grid.size

    def residual(self, x: Vector) -> Residual:
        """Φ(x) − x."""
        step = self.force(x)
        return Residual(step, step)

    def square(self, residual: Residual) -> PerSample:
        """Mean square of the step."""
        return self.pairing(residual.step, residual.step)

    def inner(self, residual: Residual, step: Vector) -> PerSample:
        """Mean product of the steps."""
        return self.pairing(residual.step, step)

    def scatter(self, x: Vector, d: Vector) -> Vector:
        """i (σ'(x) − C⁰) d / Im C⁰."""
        absorbed = self.reference(torch.ones_like(d)).imag
        return 1j * (self.law.tangent(x, d) - self.reference(d)) / absorbed

    def dual(self, x: Vector, g: Vector) -> Vector:
        """Γ g*: the transpose of I + Γτ' is Γ⁻¹ (I + Γτ') Γ for a reciprocal law."""
        return self.green(g.conj())

    def adjoint(self, x: Vector, g: Vector, answer: Vector) -> Vector:
        """(Γ⁻¹ w)* of the answer w, which is (g* − τ' w)*."""
        return (g.conj() - self.law.tangent(x, answer) + self.reference(answer)).conj()

    def select(self, samples: Codes) -> "LippmannSchwinger | None":
        """Some of the samples, if law and Green operator can be taken apart."""
        law = self.law.select(samples, self.batch)
        reference = self.reference.select(samples, self.batch)
        if law is None or reference is None or not isinstance(self.green, Divisible):
            return None
        return replace(
            self,
            law=law,
            reference=reference,
            green=self.green.select(samples, self.batch),
            background=self.background[samples],
        )

    def magnitude(self) -> PerSample:
        """Root mean square of x̄."""
        return root(self.pairing(self.background, self.background))

    def _shown(self, whole: Inexact[Tensor, "b c *e"]) -> Field:
        for axis, part in enumerate(self.window, 2):
            whole = whole.narrow(axis, part.start, part.stop - part.start)
        return whole
