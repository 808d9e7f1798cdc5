"""What result files hold, before it is written in one format or another.

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
iterates          (b, k, c, *n)     strain of every iterate, if ``record=True``; with
                                    q behind k if quadrature was kept
predicted         (b, o, *n)        a learned rule's own output, in strain units
================  ================  ==================================================

Of an effective tensor there are ``stiffness`` (b, c, c), ``lower``, ``upper`` (b, c),
``iterations`` and ``status`` (b, c) of each load case, the engineering constants ``E``
(b, d), ``nu`` (b, d, d) and ``G`` (b, d (d - 1)/2), labels, spacing, phases and
reference. Of a conductivity the attribute ``coefficient`` says so.

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
corners. The group ``provenance`` holds text: see :data:`lsml.io.saved.ENTRIES`.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lsml.discretization import Words
from lsml.io.cut import Stored, stored
from lsml.io.provenance import entries
from lsml.io.solved import (
    Answer,
    Solved,
    array,
    has_strain,
    phase_law,
    shown,
)
from lsml.mandel import names
from lsml.physics.discretization import name_of

FORMAT, TENSOR = "lsml solution 1", "lsml stiffness 1"
CONVENTIONS = (
    "Mandel notation: shear components times sqrt(2); displacement gradients and Piola "
    "stresses row by row, without factors. Component 1 acts along the first spatial "
    "axis. Any consistent units: stress in the unit of the phases."
)
RUN = ("status", "iterations", "error", "history")
FIELDS = ("strain", "stress", "displacement")
NUMBERS = ("mean_strain", "mean_stress", "energy", "error_bound")
INTERNAL: Mapping[str, Mapping[int, tuple[str, ...]]] = {
    "plastic_strain": {2: ("11", "22", "33", "12"), 3: names(3)},
    "accumulated_plastic_strain": {2: ("",), 3: ("",)},
}


class Content(NamedTuple):
    """Arrays by their path, names of components, attributes and provenance."""

    arrays: Mapping[str, Stored]
    components: Mapping[str, tuple[str, ...]]
    attributes: Mapping[str, object]
    provenance: Mapping[str, str]


def content(solution: Answer) -> Content:
    """Everything of a solution that files keep."""
    arrays: dict[str, Stored] = {n: array(getattr(solution, n)) for n in RUN}
    head: dict[str, object] = {
        "format": FORMAT,
        "lsml": version("lsml"),
        "rule": solution.rule,
    }
    made = _strained(solution) if has_strain(solution) else _shown(solution)
    recorded = {"iterates": solution.iterates, "predicted": solution.predicted}
    put = partial(stored, grid=solution.form.grid) if has_strain(solution) else array
    kept = {name: put(t) for name, t in recorded.items() if t is not None}
    ndim, tensor = made.arrays["spacing"].shape[0], next(iter(made.components.values()))
    more = {n: order_of(v.shape[-1 - ndim], tensor) for n, v in kept.items()}
    return Content(
        arrays | dict(made.arrays) | kept,
        dict(made.components) | more,
        head | dict(made.attributes),
        entries(solution),
    )


def tensor_content(solution: Solved, tensors: Mapping[str, Tensor]) -> Content:
    """What files keep of an effective tensor that unit load cases have told.

    Parameters
    ----------
    solution : the load cases, load case fastest.
    tensors : ``stiffness`` and what belongs to it, by name.
    """
    form = solution.form
    words, kept = form.discretization.differential.words, _problem(solution)
    arrays: dict[str, Stored] = {n: array(t) for n, t in tensors.items()}
    arrays |= {n: values for n, values in kept.items() if not n.startswith("load/")}
    about = {
        "format": TENSOR,
        "lsml": version("lsml"),
        "rule": solution.rule,
        "coefficient": words.coefficient,
        "components": words.components,
        "conventions": CONVENTIONS,
        "discretization": name_of(form.discretization),
        "faces": tuple(form.discretization.faces),
        "dtype": str(arrays["stiffness"].dtype),
    }
    spacing = {"spacing": np.array(form.grid.spacing)}
    return Content(arrays | spacing, {}, about, entries(solution))


def axes_of(count: int) -> tuple[str, ...]:
    """Names of the components of a vector, or of a scalar."""
    return ("",) if count == 1 else tuple(str(i + 1) for i in range(count))


def order_of(count: int, tensor: Sequence[str]) -> tuple[str, ...]:
    """Names of the components of a tensor field, or of a part of it."""
    return tuple(tensor) if len(tensor) == count else axes_of(count)


def called(name: str, words: Words) -> str:
    """What a dataset of elasticity is called in another physics."""
    for elastic, own in (
        ("strain", words.field),
        ("stress", words.flux),
        ("displacement", words.potential),
    ):
        name = name.replace(elastic, own)
    return name


def _shown(solution: Answer) -> Content:
    spacing, fields = shown(solution)
    arrays = {name: array(values) for name, values in fields.items()}
    order = {name: axes_of(values.shape[1]) for name, values in arrays.items()}
    kind = {"dtype": str(next(iter(arrays.values())).dtype)}
    return Content(arrays | {"spacing": np.array(spacing)}, order, kind, {})


def _strained(solution: Solved) -> Content:
    form = solution.form
    words, ndim = form.discretization.differential.words, form.grid.ndim
    fields: dict[str, Stored] = {
        n: stored(getattr(solution, n), form.grid) for n in FIELDS
    }
    fields |= {n: array(getattr(solution, n)) for n in NUMBERS} | _problem(solution)
    arrays = {called(n, words): values for n, values in fields.items()}
    internal = {n: stored(v, form.grid) for n, v in solution.internal.items()}
    order: dict[str, tuple[str, ...]] = {}
    for name in ("strain", "stress"):
        count = arrays[called(name, words)].shape[-1 - ndim]
        order[called(name, words)] = order_of(count, words.components)
    moved = called("displacement", words)
    order[moved] = axes_of(arrays[moved].shape[1])
    order |= {name: INTERNAL[name][ndim] for name in internal}
    about = {
        "components": words.components,
        "conventions": CONVENTIONS,
        "discretization": name_of(form.discretization),
        "faces": tuple(form.discretization.faces),
        "dtype": str(arrays[called("mean_strain", words)].dtype),
    }
    spacing = {"spacing": np.array(form.grid.spacing)}
    return Content(arrays | internal | spacing, order, about, {})


def _problem(solution: Solved) -> dict[str, Stored]:
    """What was solved."""
    form, law = solution.form, phase_law(solution)
    free = form.load.free > 0
    data = {
        "phases": law.table,
        "reference": form.reference.matrix,
        "load/strain": torch.where(free, torch.nan, form.load.field),
        "load/stress": torch.where(free, form.load.flux, torch.nan),
    }
    if law.eigenfield is not None:
        data["eigenstrain"] = law.eigenfield
    labels = {"labels": stored(law.labels, form.grid)}
    return labels | {name: array(values) for name, values in data.items()}
