"""`hex8-bbar`: multilinear elements whose dilatation is averaged over the element.

The B̄ method of Hughes (1980, IJNME) against volumetric locking: the deviator of the
strain is taken at two Gauss points per axis, its trace is the mean over the element.
So are the C3D8 elements of commercial codes, which made the data of Kelly & Kalidindi
(2021). In 2-D the trace is that of the plane, ε_11 + ε_22.

Nyquist policy: that of `hex8`; every mode but the mean has a deviator.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.discretization import Differential
from lsml.grid import Grid
from lsml.mandel import projectors
from lsml.physics.discretization.multilinear import GAUSS, MIDPOINT, Multilinear
from lsml.typing import Field, Potential


@dataclass(frozen=True)
class BBar(Multilinear):
    """P B: the gradient of `hex8`, and the projector P that averages the dilatation."""

    @property
    def averaged(self) -> tuple[int, ...]:
        """Components whose sum is averaged over the points: the normal strains."""
        return tuple(c for c, m, axis, _ in self.differential.terms if m == axis)

    def stiffness(
        self, matrix: Float[Tensor, "s c c"], rows: slice = slice(None)
    ) -> Float[Tensor, "s p *k"]:
        """The deviator D C⁰ D at the Gauss points, the rest of C⁰ at the midpoint.

        For a strain with the deviator Dε at each point and the trace of the mean, the
        mixed terms of the energy see the mean of the deviator only.
        """
        deviator = projectors(matrix.shape[-1])[1].to(matrix)
        deviatoric = deviator @ matrix @ deviator
        middle = Multilinear(self.grid, self.differential, MIDPOINT)
        rest = middle.stiffness(matrix - deviatoric, rows)
        return super().stiffness(deviatoric, rows) + rest

    def _gradient(self, u: Potential) -> Field:
        return self._smooth(super()._gradient(u))

    def _transpose(self, flux: Field) -> Potential:
        return super()._transpose(self._smooth(flux.clone()))

    def _smooth(self, at: Field) -> Field:
        """P, in place."""
        points = at.unflatten(1, (self.points, -1))
        normal = [points[:, :, c] for c in self.averaged]
        trace = torch.stack(normal).sum(0)
        excess = (trace - trace.mean(1, keepdim=True)) / len(normal)
        for component in normal:
            component -= excess
        return at


def bbar(grid: Grid, differential: Differential) -> BBar:
    """The scheme on a grid.

    Raises
    ------
    ValueError
        The potential is not a displacement, so that there is no dilatation.
    """
    if differential.potentials != grid.ndim:
        raise ValueError(
            "discretization 'hex8-bbar' averages the dilatation of a displacement; "
            "this physics has none: use 'hex8'"
        )
    return BBar(grid, differential, GAUSS)
