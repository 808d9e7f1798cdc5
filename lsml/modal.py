"""Bᵀ C (B u + ē) / q of multilinear voxel elements, as one pure function of tensors.

Averages and differences of the nodal values along each axis are the modes of an
element: one for each set of axes, those with a difference. Inside the element the
displacement is the sum of C_α ξ^α with ξ centred, so the strain is the sum of ε_β ξ^β,
where ε_β is made of the modes β ∪ {i}. To points that are a product over the axes and
lie symmetrically, the monomials ξ^β are orthogonal; their weight is the product over β
of the second moments, h²/12 for two Gauss points and nothing for the midpoint. Hence
Hooke's law acts on each ε_β alone, and the force of the mode α is the sum over i in α
of what the stress σ_β of β = α ∖ {i} gives.

Sets of axes are bit masks. The cell gets a plane of nodes more on either side, and all
samples then follow one another in a single row, in which the neighbour along an axis is
a constant shift away. All that is computed between nodal values and nodal forces has
that one axis, so that a compiler can make a single loop of it. What lies at the seams
of the row belongs to no voxel: it is computed and never read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import prod
from operator import mul

import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor

from lsml.discretization import Differential, Term
from lsml.law import Entry

Modes = dict[int, Tensor]  # by set of axes
Rows = dict[int, Tensor]  # by component
Modulus = tuple[int, float]  # column of the table, and factor


@dataclass(frozen=True)
class Element:
    """What is fixed about the voxels: numbers only, equal for equal problems.

    Attributes
    ----------
    shape : voxels along each axis of the periodic cell.
    spacing : their edges.
    moment : mean square of the distance of the quadrature points from the middle, along
        one axis and for an edge of 1.
    differential : which partial derivatives make the strain.
    entries : which moduli make the stress.
    averaged : components of the strain whose sum is averaged over the element.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    moment: float
    differential: Differential
    entries: tuple[Entry, ...]
    averaged: tuple[int, ...] = ()

    @cached_property
    def units(self) -> dict[int, float]:
        """Weight of the derivatives in each component: √½ in a Mandel shear.

        Strains are divided and stresses multiplied by it, which saves products.
        """
        return {c: weight for c, _, _, weight in reversed(self.differential.terms)}

    @cached_property
    def terms(self) -> list[Term]:
        """Those of the differential, in these units."""
        return [(c, m, i, w / self.units[c]) for c, m, i, w in self.differential.terms]

    @cached_property
    def hooke(self) -> list[tuple[int, int, Modulus]]:
        """Row, column and modulus of each entry of C that is not zero."""
        u = self.units
        return [(i, j, (g, u[i] * u[j])) for i, j, g in self.entries]

    @cached_property
    def monomials(self) -> dict[int, float]:
        """Those β that the points see in a strain, with their weights."""
        square = [self.moment * h * h for h in self.spacing]
        sets = range(2 ** len(square) - 1)
        weights = {b: prod(w for a, w in enumerate(square) if b >> a & 1) for b in sets}
        return {b: weight for b, weight in weights.items() if weight > 0}

    @cached_property
    def modes(self) -> set[int]:
        """Those that a strain is made of."""
        every = range(len(self.shape))
        return {b | 1 << a for b in self.monomials for a in every if not b >> a & 1}

    @cached_property
    def strides(self) -> list[int]:
        """Shifts to the neighbour along each axis."""
        inner = accumulate((n + 2 for n in self.shape[:0:-1]), mul, initial=1)
        return list(inner)[::-1]

    def scale(self, mode: int) -> float:
        """From sums and differences to averages and slopes."""
        return prod(1 / h if mode >> a & 1 else 0.5 for a, h in enumerate(self.spacing))


def planes_around(
    start: int, count: int, of: int, device: torch.device
) -> Integer[Tensor, " k"]:
    """Numbers of ``count`` planes of voxels, and of one more plane on either side."""
    return torch.arange(start - 1, start + count + 1, device=device) % of


