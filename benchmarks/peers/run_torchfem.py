"""torch-fem: an assembled hexahedral mesh with algebraic multigrid and CG.

It has no periodic boundary condition by name. Here the unknown is the periodic
fluctuation: ``Assembly.coupling`` ties each node of a far face to its image on the near
one, and the mean strain enters as an external strain of the elements.
"""

import contextlib
import io
import itertools
import re

import harness
import numpy as np
import torch
from torchfem import Solid
from torchfem.assembly import Assembly
from torchfem.materials import IsotropicElasticity3D
from torchfem.mesh import cube_hexa

RESIDUAL = "nodal force in the Euclidean norm"


def mesh(image: np.ndarray, contrast: float) -> Solid:
    """One element per voxel, with the mean strain 11."""
    nodes, elements = cube_hexa(*[n + 1 for n in image.shape], *map(float, image.shape))
    young = torch.from_numpy(np.where(image.ravel() == 0, 1.0, contrast))
    nu = torch.full_like(young, harness.NU)
    solid = Solid(nodes, elements, IsotropicElasticity3D(E=young, nu=nu))
    strain = torch.zeros(solid.n_elem, 3, 3)
    strain[:, 0, 0] = -1.0  # the stress-free strain
    solid.ext_strain = strain
    solid.constraints[0] = True  # against translation
    return solid


def periodic(solid: Solid, shape: tuple[int, ...]) -> Assembly:
    """Couple faces, edges and corners on the far side of the cell to the near side."""
    assembly = Assembly([solid])
    far = torch.isclose(solid.nodes, torch.tensor(shape, dtype=solid.nodes.dtype))
    near = torch.isclose(solid.nodes, torch.zeros(()))
    for axes in itertools.product((False, True), repeat=3):
        if any(axes):
            images = (far == torch.tensor(axes)).all(1)
            nodes = near[:, list(axes)].all(1) & ~far.any(1)
            assembly.coupling(solid, images, solid, nodes)
    return assembly


def solve(image: np.ndarray, contrast: float, tol: float) -> harness.Answer:
    """One linear solve: Newton's tolerance is above that of CG."""
    torch.set_default_dtype(torch.float64)
    assembly = periodic(mesh(image, contrast), image.shape)
    log = io.StringIO()
    with contextlib.redirect_stdout(log):
        _, _, stress, _, _ = assembly.solve(
            stol=tol, rtol=2 * tol, atol=0.0, method="cg", verbose=True
        )
    steps = re.findall(r"(\d+) Krylov iterations", log.getvalue())
    mean = stress[0].mean(0).numpy()
    return harness.Answer(harness.components(mean), [int(steps[-1])])


VARIANTS = {"amg": harness.Variant(harness.one_by_one(solve), RESIDUAL)}

if __name__ == "__main__":
    harness.main(VARIANTS, ["torch-fem", "torch"], torch.set_num_threads)
