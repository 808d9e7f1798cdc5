"""Stopping by the energy of the error, which conjugate gradients bound as they go.

An iterate misses the squared energy norm g = <(ε − ε_k) : C (ε − ε_k)>, which is also
by how much its energy exceeds the least. For the residual r that a rule carries, g lies
between the Gauss-Radau bounds of :mod:`lsml.gauss_radau`, and for any other between
‖r‖²/λ_max and ‖r‖²/λ_min, which is where those begin.

A certificate belongs to the residual as evaluated, r + s. Since √g is a norm of it, the
drift s, evaluated too, moves either end of √g by at most ‖s‖/√λ_min.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.displacement_form import DisplacementForm
from lsml.gauss_radau import Gauge, opened
from lsml.numerics import root
from lsml.problem import Problem, Residual
from lsml.readout import Predictor, unpredicted
from lsml.state import Status
from lsml.stop import Certificate, RelativeResidual
from lsml.typing import Codes, PerSample, Vector

LARGE = 1e3  # error above which one is as bad as another

Gap = Float[Tensor, "b 4"]
Measure = Callable[[Gap, PerSample], PerSample]


@dataclass(frozen=True)
class Spectrum:
    """Between which stiffness ratios to C⁰ the phases of each sample lie.

    Attributes
    ----------
    predictor : expects a gain that is left, and the error of that; by default none.
    """

    low: PerSample
    high: PerSample
    predictor: Predictor = unpredicted

    def gauge(self, residual: Residual) -> Gauge:
        """The rule's, or what is known without one."""
        if residual.gauge is not None:
            return Gauge.unpacked(residual.gauge)
        unit = torch.finfo(residual.force.dtype).eps
        return opened(self.low, self.high, unit)

    def gap(self, problem: Problem, residual: Residual) -> Gap:
        """Bounds and prediction of g for the residual that a rule carries."""
        gauge, norm2 = self.gauge(residual), problem.square(residual)
        return within(*gauge.bounds(norm2), *self.predictor(gauge, norm2))

    def proved(self, problem: Problem, total: Residual, carried: Residual) -> Gap:
        """The same of an evaluated residual; it is written over."""
        if carried.gauge is None:
            return self.gap(problem, total)
        least, most, likely, doubt = self.gap(problem, carried).unbind(1)
        total.force.sub_(carried.force)
        total.step.sub_(carried.step)
        drift = problem.norm(Residual(total.force, total.step))
        drift = torch.where(self.low > 0, drift / self.low.sqrt(), 0.0)
        least = (root(least) - drift).clamp_min(0).square()
        most = (root(most) + drift).square()
        return within(least, most, likely, doubt)

    def select(self, samples: Codes) -> "Spectrum":
        """Of some of the samples."""
        return replace(self, low=self.low[samples], high=self.high[samples])


def within(
    least: PerSample, most: PerSample, likely: PerSample, doubt: PerSample
) -> Gap:
    """A prediction and its expected error, clipped to what is certain."""
    likely = torch.minimum(torch.maximum(likely, least), most)
    worst = torch.maximum(most - likely, likely - least)
    return torch.stack([least, most, likely, torch.minimum(doubt, worst)], 1)


