"""How programs lay out a voxel image in HDF5: order of axes, voxel edges, origin.

==============  =====================================================================
lsml            ``labels`` (s, x, y, z) beside ``spacing`` and ``origin``, in a group
                whose ``format`` begins with lsml
FANS            attribute ``permute_order`` of the dataset: zyx or xyz (Reader::ReadMS
                of FANS; MSUtils writes it). Without it FANS reads z, y, x, but nothing
                tells such a dataset from any other, which is read as x, y, z
DREAM.3D 6      (z, y, x, 1) in an attribute matrix beside ``_SIMPL_GEOMETRY``, which
                has DIMENSIONS, SPACING and ORIGIN as x, y, z (SIMPLib)
DREAM.3D-NX     (z, y, x, 1) in an attribute matrix of a geometry whose attributes
                ``_DIMENSIONS``, ``_SPACING``, ``_ORIGIN`` are x, y, z (simplnx, file
                version 8.0)
==============  =====================================================================
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import h5py
import numpy as np

from lsml.brief import brief
from lsml.io.image import Found, Wanted
from lsml.io.inside import item, values_of
from lsml.io.inside import numbers as stored

SIMPL = "_SIMPL_GEOMETRY"


@runtime_checkable
class Layout(Protocol):
    """Where a dataset stands, and what that says about it.

    Attributes
    ----------
    words : whose layout it is.
    preferred : whether its image is taken before other arrays.
    """

    @property
    def words(self) -> str: ...

    @property
    def preferred(self) -> bool: ...

    def holds(self, dataset: h5py.Dataset) -> bool:
        """Whether the dataset is one label for each voxel."""
        ...

    def place(self, dataset: h5py.Dataset, wanted: Wanted) -> Found:
        """Its labels, of the rows that are wanted.

        Raises
        ------
        ValueError
            It is no label image, or what belongs to it is missing.
        """
        ...


def layout_of(dataset: h5py.Dataset) -> Layout:
    """The layout around a dataset; plain if none is known."""
    group = dataset.parent
    if str(group.attrs.get("format", "")).startswith("lsml"):
        return Own()
    if "permute_order" in dataset.attrs:
        return Permuted()
    above = group.parent
    if isinstance(item(above, SIMPL), h5py.Group):
        return Dream3D(_whole(_simpl(above, "DIMENSIONS")), False)
    if "_DIMENSIONS" in above.attrs:
        return Dream3D(_whole(above.attrs["_DIMENSIONS"]), True)
    return Plain()


@dataclass(frozen=True)
class Plain:
    """An array whose axes are x, y, z."""

    words: str = "HDF5"
    preferred: bool = False

    def holds(self, dataset: h5py.Dataset) -> bool:
        return True

    def place(self, dataset: h5py.Dataset, wanted: Wanted) -> Found:
        index, n = wanted.part(dataset.shape)
        return Found(values_of(dataset, index), n=n)


@dataclass(frozen=True)
class Own:
    """Results and data of lsml; one image of a result is taken out of its batch."""

    words: str = "lsml"
    preferred: bool = True

    def holds(self, dataset: h5py.Dataset) -> bool:
        return dataset.name.rpartition("/")[2] == "labels"

    def place(self, dataset: h5py.Dataset, wanted: Wanted) -> Found:
        index, n = wanted.part(dataset.shape, dataset.ndim - 1)
        labels, beside = values_of(dataset, index), dataset.parent
        spacing, origin = (
            None if item(beside, name) is None else numbers(stored(beside, name))
            for name in ("spacing", "origin")
        )
        if labels.ndim < 3:
            raise ValueError(f"labels of shape {labels.shape} have no samples")
        single = len(labels) == 1
        labels = labels[0] if single else labels
        return Found(labels, spacing, origin, batch=not single, n=n)


@dataclass(frozen=True)
class Permuted:
    """FANS and MSUtils, which say which axis comes first."""

    words: str = "FANS"
    preferred: bool = False

    def holds(self, dataset: h5py.Dataset) -> bool:
        return True

    def place(self, dataset: h5py.Dataset, wanted: Wanted) -> Found:
        order = dataset.attrs["permute_order"]
        text = order.decode() if isinstance(order, bytes) else str(order)
        if text.lower() not in ("zyx", "xyz"):
            told, name = brief(repr(text)), brief(dataset.name)
            raise ValueError(f"permute_order of {name} is {told}, not zyx or xyz")
        step = -1 if text.lower() == "zyx" else 1
        index, n = wanted.part(dataset.shape[::step])
        labels = values_of(dataset, index[::step])
        return Found(labels.T if step < 0 else labels, n=n)


@dataclass(frozen=True)
class Dream3D:
    """Cell data of an image geometry, z first, with an axis for components.

    Attributes
    ----------
    dimensions : voxels along x, y, z.
    attributes : whether the geometry stands in attributes (NX) or in a group (6).
    """

    dimensions: tuple[int, ...]
    attributes: bool
    preferred: bool = False

    @property
    def words(self) -> str:
        return "DREAM.3D-NX" if self.attributes else "DREAM.3D 6"

    def holds(self, dataset: h5py.Dataset) -> bool:
        cells = self.dimensions[::-1]
        return dataset.shape in (cells, (*cells, 1))

    def place(self, dataset: h5py.Dataset, wanted: Wanted) -> Found:
        if not self.holds(dataset):
            voxels = " × ".join(map(str, self.dimensions))
            raise ValueError(
                f"{dataset.name} of shape {dataset.shape} is not one label for each of "
                f"{voxels} voxels"
            )
        above = dataset.parent.parent
        index, n = wanted.part(self.dimensions, len(self.dimensions))
        cells = values_of(dataset, index[::-1])
        cells = cells.reshape(cells.shape[: len(index)])
        if self.attributes:
            edges = (above.attrs.get(name) for name in ("_SPACING", "_ORIGIN"))
        else:
            edges = (_simpl(above, name) for name in ("SPACING", "ORIGIN"))
        spacing, origin = (None if e is None else numbers(e) for e in edges)
        return Found(cells.T, spacing, origin, n=n)


def _whole(values: object) -> tuple[int, ...]:
    return tuple(int(value) for value in np.ravel(np.asarray(values)))


def numbers(values: object) -> tuple[float, ...]:
    """As Python has them."""
    return tuple(float(value) for value in np.ravel(np.asarray(values)))


def _simpl(group: h5py.Group, name: str) -> np.ndarray:
    return np.ravel(stored(group, f"{SIMPL}/{name}"))
