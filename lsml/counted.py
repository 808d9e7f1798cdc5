"""Problems whose operators are counted while rules run on them."""

from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from math import log2
from typing import Any

import torch
from torch import Tensor

from lsml.counting import NOTHING, TRANSFORM, Counter, Operations, pointwise
from lsml.displacement_form import DisplacementForm
from lsml.law import PhaseLaw
from lsml.modal import Element, modal_force, planes_around
from lsml.physics.discretization.multilinear import Multilinear
from lsml.problem import Problem
from lsml.strain_form import StrainForm
from lsml.typing import Codes, Field, PerSample, Vector

SMALL = 4  # edge of the cell on which the operations of an element are counted


def counted(problem: StrainForm | DisplacementForm, counter: Counter) -> Problem:
    """The same problem, counted."""
    if isinstance(problem, DisplacementForm):
        return CountedForm(problem.strain, problem, counter)
    parts = {each.name: getattr(problem, each.name) for each in fields(problem)}
    return CountedStrain(**parts, counter=counter)


class _Rows(Counter):
    """Counts the operations that run over all voxels, per voxel."""

    def __init__(self, voxels: int) -> None:
        super().__init__()
        self.voxels, self.count = voxels, 0.0

    def _price(self, func: Any, args: Any, kwargs: Any, out: Any) -> Operations:
        each = pointwise(func, func.overloadpacket.__name__, args, out)
        if each and out.numel() >= self.voxels:
            self.count += each / out.numel()
        return NOTHING


def element_operations(law: PhaseLaw, scheme: Multilinear) -> float:
    """Operations at one voxel of Bᵀ C B by the modes of an element (`lsml.modal`)."""
    d, nodes = scheme.grid.ndim, scheme.nodes
    moment = sum((node - 0.5) ** 2 for node in nodes) / len(nodes)
    parts = scheme.differential, law.entries, scheme.averaged
    element = Element((SMALL,) * d, scheme.grid.spacing, moment, *parts)
    table = law.coefficients[:1].detach().cpu()
    u = table.new_zeros(1, scheme.differential.potentials, *element.shape)
    labels = torch.zeros(1, *element.shape, dtype=torch.int32)
    planes = planes_around(0, SMALL, SMALL, u.device)
    rows = _Rows(SMALL**d)
    with rows:
        modal_force(element, u, planes, labels, table)
    return rows.count


@dataclass(frozen=True)
class CountedForm(DisplacementForm):
    """Another displacement form, whose operators are counted by their prices."""

    form: DisplacementForm
    counter: Counter

    @cached_property
    def law_price(self) -> Operations:
        """Bᵀ C B on one sample."""
        with self.counter.silent():
            return self._price_of_a_law()

    def _price_of_a_law(self) -> Operations:
        law, scheme = self.strain.law, self.strain.discretization
        if isinstance(law, PhaseLaw) and isinstance(scheme, Multilinear):
            flops = self.strain.grid.size * element_operations(law, scheme)
            return Operations(laws=1, element=flops)
        plain = DisplacementForm(self.strain)
        x = plain.start()
        with Counter() as counter:
            plain.hessian(x, x)
        once = Operations().plus(counter.total, 1 / len(x))
        flops = once.flops - once.transform
        return once._replace(laws=1, element=flops, vectors=0.0, products=0.0)

    @cached_property
    def green_price(self) -> Operations:
        """N on one sample: a transform each way for every component, and a product."""
        size, m = self.strain.grid.size, self.potentials
        parts = 2 if self.strain.background.is_complex() else 1
        count, product = 2 * m * parts, 2 * m * m * parts * size
        flops = count * TRANSFORM * size * log2(size)
        return Operations(0, 1, count, transform=flops, multiplier=product)

    def _vectors(self, x: Vector) -> Operations:
        """A product and a sum for each number of a sample's vector."""
        return Operations(vectors=2.0 * x[0].numel())

    @property
    def trust(self) -> float:
        """As in the form that is counted."""
        return self.form.trust

    def present(self, x: Vector) -> tuple[Problem, Vector]:
        """As in the form that is counted."""
        return self.form.present(x)

    def magnitude(self) -> PerSample:
        """As in the form that is counted."""
        return self.form.magnitude()

    def force(self, x: Vector) -> Vector:
        """One law."""
        with self.counter.charging(self.law_price, len(x)):
            return self.form.force(x)

    def hessian(self, x: Vector, d: Vector, out: Vector | None = None) -> Vector:
        """One law."""
        with self.counter.charging(self.law_price, len(d)):
            return self.form.hessian(x, d, out)

    def mean_flux(self, x: Vector) -> Tensor:
        """One law."""
        with self.counter.charging(self.law_price, len(x)):
            return self.form.mean_flux(x)

    def precondition(self, force: Vector, out: Vector | None = None) -> Vector:
        """One Green operator."""
        with self.counter.charging(self.green_price, len(force)):
            return self.form.precondition(force, out)

    def pairing(self, force: Vector, d: Vector) -> PerSample:
        """One dot product."""
        with self.counter.charging(self._vectors(d), len(d)):
            return self.form.pairing(force, d)

    def combine(self, x: Vector, scale: PerSample, d: Vector, out: Vector) -> Vector:
        """One update of a vector."""
        with self.counter.charging(self._vectors(d), len(d)):
            return self.form.combine(x, scale, d, out)

    def select(self, samples: Codes) -> "CountedForm | None":
        """Of some of the samples, with the same counter."""
        form = self.form.select(samples)
        if form is None:
            return None
        return replace(self, strain=form.strain, form=form)


@dataclass(frozen=True)
class CountedStrain(StrainForm):
    """A strain form whose whole-array operations are counted one by one."""

    counter: Counter = field(default_factory=Counter)

    def force(self, x: Vector) -> Vector:
        """One law."""
        self.counter.note(Operations(laws=len(x)))
        return super().force(x)

    def hessian(self, x: Vector, d: Vector, out: Vector | None = None) -> Vector:
        """One law."""
        self.counter.note(Operations(laws=len(d)))
        return super().hessian(x, d, out)

    def polarization(self, x: Field) -> Field:
        """One law."""
        self.counter.note(Operations(laws=len(x)))
        return super().polarization(x)

    def resolve(self, x: Vector, d: Vector) -> Vector:
        """One law, inverted."""
        self.counter.note(Operations(laws=len(x)))
        return super().resolve(x, d)

    def fixed_point(self, x: Field) -> Field:
        """One Green operator."""
        self.counter.note(Operations(greens=len(x)))
        return super().fixed_point(x)

    def precondition(self, force: Vector, out: Vector | None = None) -> Vector:
        """One Green operator."""
        self.counter.note(Operations(greens=len(force)))
        return super().precondition(force, out)

    def project(self, d: Vector) -> Vector:
        """One Green operator."""
        self.counter.note(Operations(greens=len(d)))
        return super().project(d)
