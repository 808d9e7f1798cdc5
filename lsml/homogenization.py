"""Effective stiffness, every entry of its diagonal in a certified interval.

A compatible field gives the energy from above; what it misses is the energy of its
error, which the scalars of conjugate gradients bound and predict (`energy`,
`gauss_radau`, `readout`). Off the diagonal the Galerkin value <ε_i : C ε_j> has an
error of at most the geometric mean of those of its row and column.
"""

import time
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np
import torch
from jaxtyping import Float, Integer
from numpy.typing import NDArray
from torch import Tensor

from lsml.acceleration import Compile, accelerate
from lsml.criteria import STIFFNESS, check_scalars, check_stop, of_stiffness
from lsml.displacement_form import DisplacementForm
from lsml.energy import Spectrum
from lsml.engineering import EngineeringConstants, engineering_constants
from lsml.gradients import Detached, Task
from lsml.inputs import ProblemOptions, as_problem, as_rule, check_limits
from lsml.law import PhaseLaw
from lsml.physics.percolation import idle
from lsml.physics.reference import extreme_ratios
from lsml.problem import Residual
from lsml.rule import UpdateRule
from lsml.running import Run
from lsml.solution import Solution
from lsml.state import SolveState, Status
from lsml.stop import ROUND_OFF
from lsml.strain_form import MacroLoad, StrainForm
from lsml.typing import PerSample, Vector


@dataclass(frozen=True)
class EffectiveStiffness:
    """Mandel stiffness (b, c, c) of b microstructures; ``np.asarray`` gives it.

    Attributes
    ----------
    stiffness : symmetric; differentiable with respect to the moduli. The Galerkin
        value, which is the upper end of the interval but for rounding; where predicted,
        less what further iterations are expected to take from the diagonal.
    lower, upper : certified interval of each diagonal entry, rounding included; with
        pores it is one-sided, and the lower end 0.
    iterations : of each load case.
    solution : the unit load cases, b·c samples, load case fastest.
    """

    stiffness: Float[Tensor, "b c c"]
    lower: Float[Tensor, "b c"]
    upper: Float[Tensor, "b c"]
    iterations: Integer[Tensor, "b c"]
    solution: Solution

    def __array__(
        self, dtype: Any = None, copy: bool | None = None
    ) -> NDArray[np.float64]:
        """The stiffness as NumPy sees it."""
        array = self.stiffness.detach().cpu().numpy()
        return np.array(array, dtype=dtype, copy=copy)

    def engineering(self) -> EngineeringConstants:
        """E, ν and G along the grid axes; see :class:`EngineeringConstants`.

        Raises
        ------
        ValueError
            This is no stiffness.
        """
        words = self.solution.form.discretization.differential.words
        if words.field != "strain":
            raise ValueError(f"a {words.coefficient} has no engineering constants")
        return engineering_constants(self.stiffness)

    def __repr__(self) -> str:
        """Diagonals and the widest interval."""
        diagonal = self.stiffness.detach().diagonal(dim1=1, dim2=2)
        width = float(((self.upper - self.lower) / self.upper).max())
        bound = f"relative width ≤ {width:.1e}"
        if bool((self.lower == 0).any()):
            bound = "bounded from above only"
        return f"EffectiveStiffness(diagonal {diagonal.tolist()}, {bound})"


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
        pores, where there is no interval, the relative residual of :func:`lsml.solve`.
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
    if not {"linear", "symmetric", "positive"} <= problem.tags:
        raise ValueError(
            "homogenize bounds energies and needs a problem that is linear, symmetric "
            f"and positive, this is {sorted(problem.tags)}: solve unit loads and take "
            "mean_flux"
        )
    unit = unit_loads(problem.strain.referred(chosen.reference))
    form, engine, seconds = accelerate(DisplacementForm(unit), compile)
    assert isinstance(form, DisplacementForm)
    spectrum = Spectrum(*extreme_ratios(form.strain))
    criterion = of_stiffness(stop, spectrum, tol)
    run = Run(Task(form, chosen, None, criterion, max_iter), started, engine, seconds)
    solution = run(Detached(), record=False, progress=progress, quadrature=False)
    if throw:
        solution.check()
    return read_out(form, solution, spectrum)


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
        load=MacroLoad(unit, zero, zero),
        double=None if form.double is None else unit_loads(form.double),
    )


def read_out(
    form: DisplacementForm, solution: Solution, spectrum: Spectrum
) -> EffectiveStiffness:
    """Galerkin values <ε_i : C ε_j>, less what is predicted, and the intervals."""
    assert isinstance(form.strain.law, PhaseLaw)
    x, c = solution.state.x.detach(), form.strain.load.field.shape[1]
    flux, force = form.mean_flux(x), form.force(x)
    rows = []
    for i in range(c):
        other = x.unflatten(0, (-1, c))[:, i].repeat_interleave(c, 0)
        rows.append(flux[:, i] - form.pairing(force, other).to(flux.dtype))
    stiffness = torch.stack(rows, 1).unflatten(0, (-1, c))
    symmetric = (stiffness + stiffness.transpose(1, 2)) / 2
    with torch.no_grad():
        upper = symmetric.diagonal(dim1=1, dim2=2)
        most, likely = gaps(form, force, solution.state, spectrum)
        lower = (upper.double() - most.unflatten(0, (-1, c))).to(upper.dtype)
        slack = rounding(form.strain)
        rest = likely.unflatten(0, (-1, c)).to(upper.dtype)
        loose = idle(form.strain.law, form.strain.discretization.differential)
        empty = loose[:, :, None] | loose[:, None, :]
    return EffectiveStiffness(
        (symmetric - torch.diag_embed(rest)).masked_fill(empty, 0),
        (lower - slack).clamp_min(0).masked_fill(loose, 0),
        (upper + slack).masked_fill(loose, 0),
        solution.iterations.unflatten(0, (-1, c)),
        solution,
    )


def gaps(
    form: DisplacementForm, force: Vector, state: SolveState, spectrum: Spectrum
) -> tuple[PerSample, PerSample]:
    """Most that each entry may miss, and what it is predicted to, if it is to be used.

    Where the driver has certified no energy, the residual alone bounds it.
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
    stiffest = form.law.table.detach().diagonal(dim1=2, dim2=3).amax(1)
    return ROUND_OFF * torch.finfo(stiffest.dtype).eps * stiffest
