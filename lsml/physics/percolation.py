"""What hangs together across a periodic cell, and which mean fields cost no energy.

A cluster of solid voxels meets its own periodic images along some lattice vectors, its
windings. Under a mean field that a motion without strain of every cluster can follow,
nothing is strained: the effective stiffness there is exactly zero.
"""

from collections import defaultdict
from itertools import product
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Bool
from numpy.typing import NDArray
from scipy.ndimage import generate_binary_structure, label
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from lsml.discretization import Differential, Discretization
from lsml.law import PhaseLaw
from lsml.macro_load import MacroLoad
from lsml.physics.labels import as_labels

Array: TypeAlias = NDArray[np.int64]

NEGLIGIBLE = 1e-9  # of a unit mean field that no motion without strain can follow


def percolates(
    labels: object, solid: object = 1, *, faces: bool = False
) -> Bool[Tensor, "b d"]:
    """Whether some phases connect the cell with its periodic image, per axis.

    Parameters
    ----------
    labels : image (*n) or batch (b, *n); three axes are one 3-D image.
    solid : label, or list of labels, of the phases that conduct or carry.
    faces : only voxels with a common face touch; otherwise a common corner will do, as
        for `hex8` and `rotated`.

    Raises
    ------
    ValueError
        Bad labels.
    """
    image = as_labels(labels, None, None)
    kept = torch.isin(image.cpu(), torch.as_tensor(solid).reshape(-1)).numpy()
    rows = []
    for each in kept:
        rows.append(torch.from_numpy(crossed(each, faces)))
    return torch.stack(rows)


def crossed(solid: Bool[np.ndarray, "*n"], faces: bool) -> Bool[np.ndarray, " d"]:
    """Along which axes some cluster of an image meets its own periodic image."""
    found = np.zeros(solid.ndim, bool)
    for cluster in windings(solid, faces):
        for w in cluster:
            found |= w != 0
    return found


def windings(solid: Bool[np.ndarray, "*n"], faces: bool) -> list[Array]:
    """Lattice vectors, (k, d), along which each cluster meets its own images.

    They span its windings; clusters that close on themselves are left out.
    """
    d = solid.ndim
    structure = generate_binary_structure(d, 1 if faces else d)
    found, count = label(solid, structure)
    parts = found.astype(np.int64)
    if count == 0:
        return []
    first, second, jump = _across(parts, structure)
    links = coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    _, cluster = connected_components(links, directed=False)
    place = _places(count, first, second, jump)
    loops = place[first] + jump - place[second]
    closed = loops.any(1)
    owners, loops = cluster[first[closed]], loops[closed]
    return [np.unique(loops[owners == k], axis=0) for k in np.unique(owners)]


def _across(parts: Array, structure: NDArray[np.bool_]) -> tuple[Array, Array, Array]:
    """Pairs of components that touch across the faces of the cell, and which image."""
    d = parts.ndim
    rows = []
    for step in product((-1, 0, 1), repeat=d):
        if step <= (0,) * d or not structure[tuple(s + 1 for s in step)]:
            continue
        moved = np.roll(parts, [-s for s in step], range(d))
        touch = (parts > 0) & (moved > 0)
        jump = np.zeros((d, *parts.shape), np.int8)
        for axis, s in enumerate(step):
            edge = [slice(None)] * d
            edge[axis] = slice(-1, None) if s > 0 else slice(0, 1)
            jump[axis][tuple(edge)] = s
        touch &= jump.any(0)
        if touch.any():
            pairs = np.stack(
                [parts[touch] - 1, moved[touch] - 1, *(j[touch] for j in jump)]
            )
            rows.append(np.unique(pairs, axis=1))
    table = np.concatenate(rows, 1) if rows else np.zeros((2 + d, 0), np.int64)
    return (
        table[0].astype(np.int64),
        table[1].astype(np.int64),
        table[2:].T.astype(np.int64),
    )


def _places(count: int, first: Array, second: Array, jump: Array) -> Array:
    """An image of each component, so that a tree of links joins those of a cluster."""
    near: dict[int, list[tuple[int, Array]]] = defaultdict(list)
    for a, b, j in zip(first.tolist(), second.tolist(), jump, strict=True):
        near[a].append((b, j))
        near[b].append((a, -j))
    place = np.zeros((count, jump.shape[1]), np.int64)
    seen = np.zeros(count, bool)
    for root in near:
        front = [] if seen[root] else [root]
        seen[root] = True
        while front:
            a = front.pop()
            for b, j in near[a]:
                if not seen[b]:
                    seen[b] = True
                    place[b] = place[a] + j
                    front.append(b)
    return place


def idle(law: PhaseLaw, scheme: Discretization) -> Bool[Tensor, "s c"]:
    """Mean fields of one component that strain no phase, for each microstructure.

    Without pores there are none, and in a cell that is not periodic none are known.
    """
    differential = scheme.differential
    s, c = len(law.labels), differential.components
    empty = (law.coefficients.detach() == 0).all(2).expand(s, -1)
    none = torch.zeros(s, c, dtype=torch.bool)
    if not (scheme.periodic and bool(empty.any())):
        return none.to(law.labels.device)
    images = scheme.grid.gather(law.labels)
    for k, (image, pores) in enumerate(zip(images, empty, strict=True)):
        if bool(pores.any()):
            solid = (~pores)[image.long()].cpu().numpy()
            none[k] = _unstrained(differential, windings(solid, faces=False))
    return none.to(law.labels.device)


def _unstrained(
    differential: Differential, clusters: list[Array]
) -> Bool[Tensor, " c"]:
    """Components of which every cluster can move along without a field of its own.

    Its displacement H x has the gradient H of the field, S H = e, and no jump along its
    windings, H w = 0.
    """
    s = differential.matrix(torch.zeros((), dtype=torch.float64)).flatten(1)
    m, unit = differential.potentials, torch.eye(len(s), dtype=torch.float64)
    free = torch.ones(len(s), dtype=torch.bool)
    for vectors in clusters:
        w = torch.from_numpy(vectors).double()
        rows = torch.cat([s, torch.kron(torch.eye(m, dtype=torch.float64), w)])
        wanted = torch.cat([unit, unit.new_zeros(len(rows) - len(s), len(s))])
        h = torch.linalg.pinv(rows) @ wanted
        free &= (rows @ h - wanted).abs().amax(0) < NEGLIGIBLE
    return free


def check_load(law: PhaseLaw, load: MacroLoad, scheme: Discretization) -> None:
    """Refuse a mean flux that nothing can carry.

    Raises
    ------
    ValueError
        It is prescribed along a component whose effective stiffness is zero.
    """
    driven = (load.free > 0) & (load.flux != 0)
    if not bool(driven.any()) or not bool((law.coefficients == 0).all(2).any()):
        return
    loose = idle(law, scheme).repeat_interleave(len(driven) // len(law.labels), 0)
    if bool((driven & loose).any()):
        words = scheme.differential.words
        component = int((driven & loose).any(0).nonzero()[0])
        name = words.components[component] if words.components else component
        raise ValueError(
            f"load prescribes a mean {words.flux} {name}, which nothing carries: the "
            "phases that are not empty do not connect the cell in that direction"
        )
