"""Lippmann-Schwinger problems x = x̄ − Γ τ(x), as the rules see them.

A problem offers its residual as a pair (force, step): ``step = precondition(force)``
is what a fixed point adds to x, and ``pairing(force, step)`` is its squared norm. All
rules are written in these terms, so each runs on every form of a problem.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Inexact
from torch import Tensor

from lsml.grid import Grid
from lsml.law import Image, Law
from lsml.numerics import combine, dot, root, wide
from lsml.typing import Codes, Field, PerSample, Tags, Vector, Voxels


class Residual(NamedTuple):
    """What is left of the equations at x: as a force, and as a step of the field.

    ``work`` is their pairing where a rule has computed it already, and ``gauge`` what
    the scalars of conjugate gradients say, a packed :class:`lsml.gauss_radau.Gauge`.
    """

    force: Vector
    step: Vector
    work: PerSample | None = None
    gauge: Float[Tensor, "b s"] | None = None


class Specimen(NamedTuple):
    """What can be told of a problem without solving it: microstructure and load.

    Attributes
    ----------
    image : labels and stiffness of the phases.
    mean : prescribed mean field.
    """

    image: Image
    mean: Inexact[Tensor, "b c"]


class Problem(ABC):
    """The interface between rules and problems; subclasses choose the unknown x."""

    @property
    @abstractmethod
    def tags(self) -> Tags:
        """What the rules may assume."""

    @property
    @abstractmethod
    def batch(self) -> int:
        """Samples b."""

    @property
    @abstractmethod
    def differentiable(self) -> bool:
        """Whether law or load ask for their gradient."""

    @property
    def points(self) -> int:
        """Quadrature points q per voxel."""
        return 1

    @property
    def trust(self) -> float:
        """How far below its last evaluation a carried residual is believed."""
        return 0.0

    @abstractmethod
    def start(self) -> Vector:
        """The unknown at which the field is the background x̄."""

    @abstractmethod
    def enter(self, field: Field) -> Vector:
        """The unknown that represents a field, as well as this form can."""

    @abstractmethod
    def field(self, x: Vector) -> Field:
        """Field at the quadrature points, (b, q·c, *n)."""

    @abstractmethod
    def flux(self, x: Vector) -> Field:
        """σ(x) at the quadrature points."""

    def voxel_field(self, x: Vector) -> Field:
        """Average of the field over the points of each voxel, (b, c, *n)."""
        return self.field(x).unflatten(1, (self.points, -1)).mean(1)

    def voxel_flux(self, x: Vector) -> Field:
        """The same of σ(x)."""
        return self.flux(x).unflatten(1, (self.points, -1)).mean(1)

    def mean_flux(self, x: Vector) -> Inexact[Tensor, "b c"]:
        """Volume average of σ(x), accumulated in float64."""
        flux = self.voxel_flux(x)
        return flux.flatten(2).mean(2, dtype=wide(flux.dtype)).to(flux.dtype)

    def present(self, x: Vector) -> tuple["Problem", Vector]:
        """The problem, and its unknown, in which the answer x is handed out."""
        return self, x

    def specimen(self) -> Specimen | None:
        """Microstructure and load; None if one of them is not of that kind."""
        return None

    def from_component(self, values: Voxels, component: int) -> Vector:
        """The unknown whose field has, on average over each voxel, one component given.

        Of all fields that do, the one that deviates from the background with the least
        energy of the reference medium.
        """
        raise ValueError(f"{type(self).__name__} cannot complete a field")

    def bounds(self) -> tuple[PerSample, PerSample]:
        """Where the eigenvalues of ``precondition(hessian)`` lie, on admissible d.

        Raises
        ------
        ValueError
            Nothing is known of them.
        """
        raise ValueError(
            f"{type(self).__name__} does not tell bounds of its spectrum: it needs a "
            "linear law of phases, in elasticity or conduction"
        )

    @abstractmethod
    def admit(self, x: Vector) -> Vector:
        """Nearest admissible unknown: compatible, with the prescribed mean."""

    @abstractmethod
    def project(self, d: Vector) -> Vector:
        """Admissible part of an increment."""

    @abstractmethod
    def force(self, x: Vector) -> Vector:
        """Out-of-balance force of an admissible x."""

    @abstractmethod
    def precondition(self, force: Vector, out: Vector | None = None) -> Vector:
        """The step by which the reference medium answers a force.

        It may be written over ``out``; use what is returned.
        """

    @abstractmethod
    def hessian(self, x: Vector, d: Vector, out: Vector | None = None) -> Vector:
        """Minus the derivative of ``force`` along d; ``out`` as in precondition."""

    @abstractmethod
    def pairing(self, force: Vector, d: Vector) -> PerSample:
        """Virtual work of a force along d, per unit volume."""

    def combine(self, x: Vector, scale: PerSample, d: Vector, out: Vector) -> Vector:
        """x + scale·d; it may be written over ``out``, which is x or d."""
        return combine(x, scale, d, out)

    @abstractmethod
    def residual(self, x: Vector) -> Residual:
        """Total residual, zero at the solution only: equilibrium and admissibility."""

    @abstractmethod
    def square(self, residual: Residual) -> PerSample:
        """Squared norm of a residual, ``pairing(force, step)`` without cancellation."""

    def inner(self, residual: Residual, step: Vector) -> PerSample:
        """Real product of a residual and another step; ``square`` is with its own."""
        return self.pairing(residual.force, step)

    def resolve(self, x: Vector, d: Vector) -> Vector:
        """y − x with σ(y) + C⁰ y = σ(x) + C⁰ (x + d), point by point."""
        raise ValueError(f"{type(self).__name__} has no resolvent of its law")

    def scatter(self, x: Vector, d: Vector) -> Vector:
        """i τ'(x) d / Im C⁰, point by point: d itself where the law is Re C⁰."""
        raise ValueError(f"{type(self).__name__} has no absorbing reference medium")

    def norm(self, residual: Residual) -> PerSample:
        """Norm of a residual; that of the reference medium where there is one."""
        return root(self.square(residual))

    @abstractmethod
    def magnitude(self) -> PerSample:
        """Size, in that norm, of the terms whose cancellation makes the residual."""

    def linearized(self, x: Vector) -> "Problem":
        """One with this ``hessian`` at x, worked out once; nothing else is its own."""
        return self

    def select(self, samples: Codes) -> "Problem | None":
        """The problem of some of the samples; None if it cannot be taken apart."""
        return None


@dataclass(frozen=True)
class LippmannSchwinger(Problem):
    """Any H = A + B: a law, the reference A, its Green operator Γ = A⁻¹, a background.

    The general form of Kelly & Kalidindi (2021, section 2.2), with no assumption on
    the physics; ``green`` maps a flux to a field and may be any callable.
    """

    grid: Grid
    law: Law
    reference: Law
    green: Callable[[Field], Field]
    background: Field

    @property
    def tags(self) -> Tags:
        """Those of the law, save the one that takes a metric."""
        return self.law.tags - {"resolvable"}

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
        return dot(force, d) / self.grid.size

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

    def magnitude(self) -> PerSample:
        """Root mean square of x̄."""
        return root(self.pairing(self.background, self.background))
