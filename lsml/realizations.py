"""Error bars of effective properties over realizations of a random microstructure.

A cell smaller than the representative volume has an apparent stiffness that scatters
from one realization to the next. The mean over n of them is known to t·s/√n, which also
tells how many it takes for an accuracy (Kanit, Forest, Galliet, Mounoury & Jeulin 2003,
Int. J. Solids Struct. 40; with their factor 2 replaced by the quantile t of Student's
distribution, which is near 2 for 95 % and many realizations). Periodic cells make the
bias of small volumes small, not zero: compare two sizes of the cell.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple, Unpack

import numpy as np
import torch
from jaxtyping import Float, Inexact
from scipy.special import stdtrit
from torch import Tensor

from lsml.acceleration import Compile
from lsml.homogenization import EffectiveStiffness, homogenize
from lsml.inputs import ProblemOptions
from lsml.numerics import wide
from lsml.problem import Problem
from lsml.rule import UpdateRule

FEW = 2  # realizations that have a deviation


class Moments(NamedTuple):
    """Count, mean, and sum of squared distances from the mean, of what was seen so far.

    Merged batch by batch without loss of digits (Chan, Golub & LeVeque 1983).
    """

    number: int
    mean: Inexact[Tensor, "*c"]
    square: Float[Tensor, "*c"]

    def merged(self, batch: Inexact[Tensor, "n *c"]) -> "Moments":
        """With more realizations."""
        values = batch.detach().to(wide(batch.dtype))
        n, mean = len(values), values.mean(0)
        square = (values - mean).abs().square().sum(0)
        if self.number == 0:
            return Moments(n, mean, square)
        whole, step = self.number + n, mean - self.mean
        between = step.abs().square() * (self.number * n / whole)
        return Moments(
            whole, self.mean + step * (n / whole), self.square + square + between
        )


NOTHING = Moments(0, torch.zeros(()), torch.zeros(()))


@dataclass(frozen=True)
class RepresentativeEstimate:
    """Mean effective tensor of ``count`` realizations, with its error bars.

    Attributes
    ----------
    mean : (c, c), Mandel stiffness or conductivity.
    deviation : standard deviation of one realization, entry by entry; NaN for one.
    confidence : of the interval, for normally distributed entries.
    numerical : mean half-width of the certified intervals of the diagonal, which no
        number of realizations reduces; infinite with pores.
    """

    mean: Inexact[Tensor, "c c"]
    deviation: Float[Tensor, "c c"]
    count: int
    confidence: float
    numerical: Float[Tensor, " c"]

    @property
    def standard_error(self) -> Float[Tensor, "c c"]:
        """Of the mean: deviation/√n."""
        return self.deviation / self.count**0.5

    @property
    def half_width(self) -> Float[Tensor, "c c"]:
        """Of the confidence interval around ``mean``; infinite for one realization."""
        if self.count < FEW:
            return torch.full_like(self.deviation, torch.inf)
        return self.quantile(self.count) * self.standard_error

    @property
    def relative(self) -> float:
        """Largest half-width of a diagonal entry, over that entry."""
        return float((self.half_width.diagonal() / self.mean.diagonal().abs()).max())

    def quantile(self, n: int) -> float:
        """Student's t of n realizations for the confidence."""
        return float(stdtrit(n - 1, (1 + self.confidence) / 2))

    def needed(self, accuracy: float) -> int:
        """Realizations of this cell for ``relative`` to be at most ``accuracy``.

        Raises
        ------
        ValueError
            Accuracy is not positive, or one realization, whose deviation is not known.
        """
        _check_accuracy(accuracy)
        if self.count < FEW:
            raise ValueError("one realization tells no deviation: give two or more")
        scatter = float((self.deviation.diagonal() / self.mean.diagonal().abs()).max())

        def enough(n: int) -> bool:
            return self.quantile(n) * scatter <= accuracy * n**0.5

        high = FEW
        while not enough(high):
            high *= 2
        low = high // 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if enough(middle) else (middle, high)
        return max(high, FEW)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The mean as NumPy sees it."""
        return np.array(self.mean.numpy(), dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        """Diagonal ± half-width."""
        pairs = zip(
            self.mean.diagonal().tolist(),
            self.half_width.diagonal().tolist(),
            strict=True,
        )
        shown = ", ".join(f"{m:.5g} ± {h:.2g}" for m, h in pairs)
        return (
            f"RepresentativeEstimate({self.count} realizations, "
            f"{100 * self.confidence:g} %: {shown})"
        )


def representative(  # noqa: PLR0913 (the public entry)
    cells: object,
    rule: UpdateRule[Any] | str = "cg",
    *,
    accuracy: float | None = None,
    confidence: float = 0.95,
    least: int = 8,
    most: int | None = None,
    batch: int = 16,
    tol: float = 1e-6,
    max_iter: int = 1000,
    compile: Compile = "auto",
    **options: Unpack[ProblemOptions],
) -> RepresentativeEstimate:
    """Mean effective tensor over realizations, with standard error and interval.

    Parameters
    ----------
    cells : an array (b, *n) of label images, solved ``batch`` at a time; or an
        iterable, such as a generator, of whatever :func:`lsml.homogenize` takes (an
        image, a batch, a problem), of which one item is held at a time; or a function
        that makes item k = 0, 1, 2, …
    accuracy : stop as soon as the relative half-width of the confidence interval of
        every diagonal entry is at most this; None takes all cells. Stopping on the
        data makes the interval a little too narrow for few realizations: see ``least``.
    confidence : of the interval, for normally distributed entries.
    least : realizations before ``accuracy`` may stop.
    most : realizations after which to stop whatever the accuracy.
    rule, tol, max_iter, compile, **options : as in :func:`lsml.homogenize`.

    Raises
    ------
    ValueError
        No cells, cells of different physics, a function without an end, or numbers
        out of range; before any work where that is known.
    ConvergenceError
        As :func:`lsml.homogenize`.
    """
    _check(accuracy, confidence, least, most, batch)
    stream, options = _stream(cells, batch, most, accuracy, options)
    seen, widths, estimate = NOTHING, NOTHING, None
    for item in stream:
        found = homogenize(
            item, rule, tol=tol, max_iter=max_iter, compile=compile, **options
        )
        _check_alike(seen, found)
        seen = seen.merged(found.stiffness)
        widths = widths.merged(_half_widths(found))
        estimate = _estimate(seen, widths, confidence)
        enough = accuracy is not None and seen.number >= least
        if enough and accuracy is not None and estimate.relative <= accuracy:
            break
        if most is not None and seen.number >= most:
            break
    if estimate is None:
        raise ValueError("cells hold no realization")
    return estimate


def _estimate(
    seen: Moments, widths: Moments, confidence: float
) -> RepresentativeEstimate:
    variance = seen.square / (seen.number - 1) if seen.number >= FEW else torch.nan
    deviation = torch.as_tensor(variance).expand_as(seen.square).sqrt()
    return RepresentativeEstimate(
        seen.mean, deviation, seen.number, confidence, widths.mean
    )


def _half_widths(found: EffectiveStiffness) -> Float[Tensor, "b c"]:
    open_ended = (found.lower == 0) & (found.upper > 0)
    return torch.where(open_ended, torch.inf, (found.upper - found.lower) / 2)


def _stream(
    cells: object,
    batch: int,
    most: int | None,
    accuracy: float | None,
    options: ProblemOptions,
) -> tuple[Iterator[object], ProblemOptions]:
    """What to solve, one after the other, and how labels are to be read."""
    if isinstance(cells, Problem):
        return iter([cells]), options
    if isinstance(cells, Tensor | np.ndarray):
        if cells.ndim not in (3, 4):
            raise ValueError(
                f"cells of shape {tuple(cells.shape)} must be (b, nx, ny) or "
                "(b, nx, ny, nz), the realization first"
            )
        if not {"load", "spacing"} & set(options):
            options = {**options, "spacing": (1.0,) * (cells.ndim - 1)}
        end = len(cells) if most is None else min(most, len(cells))
        starts = range(0, end, batch)
        return (cells[i : min(i + batch, end)] for i in starts), options
    if isinstance(cells, Iterable):
        return iter(cells), options
    if not callable(cells):
        raise ValueError(
            "cells must be an array of label images, an iterable of them or a "
            f"function that makes them, got {type(cells).__name__}"
        )
    if most is None and accuracy is None:
        raise ValueError("a function makes cells without end: give accuracy= or most=")
    return (cells(k) for k in count()), options


def _check(
    accuracy: float | None,
    confidence: float,
    least: int,
    most: int | None,
    batch: int,
) -> None:
    if accuracy is not None:
        _check_accuracy(accuracy)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence = {confidence!r} must be between 0 and 1")
    for name, value in (("least", least), ("batch", batch), ("most", most)):
        if value is not None and value < 1:
            raise ValueError(f"{name} = {value!r} must be 1 or more")


def _check_accuracy(accuracy: float) -> None:
    if not 0 < accuracy < float("inf"):
        raise ValueError(f"accuracy = {accuracy!r} must be positive and finite")


def _check_alike(seen: Moments, found: EffectiveStiffness) -> None:
    shape = tuple(found.stiffness.shape[1:])
    if seen.number and tuple(seen.mean.shape) != shape:
        raise ValueError(
            f"realization {seen.number} has an effective tensor {shape}, those before "
            f"it {tuple(seen.mean.shape)}: give cells of one kind"
        )
