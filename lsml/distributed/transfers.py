"""What slabs send each other, each with its transpose as derivative.

Derivatives are those of the sum of what all processes differentiate, as in
`torch.distributed.nn`: transposes are exact, and :class:`Shared`, at the parameters,
divides by the number of processes, all of which compute the same.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lsml.distributed.group import Slabs

Row = tuple[int, int]  # whose, and which of its own


class Summed(torch.autograd.Function):
    """The sum over all processes, to each of them."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, slabs: Slabs) -> Tensor:
        """In the order of the ranks."""
        ctx.slabs = slabs
        return slabs.all(part).sum(0)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        """Its own transpose."""
        return ctx.slabs.all(g).sum(0), None


class Shared(torch.autograd.Function):
    """What all processes have alike."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, slabs: Slabs) -> Tensor:
        """Itself."""
        ctx.slabs = slabs
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        """Of one process, where all differentiate the same."""
        return ctx.slabs.all(g).mean(0), None


class Transposed(torch.autograd.Function):
    """From slabs along one axis to slabs along another, ``n`` and ``m`` long."""

    @staticmethod
    def forward(
        ctx: Any, v: Tensor, slabs: Slabs, cut: tuple[int, int], new: tuple[int, int]
    ) -> Tensor:
        """``cut`` is (axis, length) of the present slabs, ``new`` of the later ones."""
        ctx.arguments = slabs, new, cut
        return transposed(v, slabs, cut, new)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None, None]:
        """The way back."""
        return transposed(g, *ctx.arguments), None, None, None


def transposed(
    v: Tensor, slabs: Slabs, cut: tuple[int, int], new: tuple[int, int]
) -> Tensor:
    """Cut along ``new``, and send each process its piece."""
    (axis, length), (other, columns) = cut, new
    mine = slabs.counts(columns)[slabs.rank]
    parts = v.split(slabs.counts(columns), other)
    like = [_shape_of(v, {axis: rows, other: mine}) for rows in slabs.counts(length)]
    return torch.cat(slabs.exchange(parts, like), axis)


class Gathered(torch.autograd.Function):
    """All slabs along an axis of so many rows, on every process."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, slabs: Slabs, cut: tuple[int, int]) -> Tensor:
        """Everyone sends all it has."""
        ctx.arguments, (axis, length) = (slabs, cut), cut
        like = [_shape_of(v, {axis: rows}) for rows in slabs.counts(length)]
        return torch.cat(slabs.exchange([v] * slabs.count, like), axis)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        """The sum of what the processes make of one slab."""
        slabs, (axis, length) = ctx.arguments
        parts = g.split(slabs.counts(length), axis)
        mine = parts[slabs.rank]
        return (
            torch.stack(slabs.exchange(parts, [mine] * slabs.count)).sum(0),
            None,
            None,
        )


class Halo(torch.autograd.Function):
    """A slab, and some rows before and after it."""

    @staticmethod
    def forward(
        ctx: Any, v: Tensor, slabs: Slabs, cut: tuple[int, int], more: tuple[int, int]
    ) -> Tensor:
        """``cut`` is (axis, rows of the cell), ``more`` the rows before and after."""
        ctx.arguments = slabs, cut, more
        return halo(v, slabs, cut, more)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None, None]:
        """Added to whose they are."""
        return unhalo(g, *ctx.arguments), None, None, None


class Unhalo(torch.autograd.Function):
    """Transpose of :class:`Halo`."""

    @staticmethod
    def forward(
        ctx: Any, v: Tensor, slabs: Slabs, cut: tuple[int, int], more: tuple[int, int]
    ) -> Tensor:
        """Added to whose they are."""
        ctx.arguments = slabs, cut, more
        return unhalo(v, slabs, cut, more)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None, None]:
        """As in :class:`Halo`."""
        return halo(g, *ctx.arguments), None, None, None


def halo(
    v: Tensor, slabs: Slabs, cut: tuple[int, int], more: tuple[int, int]
) -> Tensor:
    """Rows that others have are sent by them, in the order in which they are asked."""
    axis, length = cut
    wanted = [_beyond(slabs, length, more, rank) for rank in range(slabs.count)]
    parts = [v.index_select(axis, _index(v, _of(rows, slabs.rank))) for rows in wanted]
    mine = wanted[slabs.rank]
    like = [_shape_of(v, {axis: len(_of(mine, rank))}) for rank in range(slabs.count)]
    received = torch.cat(slabs.exchange(parts, like), axis)
    order = _order(mine)
    before = received.index_select(axis, _index(v, order[: more[0]]))
    after = received.index_select(axis, _index(v, order[more[0] :]))
    return torch.cat([before, v, after], axis)


def unhalo(
    w: Tensor, slabs: Slabs, cut: tuple[int, int], more: tuple[int, int]
) -> Tensor:
    """The same way back, added up."""
    (axis, length), (before, after) = cut, more
    wanted = [_beyond(slabs, length, more, rank) for rank in range(slabs.count)]
    own = w.shape[axis] - before - after
    extra = torch.cat(
        [w.narrow(axis, 0, before), w.narrow(axis, before + own, after)], axis
    )
    mine = wanted[slabs.rank]
    parts = [
        extra.index_select(
            axis, _index(w, [i for i, row in enumerate(mine) if row[0] == k])
        )
        for k in range(slabs.count)
    ]
    v = w.narrow(axis, before, own).clone()
    places = [_of(rows, slabs.rank) for rows in wanted]
    like = [_shape_of(v, {axis: len(rows)}) for rows in places]
    for rows, part in zip(places, slabs.exchange(parts, like), strict=True):
        v.index_add_(axis, _index(w, rows), part)
    return v


def _beyond(slabs: Slabs, length: int, more: tuple[int, int], rank: int) -> list[Row]:
    """Rows before and after the slab of a process: whose they are, and which."""
    start, end = slabs.start(length, rank), slabs.start(length, rank + 1)
    rows = [*range(start - more[0], start), *range(end, end + more[1])]
    return [slabs.owner(length, row % length) for row in rows]


def _of(rows: Sequence[Row], rank: int) -> list[int]:
    """Those of one process."""
    return [i for owner, i in rows if owner == rank]


def _order(rows: Sequence[Row]) -> list[int]:
    """Where each row is among those received, which come by their owners."""
    received = sorted(range(len(rows)), key=lambda i: rows[i][0])
    return [received.index(i) for i in range(len(rows))]


def _index(like: Tensor, rows: Sequence[int]) -> Tensor:
    return torch.tensor(rows, dtype=torch.int64, device=like.device)


def _shape_of(v: Tensor, lengths: dict[int, int]) -> Tensor:
    """A tensor without memory, of this shape but for some axes."""
    shape = list(v.shape)
    for axis, length in lengths.items():
        shape[axis] = length
    return torch.empty(shape, dtype=v.dtype, device="meta")
