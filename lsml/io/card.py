"""Material cards for CalculiX and Abaqus: effective properties as input text.

``*ELASTIC`` is the same for both: D_ijkl of σ_ij = D_ijkl ε_kl, the upper triangle
column by column in the order 11 22 33 12 13 23. Mandel's 12 and 23 trade places in it,
and no √2 is left. ``*EXPANSION`` has that order too. CalculiX takes α_12 from u_1,2 and
from u_2,1 (calcmechstrain.f of its source), so that tensor components are written. In
Abaqus strains count shear as the angle γ_ij = 2 ε_ij (Conventions of its manual, which
does not say it again for this keyword), so that 2 α_ij is written. ``*CONDUCTIVITY`` is
κ_11 κ_22 κ_33 κ_12 κ_13 κ_23 for CalculiX, κ_11 κ_12 κ_22 κ_13 κ_23 κ_33 for Abaqus.

Lines stay below the 256 characters of Abaqus, numbers within the 20 of CalculiX.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsml.atomic import replacing

Pair = tuple[int, int]
Array = NDArray[np.float64]

ORDER: tuple[Pair, ...] = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
MANDEL: tuple[Pair, ...] = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
ROOT = np.array([1, 1, 1, 2, 2, 2]) ** 0.5
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_\-]{0,79}")
PER_LINE = 8
LONGEST = 80  # characters of a note
ALIKE = 1e-6  # of the largest entry, up to which a tensor counts as symmetric


@dataclass(frozen=True)
class Dialect:
    """What one program wants otherwise than the other.

    Attributes
    ----------
    anisotropic : the type of ``*ELASTIC``.
    conductivity : the order of its components.
    shear : what the shear components of the expansion tensor are multiplied by.
    """

    anisotropic: str
    conductivity: tuple[Pair, ...]
    shear: int


ROWS: tuple[Pair, ...] = ((0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2))
DIALECTS: Mapping[str, Dialect] = {
    "calculix": Dialect("ANISO", ORDER, 1),
    "abaqus": Dialect("ANISOTROPIC", ROWS, 2),
}


def write_card(  # noqa: PLR0913 (one argument for each property)
    path: str | Path,
    material: str,
    *,
    stiffness: object = None,
    expansion: object = None,
    conductivity: object = None,
    dialect: str = "calculix",
    units: str | None = None,
) -> Path:
    """Write one material to a text file that an input deck can ``*INCLUDE``.

    Parameters
    ----------
    material : its name in the deck: a letter, then letters, digits, ``_`` and ``-``.
    stiffness : Mandel matrix (6, 6), such as :func:`lsml.homogenize` gives.
    expansion : a number, a (3, 3) tensor or a Mandel vector (6,), such as ``strain`` of
        :func:`lsml.thermal_expansion`.
    conductivity : (3, 3), such as :func:`lsml.homogenize` gives.
    dialect : ``"calculix"`` or ``"abaqus"``.
    units : written into a comment, as neither program knows any; 80 characters at most.

    A batch of one is taken for its sample; of a larger one give one sample.

    Raises
    ------
    ValueError
        Nothing to write, a bad name, an unknown dialect, or a property that is not
        real, finite, symmetric and of three dimensions.
    OSError
        The file cannot be written; what was there before is untouched.
    """
    text = card(
        material,
        stiffness=stiffness,
        expansion=expansion,
        conductivity=conductivity,
        dialect=dialect,
        units=units,
    )
    with replacing(path) as temporary:
        temporary.write_text(text, "ascii")
    return Path(path)


def card(
    material: str,
    *,
    stiffness: object = None,
    expansion: object = None,
    conductivity: object = None,
    dialect: str = "calculix",
    units: str | None = None,
) -> str:
    """The text that :func:`write_card` writes.

    Raises
    ------
    ValueError
        As there.
    """
    spoken = _dialect(dialect)
    if not NAME.fullmatch(material):
        raise ValueError(
            f"material {material!r} must be a letter followed by at most 79 letters, "
            "digits, '_' and '-'"
        )
    blocks: list[str] = []
    if stiffness is not None:
        blocks += _elastic(stiffness, spoken)
    if expansion is not None:
        blocks += _thermal(expansion, spoken)
    if conductivity is not None:
        kappa = _tensor("conductivity", conductivity, (3, 3))
        order = spoken.conductivity
        blocks += _block("*CONDUCTIVITY, TYPE=ANISO", kappa, order)
    if not blocks:
        raise ValueError("a card needs stiffness, expansion or conductivity")
    notes = [f"** units: {_comment(units)}"] if units is not None else []
    head = ["** effective properties by lsml", *notes, f"*MATERIAL, NAME={material}"]
    return "\n".join([*head, *blocks]) + "\n"


def _dialect(name: str) -> Dialect:
    if name not in DIALECTS:
        raise ValueError(
            f"dialect {name!r} is unknown; choose one of {', '.join(DIALECTS)}"
        )
    return DIALECTS[name]


def _comment(units: str) -> str:
    if not (units.isascii() and units.isprintable() and len(units) <= LONGEST):
        raise ValueError(
            f"units {units!r} must be one line of at most {LONGEST} ASCII characters"
        )
    return units


def _elastic(stiffness: object, dialect: Dialect) -> list[str]:
    """Upper triangle, column by column."""
    mandel = _tensor("stiffness", stiffness, (6, 6))
    place = [MANDEL.index(pair) for pair in ORDER]
    plain = (mandel / np.outer(ROOT, ROOT))[np.ix_(place, place)]
    triangle = [(i, j) for j in range(6) for i in range(j + 1)]
    return _block(f"*ELASTIC, TYPE={dialect.anisotropic}", plain, triangle)


def _thermal(given: object, dialect: Dialect) -> list[str]:
    """Expansion, with a comment that says what its shear components are."""
    alpha = _expansion(given)
    scale = np.where(np.eye(3) == 1, 1, dialect.shear)
    shear = "alpha_ij" if dialect.shear == 1 else f"{dialect.shear} alpha_ij"
    note = f"** alpha_11 alpha_22 alpha_33, then shear 12 13 23 as {shear}"
    return [note, *_block("*EXPANSION, TYPE=ANISO", alpha * scale, ORDER)]


def _expansion(given: object) -> Array:
    """As a (3, 3) tensor."""
    value = _real("expansion", given)
    if value.shape == (6,):
        plain, tensor = value / ROOT, np.zeros((3, 3))
        for (i, j), component in zip(MANDEL, plain, strict=True):
            tensor[i, j] = tensor[j, i] = component
        value = tensor
    return _tensor("expansion", value * np.eye(3) if value.ndim == 0 else value, (3, 3))


def _block(keyword: str, values: Array, order: Sequence[Pair]) -> list[str]:
    """A keyword and its numbers, as many to a line as both programs take.

    Twelve decimals: a field holds twenty characters.
    """
    fields = [f"{values[i, j]:.12e}" for i, j in order]
    rows = [fields[k : k + PER_LINE] for k in range(0, len(fields), PER_LINE)]
    return [keyword, *(", ".join(row) for row in rows)]


def _tensor(name: str, given: object, shape: tuple[int, int]) -> Array:
    """A symmetric matrix."""
    value = _real(name, given)
    if value.shape != shape:
        raise ValueError(
            f"{name} of shape {value.shape} must be {shape}: one sample, in 3-D"
        )
    if np.abs(value - value.T).max() > ALIKE * np.abs(value).max():
        raise ValueError(f"{name} is not symmetric")
    return (value + value.T) / 2


def _real(name: str, given: object) -> Array:
    """Numbers without the axis of a batch of one."""
    detach = getattr(given, "detach", None)
    value = np.asarray(detach().cpu() if detach is not None else given)
    if value.dtype.kind not in "iuf" or not np.isfinite(value).all():
        raise ValueError(f"{name} must be real and finite numbers, got {given!r}")
    if value.ndim > 1 and value.shape[0] == 1:
        value = value[0]
    return value.astype(np.float64)
