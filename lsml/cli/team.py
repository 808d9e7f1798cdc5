"""Who runs a command: one process, or several that have some rows of the image each."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from lsml.distributed import Slab, Slabs
from lsml.distributed.slab import check_cell
from lsml.io.image import every
from lsml.io.renumber import alone
from lsml.saving import WRITERS


@runtime_checkable
class Team(Protocol):
    """What depends on who they are.

    Attributes
    ----------
    formats : extensions that they write.
    beside : of these, extensions of the files that are written with them.
    first : whether this process writes files.
    """

    @property
    def formats(self) -> Sequence[str]: ...

    @property
    def beside(self) -> Mapping[str, str]: ...

    @property
    def first(self) -> bool: ...

    def place(self, asked: str | None) -> str | None:
        """The device of a problem."""
        ...

    def rows(self, cell: tuple[int, ...]) -> slice:
        """Of a cell of so many voxels, those of this process."""
        ...

    def pool(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Of the numbers that occur here, all that occur, in rising order."""
        ...

    def piece(self, labels: Any, n: int) -> Any:
        """Labels of these rows, of n, as problems are made of them."""
        ...

    def any(self, here: bool) -> bool:
        """Whether it is so for one of them."""
        ...

    def agreed(self) -> AbstractContextManager[None]:
        """What one refuses in here, all refuse."""
        ...


@dataclass(frozen=True)
class Alone:
    """One process, with the whole cell, or with work that it knows how to share."""

    first: bool = True

    @property
    def formats(self) -> Sequence[str]:
        return tuple(WRITERS)

    @property
    def beside(self) -> Mapping[str, str]:
        return {".h5": ".xdmf", ".hdf5": ".xdmf", ".xdmf": ".h5"}

    def place(self, asked: str | None) -> str | None:
        return asked

    def rows(self, cell: tuple[int, ...]) -> slice:
        return every(cell)

    def pool(self, numbers: NDArray[Any]) -> NDArray[Any]:
        return alone(numbers)

    def piece(self, labels: Any, n: int) -> Any:
        return labels

    def any(self, here: bool) -> bool:
        return here

    def agreed(self) -> AbstractContextManager[None]:
        return nullcontext()


@dataclass(frozen=True)
class Together:
    """Several, of which the first writes one HDF5 file."""

    slabs: Slabs

    @property
    def formats(self) -> Sequence[str]:
        return (".h5", ".hdf5")

    @property
    def beside(self) -> Mapping[str, str]:
        return {}

    @property
    def first(self) -> bool:
        return self.slabs.rank == 0

    def place(self, asked: str | None) -> str | None:
        return "cuda" if self.slabs.backend == "nccl" else None

    def rows(self, cell: tuple[int, ...]) -> slice:
        check_cell(cell, self.slabs.count)
        return self.slabs.rows(cell[0])

    def pool(self, numbers: NDArray[Any]) -> NDArray[Any]:
        return np.unique(np.concatenate(self.slabs.told(numbers)))

    def piece(self, labels: Any, n: int) -> Any:
        return Slab(labels, self.slabs, n)

    def any(self, here: bool) -> bool:
        mine = torch.tensor([here], dtype=torch.uint8, device=self.place(None))
        return bool(self.slabs.all(mine).any())

    def agreed(self) -> AbstractContextManager[None]:
        return self.slabs.agreed()


_present: ContextVar[Team] = ContextVar("team")


def team() -> Team:
    """Who runs the present command."""
    return _present.get(Alone())


@contextmanager
def run_by(those: Team) -> Iterator[None]:
    """Commands in here are run by them."""
    token = _present.set(those)
    try:
        yield
    finally:
        _present.reset(token)
