"""Memories of several rules in one: how tuples of tensors are put together and apart.

Rules that are made of rules remember what each of them does. The driver wants one flat
tuple of tensors; a :class:`Bundle` is one, and knows which tensors belong together.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from torch import Tensor

from lsml.typing import Memory


@dataclass(frozen=True)
class Layout:
    """How a memory is made of tensors.

    Attributes
    ----------
    kind : tuple, a named tuple, or :class:`Bundle`.
    size : tensors in it.
    parts : layouts of the memories in a bundle.
    """

    kind: type
    size: int
    parts: tuple["Layout", ...] = ()

    def build(self, tensors: Iterable[Tensor]) -> Memory:
        """A memory of this kind."""
        if self.kind is Bundle:
            return Bundle(tensors, self)
        make: Any = self.kind
        return make(*tensors) if hasattr(make, "_fields") else tuple(tensors)


class Bundle(tuple[Tensor, ...]):
    """Memories side by side, flat."""

    layout: Layout

    def __new__(cls, tensors: Iterable[Tensor], layout: Layout) -> "Bundle":
        made = super().__new__(cls, tensors)
        made.layout = layout
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self), self.layout


def layout_of(memory: Memory) -> Layout:
    """How a memory is made."""
    if isinstance(memory, Bundle):
        return memory.layout
    return Layout(type(memory), len(memory))


def pack(*memories: Memory) -> Bundle:
    """Several memories as one; ``split`` gives them back."""
    parts = tuple(layout_of(m) for m in memories)
    size = sum(part.size for part in parts)
    return Bundle((t for m in memories for t in m), Layout(Bundle, size, parts))


def split(memory: Memory) -> list[Memory]:
    """The memories in a bundle, each of its own kind again."""
    rest = iter(memory)
    return [part.build(islice(rest, part.size)) for part in layout_of(memory).parts]
