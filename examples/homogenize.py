"""Effective stiffness of a microstructure, its bounds, and its gradient by autograd."""

import numpy as np
import torch

import lsml
from lsml.data import microstructures

labels = microstructures(1, (31, 31, 31), grain_size=(16, 6, 6), volume_fraction=0.4)
E = torch.tensor([1.0, 10.0], dtype=torch.float64, requires_grad=True)
phases = [lsml.isotropic(E=E[0], nu=0.3), lsml.isotropic(E=E[1], nu=0.3)]

C = lsml.homogenize(labels, phases=phases, tol=1e-5)
np.set_printoptions(precision=4, suppress=True)
print("effective Mandel stiffness, 11 22 33 23 13 12; grains are long along axis 1:")
print(np.asarray(C)[0])
width = float((C.upper - C.lower).max())
print(f"certified: every entry of the diagonal is within {width:.0e} below these")

constants = C.engineering()
print("E  along 1 2 3: ", constants.E[0].detach().numpy())
print("nu_12 nu_13 nu_23:", constants.nu[0].detach().numpy()[[0, 0, 1], [1, 2, 2]])
print("G  of 23 13 12: ", constants.G[0].detach().numpy())

# Voigt (uniform strain) and Reuss (uniform stress) bound it: C_R ≤ C ≤ C_V.
tables = torch.stack([phase.matrix().detach() for phase in phases])
share = torch.tensor([np.mean(labels == h) for h in range(2)])
voigt = torch.einsum("p,pij->ij", share, tables)
reuss = torch.linalg.inv(torch.einsum("p,pij->ij", share, torch.linalg.inv(tables)))
stiffness = C.stiffness[0].detach()
above = torch.linalg.eigvalsh(voigt - stiffness).min()
below = torch.linalg.eigvalsh(stiffness - reuss).min()
print(f"smallest eigenvalue of C_V - C: {above:.3f}, of C - C_R: {below:.3f}")
assert above > 0
assert below > 0

# By autograd: how C_1111 answers to the moduli of the phases. Stiffness is homogeneous
# of degree one in them, so that Euler's theorem checks the gradient.
(gradient,) = torch.autograd.grad(C.stiffness[0, 0, 0], E)
print("dC_1111/dE of both phases:", gradient.numpy())
print(f"Σ E dC/dE - C = {float(E.detach() @ gradient - stiffness[0, 0]):.1e}")
