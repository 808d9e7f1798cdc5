"""Layers of phases: the one microstructure whose effective tensor is algebra."""

import torch
from jaxtyping import Float
from torch import Tensor


def layered(
    table: Float[Tensor, "#t p c c"], shares: Float[Tensor, "#t p"], across: list[int]
) -> Float[Tensor, "_ c c"]:
    """Layers that share the flux in the components ``across``, the field in the others.

    With C = [[P, R], [Rᵀ, Q]] in these blocks: P* = <P⁻¹>⁻¹, R* = P* <P⁻¹R> and
    Q* = <Q − Rᵀ P⁻¹ R> + <RᵀP⁻¹> P* <P⁻¹R> (Backus 1962; Milton 2002, section 9.2). An
    empty layer transmits no flux: P* = 0.
    """
    c, k = table.shape[-1], len(across)
    order = across + [i for i in range(c) if i not in across]
    blocks = table[..., order, :][..., order]
    p, r, q = blocks[..., :k, :k], blocks[..., :k, k:], blocks[..., k:, k:]
    empty = (table == 0).flatten(2).all(2)
    soft = torch.linalg.inv(torch.where(empty[..., None, None], torch.eye(k).to(p), p))
    drag = soft @ r
    series = torch.linalg.inv(averaged(soft, shares))
    broken = (empty & (shares > 0)).any(1)
    series = series.masked_fill(broken[:, None, None], 0)
    mixed = series @ averaged(drag, shares)
    parallel = averaged(q - r.mT @ drag, shares) + averaged(drag, shares).mT @ mixed
    whole = torch.cat(
        [torch.cat([series, mixed], -1), torch.cat([mixed.mT, parallel], -1)], -2
    )
    back = torch.tensor(order).argsort()
    return whole[..., back, :][..., back]


def averaged(
    values: Float[Tensor, "#t p k l"], shares: Float[Tensor, "#t p"]
) -> Float[Tensor, "_ k l"]:
    """<values> over the phases."""
    return (shares[..., None, None] * values).sum(1)
