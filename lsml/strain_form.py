"""Compatible problems with the strain (or gradient) as the unknown.

The language of Moulinec & Suquet (1998) and of the learned rules, whose fields need
not be compatible: x is the field at the quadrature points.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from operator import methodcaller

import torch
from jaxtyping import Float, Inexact
from torch import Tensor

from lsml.discretization import Discretization
from lsml.green import GreenOperator, free_compliance
from lsml.grid import Grid
from lsml.law import Law, PhaseLaw, Uniform
from lsml.macro_load import MacroLoad, uniform_answer
from lsml.numerics import dot, root, rows_of
from lsml.problem import Problem, Residual, Specimen
from lsml.spectrum import spectrum
from lsml.typing import Codes, Field, Mean, PerSample, Tags, Vector, Voxels

ROUNDING = 1e-12  # of the share of N⁻¹ in the reference medium


@dataclass(frozen=True)
class StrainForm(Problem):
    """x = x̄ − Γ τ(x) on fields that derive from a potential.

    Attributes
    ----------
    background : x̄, uniform; made by :func:`uniform_answer`.
    rebuild : makes the same problem with the reference medium of a given mean of the
        phases; None if the medium was given by the user.
    mean : the mean that made the present reference.
    double : the same problem in float64 if this one is float32, on the same N.
    """

    law: Law
    reference: Uniform
    green: GreenOperator
    background: Inexact[Tensor, "b c"]
    load: MacroLoad
    rebuild: "Callable[[Mean], StrainForm] | None" = None
    mean: Mean | None = None
    double: "StrainForm | None" = None

    @property
    def tags(self) -> Tags:
        """Those of the law, and of a potential; incompatible fields take an exact Γ."""
        known: Tags = self.law.tags | {"compatible"}
        known |= {"whole"} if self.grid.pieces == 1 else set()
        return known if self.exact else known - {"resolvable"}

    @cached_property
    def exact(self) -> bool:
        """Whether N inverts the reference medium, so that Γ C⁰ is a projection.

        Asked once, for it waits for the device.
        """
        share = self.discretization.equivalence(self.reference.matrix.real)
        return bool((share >= 1 - ROUNDING).all())

    @property
    def batch(self) -> int:
        """Samples b: load cases times microstructures."""
        return self.load.field.shape[0]

    @property
    def differentiable(self) -> bool:
        """Whether law or load ask for their gradient."""
        loads = self.load.field.requires_grad or self.load.flux.requires_grad
        return self.law.differentiable or loads

    @property
    def discretization(self) -> Discretization:
        """Gradient and quadrature."""
        return self.green.discretization

    @property
    def points(self) -> int:
        """Quadrature points q per voxel."""
        return self.discretization.points

    @property
    def grid(self) -> Grid:
        """Voxels."""
        return self.discretization.grid

    @property
    def strain(self) -> "StrainForm":
        """Itself: what the displacement form is made of."""
        return self

    def referred(self, mean: Mean) -> "StrainForm":
        """The same problem with the reference medium that a rule asks for."""
        if self.rebuild is None or mean is self.mean:
            return self
        return self.rebuild(mean)

    def under(self, load: MacroLoad) -> "StrainForm":
        """The same medium under another load."""
        own = load.to(self.background)
        free = None
        if bool(own.free.any()):
            matrix = self.reference.matrix.real.double()
            free = free_compliance(matrix, own.free.double()).to(self.background)
        green = replace(self.green, free=free)
        return replace(
            self,
            green=green,
            background=uniform_answer(self.reference, green, own),
            load=own,
            rebuild=self._rebuilt("under", load),
            double=None if self.double is None else self.double.under(load),
        )

    def of(self, law: Law) -> "StrainForm":
        """The same problem of another law, on the same reference medium."""
        rebuild = self._rebuilt("of", law)
        return replace(self, law=law, rebuild=rebuild, double=None)

    def _rebuilt(
        self, change: str, to: object
    ) -> "Callable[[Mean], StrainForm] | None":
        if self.rebuild is None:
            return None
        return Changed(self.rebuild, methodcaller(change, to))

    def spread(self, mean: Inexact[Tensor, "b c"]) -> Inexact[Tensor, "b k *one"]:
        """A uniform field at every quadrature point, ready to broadcast."""
        repeated = mean.repeat(1, self.discretization.points)
        return repeated.reshape(*repeated.shape, *[1] * self.grid.ndim)

    def start(self) -> Vector:
        """x̄ at every point."""
        uniform = self.spread(self.background)
        return uniform.expand(*uniform.shape[:2], *self.grid.shape).contiguous()

    def enter(self, field: Field) -> Vector:
        """The field, repeated over the points if it is given once per voxel."""
        c, q = self.background.shape[1], self.discretization.points
        if field.shape[1] == c * q:
            return field
        return field.repeat(1, q, *[1] * self.grid.ndim)

    def pooled(self, mean: Tensor) -> Tensor:
        """Of the pieces of the grid."""
        return self.grid.pooled(mean)

    def whole(self, field: Field) -> Field:
        """Of all pieces of the grid."""
        return self.grid.gather(field)

    def part(self, field: Field) -> Field:
        """Of this piece of the grid."""
        return self.grid.part(field)

    def field(self, x: Vector) -> Field:
        """The unknown itself."""
        return x

    def flux(self, x: Vector) -> Field:
        """σ(x)."""
        return self.law(x)

    def specimen(self) -> Specimen | None:
        """Phases without eigenfield under a prescribed mean field."""
        image = self.law.image(self.batch)
        apart = not self.discretization.periodic
        if image is None or apart or self.green.free is not None:
            return None
        whole = image._replace(labels=self.grid.gather(image.labels))
        return Specimen(whole, self.load.field)

    def from_component(self, values: Voxels, component: int) -> Vector:
        """A compatible field; at least energy, closed form per frequency."""
        potential = self.green.potential_of(values, component)
        return self.start() + self.discretization.gradient(potential)

    def bounds(self) -> tuple[PerSample, PerSample]:
        """Extreme stiffness ratios of the phases to C⁰; the least is 0 with pores."""
        if not isinstance(self.law, PhaseLaw) or "linear" not in self.tags:
            return super().bounds()
        low, high = spectrum(self.law.table, self.reference.matrix)
        low = low * self.discretization.equivalence(self.reference.matrix.real)
        cases = self.batch // len(low)
        return low.repeat_interleave(cases), high.repeat_interleave(cases)

    def admit(self, x: Vector) -> Vector:
        """Compatible part of x, with the prescribed mean."""
        uniform = self.spread(self.background)
        return uniform + self.project(x - uniform)

    def project(self, d: Vector) -> Vector:
        """Γ C⁰ d, the projection on compatible fields, orthogonal in C⁰."""
        return self.green(self.reference(d))

    def polarization(self, x: Field) -> Field:
        """τ(x) = σ(x) − C⁰ x."""
        return self.law(x) - self.reference(x)

    def fixed_point(self, x: Field) -> Field:
        """Φ(x) = x̄ − Γ τ(x)."""
        return self.spread(self.background) - self.green(self.polarization(x))

    def force(self, x: Vector) -> Vector:
        """Prescribed mean flux − σ(x)."""
        return self.spread(self.load.flux) - self.law(x)

    def precondition(self, force: Vector, out: Vector | None = None) -> Vector:
        """Γ force: exactly a gradient, hence free of rounding outside that space."""
        return self.green(force)

    def hessian(self, x: Vector, d: Vector, out: Vector | None = None) -> Vector:
        """σ'(x) d."""
        return self.law.tangent(x, d)

    def linearized(self, x: Vector) -> "StrainForm":
        """The tangent of the law, point by point."""
        if "linear" in self.tags:
            return self
        return replace(self, law=self.law.linearized(x), rebuild=None, double=None)

    def pairing(self, force: Vector, d: Vector) -> PerSample:
        """Mean over voxels and points of force·d."""
        work = self.grid.sum(dot(force, d))
        return work / (self.grid.size * self.discretization.points)

    def residual(self, x: Vector) -> Residual:
        """Φ(x) − x, which sees what is out of balance and what is incompatible."""
        return Residual(self.force(x), self.fixed_point(x) - x)

    def square(self, residual: Residual) -> PerSample:
        """<step, C⁰ step>: the force has parts far larger, which do no work."""
        return self.pairing(self.reference(residual.step), residual.step)

    def inner(self, residual: Residual, step: Vector) -> PerSample:
        """<step, C⁰ step>."""
        return self.pairing(self.reference(residual.step), step)

    def resolve(self, x: Vector, d: Vector) -> Vector:
        """By the resolvent of the law at C⁰; from the increment if it is linear."""
        resolvent = self.law.resolvent(self.reference.matrix)
        if "linear" in self.tags:
            return resolvent.tangent(x, self.reference(d))
        return resolvent(self.law(x) + self.reference(x + d)) - x

    def select(self, samples: Codes) -> "StrainForm | None":
        """Some of the samples, each a microstructure with one load case."""
        law = self.law.select(samples, self.batch)
        if law is None:
            return None
        return replace(
            self,
            law=law,
            reference=Uniform(rows_of(self.reference.matrix, samples, self.batch)),
            green=self.green.select(samples, self.batch),
            background=self.background[samples],
            load=MacroLoad(*(part[samples] for part in self.load)),
            rebuild=None,
            double=None if self.double is None else self.double.select(samples),
        )

    def magnitude(self) -> PerSample:
        """√<σ, C⁰⁻¹ σ> of the flux at x̄, of which the residual is a part."""
        inverse = Uniform(torch.linalg.inv(self.reference.matrix))
        law, shares = self.law.census() or (self.law, self._equal_shares())
        shares = shares * self.grid.share
        places = shares.shape[1:]
        uniform = self.background.reshape(*self.background.shape, *[1] * len(places))
        flux = law(uniform.expand(*self.background.shape, *places))
        work = (flux.conj() * inverse(flux)).real.sum(1)
        work = work.unflatten(0, (len(shares), -1))
        square = (work.double() * shares[:, None]).flatten(2).sum(2).flatten()
        return root(self.grid.sum(square))

    def _equal_shares(self) -> Float[Tensor, "one *n"]:
        shares = torch.ones(self.grid.shape, dtype=torch.float64) / prod(
            self.grid.shape
        )
        return shares[None].to(self.background.device)


@dataclass(frozen=True)
class Changed:
    """Makes a problem on the medium of a mean, and then changes it."""

    make: Callable[[Mean], StrainForm]
    change: Callable[[StrainForm], StrainForm]

    def __call__(self, mean: Mean) -> StrainForm:
        """The changed problem."""
        return self.change(self.make(mean))
