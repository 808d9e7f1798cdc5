"""Batched arithmetic that stays finite, and differentiable, at convergence."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lsml.bundle import layout_of
from lsml.typing import Codes, Mask, Memory, PerSample, Vector

Linear = Callable[[Tensor], Tensor]


def per_sample(value: Tensor, like: Tensor) -> Tensor:
    """Give a (b,) tensor the rank and dtype of ``like`` so that it broadcasts."""
    dtype = value.dtype if value.dtype == torch.bool else like.dtype
    return value.to(dtype).reshape(-1, *([1] * (like.ndim - 1)))


def dot(x: Vector, y: Vector) -> PerSample:
    """Σ x*·y per sample, accumulated in float64 whatever the dtype of x and y."""
    return (x.conj() * y).real.flatten(1).sum(1, dtype=torch.float64)


def combine(x: Vector, scale: PerSample, d: Vector, out: Vector) -> Vector:
    """x + scale·d, written over ``out`` unless a graph may be recorded."""
    if torch.is_grad_enabled():
        return x + per_sample(scale, x) * d
    return torch.addcmul(x, per_sample(scale, x), d, out=out)


def safe_div(num: PerSample, den: PerSample) -> PerSample:
    """num/den, and 0 with zero gradient where den vanishes."""
    ok = den.abs() > torch.finfo(den.dtype).tiny
    one, zero = torch.ones_like(den), torch.zeros_like(num)
    return torch.where(ok, num, zero) / torch.where(ok, den, one)


def wide(dtype: torch.dtype) -> torch.dtype:
    """The dtype of double precision in which sums of such numbers are accumulated."""
    return torch.complex128 if dtype.is_complex else torch.float64


def root(square: PerSample) -> PerSample:
    """√ of a square that rounding may have left slightly negative; NaN stays NaN."""
    return square.clamp_min(0).sqrt()


def rows_of(shared: Tensor, samples: Codes, batch: int) -> Tensor:
    """What belongs to some of ``batch`` samples, l in a row of which share one row."""
    if len(shared) == 1:
        return shared
    return shared[samples // (batch // len(shared))]


def keep(active: Mask, new: Tensor, old: Tensor) -> Tensor:
    """New values for the active samples, old ones for the others."""
    return torch.where(per_sample(active, new), new, old)


def keep_memory(active: Mask, new: Memory, old: Memory) -> Memory:
    """Apply ``keep`` to each tensor of a rule's memory."""
    if layout_of(new) != layout_of(old):  # a schedule has moved on to another rule
        return new
    kept = [keep(active, a, b) for a, b in zip(new, old, strict=True)]
    return memory_like(new, kept)


def memory_like(memory: Memory, parts: list[Tensor]) -> Memory:
    """Other tensors in the same (named) tuple or bundle."""
    return layout_of(memory).build(parts)


def linear(x: Tensor, apply: Linear, transpose: Linear) -> Tensor:
    """``apply(x)`` for a real linear map, with its exact ``transpose`` as derivative.

    Nothing is recorded inside ``apply``, which may therefore work in place, and
    backpropagation stores no intermediate field. It maps a complex x part by part.
    """
    if x.is_complex():
        parts = (linear(part, apply, transpose) for part in (x.real, x.imag))
        return torch.complex(*parts)
    return _LinearMap.apply(x, apply, transpose)  # type: ignore[no-untyped-call]


class _LinearMap(torch.autograd.Function):
    """A linear map known together with its transpose."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, apply: Linear, transpose: Linear) -> Tensor:
        ctx.maps = (apply, transpose)
        return apply(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        apply, transpose = ctx.maps
        return linear(g, transpose, apply), None, None
