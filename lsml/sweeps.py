"""Many moduli on the same microstructures: solved together through a reduced basis."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Unpack

import torch
from jaxtyping import Integer
from torch import Tensor

from lsml.acceleration import Compile
from lsml.energy import EnergyGap, Spectrum
from lsml.inputs import ProblemOptions, check_limits
from lsml.physics.reference import extreme_ratios
from lsml.physics.rules.conjugate_gradient import ConjugateGradient
from lsml.reduced.affine import Coefficients
from lsml.reduced.basis import ReducedBasis
from lsml.reduced.estimate import Estimate, merged
from lsml.reduced.evaluated import evaluated
from lsml.reduced.greedy import Measure, Plan, build
from lsml.reduced.setup import prepare
from lsml.stop import RelativeResidual, StopCriterion
from lsml.strain_form import StrainForm
from lsml.typing import Codes

BATCH = 2**23  # numbers in the displacements of one batch of full solves


def interval_stop(form: StrainForm, tol: float) -> StopCriterion:
    """That of :func:`lsml.homogenize`; with pores, for lack of intervals, the other."""
    low, high = extreme_ratios(form)
    stiff = bool((low > 0).all())
    return EnergyGap(Spectrum(low, high), tol) if stiff else RelativeResidual(tol)


def residual_stop(form: StrainForm, tol: float) -> StopCriterion:
    """That of :func:`lsml.solve`."""
    return RelativeResidual(tol)


class Aim(NamedTuple):
    """What ``tol`` is about: in an estimate, and in a full solve."""

    measure: Measure
    stop: Callable[[StrainForm, float], StopCriterion]


STIFFNESS = Aim(lambda estimate: estimate.half_width, interval_stop)
FIELDS = Aim(lambda estimate: estimate.error, residual_stop)


@dataclass(frozen=True)
class Sweep(Estimate):
    """Averages of t points, b microstructures, l load cases, all within ``tol``.

    Attributes
    ----------
    iterations : of conjugate gradients from the Galerkin solution; 0 where that was
        certified already.
    table : coefficients of the phases in each point.
    basis : for other points, and for fields: :meth:`ReducedBasis.solve`.
    timings : seconds for ``basis``, ``estimate`` and ``solve``, the full solves.
    """

    iterations: Integer[Tensor, "t b l"]
    table: Coefficients
    basis: ReducedBasis
    timings: Mapping[str, float]

    def __repr__(self) -> str:
        """Size, how much was left to conjugate gradients, the worst certificate."""
        t, b, cases = self.iterations.shape
        left = int((self.iterations > 0).any(2).any(1).sum())
        name = "half-width" if self.effective else "error"
        worst = float((self.half_width if self.effective else self.error).max())
        return (
            f"Sweep({t} points × {b} microstructures × {cases} load cases, "
            f"{left} points with iterations, {name} ≤ {worst:.1e})"
        )


@torch.no_grad()
def sweep(
    m: object,
    *,
    tol: float = 1e-6,
    snapshots: int = 8,
    max_iter: int = 1000,
    throw: bool = True,
    compile: Compile = "auto",
    **options: Unpack[ProblemOptions],
) -> Sweep:
    """Solve many tables of phases on the same microstructures.

    A reduced basis is made of a few points, chosen where its own certificate is worst;
    the others are read from it. What is not certified to ``tol`` then goes on by
    conjugate gradients from its Galerkin solution, in batches (Yvonnet & He 2007;
    Rozza, Huynh & Patera 2008). Computed in float64.

    Parameters
    ----------
    m : labels, with the options of :func:`lsml.elasticity`; or a problem made by it,
        which gives everything but the phases.
    tol : without load, the relative half-width of the certified interval of each
        diagonal entry of the effective stiffness, as in :func:`lsml.homogenize`; with
        one, the relative residual of :func:`lsml.solve`.
    snapshots : points solved for the basis, at most; fewer if ``tol`` is reached.
    max_iter, throw, compile : as in :func:`lsml.solve`.
    **options : ``phases`` as in :func:`lsml.elasticity`; where that takes one table
        per sample, here it is one per point. ``load`` prescribes mean strains; without
        it, each unit mean strain is a load case and the answer the effective
        stiffness, which eigenstrains have no influence on.

    Raises
    ------
    ValueError
        Bad input: one sentence, before any work.
    MemoryError
        The basis cannot fit.
    ConvergenceError
        A solve failed and ``throw`` is set.
    """
    began = time.perf_counter()
    basis, table = _prepared(m, tol, snapshots, max_iter, compile, options)
    built = time.perf_counter()
    estimate = basis.model(table)
    estimated = time.perf_counter()
    finish = Finish(basis, table, _aim(basis), tol, max_iter, throw)
    result, iterations = finish(estimate)
    seconds = {
        "basis": built - began,
        "estimate": estimated - built,
        "solve": time.perf_counter() - estimated,
    }
    return Sweep(
        **vars(result), iterations=iterations, table=table, basis=basis, timings=seconds
    )


@torch.no_grad()
def reduced_basis(
    m: object,
    *,
    tol: float = 1e-6,
    snapshots: int = 8,
    max_iter: int = 1000,
    compile: Compile = "auto",
    **options: Unpack[ProblemOptions],
) -> ReducedBasis:
    """The basis of :func:`sweep` alone: ``phases`` are the points it is trained on.

    It then estimates any phases that are, each, combinations of what they are in those
    points, inside or outside of their range, always with a certificate.

    Raises
    ------
    ValueError, MemoryError, ConvergenceError
        As :func:`sweep`.
    """
    return _prepared(m, tol, snapshots, max_iter, compile, options)[0]


def _prepared(
    m: object,
    tol: float,
    snapshots: int,
    max_iter: int,
    compile: Compile,
    options: ProblemOptions,
) -> tuple[ReducedBasis, Coefficients]:
    check_limits(tol, max_iter)
    if type(snapshots) is not int or snapshots < 1:
        raise ValueError(f"snapshots = {snapshots!r} must be a whole number, 1 or more")
    setup = prepare(m, options, compile)
    measure = (STIFFNESS if setup.effective else FIELDS).measure
    return build(setup, Plan(measure, tol, snapshots, max_iter)), setup.table


def _aim(basis: ReducedBasis) -> Aim:
    return STIFFNESS if basis.model.effective else FIELDS


@dataclass(frozen=True)
class Finish:
    """Full solves of what an estimate leaves above the tolerance."""

    basis: ReducedBasis
    table: Coefficients
    aim: Aim
    tol: float
    max_iter: int
    throw: bool

    def __call__(self, estimate: Estimate) -> tuple[Estimate, Integer[Tensor, "t b l"]]:
        """The estimate with those solved in it, and their iterations."""
        left = (self.aim.measure(estimate) > self.tol).any(2)
        cases = estimate.error.shape[2]
        iterations = torch.zeros_like(estimate.error, dtype=torch.int64)
        size = max(1, BATCH // (cases * self.basis.affine.length))
        for pairs in left.nonzero().split(size):
            if len(pairs):
                points, cells = pairs.unbind(1)
                found, steps = self._solved(points, cells)
                estimate = entered(estimate, points, cells, found)
                iterations[points, cells] = steps
        return estimate, iterations

    def _solved(
        self, points: Codes, cells: Codes
    ) -> tuple[Estimate, Integer[Tensor, "n l"]]:
        """Pairs of a point and a microstructure in one batch."""
        basis, table = self.basis, self.table[points]
        affine, loads = basis.affine.select(cells), basis.model.loads[cells]
        stop = self.aim.stop(affine.problem(table, loads).strain, self.tol)
        rule = ConjugateGradient()
        solution = basis.run(table, cells, rule, stop, self.max_iter)
        if self.throw:
            solution.check()
        shape = loads.shape[:2]
        found = solution.state.x.unflatten(0, shape)
        gap = solution.state.gap
        most = None if gap is None else gap[:, 1].unflatten(0, shape)
        answer = evaluated(affine, table, loads, found, most, basis.model.effective)
        return answer, solution.iterations.unflatten(0, shape)


def entered(
    estimate: Estimate, points: Codes, cells: Codes, found: Estimate
) -> Estimate:
    """An estimate with what was found for some pairs of point and microstructure."""

    def enter(both: list[Tensor]) -> Tensor:
        whole, pairs = both
        return whole.index_put((points, cells), pairs[:, 0])

    return merged([estimate, found], enter)