def modal_force(
    element: Element,
    u: Float[Tensor, "b m *n"],
    planes: Integer[Tensor, " w"],
    labels: Integer[Tensor, "s *n"],
    table: Float[Tensor, "t p g"],
    offset: Float[Tensor, "b r c"] | None = None,
) -> tuple[Float[Tensor, "b m *v"], Float[Tensor, "b c k"] | None]:
    """Bᵀ C (B u + ē) / q on some planes of the grid, and the stress summed over each.

    Parameters
    ----------
    planes : the planes along the first axis, by :func:`planes_around`; no others of u
        and the labels are read.
    labels, table : as in :class:`lsml.law.PhaseLaw`, b = s·l with t = 1 or s.
    offset : ē, alike in all phases (r = 1) or less the eigenfield of each (r = p).
        Without it there is no sum of stresses, else one in float64 for each plane.
    """
    b, p = len(u), table.shape[1]
    nodes = halo(element, u.flatten(0, 1), planes).reshape(b, u.shape[1], -1)
    image = repeated(halo(element, labels.int(), planes), b)
    number = torch.arange(b, dtype=image.dtype, device=image.device)
    last = image.numel() - sum(element.strides)
    phase = (image + p * number[:, None]).reshape(-1)[:last]
    rows, used = repeated(table, b).flatten(0, 1), {m for *_, m in element.hooke}
    moduli = {m: times(m[1], rows[:, m[0]])[phase] for m in sorted(used)}
    modes = [modes_of(element, row.reshape(-1)) for row in nodes.unbind(1)]
    strains = {beta: strain(element, modes, beta) for beta in element.monomials}
    if offset is not None:
        for c, mean in enumerate(mean_strain(element, offset, phase, image.shape[1])):
            add(strains[0], c, mean)
    stresses = {
        beta: varying_stress(element, e, moduli) if beta else stress(element, e, moduli)
        for beta, e in strains.items()
    }
    shape = (b, len(planes) - 2, *element.shape[1:])
    forces = [nodal(element, stresses, m, shape) for m in range(u.shape[1])]
    total = None if offset is None else plane_sums(element, stresses[0], shape)
    return torch.stack(forces, 1), total


def halo(
    element: Element, image: Tensor, planes: Integer[Tensor, " k"]
) -> Float[Tensor, "r v"] | Int[Tensor, "r v"]:
    """Periodic images (r, *n), a plane more on either side of each axis, in rows.

    Only what is in memory can be viewed by strides: so a compiler makes copies here,
    and does not look for each value wherever it is used.
    """
    v = image.index_select(1, planes)
    *inner, n = element.shape[1:]
    for axis, count in enumerate(inner, 2):
        v = v.index_select(axis, planes_around(0, count, count, image.device))
    v = v.flatten(0, -2)
    v = torch.cat([v[:, n - 1 :], v, v[:, :1]], 1)
    length = v.numel() // len(image)
    return v.as_strided((len(image), length), (length, 1), 0)


