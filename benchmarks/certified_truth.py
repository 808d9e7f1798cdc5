"""The true error of a solution: against a direct or a far more accurate solve.

The field is compared at the quadrature points with that of the same discretization in
float64, found by a dense factorization where the cell is small and elsewhere by a
Krylov method to a residual of 1e-13, which bounds its own error.
"""

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import torch
from torch import Tensor

import lsml
from lsml.displacement_form import DisplacementForm
from lsml.inputs import RULES
from lsml.physics.reference import ends_of_spectrum
from lsml.stop import RelativeResidual
from lsml.strain_form import StrainForm
from lsml.unroll import unroll

DENSE = 260  # unknowns up to which a cell is factorized
SOUND = 1e-11  # residual above which a factorization has failed
REFINEMENTS = 3


@dataclass(frozen=True)
class Truth:
    """The answer in float64, on the reference medium of a given problem.

    Attributes
    ----------
    form : the problem in float64.
    effort : voxels times iterations that a Krylov method may take.
    exact : residual at which it ends.
    """

    form: StrainForm
    effort: float = 8e5
    exact: float = 1e-13

    @cached_property
    def problem(self) -> DisplacementForm:
        """With the displacement as unknown."""
        return DisplacementForm(self.form)

    @cached_property
    def ends(self) -> tuple[Tensor, Tensor]:
        """Extreme stiffness ratios of the phases to the reference medium."""
        return ends_of_spectrum(self.form)

    @property
    def small(self) -> bool:
        """Whether a factorization can be afforded."""
        return self.form.batch == 1 and self.problem.start().numel() <= DENSE

    @cached_property
    def factorized(self) -> Tensor | None:
        """The unknown; None if the cell is large, or too badly scaled."""
        if not self.small:
            return None
        x = self._factorized()
        found, first = (self._left(at) for at in (x, self.problem.start()))
        return x if bool((found <= SOUND * first).all()) else None

    @cached_property
    def x(self) -> Tensor:
        """The unknown."""
        return self._iterated() if self.factorized is None else self.factorized

    @cached_property
    def field(self) -> Tensor:
        """(b, q, c, *n)."""
        return self.points(self.problem.field(self.x))

    @cached_property
    def error(self) -> Tensor:
        """Bound of its own C⁰-norm error, not relative to anything."""
        return self._left(self.x) / self.ends[0]

    def _left(self, x: Tensor) -> Tensor:
        return self.problem.norm(self.problem.residual(x))

    def points(self, field: Tensor) -> Tensor:
        """Quadrature points apart."""
        return field.unflatten(1, (self.form.points, -1))

    def size(self, at: Tensor, inverse: bool = False) -> Tensor:
        """C⁰ norm of fields (b, q, c, …), or of fluxes by the inverse."""
        matrix = self.form.reference.matrix.real.double()
        matrix = torch.linalg.inv(matrix) if inverse else matrix
        matrix = matrix.repeat_interleave(len(at) // len(matrix), 0).to(at)
        largest = at.abs().flatten(1).amax(1).clamp_min(torch.finfo(torch.float64).tiny)
        flat = at.flatten(3) / largest.reshape(-1, 1, 1, 1)
        work = (flat.conj() * torch.einsum("bcd,bqdn->bqcn", matrix, flat)).real.sum(2)
        return work.flatten(1).mean(1).clamp_min(0).sqrt() * largest

    def energy(self, at: Tensor) -> Tensor:
        """√<e, C e> of a field (b, q, c, *n)."""
        flux = self.form.law.tangent(at.flatten(1, 2), at.flatten(1, 2))
        work = (at.flatten(1, 2).conj() * flux).real.flatten(1).sum(1)
        return (work / (at[0].numel() / at.shape[2])).clamp_min(0).sqrt()

    @cached_property
    def modes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Eigenvalues and vectors of N½ A N½, and N½."""
        x, p = self.problem.start(), self.problem
        unit = torch.eye(x.numel(), dtype=x.dtype)
        n = p.precondition(unit).real.numpy()
        values, vectors = np.linalg.eigh((n + n.T) / 2)
        values = np.where(values > 1e-13 * values.max(), values, 0)
        half = (vectors * np.sqrt(values)) @ vectors.T
        a = p.hessian(x.expand_as(unit), unit).numpy().T
        return *np.linalg.eigh(half @ a @ half), half

    @property
    def threshold(self) -> float:
        """Of eigenvalues: below there are only modes without a field."""
        low, high = (float(end[0]) for end in self.ends)
        return 0.3 * low if low > 0 else 1e-11 * high

    def _factorized(self) -> Tensor:
        x = self.problem.start()
        if x.is_complex():
            return self._least_squares()
        values, vectors, half = self.modes
        kept = values > self.threshold
        basis = half @ vectors[:, kept]
        for _ in range(REFINEMENTS):
            force = self.problem.force(x).numpy().ravel()
            x = x + torch.from_numpy(basis @ ((basis.T @ force) / values[kept]))[None]
        return x

    def _least_squares(self) -> Tensor:
        x, p = self.problem.start(), self.problem
        unit = torch.eye(x.numel(), dtype=x.dtype)
        a = p.hessian(x.expand_as(unit), unit).numpy().T
        n = p.precondition(unit).numpy().T
        inverse = np.linalg.pinv(n @ a, rcond=1e-12)
        for _ in range(REFINEMENTS):
            step = p.precondition(p.force(x)).numpy().ravel()
            x = x + torch.from_numpy(inverse @ step)[None]
        return p.project(x)

    def _iterated(self) -> Tensor:
        rule = RULES["bicgstab" if self.problem.start().is_complex() else "cg"]()
        voxels = self.form.batch * prod(self.form.grid.shape)
        limit = int(min(3000, max(200, self.effort / voxels)))
        with torch.no_grad():
            stop = RelativeResidual(self.exact)
            return unroll(self.problem, rule, stop=stop, max_iter=limit).x


def truth_of(solution: lsml.Solution, exact: float = 1e-13) -> Truth:
    """The exact answer to what was solved."""
    form = solution.form
    return Truth(form if form.double is None else form.double, exact=exact)


def truth_before(problem: StrainForm) -> Truth:
    """The same of a problem that is yet to be solved."""
    return Truth(problem if problem.double is None else problem.double)


def softest(truth: Truth) -> tuple[Tensor, float] | None:
    """Field of the softest mode, of C⁰ norm 1, and its eigenvalue; None if unknown."""
    if not truth.small or truth.problem.start().is_complex():
        return None
    values, vectors, half = truth.modes
    kept = np.flatnonzero(values > truth.threshold)
    if not len(kept):
        return None
    u = torch.from_numpy(half @ vectors[:, kept[0]])[None]
    field = truth.points(truth.problem.increment(u))
    norm = truth.size(field)
    if not bool(norm > 0):
        return None
    return field / norm, float(values[kept[0]])
