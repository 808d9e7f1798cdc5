"""Square arrays of circular cylinders, cubic arrays of spheres: Rayleigh's multipoles.

Around each inclusion the potential is a sum of multipoles B r^−l, whose strengths
follow from what all the others send back, by sums over the lattice (Rayleigh 1892).
The cell has edges of 1, and the conductivity of the matrix is 1.
"""

from functools import lru_cache
from math import comb, gamma, pi, sqrt

import numpy as np
from scipy.special import gammaincc, sph_harm_y

POLES = 24  # of a cylinder
DEGREES = 24  # of the multipoles of a sphere
SHELLS = 7  # of the lattice and of its reciprocal; the next adds nothing


def cylinder_array(ratio: float, fraction: float) -> float:
    """κ*/κ_m across a square array of circular cylinders.

    Perrins, McKenzie & McPhedran (1979, Proc. R. Soc. A 369), table for κ_i/κ_m = 10.

    Parameters
    ----------
    ratio : κ_i/κ_m, 0 or more.
    fraction : of the area, below π/4, where they touch.

    Raises
    ------
    ValueError
        The cylinders overlap.
    """
    _check(fraction, pi / 4, "cylinders")
    if ratio == 1:
        return 1.0
    radius2 = fraction / pi
    orders = range(1, 2 * POLES, 2)
    sums = _square_sums(4 * POLES)
    t = (1 + ratio) / (1 - ratio)
    # scaled by r^−l, so that every entry is of the order of 1
    matrix = np.diag([t] * POLES)
    for i, n in enumerate(orders):
        for j, m in enumerate(orders):
            scale = radius2 ** ((n + m) / 2)
            matrix[i, j] += comb(n + m - 1, n) * sums[n + m] * scale * sqrt(n / m)
    drive = np.zeros(POLES)
    drive[0] = sqrt(radius2)
    dipole = np.linalg.solve(matrix, drive)[0] * sqrt(radius2)
    return float(1 - 2 * pi * dipole)


def sphere_array(ratio: float, fraction: float) -> float:
    """κ*/κ_m of a simple cubic array of spheres.

    McPhedran & McKenzie (1978, Proc. R. Soc. A 359), table for κ_i/κ_m = 10.

    Parameters
    ----------
    ratio : κ_i/κ_m, 0 or more.
    fraction : of the volume, below π/6, where they touch.

    Raises
    ------
    ValueError
        The spheres overlap.
    """
    _check(fraction, pi / 6, "spheres")
    if ratio == 1:
        return 1.0
    radius = (3 * fraction / (4 * pi)) ** (1 / 3)
    poles = [
        (n, m) for n in range(1, DEGREES, 2) for m in range(-n, n + 1) if m % 4 == 0
    ]
    sums = {n: _cubic_sums(n) for n in range(2, 2 * DEGREES, 2)}
    matrix = np.array(
        [
            [_sent(sums[n + k], m - p, (k, p), (n, m)) for n, m in poles]
            for k, p in poles
        ]
    )
    powers = radius ** np.array([n + 0.5 for n, _ in poles])
    matrix *= powers[:, None] * powers
    matrix += np.diag([(ratio + (n + 1) / n) / (1 - ratio) for n, _ in poles])
    first = poles.index((1, 0))
    drive = np.where(np.arange(len(poles)) == first, powers, 0.0)
    dipole = np.linalg.solve(matrix, drive)[first] * powers[first]
    return float(1 - 4 * pi * dipole)


def _sent(
    sums: dict[int, float], order: int, to: tuple[int, int], source: tuple[int, int]
) -> float:
    """What multipoles (n, m), degree and order, in all other cells send to (k, p)."""
    (k, p), (n, m) = to, source
    ways = comb(n + k - m + p, k + p) * comb(n + k + m - p, k - p)
    return sqrt(ways) * sums[order]


def _check(fraction: float, touching: float, what: str) -> None:
    if not 0 <= fraction < touching:
        raise ValueError(
            f"fraction = {fraction!r} must be from 0 to below {touching:.4f}, where "
            f"{what} touch"
        )


def _square_sums(highest: int) -> list[float]:
    """Σ z^−n over the square lattice without 0: Eisenstein series, by recursion.

    S₂ = π is Rayleigh's value for the field that drives; S₄ is Γ(1/4)⁸/(960 π²).
    """
    half = highest // 2 + 1
    a = [0.0] * (half + 1)
    a[1] = 3 * gamma(0.25) ** 8 / (960 * pi**2)
    for k in range(3, half):
        inner = sum(a[j] * a[k - 1 - j] for j in range(1, k - 1))
        a[k] = 3 / ((2 * k + 3) * (k - 2)) * inner
    sums = [0.0] * (highest + 1)
    sums[2] = pi
    for k in range(1, half):
        if 2 * k + 2 <= highest:
            sums[2 * k + 2] = a[k] / (2 * k + 1)
    return sums


@lru_cache
def _cubic_sums(degree: int) -> dict[int, float]:
    """√(4π/(2l + 1)) Σ Y_lm(ρ)/ρ^(l+1) over the simple cubic lattice without 0, by m.

    By Ewald's method: half of each term is summed in the reciprocal lattice. The sum
    for l = 2 depends on the shape of the whole, and is that of Rayleigh's cell.
    """
    if degree == 2:
        return {0: 2 * pi / 3}
    axis = np.arange(-SHELLS, SHELLS + 1)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij")).reshape(3, -1)
    points = points[:, points.any(0)]
    r = np.sqrt((points**2).sum(0))
    near = gammaincc(degree + 0.5, pi * r**2) / r ** (degree + 1)
    sign, scale = (-1) ** (degree // 2), pi ** (degree - 0.5) / gamma(degree + 0.5)
    far = sign * scale * r ** (degree - 2) * np.exp(-pi * r**2)
    polar, azimuth = np.arccos(points[2] / r), np.arctan2(points[1], points[0])
    orders = [m for m in range(-degree, degree + 1) if m % 4 == 0]
    unit = sqrt(4 * pi / (2 * degree + 1))
    return {
        m: unit
        * float(((near + far) * sph_harm_y(degree, m, polar, azimuth).real).sum())
        for m in orders
    }
