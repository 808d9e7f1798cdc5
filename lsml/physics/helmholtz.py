"""Scalar waves, (∇² + k²) u = −S: light, sound, quantum scattering in 1-D, 2-D, 3-D.

Osnabrugge, Leedumrongwatthanakun & Vellekoop (2016, J. Comput. Phys. 322, 113-124).
The reference medium absorbs, k₀² = Re k₀² + iε, so that its Green function is short,
and an incident wave, which no absorbing medium carries, enters as the source
(k² − k_host²) u_inc of the wave that it makes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi
from typing import ClassVar

import torch
from jaxtyping import Complex, Float, Inexact
from torch import Tensor

from lsml.grid import Grid
from lsml.law import Law, Uniform
from lsml.lippmann_schwinger import LippmannSchwinger
from lsml.numerics import rows_of
from lsml.physics.absorption import Frame, absorption, framed
from lsml.physics.cell import FLOATS, Spacing, edges
from lsml.physics.incident import Waves, as_waves, number
from lsml.typing import Codes, Field, Tags

LEAST = 0.01  # ε over |k²| at least: a Green function needs to end somewhere
AHEAD = 1.2  # ε over Im k² at least: where they are equal, the Born series stands still


def helmholtz(  # noqa: PLR0913 (the public builder)
    index: object,
    wavelength: float,
    incident: object = None,
    spacing: Spacing | None = None,
    *,
    source: object = None,
    host: float = 1.0,
    layers: float | Sequence[float] = 2.0,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> LippmannSchwinger:
    """A scalar wave in a medium of given refractive index, exp(−iωt) understood.

    Parameters
    ----------
    index : n of each voxel, (*n) or a batch (b, *n), in as many dimensions as spacing
        has numbers; k = 2πn/λ. An imaginary part absorbs.
    wavelength : λ where n = 1, in the unit of the spacing.
    incident : wave that is there without the scatterers, in the medium ``host``, such
        as :func:`lsml.plane_wave`; (*n) or (b, *n). The solution is then the scattered
        wave: add the incident one for the whole.
    spacing : voxel edges; 1 by default, and then all axes of the index are space.
    source : S, instead of an incident wave or beside it; (*n) or (b, *n).
    host : index of the medium in which incident waves come and others go.
    layers : thickness of the absorbing layers around the image in wavelengths of the
        host, one for all axes or one for each; 0 leaves an axis periodic. Thin layers
        cost iterations, thick ones voxels.
    dtype : float32 or float64, of real and imaginary parts; float64 by default.
    device : of the whole problem; by default that of the index.

    Returns
    -------
    LippmannSchwinger
        Its solution has ``field``, (b, 1, *n), in the image without the layers.
        ``"born"`` converges whatever the contrast; ``"bicgstab"`` is often faster.

    Raises
    ------
    ValueError
        One sentence naming the argument, what was given and what was expected.
    """
    precision = torch.float64 if dtype is None else dtype
    if precision not in FLOATS:
        raise ValueError(f"dtype {precision} must be torch.float32 or torch.float64")
    waves = as_waves(index, incident, source, spacing, device)
    free = 2 * pi / number("wavelength", wavelength)
    k_host = number("host", host) * free
    grid = Grid(tuple(waves.medium.shape[1:]), edges(spacing, waves.medium.ndim - 1))
    thickness = _thickness(layers, grid, 2 * pi / k_host)
    _check_resolution(waves.medium, grid, free)
    frame = framed(grid, thickness)
    _check_border(waves, frame, k_host / free)
    k2 = frame.extended((free * waves.medium).square())
    if any(thickness):
        depth = min(t for t in thickness if t)
        k2 = k2 + absorption(frame, k_host, depth).to(k2.device)
    drive = waves.source
    if waves.incident is not None:
        contrast = (free * waves.medium).square() - k_host**2
        drive = drive + contrast * waves.incident
    kind = precision.to_complex()
    return scattering(k2.to(kind), frame.surrounded(drive).to(kind), frame)


def scattering(
    k2: Complex[Tensor, "s *e"], source: Complex[Tensor, "t *e"], frame: Frame
) -> LippmannSchwinger:
    """The problem of k² and S in the whole cell, with the smallest disc around k²."""
    batch = max(len(k2), len(source))
    source = source.expand(batch, *source.shape[1:])[:, None]
    k0 = reference_wavenumber(k2.detach())
    symbol = k0.reshape(-1, *[1] * frame.grid.ndim) - laplacian(frame.grid, k2.device)
    green = Propagator(frame.grid, (1 / symbol).to(k2.dtype)[:, None])
    reference = Uniform(k0.to(k2.dtype)[:, None, None])
    law = Wavenumber(k2[:, None])
    return LippmannSchwinger(
        frame.grid, law, reference, green, -green(source), frame.window
    )


def reference_wavenumber(k2: Complex[Tensor, "s *e"]) -> Complex[Tensor, " s"]:
    """K₀²: half-way between the extreme Re k², absorbing more than any contrast."""
    flat = k2.flatten(1).to(torch.complex128)
    middle = (flat.real.amax(1) + flat.real.amin(1)) / 2
    contrast = (flat - middle[:, None]).abs().amax(1)
    least = LEAST * flat.abs().amax(1), AHEAD * flat.imag.amax(1)
    return torch.complex(middle, torch.stack([contrast, *least]).amax(0))


def laplacian(grid: Grid, device: torch.device) -> Float[Tensor, "*e"]:
    """|ξ|², minus the symbol of ∇², Nyquist modes included."""
    square = torch.zeros((), dtype=torch.float64, device=device)
    for n, h in zip(grid.shape, grid.spacing, strict=True):
        xi = 2 * pi * torch.fft.fftfreq(n, h, dtype=torch.float64, device=device)
        square = square[..., None] + xi.square()
    return square


@dataclass(frozen=True)
class Wavenumber(Law):
    """σ = k² u with one number k² for each voxel."""

    k2: Complex[Tensor, "s 1 *e"]
    tags: ClassVar[Tags] = frozenset({"linear", "absorbing", "reciprocal"})

    @property
    def differentiable(self) -> bool:
        """Whether k² does."""
        return self.k2.requires_grad

    def __call__(self, x: Field) -> Field:
        return self._times(x)

    def tangent(self, x: Field, v: Field) -> Field:
        """k² v: the law is linear."""
        return self._times(v)

    def energy(self, x: Field) -> Float[Tensor, "b 1 *n"]:
        """½ Re k² |u|²."""
        return (x.conj() * self._times(x)).real / 2

    def select(self, samples: Codes, batch: int) -> "Wavenumber":
        """Each sample with its medium."""
        return Wavenumber(rows_of(self.k2, samples, batch))

    def _times(self, x: Field) -> Field:
        return self.k2 * x


@dataclass(frozen=True)
class Propagator:
    """Γ = (∇² + k₀²)⁻¹ in a periodic cell, by its multiplier 1/(k₀² − |ξ|²).

    The multiplier is even in ξ, hence Γ its own transpose.
    """

    grid: Grid
    multiplier: Complex[Tensor, "s 1 *e"]

    def __call__(self, flux: Inexact[Tensor, "b 1 *e"]) -> Complex[Tensor, "b 1 *e"]:
        hat = torch.fft.fftn(flux, dim=self.grid.axes)
        field: Tensor = torch.fft.ifftn(self.multiplier * hat, dim=self.grid.axes)
        return field

    def select(self, samples: Codes, batch: int) -> "Propagator":
        """That of each sample."""
        return Propagator(self.grid, rows_of(self.multiplier, samples, batch))


def _thickness(
    layers: float | Sequence[float], grid: Grid, wavelength: float
) -> tuple[float, ...]:
    try:
        given = torch.as_tensor(layers, dtype=torch.float64).expand(grid.ndim).tolist()
    except (TypeError, ValueError, RuntimeError):
        given = [-1.0]
    if not all(0 <= t < float("inf") for t in given):
        raise ValueError(
            f"layers = {layers!r} must be a thickness in wavelengths, 0 or more, or "
            f"{grid.ndim} of them, one for each axis"
        )
    return tuple(t * wavelength for t in given)


def _check_resolution(index: Tensor, grid: Grid, free: float) -> None:
    shortest = 2 * pi / (free * float(index.detach().real.amax()))
    for axis, (n, h) in enumerate(zip(grid.shape, grid.spacing, strict=True)):
        if n > 1 and shortest < 2 * h:
            raise ValueError(
                f"spacing {h:g} along axis {axis} does not resolve waves of length "
                f"{shortest:.3g}, the shortest in this medium: it must be below half"
            )


def _check_border(waves: Waves, frame: Frame, host: float) -> None:
    """No scatterer may go on in a layer, where no incident wave is known."""
    if waves.incident is None:
        return
    for axis, p in enumerate(frame.margins, 1):
        ends = waves.medium.detach().movedim(axis, 0)[[0, -1]]
        if p and bool(((ends - host).abs() > 1e-6 * host).any()):
            raise ValueError(
                f"index differs from host = {host:g} at the border of axis {axis - 1}: "
                "an incident wave needs a layer of host around the scatterers, or "
                "layers=0 along that axis"
            )