@dataclass(frozen=True)
class EnergyError:
    """Energy norm of the strain's error over that of the uniform strain x̄.

    A bound from above, for every load. The norm at x̄ is evaluated once the gains of
    the rule say that the ratio may be small enough; from a start much better than x̄
    that may be later than necessary.
    """

    spectrum: Spectrum
    tol: float
    ending: ClassVar[Status] = Status.CONVERGED

    def scale(self, problem: Problem, first: PerSample) -> PerSample:
        """Bound from below of the energy norm at x̄, from the residual there."""
        first = RelativeResidual(self.tol).scale(problem, first)
        return first / self.spectrum.high.sqrt()

    def error(
        self, problem: Problem, x: Vector, residual: Residual, scale: PerSample
    ) -> PerSample:
        """Bound of the ratio, or another number above the tolerance."""
        gap = self.spectrum.gap(problem, residual)
        gained = self.spectrum.gauge(residual).gained[:, 0]
        ratio = self._ratio(gap, gained, scale)
        if not bool((ratio <= self.tol).any()):
            return ratio
        exact = self._ratio(gap, gained_since_start(problem, x, residual.force), scale)
        return torch.where(ratio <= self.tol, exact, ratio)

    def certificate(
        self,
        problem: Problem,
        x: Vector,
        total: Residual,
        carried: Residual,
        scale: PerSample,
    ) -> Certificate:
        """The same, allowing for the drift of the carried residual."""
        gained = gained_since_start(problem, x, total.force)
        gap = self.spectrum.proved(problem, total, carried)
        return Certificate(self._ratio(gap, gained, scale), gap)

    @staticmethod
    def _ratio(gap: Gap, gained: PerSample, scale: PerSample) -> PerSample:
        least, most = gap[:, 0], gap[:, 1]
        start = root(torch.maximum(gained + least, scale.square()))
        return torch.where(most == 0, 0.0, most.sqrt() / start)

    def select(self, samples: Codes) -> "EnergyError":
        """Of some of the samples."""
        return replace(self, spectrum=self.spectrum.select(samples))


def gained_since_start(problem: Problem, x: Vector, force: Vector) -> PerSample:
    """By how much g is less at x than at x̄: the mean of both forces does that work."""
    start = problem.start()
    path = (x - start).to(force.dtype)
    return problem.pairing(problem.force(start) + force, path)


def half_width(gap: Gap, work: PerSample) -> PerSample:
    """Of the interval that is left to the least energy, over its lower end."""
    return relative(gap[:, 1] / 2, work - gap[:, 1], work)


def expected_error(gap: Gap, work: PerSample) -> PerSample:
    """Of the predicted least energy, over that."""
    return relative(gap[:, 3], work - gap[:, 2], work)


def relative(part: PerSample, whole: PerSample, work: PerSample) -> PerSample:
    """A ratio, but a large finite number where the whole is next to nothing."""
    return (part / whole.clamp_min(work / LARGE)).clamp_max(LARGE)


@dataclass(frozen=True)
class EnergyGap:
    """Relative error of the least energy, which is an effective modulus.

    As long as even the energy of the start, which is the largest, would not make it
    small enough, no energy is evaluated.

    Attributes
    ----------
    measure : of the gap g and the energy <ε : σ> of the iterate, see `half_width`.
    """

    spectrum: Spectrum
    tol: float
    measure: Measure = half_width
    ending: Status = Status.CONVERGED

    def scale(self, problem: Problem, first: PerSample) -> PerSample:
        """Twice the energy of the uniform strain, ε̄ : <C> ε̄."""
        start = problem.start()
        return work(problem, start, problem.force(start))

    def error(
        self, problem: Problem, x: Vector, residual: Residual, scale: PerSample
    ) -> PerSample:
        """The measure, or one with a larger energy while too large."""
        gap = self.spectrum.gap(problem, residual)
        least = self.measure(gap, scale)
        hopeful = least <= self.tol
        if not bool(hopeful.any()):
            return least
        exact = self.measure(gap, work(problem, x, residual.force))
        return torch.where(hopeful, exact, least)

    def certificate(
        self,
        problem: Problem,
        x: Vector,
        total: Residual,
        carried: Residual,
        scale: PerSample,
    ) -> Certificate:
        """The measure, with energy and residual evaluated."""
        energy = work(problem, x, total.force)
        gap = self.spectrum.proved(problem, total, carried)
        return Certificate(self.measure(gap, energy), gap)

    def select(self, samples: Codes) -> "EnergyGap":
        """Of some of the samples."""
        return replace(self, spectrum=self.spectrum.select(samples))


def work(problem: Problem, x: Vector, force: Vector) -> PerSample:
    """<ε : σ> of ε = ε̄ + B u: the mean strain's part, and what the forces do."""
    assert isinstance(problem, DisplacementForm)
    uniform = problem.strain.background * problem.mean_flux(x)
    return uniform.sum(1, dtype=torch.float64) - problem.pairing(force, x)
