"""Stiffness of a phase: a few independent moduli and the pattern they fill."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Inexact
from torch import Tensor

from lsml.law import Entry
from lsml.mandel import PLANE

Modulus = float | int | Tensor
Convert = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def _cubic_entries() -> tuple[Entry, ...]:
    normal = [(i, j, 0 if i == j else 1) for i in range(3) for j in range(3)]
    return tuple(normal + [(i, i, 2) for i in range(3, 6)])


def full_entries(c: int) -> tuple[Entry, ...]:
    """Every entry of a symmetric c × c matrix, upper triangle counted row by row."""
    place = {(i, j): n for n, (i, j) in enumerate(upper(c))}
    return tuple(
        (i, j, place[min(i, j), max(i, j)]) for i in range(c) for j in range(c)
    )


def upper(c: int) -> list[tuple[int, int]]:
    """Upper triangle of a c × c matrix, row by row."""
    return [(i, j) for i in range(c) for j in range(i, c)]


CUBIC = _cubic_entries()


@dataclass(frozen=True)
class Stiffness:
    """Independent moduli, (g,) or one row per sample (b, g), and where they stand.

    Made by :func:`isotropic`, :func:`cubic` or :func:`anisotropic`.
    """

    moduli: Inexact[Tensor, "*b g"]
    entries: tuple[Entry, ...]

    @property
    def components(self) -> int:
        """Size c of the Mandel matrix."""
        return 1 + max(i for i, _, _ in self.entries)

    def plane_strain(self) -> "Stiffness":
        """What is left of it if nothing depends on, or moves along, the third axis."""
        if self.components == len(PLANE):
            return self
        kept = {old: new for new, old in enumerate(PLANE)}
        entries = [
            (kept[i], kept[j], g) for i, j, g in self.entries if i in kept and j in kept
        ]
        return replace(self, entries=tuple(entries))

    def general(self) -> "Stiffness":
        """The same stiffness with all entries of the triangle independent."""
        place = {(i, j): g for i, j, g in self.entries}
        moduli = [
            self.moduli[..., place[ij]]
            if ij in place
            else torch.zeros_like(self.moduli[..., 0])
            for ij in upper(self.components)
        ]
        return Stiffness(torch.stack(moduli, -1), full_entries(self.components))

    def matrix(self) -> Inexact[Tensor, "*b c c"]:
        """Mandel matrix."""
        full, c = self.general(), self.components
        return full.moduli[..., [g for _, _, g in full.entries]].unflatten(-1, (c, c))


def isotropic(
    *,
    E: Modulus | None = None,  # noqa: N803 (the field's name)
    nu: Modulus | None = None,
    K: Modulus | None = None,  # noqa: N803
    G: Modulus | None = None,  # noqa: N803
    lam: Modulus | None = None,
    mu: Modulus | None = None,
) -> Stiffness:
    """Isotropic phase from (E, nu), (K, G) or (lam, mu); K is the 3-D bulk modulus.

    Numbers, or tensors with one value per sample. E = 0 makes a pore.

    Raises
    ------
    ValueError
        Not exactly one of the three pairs, a value that is not finite, or moduli
        that are not positive definite.
    """
    given = {k: v for k, v in locals().items() if v is not None}
    pairs: dict[tuple[str, ...], Convert] = {
        ("E", "nu"): _from_young,
        ("K", "G"): _from_bulk,
        ("lam", "mu"): _lame,
    }
    convert = pairs.get(tuple(given))
    if convert is None:
        raise ValueError(
            f"isotropic takes (E, nu), (K, G) or (lam, mu), got {sorted(given)}"
        )
    first, second = as_tensors(list(given.items()))
    lame, shear = convert(first, second)
    moduli = torch.stack([lame + 2 * shear, lame, 2 * shear], -1)
    return checked(Stiffness(moduli, CUBIC), f"isotropic({_shown(given)})")


def cubic(C11: Modulus, C12: Modulus, C44: Modulus) -> Stiffness:  # noqa: N803
    """Cubic phase with axes along the grid; C44 is the shear modulus, C_2323.

    Raises
    ------
    ValueError
        A value that is not finite, or moduli that are not positive definite.
    """
    given = {"C11": C11, "C12": C12, "C44": C44}
    c11, c12, c44 = as_tensors(list(given.items()))
    moduli = torch.stack([c11, c12, 2 * c44], -1)
    return checked(Stiffness(moduli, CUBIC), f"cubic({_shown(given)})")


def anisotropic(matrix: object) -> Stiffness:
    """Any phase from its Mandel matrix, (6, 6), (3, 3) in 2-D, or one per sample.

    Raises
    ------
    ValueError
        Wrong shape, not symmetric, not finite or not positive definite.
    """
    c = _as_real("stiffness", matrix)
    square = c.ndim in (2, 3) and c.shape[-1] == c.shape[-2]
    if not square or c.shape[-1] not in (3, 6) or c.numel() == 0:
        raise ValueError(
            f"stiffness of shape {tuple(c.shape)} must be a Mandel matrix (6, 6), "
            "or (3, 3) in 2-D, or one such matrix per sample"
        )
    return symmetric(c, "stiffness")


def symmetric(matrix: Inexact[Tensor, "*b c c"], name: str) -> Stiffness:
    """All entries of the upper triangle, of a matrix that is symmetric and definite.

    Raises
    ------
    ValueError
        It is not.
    """
    c, transposed = matrix.detach(), matrix.detach().mT
    scale = c.abs().amax((-1, -2), keepdim=True)
    if bool(((c - transposed).abs() > 1e-6 * scale).any()):
        raise ValueError(f"{name} is not symmetric: C_ij and C_ji must agree")
    half = (matrix + matrix.mT) / 2
    rows = [half[..., i, j] for i, j in upper(c.shape[-1])]
    stiffness = Stiffness(torch.stack(rows, -1), full_entries(c.shape[-1]))
    return checked(stiffness, f"{name} matrix")


def _from_young(young: Tensor, nu: Tensor) -> tuple[Tensor, Tensor]:
    return young * nu / ((1 + nu) * (1 - 2 * nu)), young / (2 * (1 + nu))


def _from_bulk(bulk: Tensor, shear: Tensor) -> tuple[Tensor, Tensor]:
    return bulk - 2 * shear / 3, shear


def _lame(lam: Tensor, mu: Tensor) -> tuple[Tensor, Tensor]:
    return lam, mu


def as_tensors(given: Sequence[tuple[str, Modulus]]) -> Sequence[Tensor]:
    """Numbers, or one per sample, of one length."""
    values = [_as_tensor(name, value) for name, value in given]
    try:
        return torch.broadcast_tensors(*values)
    except RuntimeError:
        named = zip(given, values, strict=True)
        counts = ", ".join(f"{len(t)} of {name}" for (name, _), t in named if t.ndim)
        raise ValueError(
            f"moduli for different numbers of samples, {counts}: give one value per "
            "sample everywhere, or a single one"
        ) from None


def _as_tensor(name: str, value: Modulus) -> Tensor:
    t = _as_real(name, value)
    if t.ndim > 1 or t.numel() == 0:
        raise ValueError(
            f"{name} of shape {tuple(t.shape)} must be a number or one per sample"
        )
    return t if isinstance(value, Tensor) else t.double()


def _as_real(name: str, value: object) -> Tensor:
    t = numbers(name, value)
    if t.is_complex():
        raise ValueError(f"{name} must be real, got {t.dtype}")
    return t


def numbers(name: str, value: object) -> Tensor:
    """Tensors and arrays in their own precision, numbers in float64.

    Raises
    ------
    ValueError
        They are no numbers.
    """
    try:
        t = value if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} must be a number, or an array of numbers, got {value!r}"
        ) from None
    return t if t.is_floating_point() or t.is_complex() else t.double()


def _shown(given: dict[str, Modulus]) -> str:
    numbers = {
        k: v.detach().tolist() if isinstance(v, Tensor) else v for k, v in given.items()
    }
    return ", ".join(f"{k}={v}" for k, v in numbers.items())


def checked(stiffness: Stiffness, name: str) -> Stiffness:
    """Itself, or a ValueError: not finite, or its real part is not definite."""
    matrix = stiffness.matrix().detach()
    if not bool(matrix.isfinite().all()):
        raise ValueError(f"{name} is not finite; moduli must be, and nu below 0.5")
    eigenvalues = torch.linalg.eigvalsh(matrix.real.double())
    low, high = eigenvalues[..., 0], eigenvalues[..., -1]
    pore = (matrix == 0).all(-1).all(-1)
    if bool(((low <= 1e-12 * high) & ~pore).any()):
        part = "the real part of " if matrix.is_complex() else ""
        raise ValueError(
            f"{part}{name} is not positive definite: its eigenvalues go from "
            f"{float(low.min()):.3g} to {float(high.max()):.3g}"
        )
    return stiffness
