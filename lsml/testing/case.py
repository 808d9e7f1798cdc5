"""A problem as a value, and what can be done to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Inexact, Integer
from torch import Tensor

from lsml.displacement_form import DisplacementForm
from lsml.law import Law
from lsml.lippmann_schwinger import LippmannSchwinger
from lsml.physics.conductivity import conductivity
from lsml.physics.elasticity import elasticity
from lsml.physics.loads import Load
from lsml.problem import Problem
from lsml.strain_form import StrainForm
from lsml.typing import Field, Mean, Tags

Form = Callable[[StrainForm], Problem]


def in_strain(problem: StrainForm) -> Problem:
    """The strain as unknown."""
    return problem


@dataclass(frozen=True)
class Case:
    """A problem that can be turned into the ones that a law compares it with.

    Attributes
    ----------
    phases : stiffness or conductivity of each phase of each sample; the first is
        isotropic.
    load : one per sample.
    eigenstrain : of each phase of each sample, or None.
    form : makes the unknown: :func:`in_strain` or ``DisplacementForm``.
    build : makes the problem: :func:`elastic` or :func:`conducting`.
    """

    name: str
    labels: Integer[Tensor, "b *n"]
    phases: Float[Tensor, "b p c c"]
    load: Load
    discretization: str
    spacing: tuple[float, ...]
    eigenstrain: Float[Tensor, "b p c"] | None = None
    form: Form = DisplacementForm
    build: "Build | None" = None

    @property
    def batch(self) -> int:
        """Samples b."""
        return len(self.labels)

    def problem(self, mean: Mean) -> Problem:
        """The problem on the reference medium that ``mean`` makes."""
        return self.form(self.strain_form(mean))

    def strain_form(self, mean: Mean) -> StrainForm:
        """The same with the strain as unknown, whatever the form."""
        return (self.build or elastic)(self).referred(mean)

    def untagged(self, mean: Mean) -> LippmannSchwinger:
        """A law without symmetry, of which nothing is declared."""
        plain = self.strain_form(mean)
        return LippmannSchwinger(
            plain.grid, Twisted(plain.law), plain.reference, plain.green, plain.start()
        )

    def take(self, samples: Sequence[int]) -> "Case":
        """Some of the samples, in the order given."""
        at, eigen = list(samples), self.eigenstrain
        return replace(
            self,
            labels=self.labels[at],
            phases=self.phases[at],
            load=self._loaded(self.load.field[at], self.load.flux[at]),
            eigenstrain=None if eigen is None else eigen[at],
        )

    def translated(self, shift: Sequence[int]) -> "Case":
        """The medium moved by whole voxels, periodically."""
        axes = tuple(range(1, self.labels.ndim))
        return replace(self, labels=self.labels.roll(tuple(shift), axes))

    def scaled(self, strain: float, stress: float, length: float) -> "Case":
        """The same problem in other units."""
        eigen, ratio = self.eigenstrain, stress / strain
        return replace(
            self,
            phases=self.phases * ratio,
            load=self._loaded(self.load.field * strain, self.load.flux * stress),
            spacing=tuple(h * length for h in self.spacing),
            eigenstrain=None if eigen is None else eigen * strain,
        )

    def unloaded(self, samples: Sequence[int]) -> "Case":
        """Nothing acts on these samples; eigenstrain is gone from all of them."""
        factor = torch.ones(self.batch, 1, dtype=self.load.field.dtype)
        factor[list(samples)] = 0.0
        relieved = self._loaded(self.load.field * factor, self.load.flux * factor)
        return replace(self, load=relieved, eigenstrain=None)

    def homogeneous(self) -> "Case":
        """Every phase the first one, without eigenstrain."""
        same = self.phases[:, :1].expand_as(self.phases)
        return replace(self, phases=same, eigenstrain=None)

    def in_precision(self, dtype: torch.dtype) -> "Case":
        """The moduli, and with them the problem, in float32 or float64."""
        eigen = self.eigenstrain
        return replace(
            self,
            phases=self.phases.to(dtype),
            load=self._loaded(self.load.field.to(dtype), self.load.flux.to(dtype)),
            eigenstrain=None if eigen is None else eigen.to(dtype),
        )

    def _loaded(self, field: Tensor, flux: Tensor) -> Load:
        return replace(self.load, field=field, flux=flux)


Build = Callable[[Case], StrainForm]


def elastic(case: Case) -> StrainForm:
    """Elasticity of a case."""
    return elasticity(
        case.labels,
        case.phases,
        case.load,
        case.discretization,
        spacing=case.spacing,
        eigenstrain=case.eigenstrain,
    )


def conducting(case: Case) -> StrainForm:
    """Conduction of a case."""
    return conductivity(
        case.labels, case.phases, case.load, case.discretization, spacing=case.spacing
    )


@dataclass(frozen=True)
class Twisted(Law):
    """σ = C x + S x with a uniform skew S: local, monotone, but not symmetric."""

    law: Law
    tags: ClassVar[Tags] = frozenset({"bounded"})

    def __call__(self, x: Field) -> Field:
        return self.law(x) + self._skew(x)

    def tangent(self, x: Field, v: Field) -> Field:
        """(C + S) v."""
        return self.law.tangent(x, v) + self._skew(v)

    def energy(self, x: Field) -> Inexact[Tensor, "b q *n"]:
        """That of C: S does no work."""
        return self.law.energy(x)

    def _skew(self, x: Field) -> Field:
        return 0.3 * (x.roll(1, 1) - x.roll(-1, 1))
