"""Effective stiffness, every entry of its diagonal in a certified interval.

A compatible field gives the energy from above; what it misses is the energy of its
error, which the scalars of conjugate gradients bound and predict (`energy`,
`gauss_radau`, `readout`). Off the diagonal the Galerkin value <ε_i : C ε_j> has an
error of at most the geometric mean of those of its row and column.
"""

import time
from dataclasses import replace
from typing import Any, Unpack

import torch
from jaxtyping import Float, Inexact
from torch import Tensor

from lsml.acceleration import Compile, accelerate
from lsml.criteria import STIFFNESS, check_scalars, check_stop, of_stiffness
from lsml.displacement_form import DisplacementForm
from lsml.effective import EffectiveStiffness as EffectiveStiffness
from lsml.energy import Spectrum
from lsml.gradients import Detached, Task
from lsml.inputs import (
    ProblemOptions,
    as_problem,
    as_rule,
    check_limits,
    given_options,
)
from lsml.io.provenance import asked
from lsml.law import PhaseLaw
from lsml.macro_load import MacroLoad
from lsml.physics.percolation import idle
from lsml.physics.reference import extreme_ratios
from lsml.problem import Residual
from lsml.rule import UpdateRule
from lsml.running import Run
from lsml.solution import Solution
from lsml.state import SolveState, Status
from lsml.stop import ROUND_OFF, RelativeResidual, StopCriterion
from lsml.strain_form import StrainForm
from lsml.typing import PerSample, Vector


def homogenize(  # noqa: PLR0913 (the public entry)
    m: object,
    rule: UpdateRule[Any] | str = "cg",
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    stop: str = "certified",
    progress: bool = False,
    throw: bool = True,
    compile: Compile = "auto",
    **options: Unpack[ProblemOptions],
) -> EffectiveStiffness:
    """Effective stiffness of each microstructure, all unit load cases in one batch.

    Parameters
    ----------
    m : labels or a problem, as in :func:`lsml.solve`; its load and its eigenstrain
        have no influence.
    tol : relative half-width of the certified interval of each diagonal entry. With
        pores, where there is no interval, and with complex moduli, the relative
        residual of :func:`lsml.solve`.
    rule : complex moduli have no energy that conjugate gradients could minimize: take
        ``"bicgstab"`` or ``"moulinec"``. The effective tensor is complex then.
    stop : ``"certified"``, or ``"predict"`` to stop as soon as the relative error of
        the predicted diagonal is expected to be below ``tol``. Such samples are
        PREDICTED, not CONVERGED. Conjugate gradients only.
    compile : as in :func:`lsml.solve`.

    Raises
    ------
    ValueError, ConvergenceError
        As :func:`lsml.solve`.
    """
    started = time.perf_counter()
    check_limits(tol, max_iter)
    check_stop(stop, STIFFNESS)
    problem = as_problem(m, options, rule)
    chosen = as_rule(rule, None, problem)
    if not isinstance(problem, StrainForm | DisplacementForm):
        raise ValueError(
            f"homogenize needs a compatible problem, got {type(m).__name__}"
        )
    check_scalars(stop, chosen)
    if "linear" not in problem.tags:
        raise ValueError(
            "homogenize needs linear phases, whose effective stiffness is one tensor; "
            f"this is {type(problem.strain.law).__name__}: take lsml.load_path"
        )
    check_form(problem.strain)
    unit = unit_loads(problem.strain.referred(chosen.reference))
    form, engine, seconds = accelerate(DisplacementForm(unit), compile)
    assert isinstance(form, DisplacementForm)
    spectrum = Spectrum(*extreme_ratios(form.strain))
    criterion = criterion_for(form, stop, spectrum, tol)
    said = given_options(m, options) | {
        "rule": rule,
        "tol": tol,
        "max_iter": max_iter,
        "stop": stop,
        "compile": compile,
    }
    task = Task(form, chosen, None, criterion, max_iter)
    run = Run(task, started, engine, seconds, asked("homogenize", chosen, said))
    solution = run(Detached(), record=False, progress=progress, quadrature=False)
    if throw:
        solution.check()
    return read_out(form, solution, spectrum)


def check_form(form: StrainForm) -> None:
    """Refuse what has no effective tensor that load cases would tell.

    Raises
    ------
    ValueError
        The law is not linear and symmetric, as real or as complex numbers.
    """
    phases = isinstance(form.law, PhaseLaw) and "linear" in form.tags
    if not phases and not {"symmetric", "positive"} <= form.tags:
        raise ValueError(
            "homogenize bounds energies and needs a problem that is symmetric and "
            f"positive, this one is {sorted(form.tags)}: solve unit loads and take "
            "mean_flux"
        )


