"""The linear localization kernel (Landi, Niezgoda & Kalidindi 2010, Acta Mater.).

    ε(x)/ε̄ = Σ_h Σ_t α^h(t) m^h(x − t)

The first term of the series in contrast; the influence coefficients α are fitted
frequency by frequency, where the convolution is a product (Fast, Niezgoda & Kalidindi
2011, Acta Mater.).
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Complex, Float, Integer
from torch import Tensor

from lsml.learned.rule import LearnedRule, indicators, single
from lsml.learned.sample import Sample
from lsml.typing import Field, Memory

RIDGE = 1e-9  # of the mean spectrum, for frequencies that the data do not have


class Linear(NamedTuple):
    """Amplitude of the load, indicators, and the field: y_R before the pass."""

    amplitude: Float[Tensor, "b one"]
    phases: Float[Tensor, "b h *n"]
    field: Float[Tensor, "b o *n"]


class MKS(LearnedRule):
    """One pass: a convolution of the phase indicators.

    Parameters
    ----------
    shape : voxels of the kernel along each axis; on larger grids it is continued by
        zeros, on smaller ones its far end is cut off.
    phases, components, load : as for :class:`RLN`.
    """

    passes = 1

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        phases: int = 2,
        components: tuple[int, ...] = (0,),
        load: int = 0,
    ) -> None:
        super().__init__()
        self.parts = len(Linear._fields)
        self.shape, self.phases = tuple(shape), phases
        self.components, self.load = tuple(components), load
        kernel = torch.zeros(len(self.components), phases, *self.shape)
        self.register_buffer("kernel", kernel)
        self.kernel: Tensor

    def fit(self, samples: Iterable[Sample]) -> "MKS":
        """Least squares over all voxels of samples of the kernel's shape, in one pass.

        Indicators sum to one, so that one phase is redundant at every frequency but
        the mean; the ridge shares its part among the phases.

        Raises
        ------
        ValueError
            No samples, or some of another shape or with other components.
        """
        axes = tuple(range(-len(self.shape), 0))
        square, cross = None, None
        for sample in samples:
            self._check(sample)
            m = self._indicators(sample.labels[None]).double()
            hat = torch.fft.rfftn(m, dim=axes)[0]
            y = torch.fft.rfftn(sample.strain.double(), dim=axes)
            s = torch.einsum("h...,g...->hg...", hat.conj(), hat)
            c = torch.einsum("h...,o...->ho...", hat.conj(), y)
            square = s if square is None else square + s
            cross = c if cross is None else cross + c
        if square is None or cross is None:
            raise ValueError("MKS.fit got no samples")
        kernel = torch.fft.irfftn(solve(square, cross), s=self.shape, dim=axes)
        self.kernel.copy_(settled(kernel))
        return self

    def amplitudes(self, mean: Float[Tensor, "b c"]) -> Float[Tensor, "b l"]:
        """The mean strain along ``load``, which must be all there is."""
        return single(mean, self.load, type(self).__name__)

    def begin(
        self,
        labels: Integer[Tensor, "b *n"],
        amplitudes: Float[Tensor, "b l"],
        field: Field | None = None,
    ) -> Linear:
        """Indicators and the uniform field, from wherever it starts."""
        if len(self.shape) != labels.ndim - 1:
            raise ValueError(
                f"the MKS was made for {len(self.shape)} axes; this microstructure has "
                f"{labels.ndim - 1}"
            )
        phases = self._indicators(labels)
        uniform = phases.new_tensor([float(c == self.load) for c in self.components])
        start = uniform.reshape(1, -1, *[1] * (labels.ndim - 1))
        start = start.expand(len(labels), -1, *labels.shape[1:])
        return Linear(amplitudes.to(phases.dtype), phases, start)

    def advance(self, memory: Memory, k: int) -> Linear:
        """The convolution, its mean replaced by that of the load."""
        past = Linear(*memory)
        grid = past.phases.shape[2:]
        axes = tuple(range(-len(grid), 0))
        kernel = torch.fft.rfftn(resized(self.kernel, grid), dim=axes)
        hat = torch.fft.rfftn(past.phases, dim=axes)
        product = torch.einsum("oh...,bh...->bo...", kernel, hat)
        field = torch.fft.irfftn(product, s=grid, dim=axes)
        mean = field.mean(axes, keepdim=True)
        return past._replace(field=field - mean + past.field.mean(axes, keepdim=True))

    def output(self, memory: Memory) -> Field:
        """In strain units."""
        past = Linear(*memory)
        return past.field * past.amplitude.reshape(-1, *[1] * (past.field.ndim - 1))

    def _check(self, sample: Sample) -> None:
        wanted = (len(self.components), *self.shape)
        if tuple(sample.strain.shape) != wanted:
            raise ValueError(
                f"a sample with strain of shape {tuple(sample.strain.shape)} cannot be "
                f"fitted by an MKS of {wanted}: components, then voxels"
            )

    def _indicators(self, labels: Tensor) -> Tensor:
        return indicators(labels, self.phases).to(self.kernel.dtype)


def solve(
    square: Complex[Tensor, "h g *k"], cross: Complex[Tensor, "h o *k"]
) -> Complex[Tensor, "o h *k"]:
    """Coefficients of each frequency from the normal equations."""
    h = square.shape[0]
    a, b = square.movedim((0, 1), (-2, -1)), cross.movedim((0, 1), (-2, -1))
    level = a.diagonal(dim1=-2, dim2=-1).real.mean()
    eye = torch.eye(h, dtype=a.dtype, device=a.device)
    return torch.linalg.solve(a + RIDGE * level * eye, b).movedim((-1, -2), (0, 1))


def settled(kernel: Float[Tensor, "o h *k"]) -> Float[Tensor, "o h *k"]:
    """The kernel less what it is far from its origin, on average.

    A constant is not in the data, whose mean is that of the load, and does not show on
    the grid of the data; on a larger one the kernel would end in a step.
    """
    far = torch.zeros(kernel.shape[2:], dtype=torch.bool, device=kernel.device)
    for axis, n in enumerate(far.shape):
        if n > 1:
            far.movedim(axis, 0)[[n // 2, (n + 1) // 2]] = True
    if not bool(far.any()):
        return kernel
    return kernel - kernel[..., far].mean(-1)[(..., *[None] * far.ndim)]


def resized(
    kernel: Float[Tensor, "o h *k"], grid: tuple[int, ...]
) -> Float[Tensor, "o h *n"]:
    """The kernel on another grid, its origin in the first voxel as before."""
    for axis, n in enumerate(grid, 2):
        k = kernel.shape[axis]
        least = min(k, n)
        near, far = (least + 1) // 2, least // 2
        parts = [kernel.narrow(axis, 0, near), kernel.narrow(axis, k - far, far)]
        if n > k:
            gap = list(kernel.shape)
            gap[axis] = n - k
            parts.insert(1, kernel.new_zeros(gap))
        kernel = torch.cat(parts, axis)
    return kernel
