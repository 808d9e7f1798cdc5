"""Bᵀ C B of multilinear voxel elements, one row of voxels at a time.

Gradient, law and divergence of up to 64 voxels in a row happen in a scratch array that
stays in the first cache; only displacements are read from memory and forces written to
it. Averages and differences along x and y are taken of whole node rows; those along z
with the law. Numba vectorizes a loop only where it sees that rows do not overlap, hence
one scratch array with constant offsets, and unsigned indices, which cannot wrap around.
"""

from typing import no_type_check

import numpy as np
from numba import njit
from numba import uint64 as unsigned

from lsml.native.hooke import uniform_stresses, varying_stresses
from lsml.native.scratch import (
    DIFFERENCE,
    F001X,
    F001Y,
    F001Z,
    F010X,
    F010Y,
    F010Z,
    F100X,
    F100Y,
    F100Z,
    FAR,
    FAST,
    LOOSE,
    MODULI,
    N0,
    N1,
    N3,
    NEAR,
    PENDING_DIFFERENCE,
    PENDING_SUM,
    SCRATCH,
    SUM,
    P,
    W,
    stamped,
)  # fmt: skip


@njit(fastmath=FAST, inline="always")
@no_type_check
def _first_column(u, near, far, s, total, change, w, last):
    """Sum and difference along x of the first node column."""
    for k in range(w):
        a, b = u[near + k], u[far + k]
        s[total + k], s[change + k] = a + b, b - a
    a, b = u[near + last], u[far + last]
    s[total + w], s[change + w] = a + b, b - a


@njit(fastmath=FAST, inline="always")
@no_type_check
def _modes(u, near, far, s, total, change, at, w, last, f):
    """Modes in x and y of one component, from this node column and the last."""
    for k in range(w):
        a, b = u[near + k], u[far + k]
        new, newer, old, older = a + b, b - a, s[total + k], s[change + k]
        s[total + k], s[change + k] = new, newer
        s[at + k] = f[0] * (old + new)
        s[at + N3 * P + k] = f[1] * (new - old)
        s[at + unsigned(6) * P + k] = f[2] * (older + newer)
        s[at + unsigned(9) * P + k] = f[3] * (newer - older)
    a, b = u[near + last], u[far + last]
    new, newer, old, older = a + b, b - a, s[total + w], s[change + w]
    s[total + w], s[change + w] = new, newer
    s[at + w] = f[0] * (old + new)
    s[at + N3 * P + w] = f[1] * (new - old)
    s[at + unsigned(6) * P + w] = f[2] * (older + newer)
    s[at + unsigned(9) * P + w] = f[3] * (newer - older)


@njit(fastmath=LOOSE, inline="always")
@no_type_check
def _uniform_nodes(s, f, k, g, half, inverse):
    n = k + N1
    f010, f100 = f + N3 * P, f + unsigned(6) * P
    aa = g[0] * inverse * (s[f + k] - s[f + n])
    ad = g[1] * half * (s[f010 + k] + s[f010 + n])
    da = g[2] * half * (s[f100 + k] + s[f100 + n])
    return aa, ad, da, aa - aa


@njit(fastmath=LOOSE, inline="always")
@no_type_check
def _all_nodes(s, f, k, g, half, inverse):
    n = k + N1
    f010, f100 = f + N3 * P, f + unsigned(6) * P
    f011, f101 = f + unsigned(9) * P, f + unsigned(12) * P
    f110, f111 = f + unsigned(15) * P, f + unsigned(18) * P
    aa = g[0] * inverse * (s[f + k] - s[f + n])
    ad = half * (s[f010 + k] + s[f010 + n]) + inverse * (s[f011 + k] - s[f011 + n])
    da = half * (s[f100 + k] + s[f100 + n]) + inverse * (s[f101 + k] - s[f101 + n])
    dd = half * (s[f110 + k] + s[f110 + n]) + inverse * (s[f111 + k] - s[f111 + n])
    return aa, g[1] * ad, g[2] * da, g[3] * dd


def _scattering(nodes):
    """Forces of the modes of one component, to the node rows NEAR and FAR."""

    @njit(fastmath=LOOSE, inline="always")
    @no_type_check
    def scatter(s, f, total, change, w, g, half, inverse):
        for k in range(w + N1):
            aa, ad, da, dd = nodes(s, f, k, g, half, inverse)
            along, across = s[total + k] + (aa - ad), s[change + k] + (da - dd)
            s[total + k], s[change + k] = aa + ad, da + dd
            s[NEAR + k], s[FAR + k] = along - across, along + across

    return scatter


_scatter_uniform = _scattering(_uniform_nodes)
_scatter_all = _scattering(_all_nodes)


@njit(fastmath=FAST, inline="always")
@no_type_check
def _add(out, at, s, row, w, last):
    for k in range(w):
        out[at + k] += s[row + k]
    out[at + last] += s[row + w]


@njit(fastmath=FAST, inline="always")
@no_type_check
def _last_column(out, near, far, s, total, change, w, last):
    """Forces that are still pending, on the first node column."""
    for k in range(w + N1):
        s[NEAR + k] = s[total + k] - s[change + k]
        s[FAR + k] = s[total + k] + s[change + k]
    _add(out, near, s, NEAR, w, last)
    _add(out, far, s, FAR, w, last)


