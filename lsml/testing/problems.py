"""Small problems on which rules are checked, and what can be done to them.

Between them: 2-D and 3-D, odd and even and non-cubic grids, unlike spacings, an axis
of one voxel, one and three samples with different phases, mean strain and mixed
control, eigenstrain, every discretization, both forms.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Inexact, Integer
from torch import Tensor

from lsml.displacement_form import DisplacementForm
from lsml.law import Law
from lsml.lippmann_schwinger import LippmannSchwinger
from lsml.physics.elasticity import elasticity
from lsml.physics.loads import Load, load
from lsml.problem import Problem
from lsml.strain_form import StrainForm
from lsml.typing import Field, Mean, Tags

Form = Callable[[StrainForm], Problem]


def in_strain(problem: StrainForm) -> Problem:
    """The strain as unknown."""
    return problem


@dataclass(frozen=True)
class Case:
    """An elastic problem that can be turned into the ones that a law compares it with.

    Attributes
    ----------
    phases : Mandel stiffness of each phase of each sample.
    load : one per sample.
    eigenstrain : of each phase of each sample, or None.
    form : makes the unknown: :func:`in_strain` or ``DisplacementForm``.
    """

    name: str
    labels: Integer[Tensor, "b *n"]
    phases: Float[Tensor, "b p c c"]
    load: Load
    discretization: str
    spacing: tuple[float, ...]
    eigenstrain: Float[Tensor, "b p c"] | None = None
    form: Form = DisplacementForm

    @property
    def batch(self) -> int:
        """Samples b."""
        return len(self.labels)

    def problem(self, mean: Mean) -> Problem:
        """The problem on the reference medium that ``mean`` makes."""
        return self.form(self.strain_form(mean))

    def strain_form(self, mean: Mean) -> StrainForm:
        """The same with the strain as unknown, whatever the form."""
        built = elasticity(
            self.labels,
            self.phases,
            self.load,
            self.discretization,
            spacing=self.spacing,
            eigenstrain=self.eigenstrain,
        )
        return built.referred(mean)

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
            load=Load(self.load.field[at], self.load.flux[at]),
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
            load=Load(self.load.field * strain, self.load.flux * stress),
            spacing=tuple(h * length for h in self.spacing),
            eigenstrain=None if eigen is None else eigen * strain,
        )

    def unloaded(self, samples: Sequence[int]) -> "Case":
        """Nothing acts on these samples; eigenstrain is gone from all of them."""
        factor = torch.ones(self.batch, 1, dtype=self.load.field.dtype)
        factor[list(samples)] = 0.0
        relieved = Load(self.load.field * factor, self.load.flux * factor)
        return replace(self, load=relieved, eigenstrain=None)

    def homogeneous(self) -> "Case":
        """Every phase the same isotropic one, without eigenstrain."""
        c = self.phases.shape[-1]
        same = isotropic_matrix(1.0, c).to(self.phases).expand_as(self.phases)
        return replace(self, phases=same, eigenstrain=None)

    def in_precision(self, dtype: torch.dtype) -> "Case":
        """The moduli, and with them the problem, in float32 or float64."""
        eigen = self.eigenstrain
        return replace(
            self,
            phases=self.phases.to(dtype),
            load=Load(self.load.field.to(dtype), self.load.flux.to(dtype)),
            eigenstrain=None if eigen is None else eigen.to(dtype),
        )


@dataclass(frozen=True)
class Twisted(Law):
    """σ = C x + S x with a uniform skew S: local, monotone, but not symmetric."""

    law: Law
    tags: ClassVar[Tags] = frozenset()

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


def isotropic_matrix(young: float, c: int) -> Float[Tensor, "c c"]:
    """Mandel stiffness for ν = 0.25, where λ = μ = 0.4 E."""
    unit = torch.tensor([1.0] * {3: 2, 6: 3}[c] + [0.0] * {3: 1, 6: 3}[c])
    shape = torch.outer(unit, unit) + 2 * torch.eye(c)
    return 0.4 * young * shape.double()


def small_case(
    discretization: str,
    form: Form,
    shape: tuple[int, ...],
    batch: int,
    *,
    mixed: bool = False,
) -> Case:
    """Three samples or one of a random two-phase medium, reproducible by its shape.

    Parameters
    ----------
    mixed : prescribe the mean strain 11 and otherwise mean stresses, and add an
        eigenstrain; otherwise all mean strains.
    """
    ndim, c = len(shape), {2: 3, 3: 6}[len(shape)]
    draw = torch.Generator().manual_seed(sum(n * 10**i for i, n in enumerate(shape)))
    labels = torch.randint(2, (batch, *shape), generator=draw)
    labels.flatten(1)[:, :2] = torch.tensor([0, 1])  # both phases in every sample
    values = 1e-3 * torch.randn(batch, c, generator=draw, dtype=torch.float64)
    kind = "mixed" if mixed else "strain"
    return Case(
        f"{ndim}-D {discretization} {kind} {shape} × {batch} {form.__name__}",
        labels,
        _phases(batch, c),
        _mixed(values) if mixed else load(strain=values),
        discretization,
        (1.0, 2.0, 0.5)[:ndim],
        1e-3 * torch.randn(batch, 2, c, generator=draw).double() if mixed else None,
        form,
    )


def _phases(batch: int, c: int) -> Float[Tensor, "b 2 c c"]:
    """An isotropic phase and a stiffer anisotropic one, different in each sample."""
    soft = isotropic_matrix(1.0, c)
    skew = torch.linspace(-0.4, 0.6, c, dtype=torch.float64)
    coupling = torch.outer(skew, skew)
    stiff = [(1.8 + 0.4 * i) * soft + 0.5 * coupling for i in range(batch)]
    return torch.stack([torch.stack([soft, other]) for other in stiff])


def _mixed(values: Float[Tensor, "b c"]) -> Load:
    first = torch.arange(values.shape[1]) == 0
    strain = values.masked_fill(~first, torch.nan)
    return load(strain=strain, stress=values.masked_fill(first, torch.nan))


CASES: tuple[Case, ...] = (
    small_case("fourier", in_strain, (5, 4), 3),
    small_case("fourier", DisplacementForm, (4, 7), 3, mixed=True),
    small_case("rotated", in_strain, (1, 6), 1),
    small_case("rotated", DisplacementForm, (5, 4), 3),
    small_case("hex8", in_strain, (3, 4), 3, mixed=True),
    small_case("hex8", DisplacementForm, (6, 3), 1),
    small_case("fourier", in_strain, (3, 4, 2), 1, mixed=True),
    small_case("fourier", DisplacementForm, (3, 1, 4), 3),
    small_case("rotated", in_strain, (4, 3, 5), 3),
    small_case("rotated", DisplacementForm, (2, 4, 3), 1, mixed=True),
    small_case("hex8", in_strain, (2, 3, 1), 3),
    small_case("hex8", DisplacementForm, (3, 2, 4), 3, mixed=True),
)
