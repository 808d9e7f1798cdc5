"""Random problems of the campaign `certified.py`: images, phases, loads, cells."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

import lsml
from lsml.strain_form import StrainForm

Rng = np.random.Generator
Labels = NDArray[np.int64]

SCHEMES = ("fourier", "rotated", "hex8", "hex8-bbar", "staggered", "forward")
SCHEMES = (*SCHEMES, "backward")
ELEMENTS = ("rotated", "hex8")  # take pores and faces
CAPS = ((0.8, 250), (0.98, 1500), (0.998, 2**14), (1.0, 2**18))  # voxels, by share


class Cell(NamedTuple):
    """A problem, and what the records tell of it."""

    problem: StrainForm
    contrast: float
    told: dict[str, Any]


class Plan(NamedTuple):
    """What the rule leaves open: None is drawn.

    Attributes
    ----------
    ndim : axes.
    phases : how many.
    single : elasticity, under one component of the mean strain.
    """

    ndim: int | None = None
    phases: int | None = None
    single: bool = False


def shape(rng: Rng, ndim: int) -> tuple[int, ...]:
    """Edges log-uniform from 1 to 64, drawn again until there are few enough voxels."""
    draw = rng.random()
    cap = next(cap for share, cap in CAPS if draw <= share)
    while True:
        edges = np.floor(np.exp(rng.uniform(0, np.log(65), ndim))).astype(int)
        if 2 <= np.prod(edges) <= cap:
            return tuple(int(n) for n in edges)


def noise(rng: Rng, n: tuple[int, ...], phases: int) -> Labels:
    """Voxel by voxel, with unlike shares."""
    return rng.choice(phases, n, p=rng.dirichlet(np.ones(phases)))


def blobs(rng: Rng, n: tuple[int, ...], phases: int) -> Labels:
    """Levels of a smooth random field."""
    width = rng.uniform(0.3, 2.0)
    field = gaussian_filter(rng.normal(size=n), width, mode="wrap")
    cuts = np.quantile(field, np.sort(rng.uniform(0, 1, phases - 1)))
    return np.digitize(field, cuts)


def layers(rng: Rng, n: tuple[int, ...], phases: int) -> Labels:
    """Across one axis."""
    axis = int(rng.integers(len(n)))
    line = rng.integers(phases, size=n[axis])
    line = line.reshape([-1 if a == axis else 1 for a in range(len(n))])
    return np.ascontiguousarray(np.broadcast_to(line, n))


def boxes(rng: Rng, n: tuple[int, ...], phases: int) -> Labels:
    """Bricks of each phase in the first one."""
    image = np.zeros(n, np.int64)
    for phase in range(1, phases):
        low = [int(rng.integers(m)) for m in n]
        part = tuple(
            slice(a, a + 1 + int(rng.integers(m))) for a, m in zip(low, n, strict=True)
        )
        image[part] = phase
    return image


def board(rng: Rng, n: tuple[int, ...], phases: int) -> Labels:
    """Phases in turn along every axis."""
    return np.indices(n).sum(0) % phases


IMAGES: tuple[Callable[[Rng, tuple[int, ...], int], Labels], ...]
IMAGES = (noise, blobs, layers, boxes, board)


def poisson(rng: Rng) -> float:
    """Mostly of an ordinary material; at times auxetic or nearly incompressible."""
    draw = rng.random()
    if draw < 0.8:
        return float(rng.uniform(0.0, 0.45))
    return float(
        rng.uniform(-0.9, 0.0) if draw < 0.9 else 0.5 - 10 ** rng.uniform(-4, -1.3)
    )


def spd(rng: Rng, c: int, spread: float) -> NDArray[np.float64]:
    """A random positive definite matrix with eigenvalues in a decade or so."""
    q = np.linalg.qr(rng.normal(size=(c, c)))[0]
    return (q * 10 ** rng.uniform(-spread / 2, spread / 2, c)) @ q.T


def isotropic(rng: Rng, size: float, ndim: int) -> Any:
    """By E and ν."""
    return lsml.isotropic(E=size, nu=poisson(rng))


def cubic(rng: Rng, size: float, ndim: int) -> Any:
    """Axes along the grid."""
    c12, c44 = size * rng.uniform(-0.4, 0.9), size * 10 ** rng.uniform(-1, 0.5)
    return lsml.cubic(size, c12, c44)


def triclinic(rng: Rng, size: float, ndim: int) -> Any:
    """Of no symmetry."""
    return size * spd(rng, {2: 3, 3: 6}[ndim], 1.0)


def grain(rng: Rng, size: float, ndim: int) -> Any:
    """A cubic crystal turned at random."""
    q = np.linalg.qr(rng.normal(size=(ndim, ndim)))[0]
    q[:, 0] *= np.sign(np.linalg.det(q))
    return lsml.polycrystal(cubic(rng, size, ndim), q[None])[0].numpy()


MATERIALS = (isotropic, isotropic, cubic, triclinic, grain)


def stiffnesses(rng: Rng, sizes: NDArray[np.float64], ndim: int) -> list[Any]:
    """A phase of each size; an empty one where it is 0."""
    make = MATERIALS[rng.integers(len(MATERIALS))]
    empty = lsml.isotropic(E=0.0, nu=0.0)
    if make in (triclinic, grain):
        empty = np.zeros(({2: 3, 3: 6}[ndim],) * 2)
    return [make(rng, float(s), ndim) if s > 0 else empty for s in sizes]


def conductivities(rng: Rng, sizes: NDArray[np.float64], ndim: int) -> list[Any]:
    """Numbers, complex numbers or matrices."""
    kind = rng.choice(["number", "number", "matrix", "complex"])
    if kind == "matrix":
        return [s * spd(rng, ndim, 1.0) for s in sizes]
    if kind == "complex":
        return [complex(s * np.exp(1j * rng.uniform(-1.4, 1.4))) for s in sizes]
    return [float(s) for s in sizes]


def sizes_of(rng: Rng, phases: int, contrast: float) -> NDArray[np.float64]:
    """Between 1 and the contrast, both of which occur."""
    powers = rng.uniform(0, 1, phases)
    powers[:2] = (0, 1)[:phases]
    return contrast**powers


def unit(rng: Rng) -> float:
    """Of stress, length or strain; at times far from 1."""
    return float(10 ** rng.uniform(*((-3, 3), (-15, 15))[int(rng.random() < 0.05)]))


def loaded(rng: Rng, c: int, names: tuple[str, str], stress: float) -> lsml.load:
    """Mean field, mean flux, or some of both."""
    values = rng.normal(size=c) * unit(rng)
    if rng.random() < 0.3:
        values = values * (np.arange(c) == rng.integers(c))
    free = np.zeros(c, bool) if rng.random() < 0.7 else rng.random(c) < 0.5
    return lsml.load(
        **{
            names[0]: np.where(free, np.nan, values),
            names[1]: np.where(free, values * stress, np.nan),
        }
    )


def options(rng: Rng, ndim: int, porous: bool) -> dict[str, Any]:
    """Discretization, spacing, faces, precision."""
    scheme = str(rng.choice(ELEMENTS if porous else SCHEMES))
    given: dict[str, Any] = {"discretization": scheme}
    if rng.random() < 0.3:
        given["spacing"] = tuple(unit(rng) * 10 ** rng.uniform(-1, 1, ndim))
    if scheme in ELEMENTS and rng.random() < 0.15:
        kinds = ["periodic", "dirichlet", "neumann"]
        given["faces"] = tuple(str(kind) for kind in rng.choice(kinds, ndim))
    given["dtype"] = (torch.float64, torch.float32)[int(rng.random() < 0.4)]
    return given


def text(value: Any) -> str:
    """As short as can be."""
    if isinstance(value, tuple):
        return " ".join(v if isinstance(v, str) else f"{v:.3g}" for v in value)
    return str(value).removeprefix("torch.")


def contrast_of(rng: Rng) -> float:
    """From 1e-6 to 1e6, at most 1e3 either way for most."""
    return float(
        10 ** (rng.uniform(-3, 3) if rng.random() < 0.6 else rng.uniform(-6, 6))
    )


def drawn(rng: Rng, plan: Plan) -> Cell:
    """A problem.

    Raises
    ------
    ValueError
        The toolkit refuses what was drawn.
    """
    ndim = plan.ndim or int(rng.integers(2, 4))
    phases = plan.phases or int(rng.choice([1, 2, 2, 2, 3, 4, 5]))
    elastic, contrast = plan.single or rng.random() < 0.6, contrast_of(rng)
    porous = phases > 1 and not plan.single and rng.random() < 0.12
    sizes, stress = sizes_of(rng, phases, contrast), unit(rng)
    if porous:
        sizes[rng.integers(phases)] = 0.0
    n, given = shape(rng, ndim), options(rng, ndim, porous)
    batch = int(rng.choice([1, 1, 1, 1, 1, 2, 3]))
    make = IMAGES[rng.integers(len(IMAGES))]
    labels = np.stack([make(rng, n, phases) for _ in range(batch)])
    told = {
        "physics": "elasticity" if elastic else "conduction",
        "shape": n,
        "batch": batch,
        "phases": phases,
        "image": make.__name__,
        "porous": porous,
        **{k: text(v) for k, v in given.items()},
    }
    build = elasticity if elastic else conduction
    problem = build(rng, labels, stress * sizes, given, plan, stress)
    return Cell(problem, contrast if phases > 1 else 1.0, told)


def elasticity(
    rng: Rng,
    labels: Labels,
    sizes: NDArray[np.float64],
    given: Mapping[str, Any],
    plan: Plan,
    stress: float,
) -> StrainForm:
    """With eigenstrains at times."""
    ndim = labels.ndim - 1
    c = {2: 3, 3: 6}[ndim]
    load = loaded(rng, c, ("strain", "stress"), stress)
    if plan.single:
        load = lsml.load(strain=unit(rng) * np.eye(c)[0])
    eigen = None
    if not plan.single and rng.random() < 0.12:
        eigen = (rng.normal(size=(len(sizes), c)) * unit(rng)).tolist()
    phases = stiffnesses(rng, sizes, ndim)
    return lsml.elasticity(labels, phases, load, eigenstrain=eigen, **given)


def conduction(
    rng: Rng,
    labels: Labels,
    sizes: NDArray[np.float64],
    given: Mapping[str, Any],
    plan: Plan,
    stress: float,
) -> StrainForm:
    """Real or complex."""
    ndim = labels.ndim - 1
    load = loaded(rng, ndim, ("gradient", "flux"), stress)
    return lsml.conductivity(labels, conductivities(rng, sizes, ndim), load, **given)
