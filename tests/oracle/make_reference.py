"""Write `tests/data/sfepy_hex8.h5`, the fields the `hex8` tests compare with.

Run as ``python -m tests.oracle.make_reference`` from the root of the repository.
"""

import os
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import sfepy

from .sfepy_cell import balanced_strain, solve_cell

TARGET = Path(__file__).parents[1] / "data" / "sfepy_hex8.h5"


NAN = float("nan")
FREE = [NAN] * 6


class Case(NamedTuple):
    """One cell of random voxels of two phases, as likely as each other.

    Of each component the mean strain or the mean stress is given, the other is NaN.
    """

    seed: int
    shape: tuple[int, int, int]
    moduli: list[tuple[float, float]]
    spacing: tuple[float, float, float]
    mean_strain: list[float]
    mean_stress: list[float] = FREE


UNIAXIAL = [1e-3, 0.0, 0.0, 0.0, 0.0, 0.0]
# No two components equal, so that a permutation of them cannot pass.
GENERAL = [1.0e-3, -0.5e-3, 0.7e-3, 0.3e-3, -0.8e-3, 0.4e-3]

CASES = {
    "cube_contrast_10": Case(
        1, (7, 7, 7), [(1.0, 0.3), (10.0, 0.3)], (1.0, 1.0, 1.0), UNIAXIAL
    ),
    "cube_contrast_50": Case(
        2, (7, 7, 7), [(1.0, 0.3), (50.0, 0.3)], (1.0, 1.0, 1.0), UNIAXIAL
    ),
    "box_contrast_10": Case(
        3, (7, 8, 9), [(1.0, 0.3), (10.0, 0.2)], (1.0, 2.0, 0.5), GENERAL
    ),
    "box_mixed_load": Case(
        4,
        (5, 6, 4),
        [(1.0, 0.3), (20.0, 0.15)],
        (1.0, 1.5, 0.75),
        [1.0e-3, NAN, 0.7e-3, NAN, NAN, 0.4e-3],
        [NAN, 0.0, NAN, -2.0e-3, 1.5e-3, NAN],
    ),
}


def write_case(group: h5py.Group, case: Case) -> None:
    """Solve one case and store it with everything needed to state it again."""
    labels = np.random.default_rng(case.seed).integers(
        0, len(case.moduli), case.shape, dtype=np.uint8
    )
    parts = (labels, case.moduli, case.spacing)
    cell = solve_cell(
        *parts, balanced_strain(*parts, case.mean_strain, case.mean_stress)
    )
    group.attrs["sfepy"] = sfepy.__version__
    group.attrs["seed"] = case.seed
    group["moduli"] = case.moduli
    group["spacing"] = case.spacing
    group["mean_strain"] = case.mean_strain
    group["mean_stress"] = case.mean_stress
    for name, array in {
        "labels": labels,
        "strain": cell.strain,
        "stress": cell.stress,
    }.items():
        group.create_dataset(
            name, data=array, compression="gzip", compression_opts=9, shuffle=True
        )


def main(target: Path = TARGET) -> None:
    """Write all cases to a temporary file, then put it in place at once."""
    target.parent.mkdir(exist_ok=True)
    partial = target.with_suffix(".partial")
    with h5py.File(partial, "w") as file:
        for name, case in CASES.items():
            write_case(file.create_group(name), case)
    os.replace(partial, target)


if __name__ == "__main__":
    main()
