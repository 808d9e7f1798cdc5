"""What writers and pictures read of a solution."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np
from jaxtyping import Float, Inexact, Integer
from numpy.typing import NDArray
from torch import Tensor

from lsml.displacement_form import DisplacementForm
from lsml.io.asked import Provenance
from lsml.law import PhaseLaw
from lsml.problem import Problem, Shown
from lsml.state import SolveState
from lsml.strain_form import StrainForm
from lsml.typing import Codes, PerSample


@runtime_checkable
class Answer(Protocol):
    """The part of :class:`lsml.Solution` that solutions of all problems have."""

    @property
    def problem(self) -> Problem:
        """What was solved."""
        ...

    @property
    def rule(self) -> str:
        """Name of the rule."""
        ...

    @property
    def state(self) -> SolveState:
        """Its unknown."""
        ...

    @property
    def status(self) -> Codes:
        """How each sample ended."""
        ...

    @property
    def iterations(self) -> Codes:
        """Steps taken."""
        ...

    @property
    def error(self) -> PerSample:
        """Certified residual."""
        ...

    @property
    def history(self) -> Float[Tensor, "b k"]:
        """Residual of each iterate."""
        ...

    @property
    def iterates(self) -> Float[Tensor, "b k *v"] | None:
        """Every iterate, if they were recorded."""
        ...

    @property
    def predicted(self) -> Float[Tensor, "b o *n"] | None:
        """A network's own output."""
        ...

    @property
    def provenance(self) -> Provenance | None:
        """What was asked for."""
        ...


@runtime_checkable
class Solved(Answer, Protocol):
    """The part that files and pictures of elasticity and conduction are made of."""

    @property
    def form(self) -> StrainForm:
        """Law, load, grid."""
        ...

    @property
    def quadrature(self) -> bool:
        """Whether the fields keep their quadrature points."""
        ...

    @property
    def strain(self) -> Inexact[Tensor, "b *v"]:
        """ε."""
        ...

    @property
    def stress(self) -> Inexact[Tensor, "b *v"]:
        """σ."""
        ...

    @property
    def displacement(self) -> Inexact[Tensor, "b d *n"]:
        """Periodic part of the displacement."""
        ...

    @property
    def mean_strain(self) -> Inexact[Tensor, "b c"]:
        """<ε>."""
        ...

    @property
    def mean_stress(self) -> Inexact[Tensor, "b c"]:
        """<σ>."""
        ...

    @property
    def energy(self) -> PerSample:
        """Energy density."""
        ...

    @property
    def internal(self) -> Mapping[str, Inexact[Tensor, "b *v"]]:
        """Internal variables by name."""
        ...

    @property
    def error_bound(self) -> PerSample:
        """Bound of the error of the strain."""
        ...


def has_strain(solution: Answer) -> TypeGuard[Solved]:
    """Whether field and flux are those of a law, at points of voxels."""
    return isinstance(solution.problem, StrainForm | DisplacementForm)


def shown(solution: Answer) -> Shown:
    """Voxel edges and fields by name, of waves, flow and other fields."""
    return solution.problem.shown(solution.state.x)


def array(tensor: Tensor) -> np.ndarray:
    """The numbers of a tensor, wherever it lives."""
    values: np.ndarray = tensor.detach().cpu().numpy()
    return values


def phase_law(solution: Solved) -> PhaseLaw:
    """Labels and phases, by their moduli of small fields.

    Raises
    ------
    ValueError
        There are none.
    """
    law = solution.form.law
    phases = law.initial()
    if phases is None:
        raise ValueError(
            f"files and pictures need phases and labels, got {type(law).__name__}"
        )
    return phases


def check_whole(solution: Answer) -> None:
    """Refuse a part of a cell, which a file or a picture would take for all of it.

    Raises
    ------
    ValueError
        The solution is that of a slab.
    """
    if has_strain(solution) and (pieces := solution.form.grid.pieces) > 1:
        raise ValueError(
            f"this solution is one of {pieces} slabs of a cell; files and pictures "
            "need the whole of it: problem.whole(field) has a field of all slabs"
        )


def check_sample(solution: Answer, sample: int) -> None:
    """Refuse a sample that is none of the solution's, or a part of a cell.

    Raises
    ------
    ValueError
        There is no such sample, or the solution is that of a slab.
    """
    check_whole(solution)
    samples = len(solution.status)
    if not 0 <= sample < samples:
        raise ValueError(
            f"sample = {sample} must be one of the solution's {samples}, 0 to "
            f"{samples - 1}"
        )


def image_of(solution: Solved, sample: int) -> Integer[np.ndarray, "*n"]:
    """Labels that one sample was solved on.

    Raises
    ------
    ValueError
        There is no such sample, or there are no labels.
    """
    check_sample(solution, sample)
    labels = phase_law(solution).labels
    return array(labels[sample * len(labels) // len(solution.status)])


def real_parts(name: str, values: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """A field for those who know real numbers only: as it is, or in two parts."""
    if not np.iscomplexobj(values):
        return {name: values}
    return {f"Re {name}": values.real, f"Im {name}": values.imag}


def voxels(
    solution: Solved, field: Inexact[Tensor, "b *v"], sample: int
) -> NDArray[Any]:
    """Field (c, *n) of one sample, averaged over the voxel's quadrature points."""
    values = field[sample]
    return array(values.mean(0) if solution.quadrature else values)
