"""Random media to train on: phases, loads, moduli and cells of every kind."""

import math
from collections.abc import Iterator

import torch

import lsml
from lsml.displacement_form import DisplacementForm

EDGES = (10, 13)  # least and greatest, in voxels
CONTRAST = 1e3
SCHEMES = ("rotated", "rotated", "rotated", "hex8-bbar")  # the last takes long


def problems(
    count: int, batch: int, seed: int
) -> Iterator[tuple[DisplacementForm, DisplacementForm]]:
    """Batches of elastic problems, each of one grid and one number of phases.

    In float32, and the same in float64.
    """
    for i in range(count):
        draw = torch.Generator().manual_seed(seed * 2**20 + i)
        shape = torch.randint(EDGES[0], EDGES[1] + 1, (3,), generator=draw).tolist()
        phases = 2 + int(torch.rand((), generator=draw) < 0.3)
        scheme = SCHEMES[int(torch.randint(len(SCHEMES), (), generator=draw))]
        labels = torch.stack([image(shape, phases, draw) for _ in range(batch)])
        moduli, load = (
            stiffness(phases, batch, draw),
            lsml.load(strain=loads(batch, draw)),
        )
        strain = lsml.elasticity(labels, moduli, load, scheme, dtype=torch.float32)
        assert strain.double is not None
        yield DisplacementForm(strain), DisplacementForm(strain.double)


def image(shape: list[int], phases: int, draw: torch.Generator) -> torch.Tensor:
    """Levels of a Gaussian random field, with lengths of one voxel to half a cell."""
    noise = torch.randn(shape, generator=draw, dtype=torch.float64)
    exponent = torch.zeros(1, dtype=torch.float64)
    longest = 0.25 * min(shape)
    for axis, n in enumerate(shape):
        length = 0.5 * (2 * longest) ** float(torch.rand((), generator=draw))
        wave = 2 * math.pi * torch.fft.fftfreq(n, dtype=torch.float64)
        place = [-1 if a == axis else 1 for a in range(len(shape))]
        exponent = exponent + 0.5 * (length * wave.reshape(place)).square()
    field = torch.fft.ifftn(torch.fft.fftn(noise) * torch.exp(-exponent)).real
    shares = 0.05 + torch.rand(phases, generator=draw, dtype=torch.float64)
    levels = (shares / shares.sum()).cumsum(0)[:-1]
    cuts = field.flatten().quantile(levels)
    ranks = torch.bucketize(field.contiguous(), cuts)
    return torch.randperm(phases, generator=draw)[ranks]


def stiffness(phases: int, batch: int, draw: torch.Generator) -> list[lsml.Stiffness]:
    """Isotropic phases; the greatest contrast is log-uniform up to ``CONTRAST``."""
    places = torch.rand(batch, phases, generator=draw, dtype=torch.float64)
    least, most = places.amin(1, keepdim=True), places.amax(1, keepdim=True)
    contrast = CONTRAST ** torch.rand(batch, 1, generator=draw, dtype=torch.float64)
    moduli = contrast ** ((places - least) / (most - least))
    ratios = 0.05 + 0.4 * torch.rand(batch, phases, generator=draw).double()
    same = torch.rand(batch, 1, generator=draw) < 0.5
    ratios = torch.where(same, 0.3, ratios)
    pairs = zip(moduli.unbind(1), ratios.unbind(1), strict=True)
    return [lsml.isotropic(E=e, nu=nu) for e, nu in pairs]


def loads(batch: int, draw: torch.Generator) -> torch.Tensor:
    """Unit strains of one component, or random mixtures."""
    mixed = torch.randn(batch, 6, generator=draw, dtype=torch.float64)
    single = torch.eye(6, dtype=torch.float64)
    chosen = single[torch.randint(6, (batch,), generator=draw)]
    pick = torch.rand(batch, 1, generator=draw) < 0.5
    return torch.where(pick, chosen, mixed / mixed.norm(dim=1, keepdim=True))
