"""What ``stop=`` names: criteria for fields and for effective stiffness."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from lsml.displacement_form import DisplacementForm
from lsml.energy import (
    EnergyError,
    EnergyGap,
    Measure,
    Spectrum,
    expected_error,
    half_width,
)
from lsml.physics.reference import ends_of_spectrum
from lsml.problem import Problem
from lsml.readout import Predictor, predicted, unpredicted
from lsml.rule import UpdateRule
from lsml.state import Status
from lsml.stop import RelativeResidual, StopCriterion


def by_residual(problem: Problem, tol: float) -> StopCriterion:
    """The residual over its value at x̄."""
    return RelativeResidual(tol)


def by_energy(problem: Problem, tol: float) -> StopCriterion:
    """The energy norm of the error over its value at x̄.

    Raises
    ------
    ValueError
        Pores, for which there is no bound, or another form.
    """
    if not isinstance(problem, DisplacementForm):
        raise ValueError(
            "stop='energy' needs compatible iterates: an elastic problem with "
            f"form='displacement', got {type(problem).__name__}"
        )
    low, high = ends_of_spectrum(problem)
    if not bool((low > 0).all()):
        raise ValueError(
            "stop='energy' needs phases of positive stiffness: with pores no residual "
            "bounds the energy; use stop='residual'"
        )
    return EnergyError(Spectrum(low, high), tol)


FIELDS: Mapping[str, Callable[[Problem, float], StopCriterion]] = {
    "residual": by_residual,
    "energy": by_energy,
}


class Stopping(NamedTuple):
    """A measure of the error, and what a sample is whose measure is small enough.

    ``predictor`` is what the measure is of, if not of bounds.
    """

    measure: Measure
    ending: Status
    predictor: Predictor = unpredicted


STIFFNESS: Mapping[str, Stopping] = {
    "certified": Stopping(half_width, Status.CONVERGED),
    "predict": Stopping(expected_error, Status.PREDICTED, predicted),
}


def check_stop(stop: object, known: Mapping[str, object]) -> None:
    """Refuse a name that is not known.

    Raises
    ------
    ValueError
        With those that are.
    """
    if stop not in known:
        raise ValueError(
            f"stop = {stop!r} is unknown; choose one of {', '.join(known)}"
        )


def check_scalars(stop: str, rule: UpdateRule[Any]) -> None:
    """Refuse a prediction by a rule, or the last of several, without scalars.

    Raises
    ------
    ValueError
        Naming the rule.
    """
    last = getattr(rule, "then", rule)
    predicts = STIFFNESS[stop].ending == Status.PREDICTED
    if predicts and not getattr(last, "gauged", False):
        raise ValueError(
            f"stop={stop!r} reads the scalars of conjugate gradients, which "
            f"{type(last).__name__} does not have: use rule='cg' or stop='certified'"
        )


def of_stiffness(stop: str, spectrum: Spectrum, tol: float) -> StopCriterion:
    """The named measure; with pores, where nothing is proved, the residual."""
    stopping = STIFFNESS[stop]
    proved = stopping.ending == Status.CONVERGED
    if proved and not bool((spectrum.low > 0).all()):
        return RelativeResidual(tol)
    spectrum = replace(spectrum, predictor=stopping.predictor)
    return EnergyGap(spectrum, tol, stopping.measure, stopping.ending)