@njit(fastmath=FAST, inline="always")
@no_type_check
def _look_up(s, labels, table, at, w):
    """Moduli of each voxel."""
    count = unsigned(table.shape[1])
    for m in range(count):
        row = MODULI + m * P
        for k in range(w):
            s[row + k] = table[unsigned(labels[at + k]), m]


@njit(fastmath=FAST, inline="always")
@no_type_check
def _mean_part(s, labels, offset, mean, at, w):
    """Add the stress of the mean strain to the uniform modes, and sum up the stress."""
    for k in range(w):
        xx, yy, zz, yz, xz, xy = offset[labels[at + k]]
        n = k + N1
        s[F100X + n] += xx
        s[F100Y + n] += xy
        s[F100Z + n] += xz
        s[F010X + n] += xy
        s[F010Y + n] += yy
        s[F010Z + n] += yz
        s[F001X + n] += xz
        s[F001Y + n] += yz
        s[F001Z + n] += zz
        mean[0] += s[F100X + n]
        mean[1] += s[F010Y + n]
        mean[2] += s[F001Z + n]
        mean[3] += s[F010Z + n]
        mean[4] += s[F100Z + n]
        mean[5] += s[F100Y + n]


@njit(fastmath=FAST, inline="always")
@no_type_check
def _open_columns(u, row, step, size, components, s, w, last):
    """Sums and differences of the first node column; no force is pending yet."""
    for c in range(unsigned(components.size)):
        a, at = unsigned(components[c]) * P, c * size + row
        _first_column(u, at, at + step, s, SUM + a, DIFFERENCE + a, w, last)
        for k in range(w + N1):
            s[PENDING_SUM + a + k] = s[PENDING_DIFFERENCE + a + k] = 0


@njit(fastmath=FAST, inline="always")
@no_type_check
def _close_columns(out, row, step, size, components, s, w, last):
    """Forces that are still pending belong to the first node column."""
    for c in range(unsigned(components.size)):
        a, at = unsigned(components[c]) * P, c * size + row
        total, change = PENDING_SUM + a, PENDING_DIFFERENCE + a
        _last_column(out, at, at + step, s, total, change, w, last)


@njit(fastmath=FAST, nogil=True, cache=True)
@stamped
@no_type_check
def slab(
    u,
    labels,
    table,
    varying,
    offset,
    out,
    mean,
    shape,
    spacing,
    full,
    components,
    x0,
    x1,
):
    """Add Bᵀ C (B u + ē) of the elements x0 ≤ i < x1 to the forces ``out``.

    Parameters
    ----------
    u, out : displacement and force, (len(components) · nx · ny · nz) in a row.
    labels : phase of each voxel, in a row.
    table : moduli of each phase, (p, 3): C11, C12, C44, or (p, 21), engineering shear.
    varying : the same for strains that vary inside a voxel, (0, ·) if they are alike.
    offset : stress of the mean strain in each phase, (p, 6), or none, (0, 6).
    mean : (6) sum of the stress over the voxels, added to if there is an offset.
    full : 2 × 2 × 2 Gauss points, or the midpoint alone.
    components : which of x, y, z the displacement has.
    """
    nx, ny, nz = unsigned(shape[0]), unsigned(shape[1]), unsigned(shape[2])
    size, one = nx * ny * nz, u.dtype.type(1)
    hx, hy, inverse = spacing[0], spacing[1], one / spacing[2]
    half = one / u.dtype.type(2)
    f = (half * half, half / hy, half / hx, one / (hx * hy))
    twelfth = one / u.dtype.type(12)
    wx, wy, wz = hx * hx * twelfth, hy * hy * twelfth, spacing[2] ** 2 * twelfth
    s = np.zeros(SCRATCH, u.dtype)
    general, loaded = table.shape[1] > 3, offset.shape[0] > 0
    unlike = varying.shape[0] > 0
    for i in range(unsigned(x0), unsigned(x1)):
        step = ny * nz if i + N1 < nx else N0 - i * ny * nz
        for t in range((nz + W - N1) // W):
            w = min(W, nz - t * W)
            last = w if t * W + w < nz else N0 - t * W
            row = i * ny * nz + t * W
            _open_columns(u, row, step, size, components, s, w, last)
            for m in range(unsigned(21)):
                s[F001X + m * P] = s[F001X + m * P + w + N1] = 0
            for j in range(ny):
                here = row + j * nz
                there = here + nz if j + N1 < ny else row
                _look_up(s, labels, table, here, w)
                for c in range(unsigned(components.size)):
                    a, at = unsigned(components[c]) * P, c * size + there
                    sums, differences = SUM + a, DIFFERENCE + a
                    _modes(u, at, at + step, s, sums, differences, a, w, last, f)
                uniform_stresses(s, general, w, half, inverse)
                if unlike:
                    _look_up(s, labels, varying, here, w)
                if full:
                    varying_stresses(s, general, w, half, inverse, wx, wy, wz)
                if loaded:
                    _mean_part(s, labels, offset, mean, here, w)
                for c in range(unsigned(components.size)):
                    a, at = unsigned(components[c]) * P, c * size + here
                    sums, differences = PENDING_SUM + a, PENDING_DIFFERENCE + a
                    if full:
                        _scatter_all(
                            s, F001X + a, sums, differences, w, f, half, inverse
                        )
                    else:
                        _scatter_uniform(
                            s, F001X + a, sums, differences, w, f, half, inverse
                        )
                    _add(out, at, s, NEAR, w, last)
                    _add(out, at + step, s, FAR, w, last)
            _close_columns(out, row, step, size, components, s, w, last)