def repeated(v: Tensor, samples: int) -> Tensor:
    """One entry for each sample, where several in a row share one."""
    each = v[:, None].expand(-1, samples // len(v), *v.shape[1:])
    return each.flatten(0, 1)


def modes_of(element: Element, row: Float[Tensor, " v"]) -> Modes:
    """Modes of one component of the displacement, those that strain it."""
    modes = {0: row}
    for axis, stride in enumerate(element.strides):
        shorter, modes = modes, {}
        for alpha in sorted({alpha & (2 << axis) - 1 for alpha in element.modes}):
            v = shorter[alpha & ~(1 << axis)]
            near, far = v[:-stride], v[stride:]
            modes[alpha] = far - near if alpha >> axis else near + far
    return {alpha: times(element.scale(alpha), v) for alpha, v in modes.items()}


def mean_strain(
    element: Element,
    offset: Float[Tensor, "b r c"],
    phase: Integer[Tensor, " e"],
    length: int,
) -> list[Tensor]:
    """What comes to the uniform strain of each element, by component."""
    b, r, c = offset.shape
    columns = [times(1 / element.units[i], offset[:, :, i]) for i in range(c)]
    if r > 1:
        return [column.reshape(-1)[phase] for column in columns]
    rows = [column.expand(b, length).reshape(-1) for column in columns]
    return [row[: len(phase)] for row in rows]


def strain(element: Element, modes: list[Modes], beta: int) -> Rows:
    """Components of the strain that varies as ξ^β, those that are not zero."""
    rows: Rows = {}
    for c, m, axis, weight in element.terms:
        if not beta >> axis & 1:
            add(rows, c, times(weight, modes[m][beta | 1 << axis]))
    return rows


def stress(element: Element, strain: Rows, moduli: dict[Modulus, Tensor]) -> Rows:
    """Hooke's law, for the components that have work to do on this strain."""
    rows: Rows = {}
    for i, j, modulus in element.hooke:
        if i in strain and j in strain:
            add(rows, i, moduli[modulus] * strain[j])
    return rows


def varying_stress(
    element: Element, strain: Rows, moduli: dict[Modulus, Tensor]
) -> Rows:
    """The same where strains vary inside the element: less what is averaged there."""
    if not element.averaged:
        return stress(element, strain, moduli)
    deviatoric = deviator(element.averaged, strain)
    return deviator(element.averaged, stress(element, deviatoric, moduli))


def deviator(normal: tuple[int, ...], rows: Rows) -> Rows:
    """Less the mean of the normal components, of which some may be zero."""
    present = [rows[c] for c in normal if c in rows]
    if not present:
        return rows
    mean = sum(present[1:], present[0]) / len(normal)
    return rows | {c: rows[c] - mean if c in rows else -mean for c in normal}


def nodal(
    element: Element,
    stresses: Mapping[int, Rows],
    potential: int,
    shape: tuple[int, ...],
) -> Float[Tensor, "b *v"]:
    """Nodal forces on one component of the displacement."""
    force: Modes = {}
    for beta, weight in element.monomials.items():
        for c, m, axis, unit in element.terms:
            if m == potential and not beta >> axis & 1 and c in stresses[beta]:
                alpha = beta | 1 << axis
                factor = unit * weight * element.scale(alpha)
                add(force, alpha, times(factor, stresses[beta][c]))
    for axis, _ in enumerate(element.strides):
        force = spread_to_ends(force, 1 << axis)
    parts = [voxels(element, v, shape, corner) for corner, v in force.items()]
    return sum(parts[1:], parts[0])


def spread_to_ends(force: Modes, axis: int) -> Modes:
    """The step of :func:`modes_of` along one axis, transposed."""
    ends: Modes = {}
    for near in {alpha & ~axis for alpha in force}:
        average, slope = force.get(near), force.get(near | axis)
        if slope is None:
            ends[near] = ends[near | axis] = force[near]
        elif average is None:
            ends[near], ends[near | axis] = -slope, slope
        else:
            ends[near], ends[near | axis] = average - slope, average + slope
    return ends


def voxels(
    element: Element, row: Float[Tensor, " e"], shape: tuple[int, ...], corner: int = 0
) -> Float[Tensor, "b *v"]:
    """What the elements have in their row, by the node at one of their corners."""
    strides = element.strides
    start = sum(s for a, s in enumerate(strides) if not corner >> a & 1)
    length = strides[0] * (shape[1] + 2)
    return row.as_strided(shape, (length, *strides), start)


def plane_sums(
    element: Element, stress: Rows, shape: tuple[int, ...]
) -> Float[Tensor, "b c k"]:
    """Sum over each plane of voxels, in float64 and in the units of the law."""
    images = [voxels(element, stress[c], shape).flatten(2) for c in range(len(stress))]
    sums = [v.sum(2, dtype=torch.float64) for v in images]
    return torch.stack([times(1 / element.units[c], s) for c, s in enumerate(sums)], 1)


def times(factor: float, v: Tensor) -> Tensor:
    """factor·v, without a product if the factor is 1."""
    return v if factor == 1 else factor * v


def add(rows: dict[int, Tensor], key: int, v: Tensor) -> None:
    """Add to one of the rows; the first is taken as it is."""
    rows[key] = rows[key] + v if key in rows else v
