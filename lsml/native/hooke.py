"""Forces of the modes of an element: Hooke's law where it is nearly diagonal.

The displacement in an element is a sum of monomials of the centred coordinates. They
are orthogonal, with weights 1, h²/12 and h⁴/144, which two Gauss points per axis
integrate exactly; so each monomial of the strain meets Hooke's law by itself: one
uniform, three linear (``w_x`` = h_x²/12, ...) and three bilinear.
"""

from typing import no_type_check

from numba import njit
from numba import uint64 as unsigned

from lsml.native.scratch import (
    AAX,
    AAY,
    AAZ,
    ADX,
    ADY,
    ADZ,
    DAX,
    DAY,
    DAZ,
    DDX,
    DDY,
    DDZ,
    F001X,
    F001Y,
    F001Z,
    F010X,
    F010Y,
    F010Z,
    F011X,
    F011Y,
    F011Z,
    F100X,
    F100Y,
    F100Z,
    F101X,
    F101Y,
    F101Z,
    F110X,
    F110Y,
    F110Z,
    F111X,
    F111Y,
    F111Z,
    FAST,
    LOOSE,
    MODULI,
    N1,
    N2,
    P,
)  # fmt: skip


@njit(inline="always", fastmath=LOOSE)
@no_type_check
def _average(s, row, k, half):
    return half * (s[row + k] + s[row + k + N1])


@njit(inline="always", fastmath=LOOSE)
@no_type_check
def _slope(s, row, k, inverse):
    return inverse * (s[row + k + N1] - s[row + k])


@njit(inline="always", fastmath=LOOSE)
@no_type_check
def _cubic(s, k, xx, yy, zz, yz, xz, xy):
    """Stress of engineering strains for moduli C11, C12, C44."""
    m = MODULI + k
    a, b, g = s[m], s[m + P], s[m + N2 * P]
    return (
        a * xx + b * (yy + zz),
        a * yy + b * (xx + zz),
        a * zz + b * (xx + yy),
        g * yz,
        g * xz,
        g * xy,
    )


@njit(inline="always", fastmath=LOOSE)
@no_type_check
def _modulus(s, k, row):
    return s[MODULI + unsigned(row) * P + k]


@njit(inline="always", fastmath=LOOSE)
@no_type_check
def _general(s, k, xx, yy, zz, yz, xz, xy):
    """Stress of engineering strains for 21 moduli, upper triangle row by row."""
    c12, c13, c14 = _modulus(s, k, 1), _modulus(s, k, 2), _modulus(s, k, 3)
    c15, c16, c23 = _modulus(s, k, 4), _modulus(s, k, 5), _modulus(s, k, 7)
    c24, c25, c26 = _modulus(s, k, 8), _modulus(s, k, 9), _modulus(s, k, 10)
    c34, c35, c36 = _modulus(s, k, 12), _modulus(s, k, 13), _modulus(s, k, 14)
    c45, c46, c56 = _modulus(s, k, 16), _modulus(s, k, 17), _modulus(s, k, 19)
    c11, c22, c33 = _modulus(s, k, 0), _modulus(s, k, 6), _modulus(s, k, 11)
    c44, c55, c66 = _modulus(s, k, 15), _modulus(s, k, 18), _modulus(s, k, 20)
    return (
        c11 * xx + c12 * yy + c13 * zz + c14 * yz + c15 * xz + c16 * xy,
        c12 * xx + c22 * yy + c23 * zz + c24 * yz + c25 * xz + c26 * xy,
        c13 * xx + c23 * yy + c33 * zz + c34 * yz + c35 * xz + c36 * xy,
        c14 * xx + c24 * yy + c34 * zz + c44 * yz + c45 * xz + c46 * xy,
        c15 * xx + c25 * yy + c35 * zz + c45 * yz + c55 * xz + c56 * xy,
        c16 * xx + c26 * yy + c36 * zz + c46 * yz + c56 * xz + c66 * xy,
    )


