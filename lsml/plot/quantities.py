"""The fields of a solution by name: what can be asked to be shown."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray

from lsml.equivalents import measures
from lsml.io.content import axes_of, internal_order
from lsml.io.solved import (
    Answer,
    Solved,
    array,
    has_strain,
    image_of,
    phase_law,
    shown,
    voxels,
)

MODULI = "unit of the moduli"
LENGTH = "unit of the spacing"
MISES = "mises"
TITLES = {MISES: "von Mises stress"}


class Quantity(NamedTuple):
    """One field of one sample.

    Attributes
    ----------
    components : their names, ("",) of a scalar.
    values : makes (k, *n) when it is needed.
    unit : of its numbers, "" if it has none.
    """

    components: tuple[str, ...]
    values: Callable[[], NDArray[Any]]
    unit: str = ""


def quantities(solution: Answer, sample: int) -> dict[str, Quantity]:
    """Fields by name, with underscores for spaces."""
    if has_strain(solution):
        return _of_strain(solution, sample)
    fields = shown(solution).fields.items()
    return {
        name: Quantity(axes_of(values.shape[1]), partial(array, values[sample]))
        for name, values in fields
    }


def chosen(solution: Answer, name: str, sample: int) -> tuple[str, Quantity]:
    """The field called so, or the one component of it that ends the name.

    Raises
    ------
    ValueError
        There is none; the message names those that there are.
    """
    known = quantities(solution, sample)
    asked = name.replace(" ", "_")
    if asked in known:
        return TITLES.get(asked, asked.replace("_", " ")), known[asked]
    field, _, component = asked.rpartition("_")
    if field in known and component in known[field].components:
        whole = known[field]
        row = whole.components.index(component)
        title = f"{field.replace('_', ' ')} {component}"
        return title, Quantity(("",), lambda: whole.values()[row][None], whole.unit)
    raise ValueError(f"field {name!r} is unknown; there are {_list(known)}")


def _list(known: dict[str, Quantity]) -> str:
    """Names, with those of the components behind each."""
    told = []
    for name, quantity in known.items():
        ends = quantity.components
        told.append(f"{name} (_{', _'.join(ends)})" if len(ends) > 1 else name)
    return ", ".join(told)


def _of_strain(solution: Solved, sample: int) -> dict[str, Quantity]:
    words = solution.form.discretization.differential.words
    ndim = solution.form.grid.ndim
    pairs = [(words.field, "strain", ""), (words.flux, "stress", MODULI)]
    found = {}
    for called, attribute, unit in pairs:
        values = partial(_voxels, solution, attribute, sample)
        found[called.replace(" ", "_")] = Quantity(words.components, values, unit)
    if words.field == "strain":
        found[MISES] = Quantity(("",), partial(_mises, solution, sample), MODULI)
    moves = axes_of(ndim if words.field != "gradient" else 1)
    place = partial(_moved, solution, sample)
    found[words.potential] = Quantity(moves, place, LENGTH if len(moves) > 1 else "")
    for name, kept in solution.internal.items():
        rows = kept[sample]
        order = internal_order(name, rows.shape, ndim)
        shape = rows.reshape(len(order), *rows.shape[-ndim:])
        found[name] = Quantity(order, partial(array, shape))
    if solution.form.law.initial() is not None:
        labels = partial(_labels, solution, sample)
        found["labels"] = Quantity(("",), labels)
    return found


def _voxels(solution: Solved, attribute: str, sample: int) -> NDArray[Any]:
    return voxels(solution, getattr(solution, attribute), sample)


def _moved(solution: Solved, sample: int) -> NDArray[Any]:
    return array(solution.displacement[sample])


def _labels(solution: Solved, sample: int) -> NDArray[Any]:
    return image_of(solution, sample)[None]


def _mises(solution: Solved, sample: int) -> NDArray[Any]:
    """√(3/2 s:s) of the stress of each voxel; in plane strain with σ_33."""
    words = solution.form.discretization.differential.words
    stress = _voxels(solution, "stress", sample)
    phases = phase_law(solution)
    table = phases.table.detach().cpu()
    own = table[sample * len(table) // len(solution.status)][None]
    labels = torch.from_numpy(image_of(solution, sample)).flatten()[None]
    elastic = own if solution.form.law is phases else None
    _, of_stress = measures(words, elastic, labels)
    points = torch.from_numpy(stress).flatten(1)[None, None]
    return array(of_stress(points)).reshape(1, *stress.shape[1:])
