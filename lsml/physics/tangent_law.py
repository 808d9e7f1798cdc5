"""The tangent of an isotropic law, point by point: the linear law of a Newton step."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Inexact
from torch import Tensor

from lsml.law import Law, PhaseLaw
from lsml.typing import Codes, Field, Tags

NORMAL = {3: 2, 6: 3}  # normal strains that are not prescribed to vanish


@dataclass(frozen=True)
class TangentLaw(Law):
    """σ = C v + a dev v + c n (n·v), and C v alone where a = c = 0.

    Attributes
    ----------
    elastic : labels and C of the phases.
    shear : a.
    bend : c.
    direction : n, in plane strain without its component 33, which does no work.
    """

    elastic: PhaseLaw
    shear: Float[Tensor, "b q one *n"]
    bend: Float[Tensor, "b q one *n"]
    direction: Float[Tensor, "b q c *n"]
    tags: ClassVar[Tags] = frozenset({"linear", "symmetric", "positive", "bounded"})

    def select(self, samples: Codes, batch: int) -> "TangentLaw":
        """Each sample with labels of its own."""
        own = self.shear[samples], self.bend[samples], self.direction[samples]
        return TangentLaw(self.elastic.select(samples, batch), *own)

    def __call__(self, x: Field) -> Field:
        points = x.unflatten(1, self.direction.shape[1:3])
        d = NORMAL[points.shape[2]]
        third = points[:, :, :d].sum(2, keepdim=True) / 3
        deviator = torch.cat([points[:, :, :d] - third, points[:, :, d:]], 2)
        along = (self.direction * points).sum(2, keepdim=True)
        own = self.shear * deviator + self.bend * along * self.direction
        return self.elastic(x) + own.flatten(1, 2)

    def tangent(self, x: Field, v: Field) -> Field:
        """The law is linear."""
        return self(v)

    def energy(self, x: Field) -> Inexact[Tensor, "b q *n"]:
        """½ x·σ."""
        return 0.5 * (x * self(x)).unflatten(1, self.direction.shape[1:3]).sum(2)
