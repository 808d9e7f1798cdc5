"""Tables of a report: text only, made of the numbers in a result."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsml.io.quantities import Quantity, labels_of, scalar
from lsml.io.saved import Saved

Array = NDArray[Any]
Rows = Sequence[Sequence[str]]

MANY = 200  # rows that a table shows
PHASES = 12
NOISE = 1e-12  # of the greatest number in a row
OUTCOME = {
    "iterations": "iterations",
    "error": "certified error",
    "error_bound": "error bound",
    "energy": "energy density",
}
CERTIFIED = (
    "The certified error is the residual of equilibrium and compatibility in the C⁰ "
    "norm, relative to that of the uniform field. The error bound is of the strain "
    "itself, relative to its mean; it is infinite where nothing is known."
)


class Table(NamedTuple):
    """Heads and rows; ``note`` is said below."""

    title: str
    heads: Sequence[str]
    rows: Rows
    note: str = ""

    @property
    def wide(self) -> bool:
        """Whether it needs the whole width of the page."""
        return len(self.heads) > 5


def tables(saved: Saved) -> list[Table]:
    """What the file tells in numbers, without tables that would be empty."""
    made = [
        outcome(saved),
        *effective(saved),
        means(saved),
        load(saved),
        phases(saved),
    ]
    return [table for table in made if table.rows]


def outcome(saved: Saved) -> Table:
    """How each sample ended."""
    known = {key: name for key, name in OUTCOME.items() if key in saved.numbers}
    columns = [saved.numbers[key].reshape(len(saved.status), -1)[:, 0] for key in known]
    rows = [
        [str(i), status, *(number(column[i]) for column in columns)]
        for i, status in enumerate(saved.status)
    ]
    note = CERTIFIED if "error" in known else ""
    first = "load case" if "stiffness" in saved.numbers else "sample"
    heads = [first, "status", *known.values()]
    return _cut(Table("How it ended", heads, rows, note))


def means(saved: Saved) -> Table:
    """Volume averages of every sample."""
    found = {
        key: values
        for key, values in saved.numbers.items()
        if key.startswith("mean_") and values.ndim == 2
    }
    heads = _components(saved, max((v.shape[1] for v in found.values()), default=0))
    rows = [
        [key.removeprefix("mean_"), str(i), *map(number, _cleared(values[i]))]
        for i in range(len(saved.status))
        for key, values in found.items()
    ]
    note = str(saved.attributes.get("conventions", ""))
    note = f"{note} Below 1e-12 of the greatest in a row, numbers are shown as 0."
    return _cut(Table("Volume averages", ["mean of", "sample", *heads], rows, note))


def _cleared(row: Array) -> Array:
    """Rounding errors are 0."""
    size = np.abs(row)
    return np.where(size > NOISE * size.max(), row, 0)


def load(saved: Saved) -> Table:
    """What was prescribed; equal loads are told once."""
    found = {
        key.partition("/")[2]: values
        for key, values in saved.numbers.items()
        if key.startswith("load/") and values.ndim == 2
    }
    rows: list[list[str]] = []
    for key, values in found.items():
        same = len(values) > 1 and np.array_equal(
            values, np.broadcast_to(values[:1], values.shape), equal_nan=True
        )
        for i, row in enumerate(values[:1] if same else values):
            if np.isfinite(row).any():
                which = "all" if same else str(i)
                rows.append([f"mean {key}", which, *(_prescribed(v) for v in row)])
    heads = _components(saved, max((v.shape[1] for v in found.values()), default=0))
    return _cut(Table("Load", ["prescribed", "sample", *heads], rows))


def phases(saved: Saved) -> Table:
    """Share and moduli of each phase of the first image."""
    labels, moduli = labels_of(saved), saved.numbers.get("phases")
    if labels is None:
        return Table("Phases", [], [])
    found, counts = np.unique(labels[0], return_counts=True)
    columns = {
        "phase": [str(p) for p in found],
        "voxels": [str(n) for n in counts],
        "fraction": [f"{n / labels[0].size:.4f}" for n in counts],
    }
    if moduli is not None and moduli.ndim == 4:
        columns |= _moduli(saved, moduli[0, found])
    note = ""
    if len(saved.status) > 1:
        note = "Of the first image; moduli in the unit they were given in."
    rows = list(zip(*columns.values(), strict=True))
    return _cut(Table("Phases", list(columns), rows, note), PHASES)


def _moduli(saved: Saved, matrices: Array) -> dict[str, list[str]]:
    """E and ν where all are isotropic stiffnesses, else the diagonals."""
    elastic = "11" in _components(saved, matrices.shape[1])
    if elastic and all(_isotropic(m) for m in matrices):
        lam, mu = matrices[:, 0, 1], matrices[:, -1, -1] / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            young = mu * (3 * lam + 2 * mu) / (lam + mu)
            poisson = lam / (2 * (lam + mu))
        return {"E": list(map(number, young)), "ν": list(map(number, poisson))}
    names = _components(saved, matrices.shape[1])
    return {
        f"modulus {name},{name}": [number(m[i, i]) for m in matrices]
        for i, name in enumerate(names)
    }


def _isotropic(matrix: Array) -> bool:
    """Whether a Mandel stiffness is λ 1⊗1 + 2μ I."""
    axes = {3: 2, 6: 3}.get(len(matrix))
    if axes is None or np.iscomplexobj(matrix):
        return False
    unit = (np.arange(len(matrix)) < axes).astype(float)
    plain = matrix[0, 1] * np.outer(unit, unit) + matrix[-1, -1] * np.eye(len(matrix))
    return bool(
        np.allclose(matrix, plain, rtol=1e-9, atol=1e-12 * np.abs(matrix).max())
    )


def effective(saved: Saved) -> list[Table]:
    """Effective tensors with the certified interval of their diagonals."""
    stiffness = saved.numbers.get("stiffness")
    if stiffness is None:
        return []
    names = _components(saved, stiffness.shape[-1])
    tensor = [
        [str(i), name, *map(number, row)]
        for i, matrix in enumerate(stiffness)
        for name, row in zip(names, matrix, strict=True)
    ]
    made = [_cut(Table("Effective tensor (Mandel)", ["image", "", *names], tensor))]
    ends = [saved.numbers.get("lower"), saved.numbers.get("upper")]
    if any(end is None for end in ends):
        return made
    lower, upper = (np.asarray(end) for end in ends)
    rows = [
        [str(i), name, f"{lower[i, k]:.8g}", f"{upper[i, k]:.8g}"]
        for i in range(len(stiffness))
        for k, name in enumerate(names)
    ]
    heads = ["image", "entry", "lower", "upper"]
    made += _constants(saved)
    return [*made, _cut(Table("Certified interval of the diagonal", heads, rows))]


def _constants(saved: Saved) -> list[Table]:
    """Young's moduli and Poisson's ratios of each axis."""
    young, poisson = (saved.numbers.get(name) for name in ("E", "nu"))
    if young is None or poisson is None:
        return []
    rows = [
        [str(i), str(k + 1), number(young[i, k]), *map(_ratio, poisson[i, k])]
        for i in range(len(young))
        for k in range(young.shape[1])
    ]
    heads = [f"ν_i{j + 1}" for j in range(young.shape[1])]
    title = "Engineering constants of each axis i"
    return [_cut(Table(title, ["image", "axis i", "E_i", *heads], rows))]


def _ratio(value: Any) -> str:
    return number(value) if np.isfinite(value) else "–"


def statistics(quantity: Quantity, component: str, sample: int, labels: Array) -> Table:
    """Mean, spread and extremes of a component in each phase of a sample."""
    values = scalar(quantity, quantity.values[sample], component)
    rows = []
    for phase in np.unique(labels):
        inside = values[labels == phase]
        told = (inside.mean(), inside.std(), inside.min(), inside.max())
        rows.append(
            [str(phase), f"{inside.size / values.size:.4f}", *map(number, told)]
        )
    heads = ["phase", "fraction", "mean", "deviation", "least", "greatest"]
    return _cut(Table(quantity.titled(component), heads, rows), PHASES)


def _components(saved: Saved, count: int) -> list[str]:
    """Names of the components of the field, or numbers where there are others."""
    given = saved.attributes.get("components", ())
    names = [str(name) for name in given] if isinstance(given, tuple) else []
    return names if len(names) == count else [str(i + 1) for i in range(count)]


def _prescribed(value: Any) -> str:
    return number(value) if np.isfinite(value) else "free"


def number(value: Any) -> str:
    """Five digits; whole numbers as they are."""
    return str(int(value)) if np.asarray(value).dtype.kind in "iub" else f"{value:.5g}"


def _cut(table: Table, most: int = MANY) -> Table:
    """The first rows, saying how many there are."""
    if len(table.rows) <= most:
        return table
    note = f"The first {most} of {len(table.rows)} rows. {table.note}".strip()
    return table._replace(rows=table.rows[:most], note=note)
