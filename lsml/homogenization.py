"""Effective stiffness, every entry of its diagonal in a certified interval.

A compatible field gives the energy from above; what it misses is the energy of its
error, at most ‖r‖²/λ_min for the residual r in the C⁰ norm and the least stiffness
ratio λ_min of the phases to C⁰. Off the diagonal the Galerkin value <ε_i : C ε_j> has
an error of at most the geometric mean of those of its row and column.
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
from lsml.displacement_form import DisplacementForm
from lsml.gradients import Detached, Task
from lsml.inputs import ProblemOptions, as_problem, as_rule, check_limits
from lsml.law import PhaseLaw
from lsml.mandel import DIMENSION
from lsml.physics.reference import extreme_ratios
from lsml.problem import Problem, Residual
from lsml.rule import UpdateRule
from lsml.running import Run
from lsml.solution import Solution
from lsml.stop import ROUND_OFF, RelativeResidual, StopCriterion
from lsml.strain_form import MacroLoad, StrainForm
from lsml.typing import Codes, PerSample, Vector


@dataclass(frozen=True)
class EffectiveStiffness:
    """Mandel stiffness (b, c, c) of b microstructures; ``np.asarray`` gives it.

    Attributes
    ----------
    stiffness : Galerkin value, symmetric; differentiable with respect to the moduli.
    lower, upper : certified interval of each diagonal entry, rounding included; with
        pores the lower end is 0, because residuals do not bound energies there.
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

    def engineering(self) -> "EngineeringConstants":
        """E, ν and G along the grid axes; see :class:`EngineeringConstants`."""
        return engineering_constants(self.stiffness)

    def __repr__(self) -> str:
        """Diagonals and the widest interval."""
        width = ((self.upper - self.lower) / self.upper).max()
        return (
            f"EffectiveStiffness(diagonal {self.upper.tolist()}, "
            f"relative width ≤ {float(width):.1e})"
        )


@dataclass(frozen=True)
class EngineeringConstants:
    """Constants of the compliance S = C⁻¹, one row per sample.

    Attributes
    ----------
    E : 1/S_ii for each axis.
    nu : (b, d, d) with ν_ij = −S_ji/S_ii, the contraction along j under a pull along i;
        NaN on the diagonal.
    G : shear moduli τ/γ with the engineering angle γ = 2ε, in Mandel order 23 13 12
        (2-D: 12).

    In 2-D they are those of plane strain, not of the material.
    """

    E: Float[Tensor, "b d"]
    nu: Float[Tensor, "b d d"]
    G: Float[Tensor, "b s"]


def engineering_constants(stiffness: Float[Tensor, "b c c"]) -> EngineeringConstants:
    """E, ν, G of a Mandel stiffness."""
    compliance = torch.linalg.inv(stiffness)
    d = DIMENSION[stiffness.shape[-1]]
    diagonal = compliance.diagonal(dim1=-2, dim2=-1)
    nu = -compliance[:, :d, :d].transpose(1, 2) / diagonal[:, :d, None]
    itself = torch.eye(d, dtype=torch.bool, device=nu.device)
    nu = nu.masked_fill(itself, torch.nan)
    return EngineeringConstants(1 / diagonal[:, :d], nu, 1 / (2 * diagonal[:, d:]))


