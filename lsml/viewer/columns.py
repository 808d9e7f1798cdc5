"""The results that stand beside each other, and what of them is chosen.

Nothing here knows how it is drawn: a choice goes in, numbers of a plane come out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsml.io.quantities import LABELS, Quantity, quantities, recorded, scalar
from lsml.io.saved import Saved, groups, read_saved

Array = NDArray[Any]

MOST = 6  # results that a page has room for
OUTLIERS = 0.5  # percent of the voxels at either end that the colours do not resolve


class Choice(NamedTuple):
    """What is looked at; of a plane image axis and position say nothing."""

    field: str
    component: str = ""
    sample: int = 0
    axis: int = 2
    position: int = 0
    iteration: int = 0


class Limits(NamedTuple):
    """Values at the two ends of the colours."""

    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Column:
    """One result: fields as they ended, and those of which iterates were recorded."""

    name: str
    saved: Saved
    final: Mapping[str, Quantity]
    recorded: Mapping[str, Quantity]

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        quantity = next(iter(self.final.values()))
        return quantity.values.shape[2:]

    @property
    def samples(self) -> int:
        """How many there are."""
        return len(self.saved.status)

    def last(self, field: str, sample: int) -> int | None:
        """The last recorded iterate of a sample; None where only the end is known."""
        if field not in self.recorded:
            return None
        kept = self.recorded[field].values.shape[1] - 1
        return min(kept, int(self.saved.numbers["iterations"].flat[sample]))

    def shown(self, choice: Choice) -> int | None:
        """The iterate that a choice shows; None for the end."""
        last = self.last(choice.field, choice.sample)
        return None if last is None else min(choice.iteration, last)

    def volume(self, choice: Choice, *, ended: bool = False) -> Array:
        """The chosen scalar (*n) in all of the cell."""
        return scalar(
            self.final[choice.field], self._values(choice, ended), choice.component
        )

    def plane(self, choice: Choice, *, ended: bool = False) -> Array:
        """The chosen scalar on the chosen slice (x, y), of a line as (n, 1)."""
        values = _cut(self._values(choice, ended), choice)
        return scalar(self.final[choice.field], values, choice.component)

    def curve(self, sample: int) -> Array:
        """Residual per iteration of a sample; nothing where the file has none."""
        if "history" not in self.saved.numbers:
            return np.zeros(0)
        last = int(self.saved.numbers["iterations"].flat[sample])
        history: Array = self.saved.numbers["history"][sample, : last + 1]
        return history

    def _values(self, choice: Choice, ended: bool) -> Array:
        k = None if ended else self.shown(choice)
        if k is None:
            values: Array = self.final[choice.field].values[choice.sample]
        else:
            values = self.recorded[choice.field].values[choice.sample, k]
        return values


def _cut(values: Array, choice: Choice) -> Array:
    """Components (c, x, y) on the slice."""
    if values.ndim == 4:
        last = values.shape[choice.axis + 1] - 1
        return values.take(min(choice.position, last), choice.axis + 1)
    return values[..., None] if values.ndim == 2 else values


def read_columns(
    paths: Sequence[str | Path], names: Sequence[str] = ()
) -> list[Column]:
    """Every result of every file, or those of the named groups.

    Raises
    ------
    FileNotFoundError, ValueError
        No such file, no result, no such group, too many results, or results that are
        not of one shape and number of samples.
    """
    pairs = [(Path(path), group) for path in paths for group in (names or groups(path))]
    if not 1 <= len(pairs) <= MOST:
        raise ValueError(
            f"{len(pairs)} results to show beside each other; name 1 to {MOST}, with "
            "groups where a file holds several"
        )
    columns = [_column(path, group, pairs) for path, group in pairs]
    for column in columns[1:]:
        _check_alike(columns[0], column)
    return columns


def _column(path: Path, group: str, pairs: Sequence[tuple[Path, str]]) -> Column:
    saved = read_saved(path, group or None)
    stems = [p.stem for p, g in pairs if g == group]
    file = path.stem if stems.count(path.stem) == 1 else str(path)
    final = quantities(saved)
    if not final:
        raise ValueError(f"{path} holds no field per voxel to show")
    several = len({p for p, _ in pairs}) > 1 or not group
    parts = [file, group] if several else [group]
    return Column(" · ".join(filter(None, parts)), saved, final, recorded(saved))


def _check_alike(first: Column, other: Column) -> None:
    for what, a, b in (
        ("voxels", first.shape, other.shape),
        ("samples", first.samples, other.samples),
    ):
        if a != b:
            raise ValueError(
                f"{other.saved.path} has {b} {what}, {first.saved.path} {a}: only "
                "results of one image stand beside each other"
            )
    if not common(first, other):
        raise ValueError(
            f"{other.saved.path} and {first.saved.path} have no field in common"
        )


def common(*columns: Column) -> dict[str, Quantity]:
    """The fields that all columns have, with equal components; labels last."""
    first = columns[0].final
    shared = {
        name: quantity
        for name, quantity in first.items()
        if all(
            name in other.final and other.final[name].components == quantity.components
            for other in columns
        )
    }
    return dict(sorted(shared.items(), key=lambda item: item[0] == LABELS))


def limits(planes: Sequence[Array], *, robust: bool) -> Limits:
    """Ends of the colours that all planes share, a little apart if all are equal."""
    values = np.concatenate([np.ravel(p) for p in planes]).astype(float)
    values = values[np.isfinite(values)]
    if not values.size:
        return Limits(0.0, 1.0)
    ends = (OUTLIERS, 100 - OUTLIERS) if robust else (0, 100)
    low, high = (float(v) for v in np.percentile(values, ends))
    if not high - low > 1e-12 * max(abs(low), abs(high)):
        apart = 0.1 * abs(low) or 1.0
        return Limits(low - apart, high + apart)
    return Limits(low, high)


def symmetric(planes: Sequence[Array]) -> Limits:
    """Ends of a difference's colours, so that white is zero."""
    ends = limits(planes, robust=True)
    largest = max(abs(ends.low), abs(ends.high))
    return Limits(-largest, largest)
