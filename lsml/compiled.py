"""The displacement form, its stiffness compiled into kernels by PyTorch.

A batch is taken in pieces of one size, many small samples or a few planes of a large
one: one compiled function serves them all, little memory is needed beside the vectors,
and on a processor what one kernel leaves to the next is still in the cache. A last
piece that would be smaller overlaps the one before, and finds the same numbers again.
"""

import logging
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from subprocess import SubprocessError
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from lsml.displacement_form import DisplacementForm
from lsml.law import PhaseLaw
from lsml.modal import Element, modal_force, planes_around
from lsml.physics.discretization.multilinear import Multilinear
from lsml.typing import Codes, Vector

logger = logging.getLogger("lsml")

Force = Callable[..., tuple[Tensor, Tensor | None]]
Layout = tuple[tuple[int, ...], torch.dtype]  # shape and type of an argument

FAILURES = (RuntimeError, OSError, SubprocessError)  # of a compiler, or without one
VOXELS = {"cpu": 2**15}  # of a piece: 10 MB of float64 in between
MANY = 2**22  # where threads are many and calls are slow
LAYERS = 8  # planes of a piece, at least; it computes one more
FUSED = 1024  # operations in a kernel, at most: an element has about 300


def translated(function: Callable[..., Any], given: list[Tensor]) -> Callable[..., Any]:
    """A function compiled for such arguments, and called once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of one part of PyTorch, at another
        compiled = torch.compile(
            function, fullgraph=True, dynamic=False, options={"max_fusion_size": FUSED}
        )
        compiled(*given)
    return compiled


@lru_cache
def can_compile(device: str) -> bool:
    """Whether PyTorch can compile for a device: a C++ compiler, or Triton, is needed.

    Tried once, on next to nothing.
    """
    try:
        translated(torch.neg, [torch.zeros(2, device=device)])
    except FAILURES:
        report(device)
        return False
    return True


@lru_cache
def report(device: str) -> None:
    """Log, once, that nothing is compiled, and why."""
    reason = " ".join(str(sys.exception()).split("\n")[:2])
    logger.warning("torch.compile fails on %s, going on without: %s", device, reason)


@lru_cache
def stiffness(element: Element, device: str, layouts: tuple[Layout, ...]) -> Force:
    """``modal_force`` of an element, compiled for arguments of these shapes.

    Its graph is taken first, as a function of its own: PyTorch compiles none for more
    than a few shapes.
    """
    plain = partial(modal_force, element)
    if not can_compile(device):
        return plain
    began = time.perf_counter()
    given = [torch.zeros(shape, dtype=t, device=device) for shape, t in layouts]
    try:
        graph = make_fx(plain, tracing_mode="fake")(*given)
        force = translated(graph, given)
    except FAILURES:
        report(device)
        return plain
    logger.info("compiled in %.1f s for %s", time.perf_counter() - began, element.shape)
    return force


def starts(count: int, size: int) -> list[int]:
    """Where pieces of one size begin that cover ``count`` entries."""
    return [*range(0, count - size, size), count - size]


@dataclass(frozen=True)
class PieceOperator:
    """±Bᵀ C (B u + ē) / q of a law of phases on multilinear elements, in pieces."""

    law: PhaseLaw
    scheme: Multilinear
    batch: int

    def __call__(
        self, u: Tensor, out: Tensor, offset: Tensor | None, sign: int
    ) -> Tensor:
        """Force of the rows u (b, m·N) into ``out``; returns the mean flux, (b, c).

        ``offset`` (b, r, c) is ē, less the eigenfield of each phase if r > 1; None for
        a strain B u, and then no mean flux is taken.
        """
        grid, device = self.scheme.grid, str(u.device)
        images = (-1, self.scheme.differential.potentials, *grid.shape)
        forces = out.unflatten(1, images[1:])
        sums = u.new_zeros(len(u), self.law.components, grid.shape[0]).double()
        for i, medium in zip(self._rows, self._media, strict=True):
            rows = slice(i, i + self.samples)
            own = [] if offset is None else [offset[rows].contiguous()]
            nodes = u[rows].contiguous().view(images)
            for j, planes in zip(self._layers, self._planes, strict=True):
                given = [nodes, planes, *medium, *own]
                layouts = tuple((tuple(t.shape), t.dtype) for t in given)
                force, flux = stiffness(self._element, device, layouts)(*given)
                part = slice(j, j + self.layers)
                torch.mul(force, sign, out=forces[rows, :, part])
                if flux is not None:
                    sums[rows, :, part] = flux
        return (sums.sum(2) / grid.size).to(u.dtype)

    @cached_property
    def samples(self) -> int:
        """How many there are in a piece."""
        pieces = -(-self.batch // max(1, self._voxels // self.scheme.grid.size))
        return -(-self.batch // pieces)

    @cached_property
    def layers(self) -> int:
        """Planes of voxels in a piece."""
        grid = self.scheme.grid
        wanted = self._voxels * grid.shape[0] // grid.size
        return min(grid.shape[0], max(LAYERS, wanted))

    @property
    def _voxels(self) -> int:
        return VOXELS.get(self.law.labels.device.type, MANY)

    @cached_property
    def _rows(self) -> list[int]:
        return starts(self.batch, self.samples)

    @cached_property
    def _layers(self) -> list[int]:
        return starts(self.scheme.grid.shape[0], self.layers)

    @cached_property
    def _planes(self) -> list[Tensor]:
        """Planes that each piece reads."""
        count, device = self.scheme.grid.shape[0], self.law.labels.device
        return [planes_around(j, self.layers, count, device) for j in self._layers]

    @cached_property
    def _media(self) -> list[tuple[Tensor, Tensor]]:
        """Labels and moduli of the samples in each piece."""
        labels, table = self.law.labels, self.law.coefficients.detach()
        return [
            (self._some(labels, i), table if len(table) == 1 else self._some(table, i))
            for i in self._rows
        ]

    def _some(self, shared: Tensor, start: int) -> Tensor:
        """Entries of the samples in a piece, without a copy if it is only one."""
        cases = self.batch // len(shared)
        if self.samples == 1:
            return shared[start // cases].contiguous()[None]
        samples = torch.arange(start, start + self.samples, device=shared.device)
        return shared[samples // cases]

    @cached_property
    def _element(self) -> Element:
        grid, nodes = self.scheme.grid, self.scheme.nodes
        moment = sum((node - 0.5) ** 2 for node in nodes) / len(nodes)
        parts = self.scheme.differential, self.law.entries, self.scheme.averaged
        return Element(grid.shape, grid.spacing, moment, *parts)


@dataclass(frozen=True)
class CompiledForm(DisplacementForm):
    """The same unknown, the same numbers up to rounding, no derivatives.

    Where something is to be recorded, the operators of the displacement form are used.
    What is compiled once serves all problems of one shape, whatever their labels,
    moduli and loads. Where PyTorch cannot compile, its usual operations do the same.
    """

    def warm_up(self) -> float:
        """Compile what a solve needs, unless it is there; the seconds that it took."""
        began = time.perf_counter()
        with torch.no_grad():
            x = self.start()
            self.force(x)
            self.hessian(x, x)
        return time.perf_counter() - began

    def force(self, x: Vector) -> Vector:
        """−Bᵀσ, and prescribed minus present mean flux."""
        if self._recorded(x):
            return super().force(x)
        strain = self.strain
        with torch.no_grad():
            out = torch.empty_like(x)
            offset = self._elastic(strain.background + self.split(x)[1])
            flux = self._operator(self._row(x), self._row(out), offset, -1)
            self._end(out, strain.load.flux - flux)
        return out

    def hessian(self, x: Vector, d: Vector, out: Vector | None = None) -> Vector:
        """Bᵀ C B d."""
        if self._recorded(d):
            return super().hessian(x, d)
        recordable = torch.is_grad_enabled()
        with torch.no_grad():
            if out is None or recordable:  # then nothing may be written over
                out = torch.empty_like(d)
            free = self.strain.green.free is not None
            offset = self.split(d)[1][:, None] if free else None
            flux = self._operator(self._row(d), self._row(out), offset, 1)
            self._end(out, flux)
        return out

    def select(self, samples: Codes) -> DisplacementForm | None:
        """None where samples go together: fewer of them would be compiled anew."""
        return super().select(samples) if self._operator.samples == 1 else None

    def _row(self, vector: Tensor) -> Tensor:
        """The displacement in each row."""
        return vector.detach()[:, : self.potentials * self.strain.grid.size]

    def _elastic(self, mean: Tensor) -> Tensor:
        """Mean strain (b, 1, c), or less the eigenfield of each phase, (b, p, c)."""
        eigenfield = self._law.eigenfield
        if eigenfield is None:
            return mean[:, None]
        cases = self.batch // len(eigenfield)
        return mean[:, None] - eigenfield.repeat_interleave(cases, 0)

    def _end(self, out: Tensor, mean: Tensor) -> None:
        """Write the mean, where it is free, at the end of each row."""
        if self.strain.green.free is not None:
            size = self.strain.grid.size
            free = mean * self.strain.load.free * size**0.5
            out[:, self.potentials * size :] = free

    @property
    def _law(self) -> PhaseLaw:
        assert isinstance(self.strain.law, PhaseLaw)
        return self.strain.law

    @cached_property
    def _operator(self) -> PieceOperator:
        scheme = self.strain.discretization
        assert isinstance(scheme, Multilinear)
        return PieceOperator(self._law, scheme, self.batch)
