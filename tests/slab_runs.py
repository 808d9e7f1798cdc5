"""What each of several processes computes on its slab of a cell, for test_distributed.

Run as a program by each of four processes: its rank, a file to meet at, and a folder
for what comes out. All four share some cells, and then the two pairs share others at
the same time. Every discretization and every shape comes with two and with four.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.distributed as dist

import lsml
from lsml.distributed import Slab, Slabs, join
from lsml.physics.loads import Load

SCHEMES = ("fourier", "rotated", "hex8", "hex8-bbar", "staggered", "forward")
SHAPES = {"uneven": (7, 4, 5), "even": (8, 6, 4), "plane": (9, 10)}
# By the number of processes; the pairs take every other one.
CASES = {
    count: [(list(SHAPES)[(i + count // 2) % 3], s) for i, s in enumerate(SCHEMES)]
    for count in (2, 4)
}
STIFF = {2: 50.0, 3: 5.0}  # moduli by the dimension of the cell: few iterations in 3-D
SLOPES = {2: ("fourier", "staggered"), 4: ("rotated",)}
Fields = dict[str, torch.Tensor]
Cases = Sequence[tuple[str, str]]


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
    young = torch.tensor(STIFF[ndim], dtype=torch.float64)
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
        young = torch.tensor(STIFF[ndim], dtype=torch.float64, requires_grad=True)
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


def products(labels: object) -> torch.Tensor:
    """<f, f> and <f, 1> of a float32 field, whose last digits float32 would lose."""
    problem = lsml.elasticity(
        labels,
        [lsml.isotropic(E=e, nu=0.3) for e in (1.0, 50.0)],
        load(3),
        dtype=torch.float32,
    )
    draw = torch.Generator().manual_seed(7)
    whole = torch.randn(2, 6, *SHAPES["uneven"], generator=draw)
    field = problem.part(whole)
    pairs = (field, torch.ones_like(field))
    return torch.stack([problem.pairing(field, each) for each in pairs])


def effective(labels: object) -> torch.Tensor:
    """The stiffness, of all load cases at once."""
    found = lsml.homogenize(labels, tol=1e-9, contrast=5)
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


def everything(
    slabs: Slabs | None, cases: Cases, slopes: Sequence[str], rest: bool
) -> Fields:
    """All of it, on the slab of a process or on the whole cell."""
    found: Fields = {}
    for name, scheme in cases:
        shape = SHAPES[name]
        for what, values in solved(cut(shape, slabs), scheme, len(shape)).items():
            found[f"{name} {scheme} {what}"] = joined(values, slabs, shape[0])
    uneven = cut(SHAPES["uneven"], slabs)
    for scheme in slopes:
        found[f"slope {scheme}"] = sloped(uneven, scheme, 3)
    if rest:
        found["network"] = joined(predicted(uneven), slabs, 7)
        found["effective"] = effective(cut(SHAPES["even"], slabs))
        found["products"] = products(uneven)
    return found


def alone() -> Fields:
    """Everything, in one piece."""
    torch.set_num_threads(1)
    cases = dict.fromkeys(CASES[2] + CASES[4])
    return everything(None, list(cases), SLOPES[2] + SLOPES[4], rest=True)


def main(rank: int, store: str, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=4
    )
    four = everything(join(), CASES[4], SLOPES[4], rest=True)
    groups = [dist.new_group(ranks) for ranks in ([0, 1], [2, 3])]
    half, place = divmod(rank, 2)
    pair = Slabs(place, 2, groups[half])
    own = CASES[2][half::2], SLOPES[2][half::2]
    two = everything(pair, *own, rest=half == 0)
    if rank == 0:
        torch.save(four, folder / "4.pt")
    if place == 0:
        torch.save(two, folder / f"2-{half}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
