"""Elements between faces that are not periodic: given potentials, or given fluxes.

On Dirichlet faces the fluctuation vanishes in all components, on Neumann faces it is
free. The mean field is what the load says, and held there, so that the flux through
Neumann faces is uniform. These are the kinematic and the static uniform boundary
conditions of Huet (1990, J. Mech. Phys. Solids 38), axis by axis (mixtures: Hazanov &
Huet 1994, ibid. 42): on the same elements the effective tensor with Dirichlet faces is
above, that with Neumann faces below the periodic one.

The medium N⁻¹ is α times the Laplacian of each potential, of which products of sines,
cosines and exponentials are eigenvectors; α is the largest eigenvalue of C⁰, so that
N⁻¹ is not below the reference medium. In conduction it is the reference medium. In
elasticity the mixed derivatives of C⁰, which take sin sin to cos cos, are left out, as
by Risthaus & Schneider (2024, Comput. Mech. 74; see also Gélébart 2020, C. R. Mécanique
348); by Korn's inequality the Laplacian is not far above.

Nyquist policy: that of the periodic elements; the midpoint does not see checkerboards
between free faces.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Inexact
from torch import Tensor

from lsml.discretization import (
    Differential,
    Discretization,
    product_stiffness,
    triangle,
)
from lsml.physics.discretization.axes import AXES, PERIODIC, Axis, Dirichlet, Neumann
from lsml.physics.discretization.multilinear import Multilinear
from lsml.typing import PerSample, Potential


@dataclass(frozen=True)
class Faced(Multilinear):
    """Multilinear elements whose cell ends at faces across some axes.

    Attributes
    ----------
    faces : kind of the faces across each axis, a key of ``AXES``.
    """

    faces: tuple[str, ...] = ()

    @property
    def plain(self) -> Multilinear:
        """The same elements in a periodic cell."""
        return Multilinear(self.grid, self.differential, self.nodes)

    @property
    def lattice(self) -> tuple[int, ...]:
        """Corners with a potential, along each axis."""
        pairs = zip(self._axes, self.grid.shape, strict=True)
        return tuple(axis.places(n) for axis, n in pairs)

    @property
    def moves(self) -> bool:
        """Whether a uniform potential is possible: no face holds it."""
        return all(axis.moves for axis in self._axes)

    @property
    def holds_mean(self) -> bool:
        """Whether potentials may have a gradient on average: on free faces."""
        return "neumann" in self.faces

    def angles(self, device: torch.device) -> list[Float[Tensor, " k"]]:
        """Of sines, of cosines, and of the half spectrum of periodic axes."""
        found = [
            axis.angles(n, device)
            for axis, n in zip(self._axes, self.grid.shape, strict=True)
        ]
        if self._periodic:
            last = self._periodic[-1]
            half = self.grid.shape[last] // 2 + 1
            found[last] = found[last][:half]
        return found

    def corners(self, u: Potential) -> Inexact[Tensor, "b m *all"]:
        """With the zeros on Dirichlet faces, so that n + 1 corners are there."""
        for a, kind in enumerate(self._axes):
            u = u if kind.moves else kind.spread(u, a - self.grid.ndim)
        return u

    def forward(self, drive: Potential) -> Tensor:
        """Spectrum of forces: sines and cosines, then exponentials."""
        for a, kind in self._sided:
            drive = kind.forward(drive, a)
        if not self._periodic:
            return drive
        dims = [a - self.grid.ndim for a in self._periodic]
        hat: Tensor = torch.fft.rfftn(drive, dim=dims)
        return hat

    def backward(self, hat: Tensor) -> Potential:
        """Potentials of a spectrum."""
        if self._periodic:
            dims = [a - self.grid.ndim for a in self._periodic]
            sizes = [self.grid.shape[a] for a in self._periodic]
            hat = torch.fft.irfftn(hat, s=sizes, dim=dims)
        for a, kind in self._sided:
            hat = kind.backward(hat, a)
        return hat

    def equivalence(self, matrix: Float[Tensor, "s c c"]) -> PerSample:
        """Least ratio of C⁰ to N⁻¹ on fluctuations; 1 is the greatest.

        Free faces admit rotations in elasticity, for which there is none.
        """
        low, high = _ends(matrix)
        return low / high * self._korn

    def stiffness(
        self, matrix: Float[Tensor, "s c c"], rows: slice = slice(None)
    ) -> Float[Tensor, "s p *k"]:
        """α times the Laplacian of each potential."""
        d, m = self.grid.ndim, self.differential.potentials
        plain = Differential(d, 1, tuple((i, 0, i, 1.0) for i in range(d)))
        alpha = _ends(matrix)[1][:, None, None]
        unit = alpha * torch.eye(d, dtype=matrix.dtype, device=matrix.device)
        factors = self.factors(matrix.device)
        laplacian = product_stiffness(plain, unit, factors, rows)[:, 0]
        none = torch.zeros_like(laplacian)
        entries = [laplacian if i == j else none for i, j in triangle(m)]
        return torch.stack(entries, 1)

    def symbols(self, device: torch.device) -> list[Complex[Tensor, "m d *k"]]:
        """There are none.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError("fields between faces that are not periodic have no symbol")

    def voxel_symbol(self, device: torch.device) -> Complex[Tensor, "m d *k"]:
        """There is none either.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError("fields between faces that are not periodic have no symbol")

    @property
    def _axes(self) -> list[Axis]:
        return [AXES[name] for name in self.faces]

    @property
    def _periodic(self) -> list[int]:
        return [a for a, kind in enumerate(self._axes) if kind is PERIODIC]

    @property
    def _sided(self) -> list[tuple[int, Dirichlet | Neumann]]:
        """Axes with sines or cosines, counted from the end."""
        kinds = [AXES[name] for name in self.faces]
        return [
            (a - self.grid.ndim, kind)
            for a, kind in enumerate(kinds)
            if isinstance(kind, Dirichlet | Neumann)
        ]

    @property
    def _korn(self) -> float:
        """Least |S∇u|²/|∇u|² on average: over all ∇u, or over waves if none is free.

        Waves, as in a periodic cell, contain what vanishes on faces; the ratio is the
        same for all their directions.
        """
        like = torch.zeros((), dtype=torch.float64)
        s = self.differential.matrix(like)
        among = s.flatten(1) if self.holds_mean else s[:, :, 0]
        return float(torch.linalg.eigvalsh(among.mT @ among)[0].clamp_min(0))

    def _wrap(self, u: Tensor) -> Tensor:
        for a, kind in enumerate(self._axes):
            u = kind.spread(u, a - self.grid.ndim)
        return u

    def _fold(self, v: Tensor) -> Tensor:
        for a, kind in enumerate(self._axes):
            v = kind.gather(v, a - self.grid.ndim)
        return v.contiguous()


def _ends(matrix: Float[Tensor, "s c c"]) -> tuple[PerSample, PerSample]:
    """Extreme eigenvalues."""
    values = torch.linalg.eigvalsh(matrix.double())
    return values[:, 0], values[:, -1]


def with_faces(
    scheme: Discretization, faces: str | Sequence[str], name: str
) -> Discretization:
    """The scheme between faces of these kinds; itself if all are periodic.

    Raises
    ------
    ValueError
        An unknown kind, another number of them than axes, an axis too short, or a
        scheme that is not one of elements.
    """
    d = scheme.grid.ndim
    listed = isinstance(faces, Sequence) and not isinstance(faces, str)
    kinds = tuple(faces) if listed else (str(faces),) * d
    if len(kinds) != d or any(str(kind) not in AXES for kind in kinds):
        raise ValueError(
            f"faces = {faces!r} must be one of {', '.join(AXES)}, or {d} of them, one "
            "for each axis"
        )
    if all(kind == PERIODIC.name for kind in kinds):
        return scheme
    if type(scheme) is not Multilinear:
        raise ValueError(
            f"discretization {name!r} is for periodic cells: with faces {kinds} use "
            "'rotated' or 'hex8'"
        )
    if scheme.grid.pieces > 1:
        raise ValueError(f"a cell in slabs is periodic; it has faces {kinds}")
    for a, kind in enumerate(kinds):
        if scheme.grid.shape[a] < AXES[kind].least:
            raise ValueError(
                f"axis {a} has {scheme.grid.shape[a]} voxel, must have "
                f"{AXES[kind].least} or more between {kind} faces"
            )
    return Faced(scheme.grid, scheme.differential, scheme.nodes, faces=kinds)
