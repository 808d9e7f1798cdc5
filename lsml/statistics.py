"""Fields phase by phase: means, second moments, equivalents, histograms, energy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Inexact, Integer
from torch import Tensor

from lsml.discretization import Words
from lsml.equivalents import Measure, Points, Size, measures
from lsml.law import Law
from lsml.numerics import wide
from lsml.typing import Field


class Histogram(NamedTuple):
    """Shares of a phase's volume per unit of the value, 0 for a phase that is absent.

    Bins are alike in all phases and samples; density times width sums up to 1.
    """

    density: Float[Tensor, "b p k"]
    edges: Float[Tensor, " e"]


class Owners(NamedTuple):
    """To which of ``phases`` phases each voxel belongs."""

    labels: Integer[Tensor, "b v"]
    phases: int

    def total(self, values: Inexact[Tensor, "b v"]) -> Inexact[Tensor, "b p"]:
        """Sum of the values of each phase's voxels, in float64."""
        b = len(values)
        start = torch.arange(b, device=values.device)[:, None] * self.phases
        place = (self.labels.long() + start).flatten()
        empty = torch.zeros(
            b * self.phases, dtype=wide(values.dtype), device=values.device
        )
        summed = empty.index_add(0, place, values.flatten().to(empty.dtype))
        return summed.unflatten(0, (b, self.phases))

    def voxels(self) -> Float[Tensor, "b p"]:
        """Of each phase."""
        return self.total(torch.ones_like(self.labels, dtype=torch.float64))

    def split(self, values: Size) -> Iterator[list[np.ndarray]]:
        """For each sample, the values in each phase."""
        for image, sizes in zip(self.labels, values, strict=True):
            order = image.argsort(stable=True)
            counts = torch.bincount(image.long(), minlength=self.phases)
            ends = counts.cumsum(0)[:-1].tolist()
            sorted_ = sizes[:, order].detach().cpu().numpy()
            yield [part.ravel() for part in np.split(sorted_, ends, axis=1)]


@dataclass(frozen=True)
class PhaseField:
    """One field in each of p phases, over all its quadrature points.

    A phase that is absent from a sample has NaN for its averages.

    Attributes
    ----------
    values : at q points of v voxels.
    owners : phase of each voxel.
    measure : equivalent of a value: von Mises' √(3/2 s:s) of stress, √(2/3 e:e) of
        strain, with s and e the deviators in 3-D; the length of a vector, and of the
        whole tensors of finite strain.
    names : of the components.
    """

    values: Points
    owners: Owners
    measure: Measure
    names: tuple[str, ...]

    def average(self, at: Inexact[Tensor, "b q v"]) -> Inexact[Tensor, "b p"]:
        """Volume average over each phase of what is given at the points."""
        return self.owners.total(at.mean(1)) / self.owners.voxels()

    @cached_property
    def mean(self) -> Inexact[Tensor, "b p c"]:
        """<x>, by component."""
        return torch.stack([self.average(x) for x in self.values.unbind(2)], 2)

    @cached_property
    def second(self) -> Inexact[Tensor, "b p c c"]:
        """<x xᴴ>, the second moment of all pairs of (Mandel) components."""
        columns = self.values.unbind(2)
        rows = [
            torch.stack([self.average(x * y.conj()) for y in columns], 2)
            for x in columns
        ]
        return torch.stack(rows, 2)

    @property
    def covariance(self) -> Inexact[Tensor, "b p c c"]:
        """<x xᴴ> − <x><x>ᴴ: fluctuation within each phase."""
        return self.second - self.mean[..., None] * self.mean[..., None, :].conj()

    @cached_property
    def equivalent(self) -> Size:
        """Equivalent at every point, see ``measure``.

        Raises
        ------
        ValueError
            Of stress in plane strain, if a phase is not isotropic or not elastic: σ_33
            is not known.
        """
        return self.measure(self.values)

    @property
    def equivalent_mean(self) -> Float[Tensor, "b p"]:
        """Mean of the equivalent over each phase."""
        return self.average(self.equivalent)

    def percentile(self, percent: float | Sequence[float]) -> Float[Tensor, "b p *k"]:
        """Equivalents that so many per cent of a phase's volume do not exceed.

        Raises
        ------
        ValueError
            A percentage outside of 0 to 100.
        """
        asked = np.asarray(percent, dtype=float)
        if not bool(((asked >= 0) & (asked <= 100)).all()):
            raise ValueError(f"percent = {percent!r} must be from 0 to 100")
        nothing = np.full(asked.shape, np.nan)
        rows = [
            np.stack([np.percentile(x, asked) if x.size else nothing for x in phases])
            for phases in self.owners.split(self.equivalent)
        ]
        return torch.from_numpy(np.stack(rows).astype(float))

    def histogram(
        self,
        bins: int = 50,
        component: str | None = None,
        limits: tuple[float, float] | None = None,
    ) -> Histogram:
        """Distribution of the equivalent, or of a component, in each phase.

        Parameters
        ----------
        bins : of equal width.
        component : name such as ``"11"``, in Mandel notation; None for the equivalent.
        limits : ends of the bins; by default the extreme values of all phases and
            samples. Values beyond count in the first and the last bin.

        Raises
        ------
        ValueError
            No such component, one that is complex, no bins, or limits out of order.
        """
        at = self.equivalent if component is None else self._named(component)
        at = at.detach().double()
        low, high = (float(at.min()), float(at.max())) if limits is None else limits
        if bins < 1 or not low <= high:
            raise ValueError(
                f"a histogram needs bins = {bins} of 1 or more and limits "
                f"({low}, {high}) in order"
            )
        edges = torch.linspace(low, high, bins + 1, dtype=torch.float64)
        width = (high - low) / bins or 1.0
        index = ((at - low) / width).floor().clamp(0, bins - 1)
        share = [self.average((index == k).double()) for k in range(bins)]
        return Histogram(torch.stack(share, 2).nan_to_num(0.0) / width, edges)

    def _named(self, component: str) -> Size:
        if component not in self.names:
            raise ValueError(
                f"component {component!r} is unknown; choose one of "
                f"{', '.join(self.names)}"
            )
        at = self.values[:, :, self.names.index(component)]
        if at.is_complex():
            raise ValueError(
                "components are complex: take the histogram of the equivalent"
            )
        return at


