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

Attributes: ``format``, ``lsml`` (version), ``components`` (their order),
``conventions``, ``discretization``, ``faces`` (across each axis), ``rule``, ``dtype``.
Across axes that are not periodic the displacement has all n + 1 corners.
"""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import h5py
import torch
from torch import Tensor

from lsml.atomic import replacing
from lsml.discretization import Words
from lsml.io.new_file import new_file
from lsml.io.solved import Solved, array, phase_law
from lsml.physics.discretization import name_of
from lsml.state import Status

FORMAT = "lsml solution 1"
CONVENTIONS = (
    "Mandel notation: shear components times sqrt(2); displacement gradients and Piola "
    "stresses row by row, without factors. Component 1 acts along the first spatial "
    "axis. Any consistent units: stress in the unit of the phases."
)
SMALL = 4096  # numbers below which compression does not pay


def write_solution(solution: Solved, path: str | Path) -> Path:
    """Write one solution to the root of a new file, in the layout of this module.

    Raises
    ------
    ValueError, OSError
        The file cannot be written; what was there before is untouched.
    """
    with replacing(path) as temporary, new_file(temporary) as (file, _):
        _put(file, solution)
    return Path(path)


def write_solutions(solutions: Mapping[str, Solved], path: str | Path) -> Path:
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


def _put(group: h5py.Group, solution: Solved) -> None:
    form = solution.form
    group.attrs["format"] = FORMAT
    group.attrs["lsml"] = version("lsml")
    words = form.discretization.differential.words
    group.attrs["components"] = list(words.components)
    group.attrs["conventions"] = CONVENTIONS
    group.attrs["discretization"] = name_of(form.discretization)
    group.attrs["faces"] = list(form.discretization.faces)
    group.attrs["rule"] = solution.rule
    group.attrs["dtype"] = str(solution.mean_strain.dtype).removeprefix("torch.")
    for name in FIELDS:
        _dataset(group, called(name, words), getattr(solution, name))
    for name, values in (_problem(solution) | dict(solution.internal)).items():
        _dataset(group, called(name, words), values)
    group["status"].attrs["codes"] = [f"{s.value} {s.name}" for s in Status]
    group["spacing"] = form.grid.spacing


FIELDS = (
    "strain",
    "stress",
    "displacement",
    "mean_strain",
    "mean_stress",
    "energy",
    "status",
    "iterations",
    "error",
    "error_bound",
    "history",
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
