"""A local network that turns with the cube: a sum of tensors with scalar weights.

    η = Σ_a w_a(scalars) T_a

The tensors T_a are made of the fields given, their averages over neighbours, and the
normals of the microstructure; the weights are functions of scalars only, so that a
turned or mirrored cell gives the turned or mirrored η: the tensor basis networks of
Ling, Kurzawski & Templeton (2016, J. Fluid Mech.) on a lattice.
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lsml.learned.encodings import Encodings
from lsml.mandel import DIMENSION, PAIRS
from lsml.typing import Field

LEVELS = 3  # averages of the moduli, each over twice the distance of the one before
FACING = 0  # the level whose gradient is the normal
AROUND = 2  # averages of the step and its answer
TENSORS = 2 * (1 + AROUND) + 2  # each with its own trace
SIDED = 4  # tensors that the normal makes of the step and its answer
SCALARS = TENSORS + 7
STRUCTURE = 2 * (LEVELS + 1) + LEVELS
ANSWER = TENSORS + 1  # place of the answer's weight

Scalar = Float[Tensor, "b one *n"]
Normal = Float[Tensor, "b d *n"]
Points = Float[Tensor, "b q c *n"]


class Pointwise(nn.Module):
    """A perceptron in every voxel, in the precision of what comes in."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        pairs = pairwise(widths)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)

    def forward(self, v: Float[Tensor, "b i *n"]) -> Float[Tensor, "b o *n"]:
        """SiLU between the layers."""
        flat = v.flatten(2)
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Linear)
            weight, bias = layer.weight.to(flat), layer.bias.to(flat)[None, :, None]
            active = nn.functional.silu(flat) if i else flat
            flat = torch.baddbmm(bias, weight.expand(len(flat), -1, -1), active)
        return flat.unflatten(2, v.shape[2:])


