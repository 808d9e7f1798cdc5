"""What an iterate misses of the converged solution of the same discretization.

With ε the strain of an iterate, ε* and σ* the solution, C the tangent stiffness there
and ⟨·⟩ the mean over the quadrature points:

=========  =========================================================================
energy     √⟨(ε − ε*) : C (ε − ε*)⟩ / √⟨ε* : C ε*⟩
effective  |⟨σ⟩ − ⟨σ*⟩| / |⟨σ*⟩| of the Mandel vector of the mean stress: what the
           column of the effective stiffness that belongs to the load is off
mase       100 ⟨|ε_c − ε*_c|⟩ / |⟨ε*⟩| of each component c, voxel by voxel, in percent;
           for the component of a load with no other it is :func:`lsml.mase`
=========  =========================================================================
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Float, Inexact
from torch import Tensor

from lsml.displacement_form import DisplacementForm
from lsml.numerics import root
from lsml.strain_form import StrainForm
from lsml.typing import PerSample, Vector

Form: TypeAlias = StrainForm | DisplacementForm


class Errors(NamedTuple):
    """Of one iterate of one sample."""

    energy: float
    effective: float
    mase: list[float]


class Truth(NamedTuple):
    """The converged solution of one sample: a displacement x, in float64."""

    form: DisplacementForm
    x: Vector

    def on(self, form: Form) -> Vector:
        """The same fields as the unknown of another form, or reference medium."""
        if not isinstance(form, DisplacementForm):
            return self.form.field(self.x)
        u, mean = self.form.split(self.x)
        offset = self.form.strain.background - form.strain.background
        return form.join(u, mean + offset)


@dataclass(frozen=True)
class Measure:
    """Errors of iterates on a form in float64, whose solution is ``true``."""

    form: Form
    true: Vector
    size: PerSample
    strain: Inexact[Tensor, "b c *n"]
    stress: Inexact[Tensor, "b c"]

    @classmethod
    @torch.no_grad()
    def of(cls, truth: Truth, form: Form) -> "Measure":
        """Against a solution, whose energy norm, strain and mean stress are kept."""
        own, plain = truth.form.strain, truth.form
        field = plain.field(truth.x)
        size = root(own.pairing(own.hessian(field, field), field))
        strain = plain.voxel_field(truth.x)
        return cls(form, truth.on(form), size, strain, plain.mean_flux(truth.x))

    @torch.no_grad()
    def __call__(self, x: Vector) -> Errors:
        """Of the iterate x."""
        x = x.to(self.true.dtype)
        missing = x - self.true
        work = self.form.pairing(self.form.hessian(self.true, missing), missing)
        wrong = length(self.form.mean_flux(x) - self.stress)
        gap = (self.form.voxel_field(x) - self.strain).abs().flatten(2).mean(2)[0]
        mase = ratio(100 * gap, length(self.strain.flatten(2).mean(2)))
        energy, effective = (
            ratio(root(work), self.size),
            ratio(wrong, length(self.stress)),
        )
        return Errors(float(energy), float(effective), mase.tolist())


def length(vector: Inexact[Tensor, "b c"]) -> PerSample:
    """Euclidean norm."""
    return torch.linalg.vector_norm(vector, dim=1)


def ratio(part: Float[Tensor, " c"], whole: PerSample) -> Float[Tensor, " c"]:
    """Part over whole; 0/0 is 0."""
    return torch.where(part == 0, 0.0, part / whole)
