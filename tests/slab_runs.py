"""What each of several processes computes on its slab of a cell, for test_distributed.

Run as a program by every process: rank, count, a file to meet at, and a folder for what
comes out, gathered and written by the first process.
"""

import sys
from itertools import product
from pathlib import Path

import torch
import torch.distributed as dist

import lsml
from lsml.distributed import Slab, Slabs, join
from lsml.physics.loads import Load

SCHEMES = ("fourier", "rotated", "hex8", "hex8-bbar", "staggered", "forward")
SHAPES = {"uneven": (7, 4, 5), "even": (8, 6, 4), "plane": (9, 10)}
Fields = dict[str, torch.Tensor]


def image(shape: tuple[int, ...]) -> torch.Tensor:
    """Two random microstructures without any symmetry."""
    draw = torch.Generator().manual_seed(3)
    return torch.randint(0, 2, (2, *shape), generator=draw)


def load(ndim: int) -> Load:
    """A stretch whose lateral strains are free, and a shear."""
    strain: list[float | None] = [1e-3, None, 5e-4]
    stress: list[float | None] = [None, 0.0, None]
    if ndim == 3:
        strain, stress = [*strain, 2e-4, 0.0, 0.0], [*stress, None, None, None]
    return lsml.load(strain=strain, stress=stress)


def cell(labels: object, scheme: str, young: torch.Tensor, ndim: int) -> lsml.Problem:
    """A problem with free means on voxels that are no cubes."""
    phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=young, nu=0.2)]
    spacing = (1.0, 0.8, 1.3)[:ndim]
    return lsml.elasticity(labels, phases, load(ndim), scheme, spacing=spacing)


def solved(labels: object, scheme: str, ndim: int) -> Fields:
    """One operator, ten steps of Moulinec, and CG to its end."""
    young = torch.tensor(50.0, dtype=torch.float64)
    problem = cell(labels, scheme, young, ndim)
    once = problem.fixed_point(problem.start())
    ten = lsml.solve(problem, "moulinec", max_iter=10, throw=False, form="strain")
    end = lsml.solve(problem, "cg", tol=1e-12, compile=False)
    numbers = torch.stack([end.energy, end.error, end.error_bound], 1)
    return {
        "once": once,
        "ten": ten.strain,
        "strain": end.strain,
        "displacement": end.displacement,
        "mean_stress": end.mean_stress,
        "numbers": numbers,
        "iterations": end.iterations,
    }


def sloped(labels: object, scheme: str, ndim: int) -> torch.Tensor:
    """Derivatives of a mean stress in the modulus: implicit, and through ten steps."""
    slopes = []
    for gradient, limits in (
        (lsml.Implicit(), {"tol": 1e-12}),
        (lsml.Unrolled(), {"max_iter": 10, "throw": False}),
    ):
        young = torch.tensor(50.0, dtype=torch.float64, requires_grad=True)
        problem = cell(labels, scheme, young, ndim)
        answer = lsml.solve(problem, "cg", gradient=gradient, compile=False, **limits)
        answer.mean_stress[:, 0].sum().backward()
        slopes.append(young.grad)
    return torch.stack(slopes)


def predicted(labels: object) -> torch.Tensor:
    """A network's strain, and where conjugate gradients go from there."""
    torch.manual_seed(5)
    network = lsml.learned.VNet(6, 1)
    rule = lsml.learned.RLN(network, passes=2, history=2, tied=True)
    first = lsml.solve(labels, rule, discretization="hex8-bbar", contrast=10)
    return first.strain.float()


def effective(labels: object) -> torch.Tensor:
    """The stiffness, of all load cases at once."""
    found = lsml.homogenize(labels, tol=1e-9, contrast=50)
    return torch.stack([found.stiffness.diagonal(dim1=1, dim2=2), found.lower])


def cut(shape: tuple[int, ...], slabs: Slabs | None) -> object:
    """The image, or the rows of it that a process has."""
    whole = image(shape)
    if slabs is None:
        return whole
    return Slab(whole[:, slabs.rows(shape[0])], slabs, shape[0])


def joined(values: torch.Tensor, slabs: Slabs | None, n: int) -> torch.Tensor:
    """A field of n rows, from its slabs."""
    if slabs is None or values.ndim < 4:
        return values
    first = values[:, :, :1]
    shape = [-1, -1, -1, *[-1] * (values.ndim - 3)]
    like = []
    for rows in slabs.counts(n):
        shape[2] = rows
        like.append(first.expand(shape))
    return torch.cat(slabs.exchange([values] * slabs.count, like), 2)


def everything(slabs: Slabs | None) -> Fields:
    """All of it, on the slab of a process or on the whole cell."""
    found: Fields = {}
    for (name, shape), scheme in product(SHAPES.items(), SCHEMES):
        for what, values in solved(cut(shape, slabs), scheme, len(shape)).items():
            found[f"{name} {scheme} {what}"] = joined(values, slabs, shape[0])
    uneven = cut(SHAPES["uneven"], slabs)
    for scheme in ("fourier", "rotated", "staggered"):
        found[f"slope {scheme}"] = sloped(uneven, scheme, 3)
    found["network"] = joined(predicted(uneven), slabs, 7)
    found["effective"] = effective(cut(SHAPES["even"], slabs))
    return found


if __name__ == "__main__":
    rank, count, store, out = (
        int(sys.argv[1]),
        int(sys.argv[2]),
        sys.argv[3],
        sys.argv[4],
    )
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=count
    )
    results = everything(join())
    if rank == 0:
        torch.save(results, Path(out))
    dist.destroy_process_group()
