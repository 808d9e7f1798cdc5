"""Arithmetic operations of a piece of code, counted while it runs."""

from collections.abc import Callable
from math import prod
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

SIMPLE = {
    "add", "add_", "sub", "sub_", "mul", "mul_", "div", "div_", "rsqrt", "sqrt", "silu",
    "square", "pow", "addcmul", "addcmul_", "exp", "log", "neg", "reciprocal",
}  # fmt: skip
SUMS = {"sum", "mean"}  # one operation for each number that goes in


class Counter(TorchDispatchMode):
    """Counts products and sums of matrices, numbers and reductions; not transforms."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operation and count it."""
        out = func(*args, **(kwargs or {}))
        packet = func._overloadpacket
        name = packet.__name__
        if packet in flop_registry:
            self.total += flop_registry[packet](*args, **(kwargs or {}), out_val=out)
        elif name in SIMPLE:
            self.total += prod(out.shape)
        elif name in SUMS:
            self.total += prod(next(a for a in args if isinstance(a, Tensor)).shape)
        return out


def operations(run: Callable[[], object]) -> int:
    """What a call takes, less transforms."""
    with Counter() as counter:
        run()
    return counter.total
