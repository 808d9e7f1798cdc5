"""Shape vocabulary: b samples, c components, n voxels, w places, v any layout."""

from collections.abc import Callable
from typing import Literal, TypeAlias

from jaxtyping import Bool, Float, Inexact, Integer
from torch import Tensor

Field: TypeAlias = Inexact[Tensor, "b c *n"]
Voxels: TypeAlias = Inexact[Tensor, "b *n"]
Potential: TypeAlias = Inexact[Tensor, "b m *w"]
Vector: TypeAlias = Inexact[Tensor, "b *v"]
PerSample: TypeAlias = Float[Tensor, " b"]
Mask: TypeAlias = Bool[Tensor, " b"]
Codes: TypeAlias = Integer[Tensor, " b"]
Memory: TypeAlias = tuple[Tensor, ...]
Mean: TypeAlias = Callable[[Tensor, Tensor], Tensor]
Tag: TypeAlias = Literal[
    "linear",
    "symmetric",
    "reciprocal",
    "positive",
    "compatible",
    "bounded",
    "resolvable",
    "absorbing",
    "whole",
]
Tags: TypeAlias = frozenset[Tag]
