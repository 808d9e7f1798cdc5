"""N by Fourier transforms: three passes over the spectrum of one field.

Transforms in planes of constant x; then along x, multiplication and back along x, while
the numbers are in the cache; then back in planes. FFTW does it where it is installed.
It plans by its rules of thumb, which costs nothing; what they miss, powers of two
between rows and planes, is padded away.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from lsml.native.arrays import multiply
from lsml.native.threads import blocks, spread

Array = NDArray[Any]

LINE = 64  # bytes; rows start on cache lines
PAGE = 4096  # bytes; planes a multiple of it apart fall into the same lines
CACHED = 2**18  # bytes of a spectrum worked on at a time
COMPLEX = {np.dtype("float32"): np.complex64, np.dtype("float64"): np.complex128}


@runtime_checkable
class Solver(Protocol):
    """Multiplies the spectrum of a field (m, nx, ny, nz) by N."""

    def __call__(self, source: Array, inverse: Array, target: Array) -> None:
        """N source into target; ``inverse`` is (p, nx, ny, nz // 2 + 1)."""
        ...


@dataclass(frozen=True)
class TorchSolver:
    """By torch.fft: MKL on most machines."""

    def __call__(self, source: Array, inverse: Array, target: Array) -> None:
        """Forward, multiply, back."""
        field, out = torch.from_numpy(source), torch.from_numpy(target)
        hat = torch.fft.rfftn(field, dim=(1, 2, 3))
        parts = blocks(hat.shape[1], torch.get_num_threads())
        array, one = hat.numpy(), inverse.dtype.type(1)

        def work(k: int, _: int) -> None:
            multiply(array[:, parts[k]], inverse[:, parts[k]], one)

        spread(work, len(parts), len(parts))
        torch.fft.irfftn(hat, s=field.shape[1:], dim=(1, 2, 3), out=out)


@dataclass(frozen=True)
class FftwSolver:
    """By FFTW on ``threads`` threads of this package."""

    like: Array
    threads: int
    aligned: bool  # whether fields start on 16 bytes, as its vector code needs

    def __call__(self, source: Array, inverse: Array, target: Array) -> None:
        """Planes, columns, planes."""
        m, nx, ny, _ = self.like.shape
        layers = blocks(nx, self.threads)
        step = max(1, CACHED // self.hat[:, :, :1].nbytes)
        columns = blocks(ny, max(self.threads, -(-ny // step)))
        scale = inverse.dtype.type(1 / self.like[0].size)

        def there(k: int, thread: int) -> None:
            at = k % m, layers[k // m]
            self._execute("planes", thread, source[at], self.hat[at])

        def through(k: int, thread: int) -> None:
            part = self.hat[:, :, columns[k]]
            self._execute("columns", thread, part, part)
            multiply(part, inverse[:, :, columns[k]], scale)
            self._execute("columns back", thread, part, part)

        def back(k: int, thread: int) -> None:
            at = k % m, layers[k // m]
            self._execute("planes back", thread, self.hat[at], target[at])

        spread(there, m * len(layers), self.threads)
        spread(through, len(columns), self.threads)
        spread(back, m * len(layers), self.threads)

    @cached_property
    def hat(self) -> Array:
        """Half spectrum, rows and planes apart in the cache."""
        m, nx, ny, nz = self.like.shape
        dtype, half = np.dtype(COMPLEX[self.like.dtype]), nz // 2 + 1
        row = -(-half * dtype.itemsize // LINE) * LINE
        padding = int(row * ny % PAGE == 0)
        room = np.empty((m, nx, ny + padding, row // dtype.itemsize), dtype)
        return room[:, :, :ny, :half]

    @cached_property
    def _plans(self) -> dict[tuple[str, int, tuple[int, ...]], Any]:
        return {}

    def _execute(self, kind: str, thread: int, source: Array, target: Array) -> None:
        key = kind, thread, source.shape
        if key not in self._plans:
            self._plans[key] = self._plan(kind, source, target)
        plan = self._plans[key]
        plan.update_arrays(source, target)
        plan.execute()

    def _plan(self, kind: str, source: Array, target: Array) -> Any:
        import pyfftw

        planes = kind.startswith("planes")
        flags = ["FFTW_ESTIMATE"]
        if kind == "planes back":
            flags.append("FFTW_DESTROY_INPUT")
        if planes and not self.aligned:
            flags.append("FFTW_UNALIGNED")
        direction = "FFTW_BACKWARD" if kind.endswith("back") else "FFTW_FORWARD"
        axes = (1, 2) if planes else (1,)
        return pyfftw.FFTW(source, target, axes, direction, flags, 1)