def criterion_for(
    form: DisplacementForm, stop: str, spectrum: Spectrum, tol: float
) -> StopCriterion:
    """The named one, or the residual where complex fields have no energy to bound."""
    if form.strain.background.is_complex():
        return RelativeResidual(tol)
    return of_stiffness(stop, spectrum, tol)


def unit_loads(form: StrainForm) -> StrainForm:
    """The problem under each unit mean strain, without eigenstrain."""
    assert isinstance(form.law, PhaseLaw)
    c, s = form.law.components, len(form.law.labels)
    unit = torch.eye(c).to(form.law.coefficients).repeat(s, 1)
    zero = torch.zeros_like(unit)
    return replace(
        form,
        law=form.law.without_eigenfield(),
        green=replace(form.green, free=None),
        background=unit,
        load=MacroLoad(unit, zero, zero.real),
        double=None if form.double is None else unit_loads(form.double),
    )


def read_out(
    form: DisplacementForm, solution: Solution, spectrum: Spectrum
) -> EffectiveStiffness:
    """Galerkin values <ε_i : C ε_j>, less what is predicted, and the intervals."""
    assert isinstance(form.strain.law, PhaseLaw)
    force = form.force(solution.state.x.detach())
    symmetric = galerkin(form, solution.state.x.detach(), force)
    c = symmetric.shape[-1]
    with torch.no_grad():
        middle = symmetric.diagonal(dim1=1, dim2=2).real
        most, likely = gaps(form, force, solution.state, spectrum)
        radius = most.unflatten(0, (-1, c))
        lower = (middle.double() - radius).to(middle.dtype)
        above = radius.to(middle.dtype) if symmetric.is_complex() else 0
        slack = rounding(form.strain)
        rest = likely.unflatten(0, (-1, c)).to(middle.dtype)
        loose = idle(form.strain.law, form.strain.discretization)
        empty = loose[:, :, None] | loose[:, None, :]
    return EffectiveStiffness(
        (symmetric - torch.diag_embed(rest)).masked_fill(empty, 0),
        (lower - slack).clamp_min(0).masked_fill(loose, 0),
        (middle + above + slack).masked_fill(loose, 0),
        solution.iterations.unflatten(0, (-1, c)),
        solution,
    )


def galerkin(
    form: DisplacementForm, x: Vector, force: Vector
) -> Inexact[Tensor, "t c c"]:
    """<ε_i : C ε_j> of the fields of the unit loads, without conjugation.

    By Galerkin orthogonality its error is <e_i : C e_j>, of second order in the errors
    of the fields, also where C is complex and symmetric.
    """
    flux, c = form.mean_flux(x), form.strain.load.field.shape[1]
    rows = []
    for i in range(c):
        other = x.unflatten(0, (-1, c))[:, i].repeat_interleave(c, 0)
        rows.append(flux[:, i] - bilinear(form, force, other).to(flux.dtype))
    matrix = torch.stack(rows, 1).unflatten(0, (-1, c))
    return (matrix + matrix.transpose(1, 2)) / 2


def bilinear(form: DisplacementForm, force: Vector, d: Vector) -> Inexact[Tensor, " b"]:
    """Work of a force along d, its product of complex numbers not Hermitian."""
    if not force.is_complex():
        return form.pairing(force, d)
    parts = (force.conj(), (-1j * force).conj())
    return torch.complex(*(form.pairing(part, d) for part in parts))


def gaps(
    form: DisplacementForm, force: Vector, state: SolveState, spectrum: Spectrum
) -> tuple[PerSample, PerSample]:
    """Most that each entry may miss, and what it is predicted to, if it is to be used.

    Where the driver has certified no energy, the residual alone bounds it: |<e : C e>|
    is at most ‖r‖²/λ_min, with complex moduli λ_min of their real part (Lax & Milgram).
    """
    assert state.gap is not None
    most, likely = state.gap[:, 1], state.gap[:, 2]
    if bool((most.isinf() & (spectrum.low > 0)).any()):
        residual = Residual(force, form.precondition(force))
        most = torch.minimum(most, form.square(residual) / spectrum.low)
    used = state.status == Status.PREDICTED
    return most.nan_to_num(nan=torch.inf), torch.where(used, likely, 0.0)


def rounding(form: StrainForm) -> Float[Tensor, "t c"]:
    """What rounding may do to a diagonal entry: a share of the stiffest phase's."""
    assert isinstance(form.law, PhaseLaw)
    stiffest = form.law.table.detach().diagonal(dim1=2, dim2=3).abs().amax(1)
    return ROUND_OFF * torch.finfo(stiffest.dtype).eps * stiffest
