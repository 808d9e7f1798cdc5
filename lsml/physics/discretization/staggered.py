"""Phases on the staggered grid: which voxels a component sees (see `differences`).

Normal strains stand at the centres of voxels. A shear strain stands on an edge, and
the gradient of a scalar on a face: their coefficient there is the harmonic mean over
the four or two voxels that meet, as if these were springs in a row (Schneider, Ospald &
Kabel 2016; for conduction the finite volumes, or explicit jumps, of Wiegmann & Zemitis
2006). Layers are resolved exactly, and what touches a pore has no stiffness there.
"""

from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.discretization import Differential
from lsml.grid import Grid
from lsml.law import Entry, PhaseLaw
from lsml.physics.discretization.differences import Differences

POINT = Grid((1,), (1.0,))
L = TypeVar("L")
Place = tuple[int, ...]  # axes along which something stands half a voxel back


@dataclass(frozen=True)
class Staggered(Differences):
    """Differences towards the place of each component."""

    def located(self, law: L) -> L:
        """The same phases, seen from the centres, edges or faces.

        Raises
        ------
        ValueError
            A phase couples components that stand at different places.
        """
        assert isinstance(law, PhaseLaw)
        places = self.places
        entries = tuple(e for e in law.entries if _stays(law, e, places))
        seen = StaggeredLaw(
            law.labels, law.coefficients, entries, law.eigenfield, self.grid, places
        )
        return seen  # type: ignore[return-value]

    @property
    def places(self) -> tuple[Place, ...]:
        """Of each component of the field."""
        stands = seats(self.grid, self.differential)
        of = {c: stands[m] ^ {a} for c, m, a, _ in self.differential.terms}
        return tuple(tuple(sorted(of[c])) for c in range(len(of)))


def staggered(grid: Grid, differential: Differential) -> Staggered:
    """The scheme on a grid."""
    stands = seats(grid, differential)
    ahead = tuple(tuple(a in seat for a in range(grid.ndim)) for seat in stands)
    return Staggered(grid, differential, ahead)


def seats(grid: Grid, differential: Differential) -> list[frozenset[int]]:
    """Where potentials stand: a vector on its faces, anything else at the centres."""
    m = differential.potentials
    return [frozenset({i} if m == grid.ndim else ()) for i in range(m)]


def _stays(law: PhaseLaw, entry: Entry, places: tuple[Place, ...]) -> bool:
    """Whether an entry of the matrix is one: those between places must vanish."""
    i, j, g = entry
    if places[i] == places[j]:
        return True
    coupled = (law.coefficients[..., g] != 0).any(0)
    if bool(coupled.any()):
        raise ValueError(
            f"phase {int(coupled.nonzero()[0])} couples components {i} and {j} (from "
            "0), which discretization 'staggered' holds at different places: use "
            "'rotated' or 'hex8'"
        )
    return False


@dataclass(frozen=True)
class StaggeredLaw(PhaseLaw):
    """Phases whose coefficients are averaged where their components stand.

    Attributes
    ----------
    grid : tells the neighbours of a voxel.
    places : of each component.
    """

    grid: Grid = POINT
    places: tuple[Place, ...] = ()

    def census(self) -> "tuple[PhaseLaw, Float[Tensor, 's p']] | None":
        """None: voxels see their neighbours, so that there is no law on fewer."""
        return None

    def moduli(self) -> list[Tensor]:
        """Harmonic means over the voxels that meet at each place."""
        moduli = self.spread(self.coefficients)
        return [
            harmonic(moduli[g], self.grid, self._axes(i)) for i, _, g in self.entries
        ]

    def eigenfields(self) -> list[Tensor]:
        """Arithmetic means, as of springs in a row."""
        assert self.eigenfield is not None
        fields = self.spread(self.eigenfield)
        return [average(v, self.grid, self._axes(c)) for c, v in enumerate(fields)]

    def _axes(self, component: int) -> Place:
        d = self.labels.ndim - 1
        return tuple(a - d for a in self.places[component])


def average(v: Tensor, grid: Grid, axes: Place) -> Tensor:
    """Mean of each voxel and those behind it along some axes."""
    for a in axes:
        v = (v + grid.roll(v, 1, a)) / 2
    return v


def harmonic(v: Tensor, grid: Grid, axes: Place) -> Tensor:
    """Its harmonic counterpart; 0 where one of them is 0."""
    if not axes:
        return v
    empty = v == 0
    compliance = average(1 / torch.where(empty, 1.0, v), grid, axes)
    touched = average(empty.to(v.real.dtype), grid, axes) > 0
    return torch.where(touched, 0.0, 1 / compliance)
