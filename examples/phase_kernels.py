"""What one voxel of a phase does around itself: the kernels Γ^h of the seed paper.

Kelly & Kalidindi (2021, equations 11 and 22) write the strain as x̄ − Σ_h Γ^h ∗ (m^h ε),
with one kernel Γ^h = Γ (C^h − C⁰) per phase. Each picture shows minus one entry of a
kernel: the strain that a unit strain in the voxel at the centre adds to its
surroundings. A phase softer than the reference medium C⁰ strains more itself and the
material before and behind it less; a stiffer phase the opposite. The kernels depend on
the choice of C⁰, their sum does not. Writes phase_kernels.png.
"""

import numpy as np
import torch
from matplotlib.colors import SymLogNorm

import lsml
from lsml.plot.figure import new_figure, save_figure

N, SHOWN = 31, 8  # voxels along each axis, and on either side of the centre in pictures
SOFT, STIFF = lsml.isotropic(E=1.0, nu=0.4), lsml.isotropic(E=10.0, nu=0.2)
MEDIUM = lsml.isotropic(E=5.0, nu=0.3)
ENTRIES = {"11 from 11": (0, 0), "22 from 11": (1, 0), "12 from 12": (5, 5)}

rng = np.random.default_rng(0)
labels = rng.integers(0, 2, (N, N, N))
load = lsml.load(strain=[1e-3, 0, 0, 0, 0, 0])
problem = lsml.elasticity(labels, [SOFT, STIFF], load, "hex8", reference=MEDIUM)
kernels = lsml.PhaseKernels(problem)

# What makes them useful: at the solution they add up to x̄ − ε.
strain = lsml.solve(problem, tol=1e-10, quadrature=True).strain.flatten(1, 2)
residual = problem.spread(problem.background) - kernels(strain) - strain
print(f"|x̄ − Σ Γ^h ∗ (m^h ε) − ε| / |ε| = {residual.norm() / strain.norm():.1e}")

figure = new_figure(10.5, 6.2)
axes = figure.subplots(kernels.phases, len(ENTRIES))
window = slice(N // 2 - SHOWN, N // 2 + SHOWN + 1)
for h, row in enumerate(axes):
    around = torch.fft.fftshift(-kernels.stencil(h), dim=(2, 3, 4))
    for axis, (name, (i, j)) in zip(row, ENTRIES.items(), strict=True):
        picture = around[i, j, window, window, N // 2]
        print(f"phase {h}, {name}: {picture[SHOWN, SHOWN]:+.3f} in the voxel itself")
        size = float(picture.abs().max())
        edge = SHOWN + 0.5
        shown = axis.imshow(
            picture.T,
            origin="lower",
            extent=(-edge, edge, -edge, edge),
            cmap="RdBu_r",
            norm=SymLogNorm(size / 200, vmin=-size, vmax=size),  # it decays as 1/r³
        )
        ticks = [sign * size / by for sign in (-1, 1) for by in (1, 10)]
        bar = figure.colorbar(shown, ax=axis, shrink=0.85, ticks=[*ticks, 0.0])
        bar.ax.yaxis.set_major_formatter("{x:.2g}")
        bar.ax.minorticks_off()
        bar.ax.tick_params(labelsize=8)
        axis.set_title(f"{('soft', 'stiff')[h]} phase: {name}", fontsize=10)
        axis.set_xticks(range(-SHOWN, SHOWN + 1, 4))
        axis.set_yticks(range(-SHOWN, SHOWN + 1, 4))
        axis.set_xlabel("$x_1$ in voxels", fontsize=8)
        axis.set_ylabel("$x_2$ in voxels", fontsize=8)
        axis.tick_params(labelsize=8)
print(save_figure(figure, "phase_kernels.png"))
