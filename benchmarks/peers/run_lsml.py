"""lsml: the displacement form, preconditioned by the Green operator of C⁰."""

from functools import partial

import harness
import numpy as np
import torch

import lsml

STRAIN = 1e-3  # mean strain 11 of `lsml.solve` where no load is given
MANY = 10_000  # iterations, for the tight solves
ROOT = np.sqrt([1, 1, 1, 2, 2, 2])  # Mandel's, on the shear components
RESIDUAL = "force in the norm of the Green operator of C⁰, which is ‖Γ⁰σ‖ in that of C⁰"


def solve(
    labels: np.ndarray,
    contrast: float,
    tol: float,
    *,
    discretization: str,
    dtype: torch.dtype,
) -> harness.Answer:
    """All cells in one call."""
    sol = lsml.solve(
        labels,
        contrast=contrast,
        discretization=discretization,
        dtype=dtype,
        tol=tol,
        max_iter=MANY,
    )
    stress = np.asarray(sol.mean_stress, dtype=float) / STRAIN / ROOT
    return harness.Answer(stress, sol.iterations.tolist())


def variant(discretization: str, dtype: torch.dtype) -> harness.Variant:
    """With one discretization and precision."""
    call = partial(solve, discretization=discretization, dtype=dtype)
    return harness.Variant(call, RESIDUAL)


VARIANTS = {
    "hex8": variant("hex8", torch.float64),
    "hex8-float32": variant("hex8", torch.float32),
    "rotated": variant("rotated", torch.float64),
    "fourier": variant("fourier", torch.float64),
}

if __name__ == "__main__":
    packages = ["lsml", "torch", "numba", "pyfftw"]
    harness.main(VARIANTS, packages, torch.set_num_threads)
