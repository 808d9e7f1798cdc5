"""`forward`, `backward`, `staggered`: differences of neighbours, one point per voxel.

`forward` and `backward` (Müller 1996, J. Phys. IV; Willot & Pellegrini 2008) hold the
potential at a corner of each voxel and take all differences towards one side: of
first order, and biased in shear. On the staggered grid (Schneider, Ospald & Kabel 2016,
IJNME) the component i of a displacement stands on the faces across axis i, so that
normal strains stand at the centres and shear strains on the edges; a scalar potential
stands at the centres and its gradient on the faces. All of its differences are central.

Nyquist policy: stencils are real, and every mode but the mean has a gradient.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Inexact
from torch import Tensor

from lsml.discretization import Differential, Discretization, contracted
from lsml.grid import Grid
from lsml.typing import Field, Potential


@dataclass(frozen=True)
class Differences(Discretization):
    """∂u_m/∂a from u(x + a) − u(x) where ``ahead[m][a]``, else u(x) − u(x − a).

    N is complex: its components stand at different places.
    """

    grid: Grid
    differential: Differential
    ahead: tuple[tuple[bool, ...], ...]
    points: int = 1
    takes_pores: bool = True

    def symbols(self, device: torch.device) -> list[Complex[Tensor, "m d *k"]]:
        """(e^{iθ} − 1)/h ahead, (1 − e^{−iθ})/h behind."""
        return [torch.stack([torch.stack(row) for row in self._symbols(device)])]

    def stiffness(
        self, matrix: Float[Tensor, "s c c"], rows: slice = slice(None)
    ) -> Inexact[Tensor, "s p *k"]:
        """Hermitian, and real for one potential."""
        k = self._symbols(matrix.device, rows)
        packed = contracted(
            self.differential, matrix, lambda m, n, i, j: k[m][i].conj() * k[n][j]
        )
        return packed.real if self.differential.potentials == 1 else packed

    def _symbols(
        self, device: torch.device, rows: slice = slice(None)
    ) -> list[list[Tensor]]:
        """k_mi per frequency."""
        first, *rest = self.grid.angles(device)
        angles = torch.meshgrid(first[rows], *rest, indexing="ij")
        sides = [
            {True: (torch.exp(1j * t) - 1) / h, False: (1 - torch.exp(-1j * t)) / h}
            for t, h in zip(angles, self.grid.spacing, strict=True)
        ]
        axes = range(self.grid.ndim)
        return [[sides[a][row[a]] for a in axes] for row in self.ahead]

    def _gradient(self, u: Potential) -> Field:
        out = u.new_zeros(len(u), self.differential.components, *self.grid.shape)
        for c, m, axis, weight in self.differential.terms:
            a, h = axis - self.grid.ndim, self.grid.spacing[axis]
            v = u[:, m]
            near, far = self._ends(v, a, self.ahead[m][axis])
            out[:, c].add_(far - near, alpha=weight / h)
        return out

    def _ends(self, v: Tensor, a: int, ahead: bool) -> tuple[Tensor, Tensor]:
        """What a difference is taken of: a value and its neighbour, near end first."""
        other = self.grid.roll(v, -1 if ahead else 1, a)
        return (v, other) if ahead else (other, v)

    def _transpose(self, flux: Field) -> Potential:
        out = flux.new_zeros(len(flux), self.differential.potentials, *self.grid.shape)
        for c, m, axis, weight in self.differential.terms:
            a, h = axis - self.grid.ndim, self.grid.spacing[axis]
            v = flux[:, c]
            far, near = self._ends(v, a, not self.ahead[m][axis])
            out[:, m].add_(far - near, alpha=weight / h)
        return out


def forward(grid: Grid, differential: Differential) -> Differences:
    """u(x + a) − u(x) along every axis."""
    row = (True,) * grid.ndim
    return Differences(grid, differential, (row,) * differential.potentials)


def backward(grid: Grid, differential: Differential) -> Differences:
    """u(x) − u(x − a) along every axis."""
    row = (False,) * grid.ndim
    return Differences(grid, differential, (row,) * differential.potentials)
