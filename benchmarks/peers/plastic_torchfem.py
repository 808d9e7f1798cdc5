"""torch-fem: a J2 load path of a periodic cell, on the mesh of ``run_torchfem``.

Reads the task, a JSON file with labels, moduli, hardening and load factors; writes mean
stress and largest plastic strain of every step.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from harness import components
from run_torchfem import periodic
from torchfem import Solid
from torchfem.materials import IsotropicPlasticity3D
from torchfem.mesh import cube_hexa


def main() -> None:
    """One path by a direct solver, Newton's tolerance far below what is compared."""
    source, target = map(Path, sys.argv[1:])
    task = json.loads(source.read_text())
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    image = np.array(task["labels"])
    sigma0, slope, most, rate = task["voce"]
    nodes, elements = cube_hexa(*[n + 1 for n in image.shape], *map(float, image.shape))
    young = torch.tensor(task["young"])[torch.from_numpy(image.ravel())]
    material = IsotropicPlasticity3D(
        E=young,
        nu=torch.full_like(young, task["nu"]),
        sigma_f=lambda q: sigma0 + slope * q + most * (1 - torch.exp(-rate * q)),
        sigma_f_prime=lambda q: slope + most * rate * torch.exp(-rate * q),
        tolerance=1e-13,
        max_iter=50,
    )
    solid = Solid(nodes, elements, material)
    strain = -torch.tensor(task["strain"])  # the stress-free strain
    solid.ext_strain = strain.expand(solid.n_elem, 3, 3).clone()
    solid.constraints[0] = True  # against translation
    _, _, stress, _, state = periodic(solid, image.shape).solve(
        increments=torch.tensor([0.0, *task["factors"]]),
        max_iter=30,
        rtol=1e-11,
        atol=1e-13,
        method="direct",
        return_intermediate=True,
    )
    answer = {
        "stress": components(stress[0].mean(1).numpy())[1:].tolist(),
        "plastic": state[0].flatten(1).amax(1)[1:].tolist(),
    }
    target.write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
