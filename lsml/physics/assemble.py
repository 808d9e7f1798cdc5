"""From a law, a load and a discretization to a problem on its reference medium."""

from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from jaxtyping import Float, Inexact
from torch import Tensor

from lsml.discretization import Discretization
from lsml.green import GreenOperator, free_compliance, green_operator
from lsml.law import PhaseLaw, Uniform
from lsml.macro_load import MacroLoad, uniform_answer
from lsml.physics.loads import Load
from lsml.physics.reference import reference_medium
from lsml.rule import arithmetic
from lsml.strain_form import StrainForm
from lsml.typing import Mean

Part: TypeAlias = tuple[PhaseLaw, MacroLoad]


def assemble(
    law: PhaseLaw,
    load: MacroLoad,
    scheme: Discretization,
    projectors: Float[Tensor, "k c c"],
    medium: Inexact[Tensor, "t c c"] | None,
    double: Part | None,
) -> StrainForm:
    """A compatible problem; ``medium`` fixes C⁰, None leaves it to the rule.

    ``double`` holds law and load once more in float64, if the others are float32.
    """
    parts = Parts(law, load, scheme, projectors, double)
    return parts.on(medium) if medium is not None else Rebuild(parts)(arithmetic)


@dataclass(frozen=True)
class Parts:
    """What a problem is made of, less its reference medium."""

    law: PhaseLaw
    load: MacroLoad
    scheme: Discretization
    projectors: Float[Tensor, "k c c"]
    double: Part | None

    def on(self, medium: Inexact[Tensor, "t c c"]) -> StrainForm:
        """The problem on a reference medium."""
        green = green_operator(self.scheme, medium, self.load.free)
        problem = _form(self.law, self.load, green, medium)
        if self.double is None:
            return problem
        law, load = self.double
        medium, free = medium.to(law.coefficients.dtype), None
        if green.free is not None:
            free = free_compliance(medium, load.free)
        exact = _form(law, load, replace(green, free=free), medium)
        return replace(problem, double=exact)


@dataclass(frozen=True)
class Rebuild:
    """The same problem on the reference medium of any mean of its phases."""

    parts: Parts

    def __call__(self, mean: Mean) -> StrainForm:
        """On the medium that ``mean`` makes."""
        law = self.parts.law
        chosen = reference_medium(law.table, self.parts.projectors, mean)
        problem = self.parts.on(chosen.to(law.coefficients.dtype))
        return replace(problem, rebuild=self, mean=mean)


def _form(
    law: PhaseLaw,
    load: MacroLoad,
    green: GreenOperator,
    medium: Inexact[Tensor, "t c c"],
) -> StrainForm:
    reference = Uniform(medium.detach())
    background = uniform_answer(reference, green, load)
    return StrainForm(law, reference, green, background, load)


def fit(load: Load, law: PhaseLaw) -> tuple[PhaseLaw, MacroLoad]:
    """Law and load of one batch: s microstructures or tables times l load cases.

    Eigenstrains count as tables.

    Raises
    ------
    ValueError
        Numbers of samples that do not go together, components of another dimension,
        or a complex load of real phases.
    """
    eigen = 1 if law.eigenfield is None else len(law.eigenfield)
    samples = {len(law.labels), len(law.coefficients), eigen} - {1}
    if len(samples) > 1:
        raise ValueError(
            f"labels hold {len(law.labels)} samples, phases {len(law.coefficients)} "
            f"tables and eigenstrain {eigen}: give as many, or one"
        )
    s = max(samples, default=1)
    law = replace(law, labels=law.labels.expand(s, *law.labels.shape[1:]))
    return law, macro_load(load, law)


def macro_load(load: Load, law: PhaseLaw) -> MacroLoad:
    """The load of one batch, on the microstructures of a law.

    Raises
    ------
    ValueError
        As :func:`fit`.
    """
    field, flux, free = (_batched(t, len(law.labels), law) for t in load.macro())
    return MacroLoad(field, flux, free.real)


def _batched(values: Tensor, s: int, law: PhaseLaw) -> Inexact[Tensor, "b c"]:
    c = law.components
    if values.shape[-1] != c:
        raise ValueError(
            f"load has {values.shape[-1]} components but this problem has {c}"
        )
    if values.is_complex() and not law.coefficients.is_complex():
        raise ValueError(
            "load is complex but every phase is real: load the real and the imaginary "
            "part as two cases"
        )
    if values.ndim == 2 and s > 1 and len(values) not in (1, s):
        raise ValueError(
            f"load holds {len(values)} cases but there are {s} samples: give one case, "
            f"one per sample, or shape (1, {len(values)}, {c}) for all on each"
        )
    if values.ndim == 3 and s > 1 and len(values) not in (1, s):
        raise ValueError(
            f"load of shape {tuple(values.shape)} must have 1 or {s} as first length"
        )
    cases = values.reshape(-1, 1, c) if values.ndim < 3 else values
    if s == 1 or len(cases) == s:
        batch = cases.flatten(0, 1)
    else:
        batch = cases.expand(s, -1, -1).flatten(0, 1)
    return batch.to(law.coefficients).contiguous()


def on_device(law: PhaseLaw, dtype: torch.dtype) -> PhaseLaw:
    """The law with its tables in this precision beside the labels."""
    device, eigen = law.labels.device, law.eigenfield
    if law.coefficients.is_complex():
        dtype = dtype.to_complex()
    return replace(
        law,
        coefficients=law.coefficients.to(device, dtype),
        eigenfield=None if eigen is None else eigen.to(device, dtype),
    )
