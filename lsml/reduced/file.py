"""Reduced bases as HDF5 files.

Datasets, for s microstructures of p phases with g coefficients each, e columns (the c
unit strains, then minus the eigenstrain), k displacements of v numbers, m = e + k
fields, q directions, l load cases and r snapshots:

=============  ==================  ===================================================
labels         (s, *n)             phase of each voxel
columns        (s, e, p, c)        strain of each column in each phase
vectors        (s, k, v)           displacements, (d, *n) each
terms          (s, p, g, m, m)     products of the fields for each coefficient
gram           (s, q, m, q, m)     products of the representatives of their residuals
directions     (p, g, q)           combinations of coefficients that residuals know
reference      (1, c, c)           C⁰, in whose norm residuals are measured
loads          (s, l, e)           weights of the columns in each load case
idle           (s, k)              displacements that are zero
snapshots      (r, s, p, g)        coefficients at which they were computed
entries        (n, 3)              row, column, coefficient of each entry of a stiffness
spacing        (d)                 voxel edges
=============  ==================  ===================================================

Attributes: ``format``, ``lsml`` (version), ``discretization``, ``conventions``,
``effective`` (whether the load cases are the unit mean strains).
"""

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import h5py
import torch
from torch import Tensor

from lsml.acceleration import accelerate
from lsml.atomic import replacing
from lsml.displacement_form import DisplacementForm
from lsml.io.hdf5 import CONVENTIONS
from lsml.io.inside import numbers, opened
from lsml.io.solved import array
from lsml.law import PhaseLaw
from lsml.physics.discretization import name_of
from lsml.physics.elasticity import elasticity
from lsml.physics.loads import load
from lsml.reduced.affine import Affine
from lsml.reduced.basis import ReducedBasis
from lsml.reduced.model import ReducedModel

FORMAT = "lsml reduced basis 1"
MODEL = ("terms", "gram", "directions", "loads", "idle")
OWN = ("vectors", "snapshots")


def write_basis(basis: ReducedBasis, path: str | Path) -> Path:
    """Write a basis to a new file, in the layout of this module.

    Raises
    ------
    ValueError, OSError
        The file cannot be written; what was there before is untouched.
    """
    affine, model = basis.affine, basis.model
    data = {name: getattr(model, name) for name in MODEL}
    data |= {name: getattr(basis, name) for name in OWN}
    data |= {"labels": affine.law.labels, "columns": affine.columns}
    data |= {"reference": model.medium, "entries": torch.tensor(model.entries)}
    strain = affine.form.strain
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs["lsml"] = version("lsml")
        file.attrs["discretization"] = name_of(strain.discretization)
        file.attrs["effective"] = model.effective
        file.attrs["conventions"] = CONVENTIONS
        file["spacing"] = strain.grid.spacing
        for name, values in data.items():
            file[name] = array(values)
    return Path(path)


def read_basis(path: str | Path) -> ReducedBasis:
    """Read a basis, on the kernels that this machine has.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        It is none of a reduced basis.
    """
    with opened(path) as file:
        if file.attrs.get("format") != FORMAT:
            raise ValueError(f"{path} is no reduced basis of lsml")
        return _read(file)


def _read(file: h5py.File) -> ReducedBasis:
    data = {name: torch.from_numpy(numbers(file, name)) for name in file}
    model = ReducedModel(
        tuple((i, j, g) for i, j, g in data["entries"].tolist()),
        medium=data["reference"],
        effective=bool(file.attrs["effective"]),
        **{name: data[name] for name in MODEL},
    )
    affine, engine = _affine(model, data, str(file.attrs["discretization"]))
    return ReducedBasis(affine, data["vectors"], model, data["snapshots"], engine)


def _affine(
    model: ReducedModel, data: dict[str, Tensor], discretization: str
) -> tuple[Affine, str]:
    """Operators of the microstructures, made anew."""
    columns, loads = data["columns"], data["loads"]
    c, p = model.components, columns.shape[2]
    eigen = -columns[:, c] if columns.shape[1] > c else None
    middle = data["reference"].expand(p, c, c)
    form = elasticity(
        data["labels"],
        middle,
        load(strain=loads[..., :c]),
        discretization,
        spacing=data["spacing"],
        eigenstrain=eigen,
        reference=data["reference"][0],
    )
    assert isinstance(form.law, PhaseLaw)
    empty = model.terms.new_zeros(1, *model.terms.shape[1:3])
    law = replace(form.law, coefficients=empty, entries=model.entries)
    same = DisplacementForm(replace(form, law=law, rebuild=None))
    kernels, engine, _ = accelerate(same, "auto")
    assert isinstance(kernels, DisplacementForm)
    return Affine(kernels, columns), engine