@dataclass(frozen=True)
class PhaseStatistics:
    """What :meth:`lsml.Solution.per_phase` returns, for b samples of p phases.

    Attributes
    ----------
    fraction : share of the volume.
    strain, stress : the fields; in conduction also called ``gradient``, ``flux``.
    energy : stored in each phase per unit volume of the cell; they sum up to
        ``Solution.energy``.
    words : how components and fields are called.
    """

    fraction: Float[Tensor, "b p"]
    strain: PhaseField
    stress: PhaseField
    energy: Float[Tensor, "b p"]
    words: Words

    @property
    def gradient(self) -> PhaseField:
        """What ``strain`` is called in conduction."""
        return self.strain

    @property
    def flux(self) -> PhaseField:
        """What ``stress`` is called in conduction."""
        return self.stress

    def __repr__(self) -> str:
        """Fractions, shares of the energy and means, for the first sample."""
        b, p = self.fraction.shape
        lines = [f"PhaseStatistics({b} samples, {p} phases), sample 0:"]
        names = " ".join(self.words.components)
        head = f"mean {self.words.field}, mean {self.words.flux} ({names})"
        lines.append(f"{'phase':>5} {'fraction':>9} {'energy':>9}  {head}")
        share = self.energy.detach() / self.energy.detach().sum(1, keepdim=True)
        for h in range(p):
            means = (f.mean[0, h].detach().tolist() for f in (self.strain, self.stress))
            row = "; ".join(" ".join(f"{x:.4g}" for x in mean) for mean in means)
            part = f"{float(self.fraction[0, h]):9.4f} {float(share[0, h]):9.4f}"
            lines.append(f"{h:5d} {part}  {row}")
        return "\n".join(lines)


def phase_statistics(
    law: Law, words: Words, points: int, field: Field, flux: Field
) -> PhaseStatistics:
    """Statistics of field and flux at the points, (b, q·c, *n).

    Raises
    ------
    ValueError
        A law whose voxels are not of one phase each.
    """
    phases = law.initial()
    if phases is None or phases.census() is None:
        raise ValueError(
            "statistics per phase need a phase for every point: a law of phases, and "
            "not discretization 'staggered', whose faces and edges lie between voxels"
        )
    labels = phases.labels.flatten(1)
    labels = labels.repeat_interleave(len(field) // len(labels), 0)
    owners = Owners(labels, phases.coefficients.shape[1])
    x, y = (f.unflatten(1, (points, -1)).flatten(3) for f in (field, flux))
    table = phases.table.detach() if law is phases else None
    of_field, of_flux = measures(words, table, labels)
    density = law.energy(field).flatten(2).mean(1)
    return PhaseStatistics(
        owners.voxels() / labels.shape[1],
        PhaseField(x, owners, of_field, words.components),
        PhaseField(y, owners, of_flux, words.components),
        owners.total(density) / labels.shape[1],
        words,
    )
