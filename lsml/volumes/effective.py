"""One image of many: read, solved, and put into numbers."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from lsml.effective import EffectiveStiffness
from lsml.homogenization import homogenize
from lsml.inputs import ProblemOptions
from lsml.io.array_files import raw_layout
from lsml.io.image import Image
from lsml.io.labels import read_image
from lsml.io.renumber import Phases, fitting
from lsml.state import Status
from lsml.volumes.found import Volume, labels_of
from lsml.volumes.row import Row

PHASES = 2


@dataclass(frozen=True)
class Settings:
    """What is the same for all images; as in :func:`lsml.homogenize`.

    Attributes
    ----------
    dataset, raw : array in the files, and the layout of ``.raw`` files, as text.
    spacing : voxel edges in the place of the files'.
    device : ``"cpu"`` or ``"cuda"``.
    """

    contrast: float = 10.0
    rule: str = "cg"
    discretization: str = "rotated"
    tol: float = 1e-6
    stop: str = "certified"
    max_iter: int = 1000
    spacing: tuple[float, ...] | None = None
    dataset: str | None = None
    raw: str | None = None
    device: str = "cpu"

    def plain(self) -> dict[str, object]:
        """What the numbers depend on, as JSON has it."""
        told = asdict(self)
        del told["device"]
        return told | {"spacing": None if self.spacing is None else [*self.spacing]}

    def read(self, volume: Volume) -> Image:
        """The image, with the voxel edges that count.

        Raises
        ------
        ValueError, OSError, ImportError
            As :func:`lsml.io.read_image`, or several images in the file.
        """
        raw = None if self.raw is None else raw_layout(self.raw)
        image = volume.image or read_image(volume.file, self.dataset, raw)
        labels = labels_of(image, volume.file)
        return Image(labels, self.spacing or image.spacing)

    def solve(self, image: Image) -> EffectiveStiffness:
        """The effective stiffness, converged or not.

        Raises
        ------
        ValueError
            As :func:`lsml.homogenize`.
        """
        options = ProblemOptions(
            contrast=self.contrast,
            discretization=self.discretization,
            device=self.device,
        )
        if image.spacing is not None:
            options["spacing"] = image.spacing
        return homogenize(
            image.labels,
            self.rule,
            tol=self.tol,
            stop=self.stop,
            max_iter=self.max_iter,
            throw=False,
            **options,
        )

    def check(self, ndim: int) -> None:
        """Refuse settings with which no image can be solved, by a single voxel.

        Raises
        ------
        ValueError
            As :func:`lsml.homogenize`.
        """
        voxel = Image(np.zeros((1,) * ndim, np.uint8), self.spacing)
        replace(self, device="cpu").solve(voxel)  # GPUs may be elsewhere


def row_for(settings: Settings, ndim: int, volume: Volume) -> Row:
    """The row of an image of a batch whose images have so many axes.

    Raises
    ------
    ValueError, OSError, ImportError
        The image cannot be solved.
    """
    image = settings.read(volume)
    if image.labels.ndim != ndim:
        raise ValueError(
            f"{volume} has {image.labels.ndim} axes; the first image of the batch has "
            f"{ndim}"
        )
    phases = phases_of(image, volume)
    found = settings.solve(Image(phases.labels, image.spacing))
    codes = [Status(code) for code in found.solution.status.tolist()]
    worst = max(codes, key=lambda status: (status.failed, status))
    constants = found.engineering()
    return Row(
        volume.name,
        worst.name,
        worst.advice if worst.failed else "",
        tuple(phases.values.tolist()),
        tuple((phases.counts / phases.counts.sum()).tolist()),
        _frozen(found.stiffness),
        _frozen(found.lower),
        _frozen(found.upper),
        _frozen(constants.E),
        _frozen(constants.nu),
        _frozen(constants.G),
        _frozen(found.iterations),
        found.solution.timings["setup"] + found.solution.timings["solve"],
    )


def phases_of(image: Image, volume: Volume) -> Phases:
    """Phases 0 and 1; two other labels in their order.

    Raises
    ------
    ValueError
        More than two labels, or a single one that does not say which phase it is.
    """
    phases = fitting(image.labels, PHASES)
    if len(phases.values) < PHASES:
        raise ValueError(
            f"{volume} has the label {int(phases.values[0])} only, which does not say "
            "what phase that is: number phases from 0 (lsml convert)"
        )
    return phases


def _frozen(batch: Tensor) -> Any:
    """The first of a batch as nested tuples."""

    def deep(value: Any) -> Any:
        return tuple(map(deep, value)) if isinstance(value, Sequence) else value

    return deep(batch[0].detach().cpu().tolist())
