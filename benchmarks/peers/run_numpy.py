"""Fourier-Galerkin CG on strains, in NumPy, in the style of GooseFFT.

The method of de Geus, Vondřejc, Zeman, Peerlings & Geers (CMAME 318, 2017) with the
means of its teaching codes: the projection on compatible strains and the stiffness are
fields of fourth-order tensors, products are ``einsum``, transforms are ``numpy.fft``,
and CG is SciPy's. Odd grids only.
"""

import harness
import numpy as np
from scipy.sparse.linalg import LinearOperator, cg

RESIDUAL = "projected stress in the Euclidean norm"
AXES = (-3, -2, -1)
I2 = np.eye(3)
II = np.einsum("ij,kl->ijkl", I2, I2)
I4S = 0.5 * (np.einsum("ik,jl->ijkl", I2, I2) + np.einsum("il,jk->ijkl", I2, I2))


def contract(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A : b at every point."""
    return np.einsum("ijkl...,kl...->ij...", a, b)


def projection(shape: tuple[int, ...]) -> np.ndarray:
    """On symmetric gradients, for the frequencies of ``fftn``: (3, 3, 3, 3, *n)."""
    axes = [np.fft.fftfreq(n, 1 / n) for n in shape]
    q = np.stack(np.meshgrid(*axes, indexing="ij"))
    norm = np.sqrt((q**2).sum(0))
    norm[0, 0, 0] = np.inf  # no fluctuation at frequency zero
    q = q / norm
    qq = np.einsum("i...,j...->ij...", q, q)
    mixed = np.einsum("ik,jl...->ijkl...", I2, qq)
    mixed = mixed + mixed.swapaxes(0, 1)
    mixed = 0.5 * (mixed + mixed.swapaxes(2, 3))
    return mixed - np.einsum("ij...,kl...->ijkl...", qq, qq)


def stiffness(image: np.ndarray, contrast: float) -> np.ndarray:
    """(3, 3, 3, 3, *n)."""
    first, shear = harness.lame(image, contrast)
    return np.multiply.outer(II, first) + np.multiply.outer(2 * I4S, shear)


def solve(image: np.ndarray, contrast: float, tol: float) -> harness.Answer:
    """One cell."""
    shape = (3, 3, *image.shape)
    gamma, c = projection(image.shape), stiffness(image, contrast)
    mean = np.zeros(shape)
    mean[0, 0] = 1.0
    steps: list[None] = []

    def projected(strain: np.ndarray) -> np.ndarray:
        stress = contract(c, strain.reshape(shape))
        hat = np.fft.fftn(stress, axes=AXES)
        return np.fft.ifftn(contract(gamma, hat), axes=AXES).real.ravel()

    size = mean.size
    operator = LinearOperator((size, size), projected, dtype=np.float64)
    fluctuation, failed = cg(
        operator,
        -projected(mean),
        rtol=tol,
        atol=0.0,
        maxiter=1000,
        callback=lambda _: steps.append(None),
    )
    if failed:
        raise RuntimeError(f"CG did not reach {tol} in {failed} iterations")
    stress = contract(c, mean + fluctuation.reshape(shape)).mean(AXES)
    return harness.Answer(harness.components(stress), [len(steps)])


VARIANTS = {"projection": harness.Variant(harness.one_by_one(solve), RESIDUAL)}

if __name__ == "__main__":
    harness.main(VARIANTS, ["scipy"])
