"""One sample as other programs see it: plain components, in their place.

Tensors have plain components (no √2 on shear) in VTK's order XX YY ZZ XY YZ XZ;
displacement gradients and Piola stresses are whole, row by row. Vectors have three
components, the third 0 in 2-D. The periodic displacement, or potential, sits at the
voxel corners, where it is defined, or in the cells for `fourier` and `staggered`.
Complex fields are two, ``Re`` and ``Im``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsml.io.content import INTERNAL, axes_of, order_of
from lsml.io.saved import Saved
from lsml.io.solved import (
    Answer,
    Solved,
    array,
    check_sample,
    has_strain,
    image_of,
    real_parts,
    shown,
    voxels,
)
from lsml.physics.discretization import name_of

ORDER = ("11", "22", "33", "12", "23", "13")  # VTK's
LETTERS = {"1": "X", "2": "Y", "3": "Z"}
CENTRED = ("fourier", "staggered")  # where potentials are shown in the cells
POTENTIALS = ("displacement", "potential")


@dataclass(frozen=True, eq=False)
class Placed:
    """Numbers (k, *m) with a name, in the cells or at the corners.

    Attributes
    ----------
    components : such as XX of a tensor; empty for scalars and vectors.
    corners : whether the m are corners, one more than voxels along each axis.
    """

    name: str
    values: NDArray[Any]
    components: tuple[str, ...] = ()
    corners: bool = False


@dataclass(frozen=True, eq=False)
class Seen:
    """A voxel image with numbers on it."""

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    arrays: tuple[Placed, ...]


def seen(solution: Answer, sample: int) -> Seen:
    """One sample of a solution.

    Raises
    ------
    ValueError
        There is no such sample, or there are no labels where there should be.
    """
    check_sample(solution, sample)
    if has_strain(solution):
        return _strained(solution, sample)
    spacing, fields = shown(solution)
    arrays = {name: array(values[sample]) for name, values in fields.items()}
    shape = next(iter(arrays.values())).shape[1:]
    named = {name: axes_of(len(values)) for name, values in arrays.items()}
    return Seen(shape, tuple(spacing), tuple(_all(arrays, named)))


def _strained(solution: Solved, sample: int) -> Seen:
    grid, words = solution.form.grid, solution.form.discretization.differential.words
    fields = {
        words.field: voxels(solution, solution.strain, sample),
        words.flux: voxels(solution, solution.stress, sample),
    }
    named = {n: order_of(len(v), words.components) for n, v in fields.items()}
    for name, values in solution.internal.items():
        fields[name] = array(values[sample]).reshape(-1, *grid.shape)
        named[name] = INTERNAL[name][grid.ndim]
    if solution.predicted is not None:
        fields["predicted"] = array(solution.predicted[sample])
        named["predicted"] = order_of(len(fields["predicted"]), words.components)
    labels = Placed("labels", image_of(solution, sample)[None])
    u = array(solution.displacement[sample])
    name, scheme = words.potential, name_of(solution.form.discretization)
    moved = _moved(name, u, grid.shape, centred=scheme in CENTRED)
    arrays = (labels, *_all(fields, named), *moved)
    return Seen(grid.shape, grid.spacing, arrays)


def seen_in(saved: Saved, sample: int) -> Seen:
    """One sample of a file.

    Raises
    ------
    ValueError
        There is no such sample, or there are no fields.
    """
    if not saved.fields:
        raise ValueError(f"{saved.path} holds no fields")
    count = len(next(iter(saved.fields.values())))
    if not 0 <= sample < count:
        raise ValueError(
            f"sample = {sample} must be one of the {count} in {saved.path}, 0 to "
            f"{count - 1}"
        )
    fields = {n: v[sample] for n, v in saved.fields.items() if n not in POTENTIALS}
    shape = next(iter(fields.values())).shape[1:]
    arrays = [*_all(fields, saved.components)]
    if saved.labels is not None:
        image = saved.labels[sample * len(saved.labels) // count]
        arrays.insert(0, Placed("labels", image[None]))
    centred = saved.attributes.get("discretization") in CENTRED
    for name in POTENTIALS:
        u = saved.fields.get(name, saved.numbers.get(name))
        if u is not None:
            arrays += _moved(name, u[sample], shape, centred=centred)
    return Seen(shape, saved.spacing, tuple(arrays))


def _all(
    fields: Mapping[str, NDArray[Any]], named: Mapping[str, Sequence[str]]
) -> Iterator[Placed]:
    """Fields in the cells."""
    for name, values in fields.items():
        for part, numbers in real_parts(name, values).items():
            yield _plain(part, numbers, named[name])


def _plain(name: str, values: NDArray[Any], components: Sequence[str]) -> Placed:
    """A tensor by its components, if those say that it is one."""
    if not all(len(pair) == 2 for pair in components):
        return Placed(name, values if len(values) == 1 else _three(values))
    letters = {p: LETTERS[p[0]] + LETTERS[p[1]] for p in components}
    if any(pair in letters for pair in ("21", "31", "32")):
        return Placed(name, values, tuple(letters.values()))
    kept = [pair for pair in ORDER if pair in components]
    rows = [values[components.index(p)] / (1 if p[0] == p[1] else 2**0.5) for p in kept]
    return Placed(name, np.stack(rows), tuple(letters[p] for p in kept))


def _three(values: NDArray[Any]) -> NDArray[Any]:
    """A vector in space, or a field of other components as it is."""
    return np.concatenate([values, np.zeros_like(values[: max(0, 3 - len(values))])])


def _moved(
    name: str, u: NDArray[Any], shape: Sequence[int], *, centred: bool
) -> Iterator[Placed]:
    """Displacement or potential, where it is."""
    placed = u if centred else _wrapped(u, shape)
    for part, numbers in real_parts(f"periodic_{name}", placed).items():
        values = numbers if len(numbers) == 1 else _three(numbers)
        yield Placed(part, values, corners=not centred)


def _wrapped(u: NDArray[Any], shape: Sequence[int]) -> NDArray[Any]:
    """With the first layer of corners again at the far side, where they repeat."""
    missing = [(0, n + 1 - m) for n, m in zip(shape, u.shape[1:], strict=True)]
    return np.pad(u, [(0, 0), *missing], mode="wrap")