class TensorBasis(nn.Module):
    """Polarizations from encodings, for :class:`lsml.learned.Multipreconditioned`.

    Before it has learned anything it returns the answer of the medium to the last step,
    whose direction is that of the next Krylov space.

    Parameters
    ----------
    features : scalars that it keeps of the microstructure.
    width : of its hidden layers.
    """

    directions = 1

    def __init__(self, features: int = 16, width: int = 32) -> None:
        super().__init__()
        self.arguments = {"features": features, "width": width}
        self.features = features
        self.structure = Pointwise(STRUCTURE, width, features)
        self.weights = Pointwise(features + SCALARS, width, 2 * TENSORS + SIDED)
        last = self.weights.layers[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.weight *= 0.1
            last.bias.zero_()
            last.bias[ANSWER] = 1.0

    def prepare(self, moduli: Float[Tensor, "b two *n"]) -> Float[Tensor, "b h *n"]:
        """Scalars of the neighbourhood, and normals: gradients of the shear modulus."""
        levels, normals = [moduli], []
        for level in range(LEVELS):
            levels.append(average(levels[-1], 2**level))
            normals.append(shortened(gradient(levels[-1][:, 1:], 2**level)))
        steepness = [inner(n, n) for n in normals]
        scalars = self.structure(torch.cat([*levels, *steepness], 1))
        return torch.cat([scalars, normals[FACING]], 1)

    def forward(self, prepared: Float[Tensor, "b h *n"], state: Encodings) -> Field:
        """One polarization."""
        features, normal = prepared[:, : self.features], prepared[:, self.features :]
        side, driven = symmetric(normal, normal), (state.step, state.answer)
        tensors = surrounded(state)
        traces = [trace(t) for t in tensors]
        across = [inner(side, t) for t in driven]
        seen = torch.cat([*traces, *across, *densities(state)], 1)
        bounded = seen * (1 + seen.square()).rsqrt()
        w = self.weights(torch.cat([features, bounded], 1)).split(1, 1)
        sided = [symmetric(normal, applied(t, normal)) for t in driven]
        total = torch.zeros_like(state.step)
        for weight, tensor in zip(
            w[TENSORS + 2 :], [*tensors[2:], *sided], strict=False
        ):
            total = torch.addcmul(total, weight, tensor)
        for weight, part in zip(w[-2:], across, strict=True):
            total = torch.addcmul(total, weight * part, side)
        pressure = torch.zeros_like(traces[0])
        for weight, part in zip(w[2:], traces[2:], strict=False):
            pressure = torch.addcmul(pressure, weight, part)
        total = (total + spherical(pressure, total))[:, None]
        for i, local in enumerate((state.local_step, state.local_answer)):
            points = local.unflatten(1, (-1, side.shape[1]))
            total = total + weighted(w[TENSORS + i], w[i], points)
        return total.flatten(1, 2)


def weighted(own: Scalar, of_trace: Scalar, points: Points) -> Points:
    """A tensor at each point, and its trace, with weights of the voxel."""
    c = points.shape[2]
    sphere = trace(points.flatten(0, 1)).unflatten(0, points.shape[:2])
    ones = points.new_tensor([float(i < DIMENSION[c]) for i in range(c)])
    unit = ones.reshape(-1, *[1] * (points.ndim - 3))
    return own[:, None] * points + (of_trace[:, None] * sphere) * unit


def densities(state: Encodings) -> list[Scalar]:
    """Energies: of the step, of the iterate, and of one in the other."""
    return [
        inner(state.step, state.step),
        inner(state.step, state.answer),
        inner(state.strain, state.stress),
        inner(state.strain, state.step),
        inner(state.stress, state.step),
    ]


def surrounded(state: Encodings) -> list[Field]:
    """The fields, and averages of step and answer over more and more neighbours."""
    tensors, latest = [state.step, state.answer], torch.cat(state[2:4], 1)
    for level in range(AROUND):
        latest = average(latest, 2**level)
        tensors += latest.chunk(2, 1)
    return [*tensors, state.strain, state.stress]


def average(v: Field, distance: int) -> Field:
    """Binomial weights 1, 2, 1 along each axis, neighbours ``distance`` apart."""
    for axis in range(2, v.ndim):
        v = 0.5 * v + 0.25 * (v.roll(distance, axis) + v.roll(-distance, axis))
    return v


def gradient(v: Scalar, distance: int) -> Normal:
    """Central differences of a scalar, over the distance of one voxel."""
    axes = range(2, v.ndim)
    return torch.cat([v.roll(-distance, a) - v.roll(distance, a) for a in axes], 1) / 2


def shortened(n: Normal) -> Normal:
    """The same vectors, none longer than 1."""
    return n * (1 + inner(n, n)).rsqrt()


def inner(a: Field, b: Field) -> Scalar:
    """a : b, or the product of two vectors."""
    return (a * b).sum(1, keepdim=True)


def trace(t: Field) -> Scalar:
    """Sum of the normal components."""
    return t[:, : DIMENSION[t.shape[1]]].sum(1, keepdim=True)


def spherical(pressure: Scalar, like: Field) -> Field:
    """The unit tensor times a scalar."""
    c = like.shape[1]
    ones = [float(i < DIMENSION[c]) for i in range(c)]
    return pressure * like.new_tensor(ones).reshape(-1, *[1] * (like.ndim - 2))


def applied(t: Field, n: Normal) -> Normal:
    """T n."""
    pairs, c = PAIRS[n.shape[1]], t.unbind(1)
    rows = [torch.zeros_like(n[:, 0])] * n.shape[1]
    for value, (i, j) in zip(c, pairs, strict=True):
        if i == j:
            rows[i] = torch.addcmul(rows[i], value, n[:, i])
            continue
        share = 0.5**0.5 * value
        rows[i] = torch.addcmul(rows[i], share, n[:, j])
        rows[j] = torch.addcmul(rows[j], share, n[:, i])
    return torch.stack(rows, 1)


def symmetric(a: Normal, b: Normal) -> Field:
    """The symmetric part of a ⊗ b as a Mandel vector."""
    parts = []
    for i, j in PAIRS[a.shape[1]]:
        product = a[:, i] * b[:, j]
        if i != j:
            product = 0.5**0.5 * torch.addcmul(product, a[:, j], b[:, i])
        parts.append(product)
    return torch.stack(parts, 1)
