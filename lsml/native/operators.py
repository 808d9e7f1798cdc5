"""Arrays in, arrays out: the two operators of a Krylov iteration on a batch."""

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from lsml.green import GreenOperator
from lsml.law import PhaseLaw
from lsml.mandel import projectors
from lsml.native.element import slab
from lsml.native.threads import spread
from lsml.native.transform import Array, Solver, solvers
from lsml.physics.discretization.multilinear import GAUSS, Multilinear
from lsml.physics.moduli import CUBIC, Stiffness, upper

PLACES = {2: (0, 2, 4), 3: (0, 1, 2, 3, 4, 5)}  # of Mandel components in 3-D
AXES = {2: (0, 2), 3: (0, 1, 2)}  # a plane lies in a cell one voxel thick along y
LAYERS = 4  # of voxels in a slab, at least
SLABS = 16
ALIGNED = 16  # bytes, for FFTW's vector code


@dataclass(frozen=True)
class ElementOperator:
    """Bᵀ C (B u + ē) / q of a law of phases on multilinear elements."""

    law: PhaseLaw
    scheme: Multilinear

    def __call__(self, u: Tensor, out: Tensor, mean: Tensor | None = None) -> Tensor:
        """Force of the rows u (b, m·N) into ``out``; returns the mean flux, (b, c).

        ``mean`` is ē, of which the eigenfield is taken off; None for a strain B u, and
        then no mean flux is taken.
        """
        b, slabs = len(u), self._slabs
        total = np.zeros((b, slabs, 6))
        arrays = u.numpy(), self._offset(b, mean), out.numpy(), total
        for colour in range(min(2, slabs)):
            pieces = b * ((slabs + 1 - colour) // 2)
            work = partial(self._slab, arrays, colour)
            spread(work, pieces, torch.get_num_threads())
        means = total.sum(1)[:, PLACES[self.scheme.grid.ndim]] / self.scheme.grid.size
        shear = torch.ones(means.shape[1], dtype=torch.float64)
        shear[self.scheme.grid.ndim :] = 2**0.5
        return (torch.from_numpy(means) * shear).to(u.dtype)

    def _slab(self, arrays: tuple[Array, ...], colour: int, piece: int, _: int) -> None:
        """Every other slab of every sample, counted on."""
        u, offset, forces, total = arrays
        slabs, n = self._slabs, self._shape[0]
        i, s = divmod(piece, (slabs + 1 - colour) // 2)
        s = 2 * s + colour
        image = i // (len(u) // len(self._labels))
        row = image if len(self._table) > 1 else 0
        table, varying = self._table[row], self._varying[row]
        bounds = s * n // slabs, (s + 1) * n // slabs
        self._clear(forces[i], colour, *bounds)
        at = u[i], self._labels[image], table, varying, offset[i]
        slab(*at, forces[i], total[i, s], *self._geometry, *bounds)

    def _clear(self, forces: Array, colour: int, x0: int, x1: int) -> None:
        """Zero the layers that no slab of the other colour has written to."""
        layers = forces.reshape(-1, self._shape[0], self._shape[1] * self._shape[2])
        layers[:, x0 + colour : x1 + 1 - colour] = 0
        if colour == 0 and x1 == self._shape[0]:
            layers[:, 0] = 0

    @cached_property
    def _shape(self) -> tuple[int, int, int]:
        *first, last = self.scheme.grid.shape
        return (first[0], first[1] if len(first) > 1 else 1, last)

    @cached_property
    def _slabs(self) -> int:
        """Even, so that slabs of one colour do not touch; not a matter of threads."""
        return 2 * min(SLABS // 2, self._shape[0] // (2 * LAYERS)) or 1

    @cached_property
    def _geometry(self) -> tuple[object, ...]:
        grid = self.scheme.grid
        real = self._table.dtype.type
        spacing = [grid.spacing[0], 1.0, grid.spacing[-1]]
        if grid.ndim == 3:
            spacing[1] = grid.spacing[1]
        full = self.scheme.nodes == GAUSS
        axes = np.array(AXES[grid.ndim])
        return (self._shape, tuple(real(h) for h in spacing), full, axes)

    @cached_property
    def _labels(self) -> Array:
        labels: Array = self.law.labels.flatten(1).contiguous().numpy()
        return labels

    @cached_property
    def _table(self) -> Array:
        """(t, p, 3) for cubic phases, else (t, p, 21), for engineering shear."""
        return self._packed(self.law.table.detach())

    @cached_property
    def _varying(self) -> Array:
        """The deviators alone where the dilatation is averaged; else (t, 0, ·)."""
        if not self.scheme.averaged:
            return self._table[:, :0]
        table = self.law.table.detach()
        deviator = projectors(table.shape[-1])[1].to(table)
        return self._packed(deviator @ table @ deviator)

    def _packed(self, matrix: Tensor) -> Array:
        """Moduli of Mandel matrices that have the pattern of the law."""
        known = Stiffness(matrix.new_ones(3), CUBIC)
        if self.law.entries in (CUBIC, known.plane_strain().entries):
            moduli = [matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., -1, -1] / 2]
            cubic: Array = torch.stack(moduli, -1).contiguous().numpy()
            return cubic
        places, ndim = list(PLACES[self.scheme.grid.ndim]), self.scheme.grid.ndim
        scale = matrix.new_ones(len(places))
        scale[ndim:] = 0.5**0.5
        full = matrix.new_zeros(*matrix.shape[:2], 6, 6)
        rows = torch.tensor(places)
        full[:, :, rows[:, None], rows] = matrix * scale * scale[:, None]
        i, j = (list(t) for t in zip(*upper(6), strict=True))
        general: Array = full[:, :, i, j].contiguous().numpy()
        return general

    def _offset(self, b: int, mean: Tensor | None) -> Array:
        """Stress of ē less the eigenfield in each phase, (b, p, 6)."""
        law = self.law
        if mean is None:
            nothing: Array = np.zeros((b, 0, 6), self._table.dtype)
            return nothing
        strain = mean.reshape(len(law.labels), -1, 1, mean.shape[1])
        if law.eigenfield is not None:
            strain = strain - law.eigenfield.detach()[:, None]
        table = law.table.detach()
        table = table.expand(len(strain), -1, -1, -1)
        strain = strain.expand(-1, -1, table.shape[1], -1)
        stress = torch.einsum("tpcd,tlpd->tlpc", table, strain)
        scale = stress.new_ones(stress.shape[-1])
        scale[self.scheme.grid.ndim :] = 0.5**0.5
        full = stress.new_zeros(b, table.shape[1], 6)
        full[:, :, list(PLACES[self.scheme.grid.ndim])] = (stress * scale).flatten(0, 1)
        offset: Array = full.numpy()
        return offset


@dataclass(frozen=True)
class GreenSolver:
    """N by transforms, one sample at a time through a spectrum that stays."""

    green: GreenOperator

    def __call__(self, drive: Tensor, out: Tensor) -> None:
        """Potential of the rows ``drive`` (b, m·N) into ``out``."""
        b, shape = len(drive), self._field
        layer = shape[2] * shape[3] * drive.itemsize
        strides = [v.stride(0) * v.itemsize for v in (drive, out) if b > 1]
        aligned = all(n % ALIGNED == 0 for n in (layer, *strides))
        solvers = self._solvers(min(b, torch.get_num_threads()), aligned)
        arrays = drive.numpy(), out.numpy()
        spread(partial(self._sample, arrays, solvers), b, len(solvers))

    def _sample(
        self, arrays: tuple[Array, Array], solvers: list[Solver], i: int, thread: int
    ) -> None:
        source, target = (a[i].reshape(self._field) for a in arrays)
        image = i // (len(arrays[0]) // len(self._inverse))
        solvers[thread](source, self._inverse[image], target)

    @cached_property
    def _inverse(self) -> Array:
        inverse = self.green.inverse
        planes = inverse if inverse.ndim == 5 else inverse[:, :, :, None]
        array: Array = planes.numpy()
        return array

    @cached_property
    def _field(self) -> tuple[int, ...]:
        scheme = self.green.discretization
        first, *rest = scheme.grid.shape
        plane = rest if len(rest) == 2 else [1, *rest]
        return (scheme.differential.potentials, first, *plane)

    @cached_property
    def _made(self) -> dict[tuple[int, bool], list[Solver]]:
        return {}

    def _solvers(self, count: int, aligned: bool) -> list[Solver]:
        """One that takes all threads, or one for each of several samples."""
        key = count, aligned
        if key not in self._made:
            self._made.clear()
            self._made[key] = solvers(
                self._like, count, torch.get_num_threads(), aligned
            )
        return self._made[key]

    @cached_property
    def _like(self) -> Array:
        """Shape and precision of a field; no memory is taken."""
        zero = self._inverse.dtype.type(0)
        return np.broadcast_to(zero, self._field)
