"""The main pictures of a small problem: `python examples/pictures.py FOLDER [EDGE]`."""

import sys
from pathlib import Path

import numpy as np

import lsml
from lsml.data import microstructures
from lsml.plot import (
    plot_comparison,
    plot_differences,
    plot_grid,
    plot_slices,
    plot_stiffness,
    plot_volume,
)

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "pictures")
edge = int(sys.argv[2]) if len(sys.argv) > 2 else 16
folder.mkdir(parents=True, exist_ok=True)

# Grains that are long along axis 1, stiff ones in a soft matrix: GPa and µm.
grains = (edge // 2, edge // 6, edge // 6)
(labels,) = microstructures(1, (edge,) * 3, grain_size=grains, volume_fraction=0.4)
phases = [lsml.isotropic(E=3.0, nu=0.35), lsml.isotropic(E=70.0, nu=0.2)]
spacing = (0.5, 0.5, 0.5)
solution = lsml.solve(labels, phases=phases, spacing=spacing, tol=1e-5)

solution.plot(folder / "overview.png")
solution.plot(folder / "mises.png", field="mises")
stress = solution.stress[0, 0].numpy()
title = r"stress $\sigma_{11}$"
at = np.unravel_index(stress.argmax(), stress.shape)  # the voxel with the most
plot_slices(stress, spacing, folder / "slices.png", title=title, unit="GPa", at=at)
plot_volume(stress, spacing, folder / "volume.png", title="stress 11", unit="GPa")
stiff = labels == 1
path = folder / "phase.png"
plot_volume(stress, spacing, path, title="stress 11", unit="GPa", where=stiff)

# What a few iterations of two rules leave of the error, beside each other.
few = {
    f"{rule}, {steps}": lsml.solve(
        labels,
        rule,
        phases=phases,
        spacing=spacing,
        max_iter=steps,
        tol=1e-12,
        throw=False,
    )
    for rule in ("moulinec", "cg")
    for steps in (3, 10)
}
early = {name: each.stress[0, 0].numpy() for name, each in few.items()}
path = folder / "differences.png"
plot_differences(early, stress, spacing, path, title=title, unit="GPa")
shown = {"cg, 3": few["cg, 3"], "cg, 10": few["cg, 10"], "solved": solution}
rows = {
    f"stress {name}": {rule: each.stress[0, k].numpy() for rule, each in shown.items()}
    for k, name in enumerate(("11", "22", "33"))
}
plot_grid(rows, spacing, folder / "grid.png", unit="GPa", at=at)

# Young's modulus of the whole, and of a crystal of copper.
effective = lsml.homogenize(labels, phases=phases, spacing=spacing, tol=1e-3)
effective.plot(folder / "young.png", unit="GPa")
copper = lsml.cubic(C11=168.4, C12=121.4, C44=75.4).matrix().numpy()
plot_stiffness(copper, folder / "copper.png", unit="GPa")

rules = ("moulinec", "cg")
solved = {
    f"contrast {contrast}": {
        rule: lsml.solve(labels, rule, contrast=contrast, spacing=spacing, tol=1e-5)
        for rule in rules
    }
    for contrast in (5, 20)
}
plot_comparison(solved, folder / "comparison.png", tol=1e-5)
print("\n".join(sorted(str(path) for path in folder.glob("*.png"))))
