"""Coarse vectors that can be made from the labels alone, for the first load case.

Every proposal maps labels (*n) to displacements (k, 3·voxels), in the layout of the
displacement form under a prescribed mean strain; translations are left out or harmless.
"""

from itertools import product

import numpy as np
import torch
from jaxtyping import Float
from scipy import ndimage
from torch import Tensor


def waves(shape: tuple[int, ...], longest: int = 1) -> list[np.ndarray]:
    """1, and cosine and sine of every wave vector of length up to ``longest``."""
    x = np.meshgrid(*[2 * np.pi * np.arange(n) / n for n in shape], indexing="ij")
    out, origin = [np.ones(shape)], (0,) * len(shape)
    for k in product(range(-longest, longest + 1), repeat=len(shape)):
        if k > origin and sum(i * i for i in k) <= longest**2:
            phase = sum(i * axis for i, axis in zip(k, x, strict=True))
            out += [np.cos(phase), np.sin(phase)]
    return out


def touched(stiff: np.ndarray) -> np.ndarray:
    """Nodes of the voxels given: displacements live on corners."""
    for axis in range(stiff.ndim):
        stiff = stiff | np.roll(stiff, 1, axis)
    return stiff


def moved(masks: list[np.ndarray]) -> list[np.ndarray]:
    """Translations of each mask."""
    eye = np.eye(masks[0].ndim)
    return [np.multiply.outer(e, m).ravel() for m in masks for e in eye]


def turned(masks: list[np.ndarray]) -> list[np.ndarray]:
    """Rotations of each mask about its centre, which must not wrap around the cell."""
    out = []
    for mask in masks:
        place = np.indices(mask.shape).astype(float)
        centre = (place * mask).reshape(mask.ndim, -1).sum(1) / mask.sum()
        arm = place - centre.reshape(-1, *[1] * mask.ndim)
        for a in range(mask.ndim):
            for b in range(a):
                field = np.zeros((mask.ndim, *mask.shape))
                field[a], field[b] = -arm[b] * mask, arm[a] * mask
                out.append(field.ravel())
    return out


def boxes(labels: np.ndarray, each: int) -> list[np.ndarray]:
    """The stiff nodes of each of ``each`` ^ d boxes (subdomain deflation)."""
    stiff, out = touched(labels == 1), []
    edges = [np.linspace(0, n, each + 1).round().astype(int) for n in labels.shape]
    for place in product(range(each), repeat=labels.ndim):
        box = np.zeros(labels.shape)
        at = tuple(slice(e[i], e[i + 1]) for e, i in zip(edges, place, strict=True))
        box[at] = stiff[at]
        if box.any():
            out.append(box)
    return out


def inclusions(labels: np.ndarray, most: int = 24) -> list[np.ndarray]:
    """The largest connected stiff regions that do not cross the border of the cell."""
    parts, count = ndimage.label(labels == 1)
    border = np.ones(labels.shape, bool)
    border[(slice(1, -1),) * labels.ndim] = False
    inner = [i for i in range(1, count + 1) if not (border & (parts == i)).any()]
    inner.sort(key=lambda i: -(parts == i).sum())
    return [touched(parts == i).astype(float) for i in inner[:most]]


def long_waves_by_phase(labels: np.ndarray) -> list[np.ndarray]:
    """Long waves, everywhere and on the stiff nodes alone."""
    stiff, long = touched(labels == 1).astype(float), waves(labels.shape)
    return moved([stiff * w for w in long] + long[1:])


def subdomains(labels: np.ndarray) -> list[np.ndarray]:
    """Rigid motions of the stiff nodes in 2 ^ d boxes (Lingen et al. 2014)."""
    parts = boxes(labels, 2)
    return moved(parts) + turned(parts)


def finer_subdomains(labels: np.ndarray) -> list[np.ndarray]:
    """Translations of the stiff nodes in 3 ^ d boxes (Nicolaides 1987)."""
    return moved(boxes(labels, 3))


def rigid_inclusions(labels: np.ndarray) -> list[np.ndarray]:
    """Rigid motions of isolated stiff regions (Jönsthövel et al. 2012)."""
    parts = inclusions(labels)
    return moved(parts) + turned(parts) if parts else []


PROPOSALS = {
    "long waves by phase": long_waves_by_phase,
    "rigid stiff boxes 2³": subdomains,
    "moving stiff boxes 3³": finer_subdomains,
    "rigid inclusions": rigid_inclusions,
}


def block(vectors: list[np.ndarray], size: int) -> Float[Tensor, "1 k v"]:
    """As :func:`lsml.coarse_space` takes them."""
    array = np.stack(vectors) if vectors else np.zeros((0, size))
    return torch.from_numpy(array)[None]
