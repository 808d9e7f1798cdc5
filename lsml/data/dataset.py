"""Solved microstructures as a torch dataset that reads them one at a time."""

import os
from operator import index
from pathlib import Path

import h5py
import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch.utils.data import Dataset

from lsml.data.layout import explained, header_of, open_dataset
from lsml.data.recipe import SPLITS
from lsml.learned.sample import Sample

ALL = "all"
PHASES = 2


class LocalizationDataset(Dataset[Sample]):
    """Samples of a file in the layout of :mod:`lsml.data.layout`.

    The file is opened by each process that reads it, when it reads first: the dataset
    can be pickled, and shared with the workers of a loader however they are started.

    Parameters
    ----------
    path : of the file, written by :func:`lsml.data.generate` or
        :func:`lsml.data.convert_paper`.
    split : ``"train"``, ``"validation"``, ``"test"``, or ``"all"``.

    Attributes
    ----------
    path, split : as given.
    recipe : of what the samples are made.
    contrast : Young's modulus of phase 1; that of phase 0 is 1.
    nu : Poisson's ratio of both.
    load : the Mandel component of the mean strain that is not 0.
    mean_strain : that component; samples are divided by it.
    components : Mandel components stored, in order.
    phases : number of them.
    shape : voxels along each axis.
    counts : samples of each split in the file.
    rows : place of each sample in the file.
    error : certified relative residual of each sample; NaN where not certified.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        Another file, an unknown split, or one without samples.
    """

    def __init__(self, path: str | Path, split: str = "train") -> None:
        if split not in (*SPLITS, ALL):
            known = ", ".join((*SPLITS, ALL))
            raise ValueError(f"split {split!r} is unknown; choose one of {known}")
        self.path, self.split = Path(path), split
        self._file: h5py.File | None = None
        self._process = os.getpid()
        with open_dataset(self.path) as file:
            header = header_of(file)
            with explained(f"{self.path} cannot be read"):
                codes, errors = file["split"][()], file["error"][()]
            self.shape = tuple(int(k) for k in file["labels"].shape[1:])
        self.recipe, self.contrast, self.nu = header.recipe, header.contrast, header.nu
        self.load, self.mean_strain = header.load, header.mean_strain
        self.components, self.phases = header.components, PHASES
        self.counts = {name: int((codes == i).sum()) for i, name in enumerate(SPLITS)}
        self.rows = self._rows(codes)
        self.error = torch.from_numpy(errors[self.rows])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Sample:
        """Sample i of the split.

        Raises
        ------
        IndexError
            There is none.
        ValueError
            The file is damaged there, or a strain is NaN or infinite.
        """
        row = int(self.rows[index(i)])
        with explained(f"sample {row} of {self.path} cannot be read"):
            file = self._opened()
            labels, strain = file["labels"][row], file["strain"][row]
        if not np.isfinite(strain).all():
            raise ValueError(
                f"sample {row} of {self.path} has a strain that is not finite; make "
                "the dataset again, or without it"
            )
        scaled = torch.from_numpy(strain) / self.mean_strain
        return Sample(torch.from_numpy(labels), scaled)

    def __getstate__(self) -> dict[str, object]:
        """All but the open file."""
        return vars(self) | {"_file": None}

    def _rows(self, codes: UInt8[np.ndarray, " N"]) -> Int[np.ndarray, " k"]:
        if self.split == ALL:
            return np.arange(len(codes))
        rows = np.flatnonzero(codes == SPLITS.index(self.split))
        if not len(rows):
            held = ", ".join(f"{count} {name}" for name, count in self.counts.items())
            raise ValueError(
                f"{self.path} has no sample in the split {self.split!r}; it has {held}"
            )
        return rows

    def _opened(self) -> h5py.File:
        """The file, opened by this very process."""
        if self._file is None or self._process != os.getpid():
            self._file, self._process = open_dataset(self.path), os.getpid()
        return self._file
