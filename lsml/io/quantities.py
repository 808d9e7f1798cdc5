"""The real scalar fields of a saved result, by name: what pictures are made of.

Complex fields come in two parts. Beside its components a symmetric tensor has von
Mises' equivalent and a vector its length. The stress of a plane has none: the file does
not tell what acts along the third axis.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lsml.equivalents import no_strain, von_mises
from lsml.io.saved import Saved
from lsml.io.solved import real_parts

Array = NDArray[Any]

LABELS = "labels"
FIRST = ("strain", "displacement gradient", "gradient", "field", "velocity")
SECOND = ("stress", "flux", "pressure")
EQUIVALENT, LENGTH = "von Mises", "length"
WEIGHTS = {("strain", 6): 2 / 3, ("strain", 3): 2 / 3, ("stress", 6): 3 / 2}
DIMENSIONLESS = (
    "strain",
    "displacement gradient",
    "plastic_strain",
    "accumulated_plastic_strain",
)
UNITS = {
    "stress": "unit of the moduli",
    "displacement": "unit of the spacing",
    "gradient": "potential / length",
    "flux": "conductivity × gradient",
}


class Quantity(NamedTuple):
    """One field: ``values`` (b, c, *n), real, and the names of its components.

    Iterates have an axis more, (b, k, c, *n).
    """

    name: str
    values: Array
    components: tuple[str, ...]
    unit: str = ""

    @property
    def choices(self) -> tuple[str, ...]:
        """What can be shown: components, and one number for all of them."""
        if (self.name, len(self.components)) in WEIGHTS:
            return (*self.components, EQUIVALENT)
        if "2" in self.components:
            return (*self.components, LENGTH)
        return self.components

    def titled(self, component: str) -> str:
        """Such as ``strain 11``."""
        return f"{self.name} {component}".strip().replace("_", " ")


def quantities(saved: Saved) -> dict[str, Quantity]:
    """Labels first, then what was solved for, its flux, and the rest."""
    found: dict[str, Quantity] = {}
    labels = labels_of(saved)
    if labels is not None:
        found[LABELS] = Quantity(LABELS, labels[:, None], ("",))
    for name in _ordered(saved.fields):
        found |= _parts(name, saved.fields[name], saved.components[name])
    return found


def recorded(saved: Saved) -> dict[str, Quantity]:
    """The fields whose iterates were recorded, with values (b, k, c, *n)."""
    names = [name for name in FIRST if name in saved.fields]
    if saved.iterates is None or not names:
        return {}
    return _parts(names[0], saved.iterates, saved.components[names[0]])


def labels_of(saved: Saved) -> Array | None:
    """Phases (b, *n) of each sample; load cases share those of their image."""
    if saved.labels is None:
        return None
    return saved.labels.repeat(max(1, len(saved.status) // len(saved.labels)), 0)


def scalar(quantity: Quantity, values: Array, component: str) -> Array:
    """One scalar field (*n) of values (c, *n); ``component`` is one of ``choices``."""
    if component == LENGTH:
        length: Array = np.sqrt(np.square(values).sum(0))
        return length
    if component == EQUIVALENT:
        weight = WEIGHTS[quantity.name, len(values)]
        points = torch.from_numpy(np.ascontiguousarray(values)).flatten(1)
        size: Array = von_mises(weight, no_strain, points[None, None]).numpy()
        return size.reshape(values.shape[1:])
    picked: Array = values[quantity.components.index(component)]
    return picked


def leading(quantity: Quantity, sample: int) -> str:
    """The component with the largest mean of a sample, where the load acts."""
    values = quantity.values[sample]
    means = np.abs(values.reshape(len(values), -1).mean(1))
    return quantity.components[int(means.argmax())]


def _parts(
    name: str, values: Array, components: tuple[str, ...]
) -> dict[str, Quantity]:
    unit = UNITS.get(name, "")
    return {
        part: Quantity(part, numbers, components, unit)
        for part, numbers in real_parts(name, values).items()
    }


def _ordered(fields: Mapping[str, Array]) -> list[str]:
    known = [name for name in (*FIRST, *SECOND) if name in fields]
    return [*known, *(name for name in fields if name not in known)]
