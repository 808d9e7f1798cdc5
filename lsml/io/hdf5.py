"""Solutions as HDF5 files that any HDF5 tool reads.

Datasets, for b samples on s images (b = s·l with l load cases on each, load case
fastest), c Mandel components, d axes and p phases:

================  ================  ==================================================
labels            (s, *n)           phase of each voxel
strain, stress    (b, c, *n)        per voxel; (b, q, c, *n) if quadrature was kept
displacement      (b, d, *n)        periodic part
mean_strain       (b, c)            volume averages
mean_stress       (b, c)
energy            (b)               per unit volume
status            (b)               codes, spelled out in the attribute ``codes``
iterations        (b)
error             (b)               certified relative residual
error_bound       (b)               of the strain, relative
history           (b, k)            relative residual of each iterate
spacing           (d)               voxel edges
phases            (t, p, c, c)      Mandel stiffness, of small strains; t = 1 or one
                                    table per image
eigenstrain       (t, p, c)         if there is one
reference         (t, c, c)         stiffness of the reference medium
load/strain       (b, c)            prescribed mean, NaN where it is not
load/stress       (b, c)            the same of the stress
================  ================  ==================================================

After a load step of plastic phases also ``plastic_strain`` (b, k, *n), which has the
component 33 in plane strain too, and ``accumulated_plastic_strain`` (b, *n).

In conduction the names are gradient, flux, potential, mean_gradient, mean_flux and
load/gradient, load/flux, and ``phases`` holds conductivities (t, p, d, d).

Of waves there is ``field`` (b, 1, *n), complex, and of flow ``velocity`` (b, d, *n) and
``pressure`` (b, 1, *n), beside status, iterations, error, history and spacing.

Attributes: ``format``, ``lsml`` (version), ``components`` (their order),
``conventions``, ``discretization``, ``faces`` (across each axis), ``rule``, ``dtype``.
Every field has an attribute ``components`` too: "11" … of a tensor, "1" … of a vector,
"" of a scalar. Across axes that are not periodic the displacement has all n + 1
corners.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import h5py
import torch
from torch import Tensor

from lsml.atomic import replacing
from lsml.discretization import Words
from lsml.io.new_file import new_file
from lsml.io.solved import Answer, Solved, array, has_strain, phase_law, shown
from lsml.mandel import names
from lsml.physics.discretization import name_of
from lsml.state import Status

FORMAT = "lsml solution 1"
CONVENTIONS = (
    "Mandel notation: shear components times sqrt(2); displacement gradients and Piola "
    "stresses row by row, without factors. Component 1 acts along the first spatial "
    "axis. Any consistent units: stress in the unit of the phases."
)
SMALL = 4096  # numbers below which compression does not pay


def write_solution(solution: Answer, path: str | Path) -> Path:
    """Write one solution to the root of a new file, in the layout of this module.

    Raises
    ------
    ValueError, OSError
        The file cannot be written; what was there before is untouched.
    """
    with replacing(path) as temporary, new_file(temporary) as (file, _):
        _put(file, solution)
    return Path(path)


def write_solutions(solutions: Mapping[str, Answer], path: str | Path) -> Path:
    """Write several solutions, each in the group of its name.

    Raises
    ------
    ValueError, OSError
        As :func:`write_solution`.
    """
    with replacing(path) as temporary, new_file(temporary) as (file, _):
        for name, solution in solutions.items():
            _put(file.create_group(name), solution)
    return Path(path)


def _put(group: h5py.Group, solution: Answer) -> None:
    group.attrs["format"] = FORMAT
    group.attrs["lsml"] = version("lsml")
    group.attrs["rule"] = solution.rule
    for name in RUN:
        _dataset(group, name, getattr(solution, name))
    group["status"].attrs["codes"] = [f"{s.value} {s.name}" for s in Status]
    if has_strain(solution):
        _put_strain(group, solution)
    else:
        _put_shown(group, solution)


def _put_shown(group: h5py.Group, solution: Answer) -> None:
    spacing, fields = shown(solution)
    for name, values in fields.items():
        group.attrs["dtype"] = _dtype(values)
        _dataset(group, name, values)
        _name_components(group[name], axes_of(values.shape[1]))
    group["spacing"] = spacing


def _put_strain(group: h5py.Group, solution: Solved) -> None:
    form = solution.form
    words = form.discretization.differential.words
    group.attrs["components"] = list(words.components)
    group.attrs["conventions"] = CONVENTIONS
    group.attrs["discretization"] = name_of(form.discretization)
    group.attrs["faces"] = list(form.discretization.faces)
    group.attrs["dtype"] = _dtype(solution.mean_strain)
    for name in FIELDS:
        _dataset(group, called(name, words), getattr(solution, name))
    for name, values in _problem(solution).items():
        _dataset(group, called(name, words), values)
    for name, values in solution.internal.items():
        _dataset(group, name, values)
        _name_components(group[name], INTERNAL[name][form.grid.ndim])
    for name in ("strain", "stress"):
        stored = group[called(name, words)]
        count = stored.shape[-1 - form.grid.ndim]
        _name_components(stored, words.components or axes_of(count))
    moved = group[called("displacement", words)]
    _name_components(moved, axes_of(moved.shape[1]))
    group["spacing"] = form.grid.spacing


def axes_of(count: int) -> tuple[str, ...]:
    """Names of the components of a vector, or of a scalar."""
    return ("",) if count == 1 else tuple(str(i + 1) for i in range(count))


def _name_components(field: h5py.Dataset, names: Sequence[str]) -> None:
    field.attrs["components"] = list(names)


def _dtype(values: Tensor) -> str:
    return str(values.dtype).removeprefix("torch.")


RUN = ("status", "iterations", "error", "history")
INTERNAL: Mapping[str, Mapping[int, tuple[str, ...]]] = {
    "plastic_strain": {2: ("11", "22", "33", "12"), 3: names(3)},
    "accumulated_plastic_strain": {2: ("",), 3: ("",)},
}
FIELDS = (
    "strain",
    "stress",
    "displacement",
    "mean_strain",
    "mean_stress",
    "energy",
    "error_bound",
)


def called(name: str, words: Words) -> str:
    """What a dataset of elasticity is called in another physics."""
    for elastic, own in (
        ("strain", words.field),
        ("stress", words.flux),
        ("displacement", words.potential),
    ):
        name = name.replace(elastic, own)
    return name


def _problem(solution: Solved) -> dict[str, Tensor]:
    """What was solved."""
    form, law = solution.form, phase_law(solution)
    free = form.load.free > 0
    data = {
        "labels": law.labels,
        "phases": law.table,
        "reference": form.reference.matrix,
        "load/strain": torch.where(free, torch.nan, form.load.field),
        "load/stress": torch.where(free, form.load.flux, torch.nan),
    }
    if law.eigenfield is not None:
        data["eigenstrain"] = law.eigenfield
    return data


def _dataset(group: h5py.Group, name: str, values: Tensor) -> None:
    packing = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    options = packing if values.numel() > SMALL else {}
    group.create_dataset(name, data=array(values), **options)
