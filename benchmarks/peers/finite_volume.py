"""Cell-centred finite volumes for conduction in a periodic voxel image, by SciPy alone.

Two voxels exchange flux through their common face by the harmonic mean of their
conductivities (two-point flux approximation). Nothing of lsml is used.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.linalg import LinearOperator, cg, spilu, spsolve

DIRECT = 5000  # unknowns up to which a factorization is faster than iterations
TIGHT = 1e-13  # relative residual of iterations


def faces(kappa: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Conductivity between each voxel and the next one along an axis."""
    after = np.roll(kappa, -1, axis)
    return 2 * kappa * after / (kappa + after)


def system(kappa: NDArray[np.float64]) -> csr_array:
    """Net flux out of each voxel as a matrix of its potentials, for edges of 1."""
    number = np.arange(kappa.size).reshape(kappa.shape)
    rows, columns, values = [], [], []
    for axis in range(kappa.ndim):
        k = faces(kappa, axis).ravel()
        here, there = number.ravel(), np.roll(number, -1, axis).ravel()
        rows += [here, there, here, there]
        columns += [here, there, there, here]
        values += [k, k, -k, -k]
    shape = (kappa.size, kappa.size)
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    return coo_array(entries, shape=shape).tocsr()


def effective(kappa: NDArray[np.float64]) -> NDArray[np.float64]:
    """Effective conductivity (d, d) of a periodic cell of cubic voxels."""
    d, n = kappa.ndim, kappa.size
    matrix = system(kappa)
    k = [faces(kappa, a) for a in range(d)]
    answer = np.zeros((d, d))
    for j in range(d):
        drive = (k[j] - np.roll(k[j], 1, j)).ravel()
        u = np.zeros(n)
        u[1:] = solve(matrix[1:, 1:], drive[1:])
        u = u.reshape(kappa.shape)
        for i in range(d):
            gradient = np.roll(u, -1, i) - u + (i == j)
            answer[i, j] = (k[i] * gradient).mean()
    return answer


def solve(matrix: csr_array, right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a definite system: one voxel's potential is held."""
    if len(right) <= DIRECT:
        return np.asarray(spsolve(matrix.tocsc(), right))
    factors = spilu(matrix.tocsc(), drop_tol=1e-3, fill_factor=10)
    guess = LinearOperator(matrix.shape, factors.solve)
    found, failed = cg(matrix, right, rtol=TIGHT, maxiter=5000, M=guess)
    if failed:
        raise RuntimeError(f"finite volumes: no convergence in {failed} iterations")
    return np.asarray(found)
