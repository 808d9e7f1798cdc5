"""From labels, phases and load to microstructures whose moduli vary: all checks."""

from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.acceleration import Compile, accelerate
from lsml.displacement_form import DisplacementForm
from lsml.inputs import ProblemOptions, as_problem
from lsml.law import Entry, Law, PhaseLaw
from lsml.mandel import DIMENSION
from lsml.physics.labels import as_labels, check_range
from lsml.physics.loads import Load
from lsml.physics.moduli import Stiffness
from lsml.physics.phases import phase_table
from lsml.problem import Problem
from lsml.reduced.affine import Affine, Coefficients
from lsml.strain_form import StrainForm

TASK = "a sweep over phases"


class Setup(NamedTuple):
    """Operators of s microstructures, t tables of phases, l load cases.

    ``loads`` are weights of the columns; ``effective`` if they are the unit strains.
    """

    affine: Affine
    table: Coefficients
    loads: Float[Tensor, "s l e"]
    effective: bool
    engine: str


def prepare(m: object, options: ProblemOptions, compile: Compile) -> Setup:
    """Everything in float64, on the kernels that ``compile`` admits.

    Raises
    ------
    ValueError
        No phases, or phases, labels, load or law that a sweep cannot take.
    """
    phases = options.get("phases")
    if phases is None:
        raise ValueError(f"{TASK} needs phases: one table of stiffnesses per point")
    table, entries = phase_table(phases, _ndim(m, options))
    table = table.detach().double()
    strain = _problem(m, options, table, entries)
    _check(strain, table)
    effective = not isinstance(m, Problem) and options.get("load") is None
    columns, loads = _columns(strain, effective)
    cases = loads.flatten(0, 1).shape[0]
    still = torch.zeros_like(strain.background[:1]).expand(cases, -1).contiguous()
    law = strain.law
    assert isinstance(law, PhaseLaw)
    law = law.without_eigenfield() if effective else law
    load = strain.load._replace(field=still, flux=still, free=still)
    whole = replace(strain, law=law, background=still, load=load)
    form, engine, _ = accelerate(DisplacementForm(whole), compile)
    assert isinstance(form, DisplacementForm)
    return Setup(Affine(form, columns), table.to(loads), loads, effective, engine)


def _ndim(m: object, options: ProblemOptions) -> int:
    """Spatial axes, before anything is built."""
    if isinstance(m, Problem):
        if not isinstance(m, StrainForm | DisplacementForm):
            raise ValueError(f"{TASK} needs an elastic problem, got {type(m).__name__}")
        return m.strain.grid.ndim
    load, spacing = options.get("load"), options.get("spacing")
    known: int | None = None
    if isinstance(load, Load):
        known = DIMENSION.get(load.field.shape[-1])
    elif spacing is not None:
        axes = torch.as_tensor(spacing).numel()
        known = axes if axes in (2, 3) else None
    return as_labels(m, known, None).ndim - 1


def _problem(
    m: object, options: ProblemOptions, table: Coefficients, entries: tuple[Entry, ...]
) -> StrainForm:
    """The problem in the middle of the sweep."""
    middle = table.mean(0)
    if isinstance(m, StrainForm | DisplacementForm):
        return _with_phases(m.strain, options, middle, entries)
    if options.get("dtype") not in (None, torch.float64):
        raise ValueError(f"{TASK} is computed in float64, not {options['dtype']}")
    rows = [Stiffness(row, entries) for row in middle]
    built = as_problem(m, {**options, "phases": rows, "dtype": torch.float64}, "cg")
    assert isinstance(built, StrainForm)
    return built


def _with_phases(
    strain: StrainForm,
    options: ProblemOptions,
    middle: Float[Tensor, "p g"],
    entries: tuple[Entry, ...],
) -> StrainForm:
    """A problem of other phases on the same reference medium."""
    others = sorted(set(options) - {"phases"})
    if others:
        raise ValueError(f"options {others} beside a problem: give them to its builder")
    words, strain = strain.discretization.differential.words, strain.double or strain
    if words.field != "strain":
        raise ValueError(f"{TASK} needs elasticity, this is a problem of {words.field}")
    _check_law(strain.law)
    assert isinstance(strain.law, PhaseLaw)
    middle = middle[None].to(strain.background.device)
    law = replace(strain.law, coefficients=middle, entries=entries)
    return replace(strain, law=law, rebuild=None, double=None)


def _check_law(law: Law) -> None:
    """Only the plain law of phases is affine in its moduli."""
    if type(law) is not PhaseLaw:
        raise ValueError(
            f"{TASK} needs a law that is affine in its moduli, of labels and phases, "
            f"got {type(law).__name__}"
        )


def _check(strain: StrainForm, table: Coefficients) -> None:
    """Refuse what the tables, or an affine model, cannot describe."""
    _check_law(strain.law)
    assert isinstance(strain.law, PhaseLaw)
    check_range(strain.law.labels, table.shape[1])
    if not strain.discretization.periodic:
        raise ValueError(
            f"{TASK} needs a periodic cell, its faces are {strain.discretization.faces}"
        )
    eigen = strain.law.eigenfield
    if eigen is not None and eigen.shape[1] != table.shape[1]:
        raise ValueError(
            f"{table.shape[1]} phases given, but eigenstrains of {eigen.shape[1]}"
        )
    if strain.green.free is not None:
        raise ValueError(
            f"{TASK} takes mean strains, not mean stresses: leave out load, and the "
            "effective stiffness answers both"
        )
    pores = (table == 0).all(-1)
    if bool(pores.any()) and not strain.discretization.takes_pores:
        phase = int(pores.any(0).nonzero()[0])
        raise ValueError(
            f"phase {phase} has zero stiffness in a point, which this discretization "
            "cannot resolve; use 'rotated' or 'hex8'"
        )
    if bool(pores.all(-1).any()):
        raise ValueError("every phase of a point has zero stiffness")


def _columns(
    strain: StrainForm, effective: bool
) -> tuple[Float[Tensor, "s e p c"], Float[Tensor, "s l e"]]:
    """Strains that are uniform in each phase, and their weights in the load cases."""
    law = strain.law
    assert isinstance(law, PhaseLaw)
    s, p, c = len(law.labels), law.coefficients.shape[1], law.components
    unit = torch.eye(c).to(strain.background)
    columns = unit[None, :, None].expand(s, c, p, c)
    if effective:
        return columns.contiguous(), unit.expand(s, c, c).contiguous()
    loads = strain.load.field.detach().unflatten(0, (s, -1))
    if law.eigenfield is None:
        return columns.contiguous(), loads
    eigen = law.eigenfield.detach().expand(s, p, c)[:, None]
    with_one = torch.cat([loads, torch.ones_like(loads[..., :1])], 2)
    return torch.cat([columns, -eigen], 1), with_one
