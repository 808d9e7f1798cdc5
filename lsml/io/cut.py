"""Arrays of a cell of which several processes have some rows each.

They are written without ever being in one place: the first process receives some rows
at a time, in the order of the file, and the others send theirs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lsml.grid import Grid
from lsml.io.solved import array

CHUNK = 2**16  # numbers that HDF5 packs together
Index: TypeAlias = tuple[int | slice, ...]


@dataclass(frozen=True, eq=False)
class Cut:
    """One array, whose last axes are those of the grid.

    Attributes
    ----------
    values : the rows of this process.
    """

    values: Tensor
    grid: Grid

    @property
    def _lead(self) -> tuple[int, ...]:
        """Axes before those of the grid."""
        return self.values.shape[: self.values.ndim - self.grid.ndim]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole cell."""
        return (*self._lead, *self.grid.whole)

    @property
    def dtype(self) -> np.dtype[Any]:
        """As NumPy has it."""
        return array(self.values.new_empty(0)).dtype

    @property
    def chunks(self) -> tuple[int, ...]:
        """What is packed together in a file: voxels that follow each other."""
        sizes, room = [], CHUNK
        for n in reversed(self.grid.whole):
            sizes.append(max(1, min(n, room)))
            room //= sizes[-1]
        return (*(1 for _ in self._lead), *reversed(sizes))

    def blocks(self) -> Iterator[tuple[Index, NDArray[Any]]]:
        """Where and what, in the order of the whole array, on the first process."""
        for lead in np.ndindex(*self._lead):
            start = 0
            for rows in self.grid.collect(self.values[lead].detach()):
                yield (*lead, slice(start, start + len(rows))), array(rows)
                start += len(rows)


Stored: TypeAlias = NDArray[Any] | Cut


def stored(tensor: Tensor, grid: Grid) -> Stored:
    """A field as writers take it: whole, or cut."""
    return array(tensor) if grid.pieces == 1 else Cut(tensor, grid)


def blocks(values: Stored) -> Iterator[NDArray[Any]]:
    """All numbers of an array in their order, some at a time."""
    if isinstance(values, Cut):
        yield from (rows for _, rows in values.blocks())
    else:
        yield values


def in_memory(arrays: Mapping[str, Stored]) -> dict[str, NDArray[Any]]:
    """Arrays for those who need them whole.

    Raises
    ------
    ValueError
        They are those of a slab.
    """
    whole = {name: v for name, v in arrays.items() if not isinstance(v, Cut)}
    for values in arrays.values():
        if isinstance(values, Cut):
            raise ValueError(
                f"this solution is one of {values.grid.pieces} slabs of a cell, which "
                "only .h5 files take: save it there, and convert that file"
            )
    return whole
