"""An image in numbers: its phases, what percolates, two-point statistics."""

from dataclasses import dataclass

import numpy as np

from lsml.data.two_point import TwoPoint, two_point
from lsml.io.image import Image
from lsml.io.renumber import renumbered
from lsml.physics.percolation import crossed

MEASURED = 8  # phases, the largest ones, for which more than voxels is told


@dataclass(frozen=True)
class PhaseDescription:
    """One label of an image.

    Attributes
    ----------
    label : in the file.
    phase : its place among the labels.
    voxels : in all samples.
    fraction : of all voxels.
    percolates : along each axis, whether voxels with common faces connect the cell with
        its periodic image, in the first sample; None if not looked at.
    two_point : statistics of the first sample; None if not looked at.
    """

    label: int
    phase: int
    voxels: int
    fraction: float
    percolates: tuple[bool, ...] | None
    two_point: TwoPoint | None


@dataclass(frozen=True)
class Description:
    """Every label of an image, and why there are no two-point statistics.

    Attributes
    ----------
    phases : in the order of their labels.
    missing : what would have to be installed, "" if nothing.
    """

    phases: tuple[PhaseDescription, ...]
    missing: str = ""


def describe(image: Image) -> Description:
    """Phases of an image; the :data:`MEASURED` largest ones are looked at closely."""
    found = renumbered(image.labels)
    first = found.labels[0] if image.batch else found.labels
    close = {int(k) for k in np.argsort(-found.counts, kind="stable")[:MEASURED]}
    missing = ""
    phases = []
    for k, (value, count) in enumerate(zip(found.values, found.counts, strict=True)):
        across, stats = None, None
        if k in close:
            across = tuple(bool(c) for c in crossed(first == k, faces=True))
            try:
                stats = None if missing else two_point(first == k, image.spacing)
            except ImportError as error:
                missing = str(error)
        fraction = int(count) / found.labels.size
        phases.append(
            PhaseDescription(int(value), k, int(count), fraction, across, stats)
        )
    return Description(tuple(phases), missing)
