"""One pass over memory for what would be several in whole-array operations."""

from typing import no_type_check

import numpy as np
from numba import njit

from lsml.native.scratch import FAST, stamped


@njit(fastmath=FAST, nogil=True, cache=True)
@stamped
@no_type_check
def multiply(hat, inverse, scale):
    """hat ← scale · N hat in place, (m, i, j, k) by upper triangles (p, i, j, k)."""
    if hat.shape[0] == 3:
        for i in range(hat.shape[1]):
            for j in range(hat.shape[2]):
                for k in range(hat.shape[3]):
                    n = inverse[:, i, j, k]
                    a, b, c = hat[0, i, j, k], hat[1, i, j, k], hat[2, i, j, k]
                    hat[0, i, j, k] = scale * (n[0] * a + n[1] * b + n[2] * c)
                    hat[1, i, j, k] = scale * (n[1] * a + n[3] * b + n[4] * c)
                    hat[2, i, j, k] = scale * (n[2] * a + n[4] * b + n[5] * c)
    else:
        for i in range(hat.shape[1]):
            for j in range(hat.shape[2]):
                for k in range(hat.shape[3]):
                    n = inverse[:, i, j, k]
                    a, b = hat[0, i, j, k], hat[1, i, j, k]
                    hat[0, i, j, k] = scale * (n[0] * a + n[1] * b)
                    hat[1, i, j, k] = scale * (n[1] * a + n[2] * b)


@njit(fastmath=FAST, nogil=True, cache=True)
@stamped
@no_type_check
def add(x, scale, d, out):
    """out ← x + scale·d, where out may be x or d."""
    for k in range(x.size):
        out[k] = x[k] + scale * d[k]


@njit(fastmath=FAST, nogil=True, cache=True)
@stamped
@no_type_check
def dot(x, y):
    """Σ x·y in float64."""
    total = 0.0
    for k in range(x.size):
        total += np.float64(x[k]) * np.float64(y[k])
    return total
