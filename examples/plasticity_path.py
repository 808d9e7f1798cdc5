"""Stress-strain curve of an elastic-plastic composite, loaded, let go and loaded again.

A matrix that hardens (Voce) around stiff elastic inclusions is stretched, let go and
stretched again, free of lateral stress. Writes ``plasticity_path.png``.
"""

import time
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import lsml

torch.set_num_threads(1)
n = 16
x = (np.indices((n, n)) + 0.5) / n
centres = ((0.3, 0.3), (0.7, 0.75))
labels = sum((x[0] - a) ** 2 + (x[1] - b) ** 2 < 0.03 for a, b in centres)

soft = lsml.isotropic(E=70.0, nu=0.33)  # GPa
phases = [
    lsml.j2(soft, lsml.voce(0.1, H=0.5, Q=0.1, b=50.0)),
    lsml.isotropic(E=400.0, nu=0.2),
]
strains = np.concatenate(
    [np.linspace(0.001, 0.008, 8), [0.007, 0.006, 0.005], np.linspace(0.006, 0.012, 7)]
)
loads = [lsml.load(strain=[e, None, 0], stress=[None, 0, None]) for e in strains]
problem = lsml.plasticity(labels.astype(int), phases, loads[0], "hex8-bbar")

started = time.perf_counter()
path = lsml.load_path(problem, loads, "newton", tol=1e-6)
print(path, f"{time.perf_counter() - started:.1f} s")

stress = path.mean_stress[:, 0, 0].numpy()
plastic = path.solution.internal["accumulated_plastic_strain"][0]
print(f"largest mean stress {1e3 * stress.max():.0f} MPa")
largest, mean = float(plastic.max()), float(plastic.mean())
print(f"plastic strain: largest {largest:.3f}, mean {mean:.4f}")

# Elastic unloading: the slope of the way back is that of the first, elastic stretch.
there, back = (
    stress[0] / strains[0],
    (stress[7] - stress[8]) / (strains[7] - strains[8]),
)
print(f"stiffness of the first step {there:.1f} GPa, of unloading {back:.1f} GPa")
assert 0.9 * there < back < 1.1 * there

figure = Figure(figsize=(8, 3.4), layout="constrained")
FigureCanvasAgg(figure)
left, right = figure.subplots(1, 2)
left.plot([0, *1e2 * strains], [0, *1e3 * stress], "o-", ms=3)
left.set(xlabel="mean strain 11 in %", ylabel="mean stress 11 in MPa")
image = right.imshow(plastic.T.numpy(), origin="lower", cmap="magma")
right.set(title="accumulated plastic strain", xticks=[], yticks=[])
figure.colorbar(image)
figure.savefig(Path("plasticity_path.png"), dpi=150)
