"""Coarse spaces: a few vectors per microstructure on which a problem is solved exactly.

Nothing is asked of the vectors but that they be unknowns of the problem. They are made
A-orthonormal, <A W_i, W_j> = δ_ij, by a Gram matrix whose null space is dropped, so
that dependent, zero and non-finite proposals cost time and never correctness.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Inexact
from torch import Tensor

from lsml.problem import Problem
from lsml.typing import Codes, Vector

Block = Inexact[Tensor, "s k *v"]
Coefficients = Float[Tensor, "b k"]

PIECE = 2**15  # numbers of a vector multiplied in its own precision, then in float64
NOTHING = 8  # units of rounding under which a vector has no energy
ALIKE = 0.5  # power of the rounding unit under which a direction is dependent
SAME = 0.1  # of the root of the rounding unit, by which two fingerprints may differ
PARTS = 8  # numbers of a fingerprint


@dataclass(frozen=True)
class CoarseSpace:
    """A-orthonormal vectors W of s microstructures, with their forces A W.

    Attributes
    ----------
    vectors : W, k unknowns of each microstructure; zero in place of dropped ones.
    images : A W, as ``Problem.hessian`` gives it.
    weight : the pairing of two vectors over their plain dot product.
    print : numbers by which each problem is recognized, see :func:`fingerprint`.
    """

    vectors: Block
    images: Block
    weight: float
    print: Float[Tensor, "s p"]

    @property
    def rank(self) -> Codes:
        """Vectors of each microstructure that were not dropped, (s,)."""
        return (self.vectors != 0).flatten(2).any(2).sum(1)

    def owners(self, problem: Problem) -> Codes:
        """The microstructure of each sample, recognized by its answer to a noise.

        So a batch may hold some of the samples only, in any order.

        Raises
        ------
        ValueError
            The space was made for another grid, form, medium or load control.
        """
        shape, own = problem.start().shape[1:], self.vectors.shape[2:]
        if shape != own:
            raise ValueError(
                f"the coarse space has vectors of shape {tuple(own)}, the problem "
                f"{tuple(shape)}: make one for this problem"
            )
        mine = fingerprint(problem, self.vectors.dtype)
        gap = (mine[:, None] - self.print).abs().amax(2)
        closest = gap.nan_to_num(torch.inf).min(1)
        unit = torch.finfo(self.vectors.dtype).eps
        size = self.print.abs().amax(1)[closest.indices]
        if bool((closest.values > SAME * unit**0.5 * size).any()):
            raise ValueError(
                "the coarse space was made for another medium or load control: "
                "make one for this problem"
            )
        return closest.indices

    def works(self, force: Vector, owner: Codes) -> Coefficients:
        """<force, W>: the answer of the coarse problem to a force."""
        return self.weight * inner(self.vectors, force, owner)

    def responses(self, d: Vector, owner: Codes) -> Coefficients:
        """<A W, d>: what of d lies in the space, in the metric of A."""
        return self.weight * inner(self.images, d, owner)

    def field(self, coefficients: Coefficients, owner: Codes) -> Vector:
        """W c for each sample."""
        return combined(self.vectors, coefficients, owner)


def coarse_space(problem: Problem, vectors: Block) -> CoarseSpace:
    """The coarse space of proposed vectors, at the cost of a step for each.

    Parameters
    ----------
    problem : linear; with l load cases on each microstructure, load case fastest.
    vectors : k proposals for each of s microstructures, in the form of the problem's
        unknown. Any length, dependent, zero or not finite.

    Raises
    ------
    ValueError
        Numbers or shapes that do not fit the problem.
    """
    start = problem.start()
    if vectors.shape[2:] != start.shape[1:]:
        raise ValueError(
            f"coarse vectors of shape {tuple(vectors.shape[2:])} must have that of the "
            f"problem's unknown, {tuple(start.shape[1:])}"
        )
    cells = cells_of(problem, len(vectors))
    with torch.no_grad():
        size = vectors.abs().flatten(2).amax(2)
        some = (size > 0) & (size < torch.inf)
        unit = vectors / _like(torch.where(some, size, 1.0), vectors)
        clean = torch.where(_like(some, vectors), unit, 0.0).to(start)
        if clean.shape[1]:
            columns = [_resisted(cells, w) for w in clean.unbind(1)]
            clean = torch.stack(columns, 1)
        return space_of_steps(cells, clean)


def space_of_steps(problem: Problem, vectors: Block) -> CoarseSpace:
    """The same of vectors that are steps of the problem, at one hessian for each."""
    with torch.no_grad():
        like = problem.force(problem.start())
        known = _weight(problem), fingerprint(problem, like.dtype)
        finite = vectors.isfinite().flatten(2).all(2)
        columns = torch.where(_like(finite, vectors), vectors, 0.0).to(like)
        if not columns.shape[1]:
            return CoarseSpace(columns, columns, *known)
        forces = [problem.hessian(problem.start(), w) for w in _columns(columns)]
        whole = CoarseSpace(columns, torch.stack(forces, 1), *known)
        space = _scaled(whole, _stiffness(problem, like.dtype))
        return _orthonormal(_orthonormal(space))  # the second removes rounding


def cells_of(problem: Problem, count: int) -> Problem:
    """One sample of each of ``count`` microstructures.

    Raises
    ------
    ValueError
        The batch is no multiple of the microstructures, or cannot be taken apart.
    """
    if count == problem.batch:
        return problem
    every = count and problem.batch % count == 0
    first = torch.arange(count, device=problem.start().device)
    cells = problem.select(first * (problem.batch // count)) if every else None
    if cells is None:
        raise ValueError(
            f"coarse vectors of {count} microstructures do not fit a problem of "
            f"{problem.batch} samples"
        )
    return cells


def inner(block: Block, x: Vector, owner: Codes) -> Coefficients:
    """Dot products of each sample with the vectors of its microstructure."""
    return _by_owner(_products, x.flatten(1), block, owner)


def combined(block: Block, coefficients: Coefficients, owner: Codes) -> Vector:
    """Linear combination, for each sample, of the vectors of its microstructure."""
    c = coefficients.to(block.dtype)
    found = _by_owner(torch.matmul, c, block, owner)
    return found.reshape(len(c), *block.shape[2:])


def _by_owner(
    product: Callable[[Tensor, Tensor], Tensor],
    rows: Inexact[Tensor, "b n"],
    block: Block,
    owner: Codes,
) -> Inexact[Tensor, "b m"]:
    """Products of the rows of each microstructure with its vectors, in one piece."""
    flat = block.flatten(2)
    if len(flat) == 1:
        return product(rows, flat[0])
    groups = [(owner == i).nonzero()[:, 0] for i in range(len(flat))]
    parts = [product(rows[g], w) for g, w in zip(groups, flat, strict=True)]
    return torch.cat(parts)[torch.cat(groups).argsort()]


def fingerprint(problem: Problem, dtype: torch.dtype) -> Float[Tensor, "b p"]:
    """Work of the forces that answer a fixed noise, by parts of the unknown."""
    g = _noise(problem).to(dtype)
    with torch.no_grad():
        work = (g * problem.hessian(problem.start(), g)).flatten(1)
    length = -(-work.shape[1] // PARTS)
    parts = [p.sum(1, dtype=torch.float64) for p in work.split(length, 1)]
    return torch.stack(parts, 1)


def _products(
    rows: Inexact[Tensor, "b v"], flat: Inexact[Tensor, "k v"]
) -> Coefficients:
    pieces = zip(rows.split(PIECE, 1), flat.split(PIECE, 1), strict=True)
    return torch.stack([(a @ b.T).double() for a, b in pieces]).sum(0)


def _columns(block: Block) -> list[Vector]:
    return [w.contiguous() for w in block.unbind(1)]


def _resisted(problem: Problem, w: Vector) -> Vector:
    """What of w changes the field: not a translation, on which a drive may work."""
    start = problem.start()
    seen = problem.enter(problem.field(start + w))
    return problem.project(seen - start)


def _like(mask: Tensor, block: Block) -> Tensor:
    return mask.reshape(*mask.shape, *[1] * (block.ndim - 2))


def _noise(problem: Problem) -> Vector:
    """The same for every sample, and always the same."""
    x = problem.start()
    draw = torch.Generator().manual_seed(0)
    one = torch.randn(x.shape[1:], generator=draw, dtype=torch.float64)
    return one.to(x).repeat(len(x), *[1] * one.ndim)


def _weight(problem: Problem) -> float:
    """The pairing weighs all numbers of an unknown alike; by how much."""
    g = _noise(problem)
    plain = (g * g).flatten(1).sum(1, dtype=torch.float64)
    return float((problem.pairing(g, g) / plain)[0])


def _stiffness(problem: Problem, dtype: torch.dtype) -> Float[Tensor, " s"]:
    """Size of A: |A g| over |g| for noise, close to its largest eigenvalues."""
    g = problem.project(_noise(problem).to(dtype))
    image = problem.hessian(problem.start(), g)
    return image.flatten(1).double().norm(dim=1) / g.flatten(1).double().norm(dim=1)


def _scaled(space: CoarseSpace, stiffness: Float[Tensor, " s"]) -> CoarseSpace:
    """Every vector of energy 1, or zero if it has none, as a translation."""
    flat, image = space.vectors.flatten(2), space.images.flatten(2)
    energy = (flat * image).sum(2, dtype=torch.float64)
    most = stiffness[:, None] * (flat * flat).sum(2, dtype=torch.float64)
    some = energy > NOTHING * torch.finfo(flat.dtype).eps * most
    size = torch.where(some, space.weight * energy, torch.inf).rsqrt()
    kept, factor = _like(some, space.vectors), _like(size, space.vectors)
    factor = factor.to(flat.dtype)
    return replace(
        space,
        vectors=torch.where(kept, factor * space.vectors, 0.0),
        images=torch.where(kept, factor * space.images, 0.0),
    )


def _orthonormal(space: CoarseSpace) -> CoarseSpace:
    """The same span with a unit Gram matrix, less its dependent directions."""
    pairs = zip(space.images.flatten(2), space.vectors.flatten(2), strict=True)
    gram = space.weight * torch.stack([_products(a, b) for a, b in pairs])
    values, q = torch.linalg.eigh((gram + gram.transpose(1, 2)) / 2)
    least = torch.finfo(space.vectors.dtype).eps ** ALIKE * values[:, -1:]
    q = q * torch.where(values > least, values, torch.inf).rsqrt()[:, None, :]
    turn = q.transpose(1, 2).to(space.vectors.dtype)

    def turned(block: Block) -> Block:
        return (turn @ block.flatten(2)).reshape(block.shape)

    return replace(space, vectors=turned(space.vectors), images=turned(space.images))
