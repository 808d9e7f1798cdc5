"""Lippmann-Schwinger problems x = x̄ − Γ τ(x), as the rules see them.

A problem offers its residual as a pair (force, step): ``step = precondition(force)``
is what a fixed point adds to x, and ``pairing(force, step)`` is its squared norm. All
rules are written in these terms, so each runs on every form of a problem.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

from jaxtyping import Float, Inexact
from torch import Tensor

from lsml.law import Image
from lsml.numerics import combine, root, wide
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


class Shown(NamedTuple):
    """What files and pictures have of an answer.

    Attributes
    ----------
    spacing : voxel edges.
    fields : (b, k, *n) per voxel, by name.
    """

    spacing: tuple[float, ...]
    fields: Mapping[str, Field]


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
        return self.average(flux)

    def average(self, field: Field) -> Inexact[Tensor, "b c"]:
        """Volume average of a field per voxel, accumulated in float64."""
        mean = field.flatten(2).mean(2, dtype=wide(field.dtype))
        return self.pooled(mean).to(field.dtype)

    def pooled(self, mean: Tensor) -> Tensor:
        """Average over the cell, of one over the part of it that fields are of."""
        return mean

    def whole(self, field: Field) -> Field:
        """Of all parts of the cell, what a network looks at."""
        return field

    def part(self, field: Field) -> Field:
        """Of this part, from that of the cell."""
        return field

    def present(self, x: Vector) -> tuple["Problem", Vector]:
        """The problem, and its unknown, in which the answer x is handed out."""
        return self, x

    def shown(self, x: Vector) -> Shown:
        """Fields of the answer x under the names that they have in the physics."""
        raise ValueError(f"{type(self).__name__} does not name its fields")

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

    def dual(self, x: Vector, g: Vector) -> Vector:
        """Drive of the tangent problem whose answer makes the adjoint H⁻ᴴ g."""
        return g.conj()

    def adjoint(self, x: Vector, g: Vector, answer: Vector) -> Vector:
        """H⁻ᴴ g, from the answer H⁻¹ ``dual(x, g)``: H is its own transpose."""
        return answer.conj()

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
