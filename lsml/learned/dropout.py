"""Dropout in a part of a batch as it is in the whole.

Every process draws for the whole batch, from generators in the same state, and keeps
what concerns its own samples. So the draws of a sample do not depend on how many
processes there are.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lsml.distributed.team import Alone

KINDS = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)


@contextmanager
def drawn_for_all(
    rule: nn.Module, team: Alone, size: Callable[[], int]
) -> Iterator[None]:
    """In here the dropout of ``rule`` draws for a batch of ``size()`` samples."""
    with ExitStack() as stack:
        found = rule.modules() if team.count > 1 else ()
        for module in (m for m in found if isinstance(m, KINDS)):
            part = Part(team, size)
            hooks: tuple[Any, ...] = (
                module.register_forward_pre_hook(part.widen),
                module.register_forward_hook(part.narrow),
            )
            for hook in hooks:
                stack.callback(hook.remove)
        yield


class Part:
    """The samples of this process, among those of a batch."""

    def __init__(self, team: Alone, size: Callable[[], int]) -> None:
        self.team, self.size = team, size
        self.kept: slice | None = None

    def widen(
        self, module: nn.Module, inputs: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """Zeros for the samples of the others; only where the first axis is samples."""
        (x,), n = inputs, self.size()
        rows = self.team.rows(n)
        first, last = rows.start, max(rows.stop, rows.start + 1)
        if not module.training or len(x) != last - first:
            return inputs
        first = min(first, n - 1)  # of a process that has none
        last = first + len(x)
        self.kept = slice(first, last)
        before = x.new_zeros(first, *x.shape[1:])
        after = x.new_zeros(n - last, *x.shape[1:])
        return (torch.cat([before, x, after]),)

    def narrow(
        self, module: nn.Module, inputs: tuple[Tensor, ...], out: Tensor
    ) -> Tensor:
        """Without them."""
        kept, self.kept = self.kept, None
        return out if kept is None else out[kept]
