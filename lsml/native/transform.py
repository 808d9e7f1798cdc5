"""N by Fourier transforms: three passes over the spectrum of one field.

Transforms in planes of constant x; then along x, multiplication and back along x,
while the numbers are in the cache; then back in planes. FFTW does it where it is
installed and has vector code for every length; pocketfft is faster for others, such as
31. FFTW plans by its rules of thumb, which costs nothing; what they miss, powers of two
between planes, is padded away.
"""

from dataclasses import dataclass
from functools import cached_property, partial
from importlib.util import find_spec
from typing import Any, Protocol, runtime_checkable

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from lsml.native.arrays import multiply
from lsml.native.threads import blocks, spread

Array = NDArray[Any]

LINE = 64  # bytes; rows start on cache lines
PRIMES = (2, 3, 5, 7)
PAGE = 4096  # bytes; planes a multiple of it apart fall into the same lines
CACHED = 2**19  # bytes of a spectrum worked on at a time
COMPLEX = {np.dtype("float32"): np.complex64, np.dtype("float64"): np.complex128}


@runtime_checkable
class Solver(Protocol):
    """Multiplies the spectrum of a field (m, nx, ny, nz) by N."""

    def __call__(self, source: Array, inverse: Array, target: Array) -> None:
        """N source into target; ``inverse`` is (p, nx, ny, nz // 2 + 1)."""
        ...


@dataclass(frozen=True)
class PocketSolver:
    """By pocketfft, which SciPy brings along, on ``threads`` threads of its own."""

    threads: int

    def __call__(self, source: Array, inverse: Array, target: Array) -> None:
        """Forward, multiply, back."""
        axes = (1, 2, 3)
        hat = scipy.fft.rfftn(source, axes=axes, workers=self.threads)
        parts = blocks(hat.shape[1], self.threads)
        spread(partial(_multiply, hat, inverse, parts), len(parts), self.threads)
        target[...] = scipy.fft.irfftn(
            hat, s=source.shape[1:], axes=axes, workers=self.threads, overwrite_x=True
        )


def _multiply(hat: Array, inverse: Array, parts: list[slice], k: int, _: int) -> None:
    multiply(hat[:, parts[k]], inverse[:, parts[k]], inverse.dtype.type(1))


@dataclass(frozen=True)
class FftwSolver:
    """By FFTW on ``threads`` threads of this package."""

    like: Array
    threads: int
    aligned: bool  # whether fields start on 16 bytes, as its vector code needs

    def __call__(self, source: Array, inverse: Array, target: Array) -> None:
        """Planes, columns, planes."""
        planes = len(self.like) * len(self._layers)
        spread(partial(self._there, source), planes, self.threads)
        spread(partial(self._through, inverse), len(self._columns), self.threads)
        spread(partial(self._back, target), planes, self.threads)

    def _there(self, source: Array, k: int, thread: int) -> None:
        at = self._block(k)
        self._execute("planes", thread, source[at], self.hat[at])

    def _through(self, inverse: Array, k: int, thread: int) -> None:
        columns = self._columns[k]
        part, scale = self.hat[:, :, columns], inverse.dtype.type(1 / self.like[0].size)
        self._execute("columns", thread, part, part)
        multiply(part, inverse[:, :, columns], scale)
        self._execute("columns back", thread, part, part)

    def _back(self, target: Array, k: int, thread: int) -> None:
        at = self._block(k)
        self._execute("planes back", thread, self.hat[at], target[at])

    def _block(self, k: int) -> tuple[int, slice]:
        m = len(self.like)
        return k % m, self._layers[k // m]

    @cached_property
    def _layers(self) -> list[slice]:
        return blocks(self.like.shape[1], self.threads)

    @cached_property
    def _columns(self) -> list[slice]:
        ny, step = self.like.shape[2], max(1, CACHED // self.hat[:, :, :1].nbytes)
        return blocks(ny, max(self.threads, -(-ny // step)))

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


def solvers(like: Array, count: int, threads: int, aligned: bool) -> list[Solver]:
    """One for all threads, or one for each of several samples at a time."""
    each = threads if count == 1 else 1
    fast = all(small_primes(n) for n in like.shape[1:])
    if not fast or find_spec("pyfftw") is None:
        return [PocketSolver(each) for _ in range(count)]
    return [FftwSolver(like, each, aligned) for _ in range(count)]


def small_primes(n: int) -> bool:
    """Whether n is a product of primes that FFTW has vector code for."""
    for p in PRIMES:
        while n % p == 0:
            n //= p
    return n == 1
