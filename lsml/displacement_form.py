"""Compatible problems with the displacement (or potential) as the unknown.

Three numbers per voxel instead of six or forty-eight, real-space stencils, and one
Fourier multiplier N: the form in which Krylov iterations are fast. Its iterates are
those of the strain form, because x = x̄ + B u + ē turns every step into the other.
"""

from dataclasses import dataclass, replace
from math import prod

import torch
from jaxtyping import Inexact
from torch import Tensor

from lsml.numerics import dot
from lsml.problem import Problem, Residual, Specimen
from lsml.strain_form import StrainForm
from lsml.typing import Codes, Field, PerSample, Tags, Vector, Voxels


@dataclass(frozen=True)
class DisplacementForm(Problem):
    """The unknown is [u, ē] in one row per sample: fluctuation, then free mean field.

    ē, as many numbers as the field has components, is there only if the load leaves a
    mean free. It is stored times √(number of voxels), and so is the mean flux in a
    force, so that one weight serves the whole row in ``pairing``.
    """

    strain: StrainForm

    @property
    def tags(self) -> Tags:
        """Those of the strain form, save what takes fields without a potential."""
        return self.strain.tags - {"resolvable"}

    @property
    def batch(self) -> int:
        """Samples b."""
        return self.strain.batch

    @property
    def differentiable(self) -> bool:
        """As in the strain form."""
        return self.strain.differentiable

    @property
    def points(self) -> int:
        """Quadrature points q per voxel."""
        return self.strain.points

    @property
    def potentials(self) -> int:
        """Components m of the displacement."""
        return self.strain.discretization.differential.potentials

    @property
    def lattice(self) -> tuple[int, ...]:
        """Displacements along each axis."""
        return self.strain.discretization.lattice

    @property
    def unknowns(self) -> int:
        """Numbers of the displacement in a row."""
        return self.potentials * prod(self.lattice)

    def split(
        self, x: Vector
    ) -> tuple[Inexact[Tensor, "b m *n"], Inexact[Tensor, "b c"]]:
        """Displacement and free mean; what stands in prescribed components is void."""
        grid, size = self.strain.grid, self.unknowns
        u = x[:, :size].unflatten(1, (self.potentials, *self.lattice))
        if x.shape[1] > size:
            return u, self.strain.load.free * x[:, size:] / grid.size**0.5
        return u, x.new_zeros(len(x), self.strain.background.shape[1])

    def join(
        self, u: Inexact[Tensor, "b m *n"], mean: Inexact[Tensor, "b c"]
    ) -> Vector:
        """The inverse of ``split``, for a mean that is zero where prescribed."""
        if self.strain.green.free is None:
            return u.flatten(1)
        return torch.cat([u.flatten(1), mean * self.strain.grid.size**0.5], 1)

    def start(self) -> Vector:
        """No fluctuation."""
        background = self.strain.background
        u = background.new_zeros(self.batch, self.potentials, *self.lattice)
        return self.join(u, torch.zeros_like(background))

    def enter(self, field: Field) -> Vector:
        """Displacement of the compatible part of a field."""
        s = self.strain
        flux = s.reference(s.enter(field) - s.spread(s.background))
        return self.precondition(self._pull(flux))

    def increment(self, x: Vector) -> Field:
        """B u + ē."""
        u, mean = self.split(x)
        field = self.strain.discretization.gradient(self.strain.green.held(u))
        if self.strain.green.free is None:
            return field
        return field + self.strain.spread(mean)

    def field(self, x: Vector) -> Field:
        """x̄ + B u + ē."""
        return self.increment(x) + self.strain.spread(self.strain.background)

    def flux(self, x: Vector) -> Field:
        """σ at the points."""
        return self.strain.law(self.field(x))

    def voxel_field(self, x: Vector) -> Field:
        """Without the points, of which there may be eight."""
        u, mean = self.split(x)
        uniform = (mean + self.strain.background).reshape(
            *mean.shape, *[1] * self.strain.grid.ndim
        )
        held = self.strain.green.held(u)
        return self.strain.discretization.voxel_gradient(held) + uniform

    def voxel_flux(self, x: Vector) -> Field:
        """σ of the average where the law is linear, which is the average of σ."""
        if "linear" not in self.tags:
            return super().voxel_flux(x)
        return self.strain.law(self.voxel_field(x))

    def displacement(self, field: Field) -> Inexact[Tensor, "b m *w"]:
        """Periodic displacement of the compatible part of a field.

        Read from the field even where x holds it, so that no derivative asks for modes
        without a gradient, such as a translation, which no stiffness resists.
        """
        return self.split(self.enter(field))[0]

    def _recorded(self, x: Vector) -> bool:
        """Whether a graph is recorded of what happens to x."""
        return torch.is_grad_enabled() and (x.requires_grad or self.differentiable)

    def specimen(self) -> Specimen | None:
        """As in the strain form."""
        return self.strain.specimen()

    def from_component(self, values: Voxels, component: int) -> Vector:
        """As in the strain form."""
        u = self.strain.green.potential_of(values, component)
        return self.join(u, torch.zeros_like(self.strain.background))

    def bounds(self) -> tuple[PerSample, PerSample]:
        """As in the strain form."""
        return self.strain.bounds()

    def admit(self, x: Vector) -> Vector:
        """Every unknown is; without its translation, which would cost it digits."""
        return self.project(x)

    def project(self, d: Vector) -> Vector:
        """Every increment is; translations, which no field shows, are none."""
        size = self.unknowns
        u = d[:, :size].unflatten(1, (self.potentials, *self.lattice))
        u = self.strain.green.settle(u).flatten(1)
        return torch.cat([u, d[:, size:]], 1) if d.shape[1] > size else u

    def _pull(self, flux: Field) -> Vector:
        """Transpose of ``increment``."""
        drive = self.strain.green.pull(flux)
        if self.strain.green.free is None:
            return drive.flatten(1)
        mean = self.strain.discretization.average(flux)
        return self.join(drive, mean * self.strain.load.free)

    def force(self, x: Vector) -> Vector:
        """−Bᵀσ, and prescribed minus present mean flux."""
        return self._pull(self.strain.spread(self.strain.load.flux) - self.flux(x))

    def precondition(self, force: Vector, out: Vector | None = None) -> Vector:
        """N force, and the free compliance of the reference medium."""
        drive, mean = self.split(force)
        green = self.strain.green
        return self.join(green.potential(drive), green.mean_compliance(mean))

    def hessian(self, x: Vector, d: Vector, out: Vector | None = None) -> Vector:
        """Bᵀ σ'(x) B d."""
        increment = self.increment(d)
        at = increment if "linear" in self.tags else self.field(x)
        return self._pull(self.strain.law.tangent(at, increment))

    def linearized(self, x: Vector) -> "DisplacementForm":
        """The tangent of the law, point by point."""
        if "linear" in self.tags:
            return self
        return replace(self, strain=self.strain.linearized(self.field(x)))

    def pairing(self, force: Vector, d: Vector) -> PerSample:
        """Work per unit volume."""
        grid, own = self.strain.grid, self.unknowns
        work = grid.sum(dot(force[:, :own], d[:, :own]))
        if force.shape[1] > own:
            work = work + dot(force[:, own:], d[:, own:])
        return work / grid.size

    def pooled(self, mean: Tensor) -> Tensor:
        """As in the strain form."""
        return self.strain.pooled(mean)

    def whole(self, field: Field) -> Field:
        """As in the strain form."""
        return self.strain.whole(field)

    def part(self, field: Field) -> Field:
        """As in the strain form."""
        return self.strain.part(field)

    def dual(self, x: Vector, g: Vector) -> Vector:
        """What all pieces of the grid make of the free mean, which each has alike."""
        own, grid = self.unknowns, self.strain.grid
        return torch.cat([g[:, :own], grid.sum(g[:, own:])], 1).conj()

    def adjoint(self, x: Vector, g: Vector, answer: Vector) -> Vector:
        """The free mean counts once, not once for each piece."""
        own, pieces = self.unknowns, self.strain.grid.pieces
        return torch.cat([answer[:, :own], answer[:, own:] / pieces], 1).conj()

    def residual(self, x: Vector) -> Residual:
        """Equilibrium; every unknown is compatible."""
        force = self.force(x)
        return Residual(force, self.precondition(force))

    def square(self, residual: Residual) -> PerSample:
        """<force, step>, the squared C⁰ norm of the step as a strain."""
        if residual.work is not None:
            return residual.work
        return self.pairing(residual.force, residual.step)

    def select(self, samples: Codes) -> "DisplacementForm | None":
        """As in the strain form."""
        strain = self.strain.select(samples)
        return None if strain is None else replace(self, strain=strain)

    def magnitude(self) -> PerSample:
        """As in the strain form."""
        return self.strain.magnitude()
