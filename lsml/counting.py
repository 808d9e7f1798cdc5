"""Floating-point operations of a solve, counted while it runs.

Each operation has one price, whatever kernels it runs on; N is the number of voxels and
m the number of components of the displacement.

==============  ====================================================================
element         force or Hessian, Bᵀ C B u: what a fused kernel of the scheme does at
                a voxel; schemes without such kernels, and rules that iterate on the
                strain, are priced by the whole-array operations
transform       2.5 N log₂ N for a real transform of N numbers, half of the 5 N log₂ N
                of a complex one (Frigo & Johnson 2005, Proc. IEEE 93)
multiplier      N, a real symmetric m × m matrix on half a spectrum: 2 m² N
vectors         a product and a sum for each number of a dot product or of x + α d; any
                other pointwise operation 1 for each number (complex: 2, product 6)
products        convolutions and matrix products by the formulas of PyTorch's own
                counter, :class:`torch.utils.flop_counter.FlopCounterMode`
==============  ====================================================================
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import log2, prod
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

TRANSFORM = 2.5  # times N log₂ N
COPIES = {"clone", "where", "masked_fill", "eq", "copy", "nan_to_num", "isfinite"}
TWO = {"addcmul", "addcdiv"}  # a product and a sum
MULTIPLYING = {"mul", "div", "addcmul", "addcdiv", "reciprocal"}
REDUCING = {"sum", "mean", "prod", "amax", "amin", "linalg_vector_norm"}
ACTIVATING = {"_prelu_kernel", "native_group_norm", "native_batch_norm"}


class Operations(NamedTuple):
    """How often the expensive operators were applied, and the operations of each kind.

    Attributes
    ----------
    laws : applications of Bᵀ C B to one sample.
    greens : applications of the Green operator N.
    transforms : real transforms of one component.
    element, transform, multiplier, vectors, products : floating-point operations.
    """

    laws: float = 0.0
    greens: float = 0.0
    transforms: float = 0.0
    element: float = 0.0
    transform: float = 0.0
    multiplier: float = 0.0
    vectors: float = 0.0
    products: float = 0.0

    @property
    def flops(self) -> float:
        """All floating-point operations."""
        return sum(self[3:])

    def plus(self, other: "Operations", times: float = 1.0) -> "Operations":
        """Both, the other one so many times."""
        return Operations(*(a + times * b for a, b in zip(self, other, strict=True)))


NOTHING = Operations()


class Counter(TorchDispatchMode):
    """Counts every operation on tensors while it is entered, as a context manager."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = Operations()
        self._formulas = FlopCounterMode(display=False).flop_registry
        self._listening = False

    def __enter__(self) -> "Counter":
        """Listen."""
        self._listening = True
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *failure: Any) -> None:
        """Listen no more."""
        self._listening = False
        super().__exit__(*failure)  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Do it, and add what it costs."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        price = self._price(func, args, kwargs, out)
        if price is not NOTHING:
            self.total = self.total.plus(price)
        return out

    def note(self, operators: Operations) -> None:
        """Count operators whose operations are counted one by one."""
        if self._listening:
            self.total = self.total.plus(operators)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Count nothing, at no cost: listening takes longer than small operations."""
        if not self._listening:
            yield
            return
        self.__exit__(None, None, None)
        try:
            yield
        finally:
            self.__enter__()

    @contextmanager
    def charging(self, price: Operations, times: int) -> Iterator[None]:
        """Count this price and nothing of what is done."""
        self.note(Operations().plus(price, times))
        with self.silent():
            yield

    def _price(self, func: Any, args: Any, kwargs: Any, out: Any) -> Operations:
        formula = self._formulas.get(func.overloadpacket)
        if formula is not None:
            return Operations(products=formula(*args, **kwargs, out_val=out))
        name = func.overloadpacket.__name__
        if name in ("_fft_r2c", "_fft_c2r", "_fft_c2c"):
            return transformed(name, args, out)
        flops = pointwise(func, name, args, out)
        return Operations(vectors=flops) if flops else NOTHING


def transformed(name: str, args: Any, out: Tensor) -> Operations:
    """Price of a batch of transforms, by their real ends."""
    real = out if name == "_fft_c2r" else args[0]
    size = prod(real.shape[axis] for axis in args[1])
    count = real.numel() / size * (2 if name == "_fft_c2c" else 1)
    return Operations(transforms=count, transform=count * TRANSFORM * size * log2(size))


def pointwise(func: Any, name: str, args: Any, out: Any) -> float:
    """Price of an operation on the numbers of a field; moving them costs nothing."""
    name = name.rstrip("_")
    first = out[0] if isinstance(out, tuple | list) and out else out
    if not isinstance(first, Tensor) or name in COPIES:
        return 0.0
    if not (first.is_floating_point() or first.is_complex()):
        return 0.0
    if name in REDUCING:
        return float(args[0].numel()) * (2 if args[0].is_complex() else 1)
    if torch.Tag.pointwise not in func.tags and name not in ACTIVATING:
        return 0.0
    each = 2 if name in TWO else 1
    if first.is_complex():
        each = (6 if name in MULTIPLYING else 2) + 2 * (name in TWO)
    return float(each * first.numel())
