"""What a solve returns: fields, averages and certificates, per sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Inexact
from torch import Tensor

from lsml.convergence_error import ConvergenceError as ConvergenceError
from lsml.displacement_form import DisplacementForm
from lsml.error_bound import error_bound
from lsml.io.asked import Provenance
from lsml.problem import Problem
from lsml.state import SolveState, Status
from lsml.statistics import PhaseStatistics, phase_statistics
from lsml.strain_form import StrainForm
from lsml.typing import Codes, Field, Mask, PerSample

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Solution:
    """Fields of b samples; voxel fields are (b, c, *n) in Mandel order.

    Attributes
    ----------
    problem : what was solved, on the reference medium it was solved with.
    state : last iterate and how it ended.
    quadrature : keep the quadrature points q of `strain` and `stress`, (b, q, c, *n),
        instead of their average over the voxel.
    iterates : strain of every iterate (b, k, c, *n) if it was recorded, else None.
    timings : seconds: set-up, solve, and per iteration.
    rule : name of the rule that took the steps.
    engine : kernels it ran on: ``"eager"``, ``"native"`` or ``"compiled"``.
    tracked : whether fields and averages carry a graph to moduli and load.
    predicted : a learned rule's own output (b, channels, *n), in strain units; `strain`
        is the compatible field that belongs to it. None for other rules.
    provenance : what the solve was asked for; None if it was put together otherwise.
    """

    problem: Problem
    state: SolveState
    quadrature: bool = False
    iterates: Float[Tensor, "b k *v"] | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    rule: str = ""
    engine: str = "eager"
    tracked: bool = False
    predicted: Float[Tensor, "b o *n"] | None = None
    provenance: Provenance | None = None

    @property
    def status(self) -> Codes:
        """How each sample ended, as codes of :class:`lsml.Status`."""
        return self.state.status

    @property
    def iterations(self) -> Codes:
        """Steps taken by each sample."""
        return self.state.iterations

    @property
    def converged(self) -> Mask:
        """Which samples met the tolerance."""
        return self.state.converged

    @property
    def error(self) -> PerSample:
        """Certified residual in the C⁰ norm, relative to that at x = x̄."""
        return self.state.error

    @property
    def history(self) -> Float[Tensor, "b k"]:
        """Relative residual of every iterate, the start first."""
        return self.state.history.T

    @cached_property
    def strain(self) -> Inexact[Tensor, "b *v"]:
        """ε per voxel (average over its quadrature points)."""
        with torch.set_grad_enabled(self.tracked):
            if self.quadrature:
                return self._points(self._field)
            return self.problem.voxel_field(self.state.x)

    @cached_property
    def stress(self) -> Inexact[Tensor, "b *v"]:
        """σ per voxel, in the unit of the moduli."""
        with torch.set_grad_enabled(self.tracked):
            if self.quadrature:
                return self._points(self._flux)
            return self.problem.voxel_flux(self.state.x)

    @property
    def mean_strain(self) -> Inexact[Tensor, "b c"]:
        """Volume average of ε."""
        with torch.set_grad_enabled(self.tracked):
            return self.problem.average(self.problem.voxel_field(self.state.x))

    @property
    def mean_stress(self) -> Inexact[Tensor, "b c"]:
        """Volume average of σ: the homogenized answer to the load."""
        with torch.set_grad_enabled(self.tracked):
            return self.problem.mean_flux(self.state.x)

    @property
    def energy(self) -> PerSample:
        """Energy per unit volume, ½<(ε − ε*) : C (ε − ε*)> of linear phases.

        Of others the potential of the stress, which includes the plastic work of a
        load step.
        """
        with torch.set_grad_enabled(self.tracked):
            density = self.form.law.energy(self._field)
        return self.problem.pooled(density.flatten(1).mean(1, dtype=torch.float64))

    @property
    def internal(self) -> Mapping[str, Inexact[Tensor, "b *v"]]:
        """Internal variables at the end of a step, averaged over each voxel, by name.

        ``plastic_strain`` (b, k, *n) in Mandel order, with 33 also in plane strain, and
        ``accumulated_plastic_strain`` (b, *n); nothing of laws that remember nothing.
        """
        with torch.set_grad_enabled(self.tracked):
            after = self.form.law.after(self._field).internal()
        return {name: values.mean(1) for name, values in after.items()}

    @cached_property
    def displacement(self) -> Inexact[Tensor, "b d *n"]:
        """Periodic part of the displacement; add mean_strain · position for the whole.

        At the first corner of each voxel, at its centre for `fourier`, component i in
        the middle of its first face along i for `staggered`; zero mean. Along an axis
        that is not periodic, at all n + 1 corners.
        """
        form = DisplacementForm(self.form)
        with torch.set_grad_enabled(self.tracked):
            if self.form.exact:
                u = form.displacement(self._field)
            else:
                u = form.split(form.project(self.state.x))[0]
            return self.form.discretization.corners(u)

    @property
    def field(self) -> Inexact[Tensor, "b *v"]:
        """What `strain` is called in general, such as the wave of `helmholtz`."""
        return self.strain

    @property
    def gradient(self) -> Inexact[Tensor, "b *v"]:
        """What `strain` is called in conduction."""
        return self.strain

    @property
    def flux(self) -> Inexact[Tensor, "b *v"]:
        """What `stress` is called in conduction: κ · gradient."""
        return self.stress

    @property
    def potential(self) -> Inexact[Tensor, "b m *n"]:
        """What `displacement` is called in conduction."""
        return self.displacement

    @cached_property
    def deformation(self) -> Inexact[Tensor, "b *v"]:
        """F = 1 + H at finite strain, row by row, where `strain` is H.

        Raises
        ------
        AttributeError
            The field is no displacement gradient.
        """
        words = self.form.discretization.differential.words
        if words.field != "displacement gradient":
            raise AttributeError(f"a {words.field} makes no deformation gradient")
        d, field = self.form.grid.ndim, self.strain
        unit = torch.eye(d).flatten().to(field)
        return field + unit.reshape(-1, *[1] * d)

    @property
    def piola(self) -> Inexact[Tensor, "b *v"]:
        """What `stress` is at finite strain: force per undeformed area."""
        return self.stress

    @property
    def mean_gradient(self) -> Inexact[Tensor, "b c"]:
        """Volume average of the gradient."""
        return self.mean_strain

    @property
    def mean_flux(self) -> Inexact[Tensor, "b c"]:
        """Volume average of the flux: the homogenized answer to the load."""
        return self.mean_stress

    @cached_property
    def error_bound(self) -> PerSample:
        """Bound of the C⁰-norm error of the strain, over that of the mean strain.

        error · λ_max/λ_min with the extreme stiffness ratios of the phases to C⁰, or
        with what eigenstrain and stress load make of λ_max where that is more, unless
        the energy of the error was bounded; infinite with pores and nonlinear laws.
        """
        return error_bound(self.form, self.state, self.mean_strain.detach())

    def per_phase(self) -> PhaseStatistics:
        """Volume fraction, moments of strain and stress, and energy of each phase.

        Raises
        ------
        ValueError
            Points that belong to several phases, as with ``staggered``.
        """
        form = self.form
        words, points = form.discretization.differential.words, self.problem.points
        with torch.set_grad_enabled(self.tracked):
            return phase_statistics(form.law, words, points, self._field, self._flux)

    @property
    def form(self) -> StrainForm:
        """The problem with the strain as unknown: law, reference, load, grid."""
        if not isinstance(self.problem, StrainForm | DisplacementForm):
            raise AttributeError(f"{type(self.problem).__name__} has no strain")
        return self.problem.strain

    @cached_property
    def _field(self) -> Field:
        with torch.set_grad_enabled(self.tracked):
            return self.problem.field(self.state.x)

    @cached_property
    def _flux(self) -> Field:
        with torch.set_grad_enabled(self.tracked):
            return self.problem.flux(self.state.x)

    def _points(self, at: Field) -> Inexact[Tensor, "b q k *n"]:
        return at.unflatten(1, (self.problem.points, -1))

    def check(self) -> "Solution":
        """Return self, or raise :class:`ConvergenceError` if a sample failed."""
        if any(Status(code).failed for code in self.status.tolist()):
            raise ConvergenceError(self)
        return self

    def save(self, path: str | Path) -> Path:
        """Write it in the format of the extension, see :mod:`lsml.saving`.

        Raises
        ------
        ValueError, OSError
            Another extension, or the file cannot be written; what was is untouched.
        """
        from lsml.saving import save

        return save(self, path)

    def to_vtk(self, path: str | Path, sample: int = 0) -> Path:
        """Write labels and fields of one sample to a `.vti` that ParaView opens."""
        from lsml.io.vtk import write_vti

        return write_vti(self, path, sample)

    def plot(
        self,
        path: str | Path | None = None,
        sample: int = 0,
        field: str | None = None,
        at: Sequence[int] | None = None,
    ) -> "Figure":
        """Labels, ε_11, σ_11 and convergence of one sample; saved if path is given.

        With ``field``, such as ``"stress"``, ``"stress_12"`` or ``"mises"``, planes of
        it through the voxel ``at``; see :func:`lsml.plot.one_field.plot_field`.
        """
        from lsml.plot.solution import plot_solution

        return plot_solution(self, path, sample, field, at)

    def _repr_html_(self) -> str:
        """What notebooks show: a table of the samples, and the first one's picture."""
        from lsml.rich_repr import solution_html

        return solution_html(self)

    def __repr__(self) -> str:
        """Shape, how the samples ended, and the worst certified error."""
        ended = {
            Status(int(code)).name: int((self.status == code).sum())
            for code in self.status.unique()
        }
        shape = tuple(self.strain.shape[3 if self.quadrature else 2 :])
        return (
            f"Solution({len(self.status)} × {shape}, {ended}, "
            f"iterations ≤ {int(self.iterations.max())}, "
            f"error ≤ {float(self.error.max()):.1e})"
        )
