"""Creeping flow through a voxel image: −μ∇²u + ∇p = e − λ, div u = 0, u = 0 in solid.

H = A + B with A the Stokes operator of a cell full of fluid and B the force λ by which
the solid holds it still, a distributed Lagrange multiplier (Glowinski, Pan, Hesla &
Joseph 1999, Int. J. Multiphase Flow 25): in Lippmann-Schwinger form u = U − Γ λ, as in
Monchiet, Bonnet & Lauriat (2009, C. R. Mécanique 337) and Bignonnet (2020, CMAME 369),
with Γ that of the staggered grid (Harlow & Welch 1965, Phys. Fluids 8). Velocities
stand on the faces of voxels and pressures at their centres, so that the flow conserves
its volume voxel by voxel. The unknown is λ, which dissipates least of all forces whose
mean balances the pressure gradient.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from lsml.grid import Grid
from lsml.numerics import dot, root, rows_of
from lsml.problem import Problem, Residual, Shown
from lsml.typing import Codes, Field, PerSample, Tags, Vector, Voxels


@dataclass(frozen=True)
class StokesGreen:
    """Γ: flow of a viscous fluid without solid under forces on the faces; zero mean.

    Nyquist policy: differences between neighbours vanish at no frequency but 0.
    """

    grid: Grid
    viscosity: float

    def __call__(self, force: Field) -> Field:
        hat, k, square = self._spectra(force)
        along = self._divergence(hat, k) / square
        parts = [hat[:, i] - k[i].conj() * along for i in range(len(k))]
        return self.grid.ifft(torch.stack(parts, 1) * self._drained(square)[None, None])

    def unconfined(self, force: Field) -> Field:
        """(−μ∇²)⁻¹ of the force, zero mean."""
        hat, _, square = self._spectra(force)
        return self.grid.ifft(hat * self._drained(square)[None, None])

    def pressure(self, force: Field) -> Voxels:
        """Periodic p whose gradient is the part of the force that moves nothing."""
        hat, k, square = self._spectra(force)
        drained = self._drained(square) * self.viscosity
        return self.grid.ifft(-(self._divergence(hat, k) * drained)[:, None])[:, 0]

    def stokes(self, u: Field) -> Field:
        """−μ∇²u by the differences of neighbours."""
        terms = [
            (2 * u - u.roll(1, axis) - u.roll(-1, axis)) / h**2
            for axis, h in zip(self.grid.axes, self.grid.spacing, strict=True)
        ]
        return self.viscosity * torch.stack(terms).sum(0)

    def _spectra(self, force: Field) -> tuple[Tensor, list[Tensor], Tensor]:
        """Spectrum, symbols of the differences, and the sum of their squares."""
        d, hat = self.grid.ndim, self.grid.fft(force)
        angles = self.grid.angles(force.device)
        k = [
            ((torch.polar(torch.ones_like(t), t) - 1) / h)
            .to(hat.dtype)
            .reshape(-1, *[1] * (d - 1 - axis))
            for axis, (t, h) in enumerate(zip(angles, self.grid.spacing, strict=True))
        ]
        square = torch.stack(torch.broadcast_tensors(*[s.abs() ** 2 for s in k])).sum(0)
        return hat, k, square.masked_fill(square == 0, torch.inf)

    def _divergence(
        self, hat: Complex[Tensor, "b d *k"], k: list[Tensor]
    ) -> Complex[Tensor, "b *k"]:
        return torch.stack([s * hat[:, i] for i, s in enumerate(k)]).sum(0)

    def _drained(self, square: Float[Tensor, "*k"]) -> Float[Tensor, "*k"]:
        return 1 / (self.viscosity * square)


@dataclass(frozen=True)
class StokesForm(Problem):
    """Flow of a fluid that solid voxels hold, under a mean pressure gradient.

    Attributes
    ----------
    held : 1 on faces where a force acts, 0 in the open.
    slack : velocity that goes with a unit force: 0 on faces of the solid, where the
        fluid stands still, and h²/μ half a voxel away from a wall along the flow.
    gradient : mean force per volume e on the fluid, minus the mean pressure gradient.
    """

    green: StokesGreen
    held: Float[Tensor, "s d *n"]
    slack: Float[Tensor, "s d *n"]
    gradient: Float[Tensor, "b d"]

    @property
    def tags(self) -> Tags:
        """Forces that balance the load are the admissible ones."""
        return frozenset({"linear", "symmetric", "positive", "compatible"})

    @property
    def batch(self) -> int:
        """Samples b: microstructures times gradients."""
        return len(self.gradient)

    @property
    def differentiable(self) -> bool:
        """An image has no derivative."""
        return False

    @property
    def grid(self) -> Grid:
        """Voxels."""
        return self.green.grid

    def start(self) -> Vector:
        """The load, shared by all faces that are held."""
        return self.admit(torch.zeros_like(self._of(self.held)))

    def enter(self, field: Field) -> Vector:
        """Forces that a velocity on the faces asks for, less those of its pressure."""
        return self.admit(self._spread(self.gradient) - self.green.stokes(field))

    def field(self, x: Vector) -> Field:
        """Velocity, component i on the first face of each voxel along i."""
        return self._spread(self.mean_velocity(x)) - self.green(x)

    def flux(self, x: Vector) -> Field:
        """Force on the fluid per volume, e − λ, on the faces."""
        return self._spread(self.gradient) - x

    def voxel_field(self, x: Vector) -> Field:
        """Velocity at the centres of voxels."""
        parts = zip(self.field(x).unbind(1), self.grid.axes, strict=True)
        return torch.stack([(u + u.roll(-1, axis)) / 2 for u, axis in parts], 1)

    def shown(self, x: Vector) -> Shown:
        """Velocity at the centres of voxels, and pressure."""
        fields = {
            "velocity": self.voxel_field(x),
            "pressure": self.pressure(x)[:, None],
        }
        return Shown(self.grid.spacing, fields)

    def pressure(self, x: Vector) -> Voxels:
        """Periodic part of the pressure, zero mean; in the solid it means nothing."""
        return self.green.pressure(self.flux(x))

    def mean_velocity(self, x: Vector) -> Float[Tensor, "b d"]:
        """U, the translation that keeps the held faces at rest."""
        return self._shift(self._slip(x))

    def power(self, x: Vector) -> Float[Tensor, "b l"]:
        """Of the forces of each of l cases on the flow of another, per volume."""
        cases = self.batch // len(self.held)
        forces, slip = (
            t.flatten(1).unflatten(0, (-1, cases)) for t in (x, self._slip(x))
        )
        power = torch.einsum("sik,sjk->sij", forces, slip) / self.grid.size
        return ((power + power.mT) / 2).flatten(0, 1)

    def admit(self, x: Vector) -> Vector:
        """On the held faces, with the mean that balances the load."""
        return self._balanced(x, self.gradient)

    def project(self, d: Vector) -> Vector:
        """On the held faces, with no mean."""
        return self._balanced(d, torch.zeros_like(self.gradient))

    def force(self, x: Vector) -> Vector:
        """Minus the velocity that is left on held faces, less a translation.

        A translation does no work on admissible forces; taken out here, it costs
        their pairing no digits.
        """
        return -self.hessian(x, x)

    def precondition(self, force: Vector, out: Vector | None = None) -> Vector:
        """−μ∇² on the held faces: the flow there is local, but for a translation."""
        return self._resist(self._at_rest(force))

    def hessian(self, x: Vector, d: Vector, out: Vector | None = None) -> Vector:
        """Velocity on the held faces under forces d, less a translation."""
        return self._at_rest(self._slip(d))

    def pairing(self, force: Vector, d: Vector) -> PerSample:
        """Power per unit volume."""
        return dot(force, d) / self.grid.size

    def residual(self, x: Vector) -> Residual:
        """Slip on the held faces."""
        force = self.force(x)
        return Residual(force, self.precondition(force) + self.admit(x) - x)

    def square(self, residual: Residual) -> PerSample:
        """Dissipation by the slip."""
        if residual.work is not None:
            return residual.work
        return self.pairing(residual.force, residual.step)

    def magnitude(self) -> PerSample:
        """Dissipation by the start's forces if no pressure took its part of them."""
        x = self.start()
        return root(self.pairing(x, self.green.unconfined(x)))

    def select(self, samples: Codes) -> "StokesForm":
        """Each sample with its faces."""
        return replace(
            self,
            held=rows_of(self.held, samples, self.batch),
            slack=rows_of(self.slack, samples, self.batch),
            gradient=self.gradient[samples],
        )

    def _of(self, faces: Float[Tensor, "s d *n"]) -> Float[Tensor, "b d *n"]:
        """One row for each sample."""
        cases = self.batch // len(faces)
        return faces if cases == 1 else faces.repeat_interleave(cases, 0)

    def _spread(self, mean: Float[Tensor, "b d"]) -> Float[Tensor, "b d *one"]:
        return mean.reshape(*mean.shape, *[1] * self.grid.ndim)

    def _resist(self, velocity: Vector) -> Vector:
        held = self._of(self.held)
        return held * self.green.stokes(held * velocity)

    def _slip(self, force: Vector) -> Vector:
        """Velocity on the held faces, and what they give way."""
        return self._of(self.held) * self.green(force) + self._of(self.slack) * force

    def _at_rest(self, velocity: Vector) -> Vector:
        """Without its translation."""
        return velocity - self._of(self.held) * self._spread(self._shift(velocity))

    def _shift(self, velocity: Vector) -> Float[Tensor, "b d"]:
        """The translation without which a velocity does no work on a translation."""
        one = torch.ones_like(velocity)
        work, unit = (
            self._resist(u).flatten(2).sum(2, dtype=torch.float64)
            for u in (velocity, one)
        )
        shift = torch.where(unit > 0, work, 0.0) / torch.where(unit > 0, unit, 1.0)
        return shift.to(velocity.dtype)

    def _balanced(self, x: Vector, mean: Float[Tensor, "b d"]) -> Vector:
        held = self._of(self.held)
        kept = held * x
        share = held.flatten(2).mean(2).clamp_min(1 / self.grid.size)
        lack = (mean - kept.flatten(2).mean(2)) / share
        return kept + held * self._spread(lack)


def faces_of(
    solid: Float[Tensor, "s *n"], grid: Grid, viscosity: float
) -> tuple[Float[Tensor, "s d *n"], Float[Tensor, "s d *n"]]:
    """``held`` and ``slack`` of voxels that are solid (1) or fluid (0).

    A face of a solid voxel is solid. An open face whose neighbour along another axis
    lies inside the solid is half a voxel from a wall: the velocity is linear in
    between, and the wall takes μ/h² more than a neighbour at rest would.
    """
    held, slack = [], []
    for c in grid.axes:
        behind = solid.roll(1, c)
        shut, inside = torch.maximum(solid, behind), solid * behind
        drag = torch.zeros_like(solid)
        for axis, h in zip(grid.axes, grid.spacing, strict=True):
            if axis != c:
                walls = inside.roll(1, axis) + inside.roll(-1, axis)
                drag = drag + viscosity / h**2 * walls
        near = (drag > 0) & (shut == 0)
        held.append(torch.where(near, 1.0, shut))
        slack.append(torch.where(near, 1 / torch.where(near, drag, 1.0), 0.0))
    return torch.stack(held, 1), torch.stack(slack, 1)
