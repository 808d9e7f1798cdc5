"""Matrices of a growing basis, made from full displacements once and for all.

Images A_h ψ are never kept: those of old displacements are evaluated again when new
ones arrive, a block at a time, so that memory holds the basis and a few blocks.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.reduced.affine import Affine, Basis, Coefficients, Vectors
from lsml.reduced.model import ReducedModel


def unit_tables(like: Coefficients) -> Iterator[tuple[int, int, Coefficients]]:
    """Each coefficient of each phase as the only one that is not zero."""
    _, p, g = like.shape
    for phase in range(p):
        for k in range(g):
            table = like.new_zeros(1, p, g)
            table[0, phase, k] = 1
            yield phase, k, table


def first_terms(affine: Affine, like: Coefficients) -> Float[Tensor, "s p g e e"]:
    """<ε_i : C_h ε_j> of the columns."""
    terms = [affine.column_products(table) for _, _, table in unit_tables(like)]
    return torch.stack(terms, 1).unflatten(1, like.shape[1:])


def first_gram(
    affine: Affine, directions: Float[Tensor, "p g q"]
) -> Float[Tensor, "s q e q e"]:
    """C⁰ products of the Riesz representatives of the columns' images."""
    images = [affine.column_images(d[None]) for d in directions.unbind(2)]
    steps = [affine.steps(image) for image in images]
    rows = [torch.stack([affine.products(i, j) for j in steps], 2) for i in images]
    return torch.stack(rows, 1)


def grown_terms(
    affine: Affine, model: ReducedModel, old: Basis, new: Vectors
) -> tuple[Float[Tensor, "s p g m m"], list[Vectors]]:
    """The terms with some displacements more, and their images in each direction."""
    m, n = model.terms.shape[3], new.shape[1]
    terms = model.terms.new_zeros(*model.terms.shape[:3], m + n, m + n)
    terms[..., :m, :m] = model.terms
    images = [torch.zeros_like(new) for _ in model.directions.unbind(2)]
    for phase, k, table in unit_tables(model.terms[:1, :, :, 0, 0]):
        image = affine.images(table, new)
        own = affine.products(new, image)
        parts = [
            affine.products(affine.column_images(table), new),
            affine.products(old, image),
            (own + own.mT) / 2,
        ]
        across = torch.cat(parts, 1)
        terms[:, phase, k, :, m:] = across
        terms[:, phase, k, m:, :m] = across[:, :m].mT
        for total, weight in zip(images, model.directions[phase, k], strict=True):
            total.add_(image, alpha=float(weight))
    return terms, images


def grown_gram(
    affine: Affine, model: ReducedModel, old: Basis, images: list[Vectors]
) -> Float[Tensor, "s q m q m"]:
    """The products of residuals with those of new displacements."""
    s, q, m = model.gram.shape[:3]
    n = images[0].shape[1]
    gram = model.gram.new_zeros(s, q, m + n, q, m + n)
    gram[:, :, :m, :, :m] = model.gram
    steps = [affine.steps(image) for image in images]
    for i, direction in enumerate(model.directions.unbind(2)):
        first = 0
        for part in (*earlier(affine, direction[None], old, n), images[i]):
            rows = slice(first, first + part.shape[1])
            for j, step in enumerate(steps):
                block = affine.products(part, step)
                gram[:, i, rows, j, m:] = block
                gram[:, j, m:, i, rows] = block.mT
            first += part.shape[1]
    return gram


def earlier(
    affine: Affine, table: Coefficients, old: Basis, size: int
) -> Iterator[Tensor]:
    """Images of the columns and of the old displacements, a block at a time."""
    yield affine.column_images(table)
    for some in old.split(size, 1):
        if some.shape[1]:
            yield affine.images(table, some.contiguous())
