"""Moulinec and CG pass through the iterates of an independent voxel FE code.

``$LSML_REFERENCE_DATA/data/rln_structures_31.npz`` holds microstructures drawn by the
generator of Kelly & Kalidindi (2021); TABLE is copied from the README beside it.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

import lsml
from lsml.displacement_form import DisplacementForm
from lsml.stop import Never, RelativeResidual
from lsml.unroll import unroll

FOLDER = os.environ.get("LSML_REFERENCE_DATA")
SAMPLES, TOGETHER = 16, 2  # more at once overflow the cache, and are slower
STEPS = [1, 2, 3, 4, 5, 7, 10, 15, 20]
# Mean MASE in percent after STEPS iterations: NumPy, `hex8`, ν = 0.3 in both phases,
# E = 1 and contrast, mean strain along the loading axis, C⁰ the mean of the phases.
# fmt: off
TABLE = {
    (10, "moulinec"): [10.1, 6.19, 3.49, 2.32, 1.50, 0.715, 0.268, 0.0623, 0.0168],
    (10, "cg"): [10.2, 3.78, 1.62, 0.723, 0.343, 0.0800, 0.00942, 3.19e-4, 1.06e-5],
    (50, "moulinec"): [20.0, 15.1, 11.0, 8.96, 7.22, 5.20, 3.50, 2.07, 1.36],
    (50, "cg"): [19.9, 11.0, 6.85, 4.49, 3.12, 1.59, 0.576, 0.120, 0.0257],
}
# fmt: on
# Least and most iterations of CG to a relative preconditioned residual of 1e-6.
TO_A_MILLIONTH = {10: (17, 21), 50: (24, 45)}
# Residual of the solution that errors are measured from: adds less than 0.1 % to them.
SOLVED = {10: 1e-10, 50: 1e-8}


@pytest.fixture(scope="module")
def structures():
    if FOLDER is None:
        pytest.skip(
            "LSML_REFERENCE_DATA is not set; it names the folder that holds "
            "data/rln_structures_31.npz"
        )
    with np.load(Path(FOLDER) / "data" / "rln_structures_31.npz") as file:
        labels = file["labels"][:SAMPLES]
    return labels.transpose(0, 3, 2, 1)  # their loading axis is the last, ours first


def axial_strain(problem, u):
    """ε₁₁ of each element, averaged over its quadrature points."""
    return problem.field(u).unflatten(1, (-1, 6)).mean(1)[:, 0]


def run(problem, rule, stop, max_iter):
    """Final state, and ε₁₁ after each of STEPS iterations."""
    kept = []

    def observe(k, u, error, status):
        if k in STEPS:
            kept.append(axial_strain(problem, u))

    return unroll(problem, rule, stop=stop, max_iter=max_iter, observe=observe), kept


def errors_and_iterations(labels, contrast):
    """MASE of a few samples (step, sample) for both rules, and CG's iterations."""
    strain_form = lsml.elasticity(
        labels,
        phases=[lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=contrast, nu=0.3)],
        load=lsml.load(strain=[1e-3, 0, 0, 0, 0, 0]),
        discretization="hex8",
    )
    problem = DisplacementForm(strain_form)
    cg, krylov = run(
        problem, lsml.ConjugateGradient(), RelativeResidual(SOLVED[contrast]), 200
    )
    assert cg.converged.all()
    solution = axial_strain(problem, cg.x)
    _, basic = run(problem, lsml.Moulinec(), Never(), STEPS[-1])
    mase = {
        rule: torch.stack([lsml.mase(strain, solution) for strain in iterates])
        for rule, iterates in (("moulinec", basic), ("cg", krylov))
    }
    return mase, (cg.history > 1e-6).sum(0)


@pytest.mark.slow
@pytest.mark.parametrize("contrast", TO_A_MILLIONTH)
def test_strain_error_of_each_iterate_is_that_of_an_independent_code(
    structures, contrast
):
    """Theorem: both rules determine every iterate, not only the limit.

    So the mean error after k iterations is the same in any correct code. Catches a
    reference medium, a start or a loading axis that is not the stated one, an error
    that belongs to another iterate, reduced integration, a preconditioner or a step
    length of CG that is merely good enough to converge, and an error measured at the
    quadrature points or on another component.
    """
    batches = [
        errors_and_iterations(structures[i : i + TOGETHER], contrast)
        for i in range(0, SAMPLES, TOGETHER)
    ]
    for rule in ("moulinec", "cg"):
        found = torch.cat([mase[rule] for mase, _ in batches], 1).mean(1)
        np.testing.assert_allclose(
            found, TABLE[contrast, rule], rtol=0.02, err_msg=f"{rule}, {STEPS}"
        )
    iterations = torch.cat([count for _, count in batches])
    low, high = TO_A_MILLIONTH[contrast]
    assert low <= iterations.min()
    assert iterations.max() <= high
