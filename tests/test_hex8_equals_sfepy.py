"""The `hex8` discretization equals an independent finite-element code, voxel by voxel.

The committed reference is made by ``python -m tests.oracle.make_reference``.
"""

from pathlib import Path

import h5py
import numpy as np
import pytest

import lsml

REFERENCE = Path(__file__).parent / "data" / "sfepy_hex8.h5"
pytestmark = pytest.mark.usefixtures("engine")
CASES = ["cube_contrast_10", "cube_contrast_50", "box_contrast_10", "box_mixed_load"]
FREE = [float("nan")] * 6


def assert_hex8_gives(
    labels, moduli, spacing, mean_strain, strain, stress, mean_stress=FREE
):
    """Solve by lsml and demand both fields to 1e-7 of their largest entry."""
    problem = lsml.elasticity(
        labels,
        phases=[lsml.isotropic(E=E, nu=nu) for E, nu in moduli],
        load=lsml.load(strain=mean_strain, stress=mean_stress),
        discretization="hex8",
        spacing=spacing,
    )
    solution = lsml.solve(problem, rule="cg", tol=1e-11)
    for ours, theirs in [(solution.strain, strain), (solution.stress, stress)]:
        assert ours.shape == (1, *theirs.shape)
        np.testing.assert_allclose(
            ours[0].numpy(), theirs, rtol=0.0, atol=1e-7 * np.abs(theirs).max()
        )


@pytest.mark.parametrize("case", CASES)
def test_hex8_equals_the_committed_fields_of_sfepy(case):
    """Theorem: `hex8` is trilinear FE on the voxel mesh with full integration.

    So its element averages of strain and stress are those of any other code.
    The boxes have unlike axes, spacings, Poisson ratios and strain components; of one
    the mean stress is given in three components, which sfepy meets by superposition.
    Catches reduced integration in place of 2x2x2, exchanged axes or shear
    components, a lost sqrt(2), a spacing used for the wrong axis, stress
    taken from the phase of a neighbouring voxel, and a stress load with a lost sqrt(2).
    """
    with h5py.File(REFERENCE) as file:
        stored = {name: data[()] for name, data in file[case].items()}
    assert_hex8_gives(
        labels=stored["labels"],
        moduli=stored["moduli"].tolist(),
        spacing=tuple(stored["spacing"].tolist()),
        mean_strain=stored["mean_strain"].tolist(),
        mean_stress=stored["mean_stress"].tolist(),
        strain=stored["strain"],
        stress=stored["stress"],
    )


@pytest.mark.parametrize("contrast", [10.0, 50.0])
def test_hex8_equals_sfepy_solved_now(contrast):
    """Theorem: as above, for voxels that no stored file could have been fitted to.

    Catches a reference file that is stale or was written from our own fields,
    and a `hex8` that is right on the stored shapes only: here two axes are even
    and the strain is general.
    """
    pytest.importorskip("sfepy", reason='needs pip install "lsml[oracle]"')
    from oracle.sfepy_cell import solve_cell  # tests/ is on the path under pytest

    case = {
        "labels": np.random.default_rng(20).integers(0, 2, (6, 7, 4), dtype=np.uint8),
        "moduli": [(1.0, 0.2), (contrast, 0.35)],
        "spacing": (1.0, 0.6, 1.5),
        "mean_strain": [-0.4e-3, 0.9e-3, 0.2e-3, -0.7e-3, 0.5e-3, 0.3e-3],
    }
    cell = solve_cell(**case)
    assert_hex8_gives(**case, strain=cell.strain, stress=cell.stress)
