"""Displacements in float64, found by iterations in float32.

Iterative refinement (Wilkinson 1963; for Krylov methods van der Vorst & Ye 2000): the
residual is evaluated in float64 and rounded; what the rule then does with it, and all
that it carries, is float32. The rounding of a carried residual shows once it has fallen
far below the evaluated one, which is why it is trusted only so far.
"""

from dataclasses import dataclass, replace

import torch

from lsml.displacement_form import DisplacementForm
from lsml.problem import Problem, Residual
from lsml.typing import Codes, Field, PerSample, Vector

TRUSTED = 1e-4  # of the last evaluated residual


@dataclass(frozen=True)
class RefinedForm(DisplacementForm):
    """``strain`` and unknown in float64; ``exact`` evaluates forces, ``work`` the rest.

    Attributes
    ----------
    exact : the displacement form of ``strain``.
    work : the same problem in float32.
    dtype : of the answer.
    """

    exact: DisplacementForm
    work: DisplacementForm
    dtype: torch.dtype

    @property
    def trust(self) -> float:
        """How far below its last evaluation a carried residual is believed."""
        return TRUSTED

    def present(self, x: Vector) -> tuple[Problem, Vector]:
        """The answer in the precision that was asked for, or needed."""
        if self.dtype == torch.float32:
            return self.work, x.to(self._narrow)
        return self.exact, x

    @property
    def _narrow(self) -> torch.dtype:
        return self.work.strain.background.dtype

    def enter(self, field: Field) -> Vector:
        """Computed in float32: N is no more than that."""
        return self.work.enter(field.to(self._narrow)).to(field.dtype)

    def force(self, x: Vector) -> Vector:
        """Evaluated in float64, rounded to float32."""
        return self.exact.force(x).to(self._narrow)

    def precondition(self, force: Vector, out: Vector | None = None) -> Vector:
        """In float32."""
        return self.work.precondition(force, out)

    def hessian(self, x: Vector, d: Vector, out: Vector | None = None) -> Vector:
        """In float32; the problem is linear, so that x does not matter."""
        return self.work.hessian(d, d, out)

    def pairing(self, force: Vector, d: Vector) -> PerSample:
        """Summed in float64."""
        return self.work.pairing(force, d)

    def combine(self, x: Vector, scale: PerSample, d: Vector, out: Vector) -> Vector:
        """In the precision of x."""
        return self.work.combine(x, scale, d, out)

    def residual(self, x: Vector) -> Residual:
        """Force in float64, step in float32."""
        force = self.force(x)
        return Residual(force, self.precondition(force))

    def magnitude(self) -> PerSample:
        """In float32."""
        return self.work.magnitude()

    def select(self, samples: Codes) -> "RefinedForm | None":
        """Of some of the samples."""
        exact, work = self.exact.select(samples), self.work.select(samples)
        if exact is None or work is None:
            return None
        return replace(self, strain=exact.strain, exact=exact, work=work)