@dataclass(frozen=True)
class EnergyGap:
    """Relative half-width of the interval that a residual leaves to the energy.

    As long as even the energy of the start, which is the largest, would not make the
    interval narrow enough, no energy is evaluated.
    """

    lowest: PerSample  # λ_min of each sample
    tol: float

    def scale(self, problem: Problem, first: PerSample) -> PerSample:
        """Twice the energy of the uniform strain, ε̄ : <C> ε̄."""
        start = problem.start()
        return self._work(problem, start, problem.force(start))

    def error(
        self, problem: Problem, x: Vector, residual: Residual, scale: PerSample
    ) -> PerSample:
        """Half-width over the lower end, or over a larger number while too wide."""
        gap = problem.norm(residual).square() / self.lowest
        hopeful = gap / (2 * scale) <= self.tol
        if not bool(hopeful.any()):
            return gap / (2 * scale)
        low = self._work(problem, x, residual.force) - gap
        exact = torch.where(low > 0, gap / (2 * low), torch.inf)
        return torch.where(hopeful, exact, gap / (2 * scale))

    def select(self, samples: Codes) -> "EnergyGap":
        """Of some of the samples."""
        return replace(self, lowest=self.lowest[samples])

    def _work(self, problem: Problem, x: Vector, force: Vector) -> PerSample:
        """<ε : σ> of ε = ε̄ + B u: the mean strain's part, and what the forces do."""
        assert isinstance(problem, DisplacementForm)
        uniform = problem.strain.background * problem.mean_flux(x)
        return uniform.sum(1, dtype=torch.float64) - problem.pairing(force, x)


def homogenize(  # noqa: PLR0913 (the public entry)
    m: object,
    rule: UpdateRule[Any] | str = "cg",
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
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
    compile : as in :func:`lsml.solve`.

    Raises
    ------
    ValueError, ConvergenceError
        As :func:`lsml.solve`.
    """
    started = time.perf_counter()
    check_limits(tol, max_iter)
    problem = as_problem(m, options, rule)
    chosen = as_rule(rule, None, problem)
    if not isinstance(problem, StrainForm | DisplacementForm):
        raise ValueError(
            f"homogenize needs a compatible problem, got {type(m).__name__}"
        )
    unit = unit_loads(problem.strain.referred(chosen.reference))
    form, engine, seconds = accelerate(DisplacementForm(unit), compile)
    assert isinstance(form, DisplacementForm)
    lowest, _ = extreme_ratios(form.strain)
    stop: StopCriterion = EnergyGap(lowest, tol)
    if not bool((lowest > 0).all()):
        stop = RelativeResidual(tol)
    run = Run(Task(form, chosen, None, stop, max_iter), started, engine, seconds)
    solution = run(Detached(), record=False, progress=progress, quadrature=False)
    if throw:
        solution.check()
    return read_out(form, solution, lowest)


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
    form: DisplacementForm, solution: Solution, lowest: PerSample
) -> EffectiveStiffness:
    """Galerkin values <ε_i : C ε_j> and the interval of the diagonal."""
    x, c = solution.state.x.detach(), form.strain.load.field.shape[1]
    flux, force = form.mean_flux(x), form.force(x)
    rows = []
    for i in range(c):
        other = x.unflatten(0, (-1, c))[:, i].repeat_interleave(c, 0)
        rows.append(flux[:, i] - form.pairing(force, other).to(flux.dtype))
    stiffness = torch.stack(rows, 1).unflatten(0, (-1, c))
    symmetric = (stiffness + stiffness.transpose(1, 2)) / 2
    with torch.no_grad():
        gap = form.square(Residual(force, form.precondition(force))) / lowest
        middle = symmetric.diagonal(dim1=1, dim2=2)
        slack = rounding(form.strain)
        lower = (middle.double() - gap.unflatten(0, (-1, c))).to(middle.dtype) - slack
        stiff = (lowest > 0).unflatten(0, (-1, c))
        lower = torch.where(stiff, lower, 0.0).clamp_min(0)
    return EffectiveStiffness(
        symmetric,
        lower,
        middle + slack,
        solution.iterations.unflatten(0, (-1, c)),
        solution,
    )


def rounding(form: StrainForm) -> Float[Tensor, "t c"]:
    """What rounding may do to a diagonal entry: a share of the stiffest phase's."""
    assert isinstance(form.law, PhaseLaw)
    stiffest = form.law.table.detach().diagonal(dim1=2, dim2=3).amax(1)
    return ROUND_OFF * torch.finfo(stiffest.dtype).eps * stiffest