def _forces(stress):
    """Forces of the uniform, the linear and the bilinear strains of an element."""

    @njit(fastmath=LOOSE)
    @no_type_check
    def uniform(s, w, half, inverse):
        for k in range(w):
            xx, xy = _average(s, DAX, k, half), _average(s, ADX, k, half)
            yx, yy = _average(s, DAY, k, half), _average(s, ADY, k, half)
            zx, zy = _average(s, DAZ, k, half), _average(s, ADZ, k, half)
            xz, yz = _slope(s, AAX, k, inverse), _slope(s, AAY, k, inverse)
            zz = _slope(s, AAZ, k, inverse)
            sxx, syy, szz, syz, sxz, sxy = stress(
                s, k, xx, yy, zz, yz + zy, xz + zx, xy + yx
            )
            n = k + N1
            s[F100X + n], s[F100Y + n], s[F100Z + n] = sxx, sxy, sxz
            s[F010X + n], s[F010Y + n], s[F010Z + n] = sxy, syy, syz
            s[F001X + n], s[F001Y + n], s[F001Z + n] = sxz, syz, szz

    @njit(fastmath=LOOSE)
    @no_type_check
    def linear(s, w, half, inverse, wx, wy, wz):
        nil = wx - wx
        for k in range(w):
            ax, ay = _average(s, DDX, k, half), _average(s, DDY, k, half)
            az, bx = _average(s, DDZ, k, half), _slope(s, DAX, k, inverse)
            by, bz = _slope(s, DAY, k, inverse), _slope(s, DAZ, k, inverse)
            cx, cy = _slope(s, ADX, k, inverse), _slope(s, ADY, k, inverse)
            cz = _slope(s, ADZ, k, inverse)
            _, xyy, xzz, xyz, xxz, xxy = stress(s, k, nil, ay, bz, az + by, bx, ax)
            yxx, _, yzz, yyz, yxz, yxy = stress(s, k, ax, nil, cz, cy, az + cx, ay)
            zxx, zyy, _, zyz, zxz, zxy = stress(s, k, bx, cy, nil, cz, bz, by + cx)
            n = k + N1
            s[F110X + n] = wy * yxx + wx * xxy
            s[F110Y + n] = wx * xyy + wy * yxy
            s[F110Z + n] = wx * xyz + wy * yxz
            s[F101X + n] = wz * zxx + wx * xxz
            s[F101Y + n] = wx * xyz + wz * zxy
            s[F101Z + n] = wx * xzz + wz * zxz
            s[F011X + n] = wy * yxz + wz * zxy
            s[F011Y + n] = wz * zyy + wy * yyz
            s[F011Z + n] = wy * yzz + wz * zyz

    @njit(fastmath=LOOSE)
    @no_type_check
    def bilinear(s, w, inverse, wx, wy, wz):
        nil = wx - wx
        for k in range(w):
            hx, hy = _slope(s, DDX, k, inverse), _slope(s, DDY, k, inverse)
            hz = _slope(s, DDZ, k, inverse)
            xx, _, _, _, xz, xy = stress(s, k, hx, nil, nil, nil, hz, hy)
            _, yy, _, yz, _, yx = stress(s, k, nil, hy, nil, hz, nil, hx)
            _, _, zz, zy, zx, _ = stress(s, k, nil, nil, hz, hy, hx, nil)
            n = k + N1
            s[F111X + n] = wy * wz * xx + wx * wz * yx + wx * wy * zx
            s[F111Y + n] = wy * wz * xy + wx * wz * yy + wx * wy * zy
            s[F111Z + n] = wy * wz * xz + wx * wz * yz + wx * wy * zz

    return uniform, linear, bilinear


_cubic_uniform, _cubic_linear, _cubic_bilinear = _forces(_cubic)
_general_uniform, _general_linear, _general_bilinear = _forces(_general)


@njit(fastmath=FAST, inline="always")
@no_type_check
def uniform_stresses(s, general, w, half, inverse):
    """Modal forces of the uniform strains."""
    if general:
        _general_uniform(s, w, half, inverse)
    else:
        _cubic_uniform(s, w, half, inverse)


@njit(fastmath=FAST, inline="always")
@no_type_check
def varying_stresses(s, general, w, half, inverse, wx, wy, wz):
    """Modal forces of the strains that vary inside the element."""
    if general:
        _general_linear(s, w, half, inverse, wx, wy, wz)
        _general_bilinear(s, w, inverse, wx, wy, wz)
    else:
        _cubic_linear(s, w, half, inverse, wx, wy, wz)
        _cubic_bilinear(s, w, inverse, wx, wy, wz)
