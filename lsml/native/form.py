"""The displacement form, its operators by kernels written for them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from lsml.displacement_form import DisplacementForm
from lsml.law import PhaseLaw
from lsml.native.arrays import add, dot
from lsml.native.operators import ElementOperator, GreenSolver
from lsml.native.threads import spread
from lsml.native.transform import Array
from lsml.physics.discretization.multilinear import Multilinear
from lsml.typing import PerSample, Vector

Part: TypeAlias = Callable[[int, slice], None]

PIECE = 2**17  # numbers that one thread takes at a time


def in_pieces(work: Part, rows: int, length: int) -> None:
    """Do ``work(row, part)`` for parts of each of several rows."""
    pieces = -(-length // PIECE)
    part = partial(_part, work, length, pieces)
    spread(part, rows * pieces, torch.get_num_threads())


def _part(work: Part, length: int, pieces: int, k: int, _: int) -> None:
    i, p = divmod(k, pieces)
    work(i, slice(p * PIECE, min((p + 1) * PIECE, length)))


def _dot(x: Array, y: Array, sums: Array, i: int, part: slice) -> None:
    sums[i, part.start // PIECE] = dot(x[i, part], y[i, part])


def _add(
    x: Array, factors: list[float], d: Array, out: Array, i: int, part: slice
) -> None:
    add(x[i, part], x.dtype.type(factors[i]), d[i, part], out[i, part])


@dataclass(frozen=True)
class NativeForm(DisplacementForm):
    """The same unknown, the same numbers up to rounding, no derivatives.

    Where something is to be recorded, the operators of the displacement form are used.
    """

    def force(self, x: Vector) -> Vector:
        """−Bᵀσ, and prescribed minus present mean flux."""
        if self._recorded(x):
            return super().force(x)
        strain = self.strain
        out = torch.empty_like(x)
        mean = strain.background + self.split(x)[1]
        flux = self._element(*self._rows(x, out), mean.contiguous())
        out.neg_()
        self._end(out, (strain.load.flux - flux) * strain.load.free)
        return out

    def mean_flux(self, x: Vector) -> Tensor:
        """<σ>, on the way to the forces."""
        if self._recorded(x):
            return super().mean_flux(x)
        mean = self.strain.background + self.split(x)[1]
        return self._element(*self._rows(x, torch.empty_like(x)), mean.contiguous())

    def hessian(self, x: Vector, d: Vector, out: Vector | None = None) -> Vector:
        """Bᵀ C B d."""
        if self._recorded(d):
            return super().hessian(x, d)
        out = self._room(d, out)
        free = self.strain.green.free is not None
        mean = self.split(d)[1].contiguous() if free else None
        flux = self._tangent(*self._rows(d, out), mean)
        self._end(out, flux * self.strain.load.free)
        return out

    def precondition(self, force: Vector, out: Vector | None = None) -> Vector:
        """N force, and the free compliance of the reference medium."""
        if self._recorded(force):
            return super().precondition(force)
        out = self._room(force, out)
        self._solver(*self._rows(force, out))
        self._end(out, self.strain.green.mean_compliance(self.split(force)[1]))
        return out

    def pairing(self, force: Vector, d: Vector) -> PerSample:
        """Work per unit volume, summed in float64."""
        if self._recorded(force) or self._recorded(d):
            return super().pairing(force, d)
        f, g = force.numpy(), d.numpy()
        sums = np.zeros((len(f), -(-f.shape[1] // PIECE)))
        in_pieces(partial(_dot, f, g, sums), *f.shape)
        return torch.from_numpy(sums.sum(1)) / self.strain.grid.size

    def combine(self, x: Vector, scale: PerSample, d: Vector, out: Vector) -> Vector:
        """In one pass, whatever the precision of x and d."""
        if torch.is_grad_enabled():
            return super().combine(x, scale, d, out)
        arrays = x.numpy(), scale.tolist(), d.numpy(), out.numpy()
        in_pieces(partial(_add, *arrays), *x.shape)
        return out

    @staticmethod
    def _room(like: Tensor, out: Tensor | None) -> Tensor:
        """Where to write to."""
        if out is None or torch.is_grad_enabled():
            return torch.empty_like(like)
        return out

    def _rows(self, x: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
        """The displacement in each row."""
        size = self.potentials * self.strain.grid.size
        return x[:, :size], out[:, :size]

    def _end(self, out: Tensor, mean: Tensor) -> None:
        """Write the free mean at the end of each row, if there is one."""
        if self.strain.green.free is not None:
            size = self.strain.grid.size
            out[:, self.potentials * size :] = mean * size**0.5

    @cached_property
    def _element(self) -> ElementOperator:
        law, scheme = self.strain.law, self.strain.discretization
        assert isinstance(law, PhaseLaw)
        assert isinstance(scheme, Multilinear)
        return ElementOperator(law, scheme)

    @cached_property
    def _tangent(self) -> ElementOperator:
        law = self._element.law
        if law.eigenfield is None:
            return self._element
        return ElementOperator(law.without_eigenfield(), self._element.scheme)

    @cached_property
    def _solver(self) -> GreenSolver:
        return GreenSolver(self.strain.green)
