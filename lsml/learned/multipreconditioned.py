"""Conjugate gradients with a second, learned preconditioner.

Each step minimizes the energy over the preconditioned residual, the directions that a
proposal makes of the present state, and the last steps' directions: multipreconditioned
conjugate gradients (Bridson & Greif 2006, SIAM J. Matrix Anal. Appl.), truncated as for
preconditioners that change (Golub & Ye 1999; Notay 2000). Whatever is proposed, a step
lowers the energy at least as far as the best of residual and last direction does.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import (
    Any,
    ClassVar,
    NamedTuple,
    Protocol,
    runtime_checkable,
)

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lsml.learned.encodings import (
    Encodings,
    encoded,
    is_elastic,
    phases_of,
    unit,
)
from lsml.numerics import per_sample, root, safe_div
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, arithmetic
from lsml.typing import Field, Mean, PerSample, Tags, Vector

NEW = 64  # units of rounding that must be left of a direction for it to be a new one


@runtime_checkable
class Proposal(Protocol):
    """Makes polarizations of what it sees; a network, or a formula.

    Attributes
    ----------
    directions : how many it makes in a step; each costs a law and two Green operators.
    """

    directions: int

    def prepare(self, moduli: Float[Tensor, "b two *n"]) -> Float[Tensor, "b h *n"]:
        """What it will need of the microstructure, once for all steps."""
        ...

    def __call__(self, prepared: Float[Tensor, "b h *n"], state: Encodings) -> Field:
        """Polarizations over the reference stiffness, (b, directions·c, *n).

        Or, with directions·q·c channels, at the quadrature points.
        """
        ...


class Enlarged(NamedTuple):
    """What a step leaves to the next.

    Attributes
    ----------
    force, step, work : residual, carried by recurrence, and its squared norm.
    directions, images : the last ones, mutually conjugate, and what H makes of them.
    curvature : <direction, image>.
    decrease : of the energy per unit volume in the last step.
    prepared : what the proposal keeps of the microstructure; without axes if the
        problem does not show it.
    reference : eigenvalues of the reference stiffness, see :class:`Phases`.
    """

    force: Vector
    step: Vector
    work: PerSample
    directions: Float[Tensor, "b w *v"]
    images: Float[Tensor, "b w *v"]
    curvature: Float[Tensor, "b w"]
    decrease: PerSample
    prepared: Float[Tensor, "b h *n"]
    reference: Float[Tensor, "b 2"]


class Line(NamedTuple):
    """A direction, its image under H, and their product."""

    d: Vector
    image: Vector
    curvature: PerSample


class Multipreconditioned(nn.Module):
    """Galerkin steps in the space of residual, proposal and remembered directions.

    It converges for every proposal. Problems that do not show their phases, such as
    those with eigenstrain or a prescribed stress, are solved without a proposal: by
    conjugate gradients.

    Parameters
    ----------
    proposal : makes further directions; None for conjugate gradients.
    window : steps whose directions are remembered; one for conjugate gradients.
    passes : steps after which the rule is complete; None for no end.

    Attributes
    ----------
    record : how it was made, in words and numbers that JSON can hold.
    """

    requires: ClassVar[Tags] = frozenset(
        {"linear", "compatible", "symmetric", "positive", "whole"}
    )

    def __init__(
        self,
        proposal: nn.Module | None = None,
        window: int = 1,
        passes: int | None = None,
    ) -> None:
        super().__init__()
        if window < 1:
            raise ValueError(f"window = {window} must be 1 or more")
        if passes is not None and passes < 1:
            raise ValueError(f"passes = {passes} must be 1 or more, or None")
        if proposal is not None and not isinstance(proposal, Proposal):
            raise ValueError(
                f"a proposal needs `directions` and `prepare`; {proposal!r} lacks them"
            )
        self.proposal, self.window, self.passes = proposal, window, passes
        self.record: Mapping[str, Any] = MappingProxyType({})

    @property
    def reference(self) -> Mean:
        """Arithmetic midrange."""
        return arithmetic

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Enlarged]:
        """Look at the microstructure; no direction yet."""
        x = problem.admit(x)
        force = problem.force(x)
        step = problem.precondition(force)
        prepared, reference = self.prepare(problem, step)
        count = self.window * (1 + self._directions(prepared))
        none = step.new_zeros(len(step), count, *step.shape[1:])
        flat = torch.zeros(len(x), count, dtype=torch.float64, device=x.device)
        work = problem.pairing(force, step)
        nothing = torch.zeros_like(work)
        return x, Enlarged(
            force, step, work, none, none, flat, nothing, prepared, reference
        )

    def residual(
        self, problem: Problem, x: Vector, memory: Enlarged, k: int
    ) -> Residual:
        """Carried; equilibrium alone, since x stays admissible."""
        return Residual(memory.force, memory.step, memory.work)

    def step(
        self, problem: Problem, it: Iterate, memory: Enlarged
    ) -> tuple[Vector, Enlarged]:
        """One line search after the other, along conjugate directions."""
        x, force, decrease = it.x, memory.force, torch.zeros_like(memory.work)
        held = (memory.directions, memory.images, memory.curvature)
        lines = [Line(*line) for line in zip(*(t.unbind(1) for t in held), strict=True)]
        for d in (memory.step, *self._proposed(problem, it.x, memory)):
            line = conjugate(problem, d, problem.hessian(it.x, d), lines)
            slope = problem.pairing(force, line.d)
            length = safe_div(slope, line.curvature)
            x = x + per_sample(length, x) * line.d
            force = force - per_sample(length, force) * line.image
            decrease = decrease + 0.5 * length * slope
            lines.append(line)
        kept = lines[-memory.curvature.shape[1] :]
        directions, images, flat = (torch.stack(t, 1) for t in zip(*kept, strict=True))
        step = problem.precondition(force)
        return x, memory._replace(
            force=force,
            step=step,
            work=problem.pairing(force, step),
            directions=directions,
            images=images,
            curvature=flat,
            decrease=decrease,
        )

    def prepare(
        self, problem: Problem, step: Vector
    ) -> tuple[Float[Tensor, "b h *n"], Float[Tensor, "b 2"]]:
        """What the proposal wants to know of the phases, and the reference moduli.

        Without axes if the problem does not show its phases.
        """
        specimen = problem.specimen()
        if self.proposal is None or not is_elastic(specimen):
            return step.new_zeros(len(step), 1), step.new_zeros(len(step), 2)
        phases = phases_of(specimen, self.reference)
        prepared = self.proposal.prepare(phases.relative.to(step.dtype))
        return prepared, phases.reference.to(step.dtype)

    def _directions(self, prepared: Tensor) -> int:
        """How many are proposed."""
        if self.proposal is None or prepared.ndim == 2:
            return 0
        return self.proposal.directions

    def encodings(self, problem: Problem, x: Vector, memory: Enlarged) -> Encodings:
        """What the proposal sees of iterate x."""
        residual = Residual(memory.force, memory.step, memory.work)
        return encoded(problem, x, residual, memory.reference)

    def _proposed(self, problem: Problem, x: Vector, memory: Enlarged) -> list[Vector]:
        """Compatible directions that belong to the polarizations of the proposal."""
        count = self._directions(memory.prepared)
        if not count or self.proposal is None:
            return []
        state = self.encodings(problem, x, memory)
        polarizations = self.proposal(memory.prepared, state).chunk(count, 1)
        return [compatible(problem, p).to(memory.step.dtype) for p in polarizations]


def compatible(problem: Problem, polarization: Field) -> Vector:
    """Γ C⁰ of a field per voxel or point, in the size of the load; 0 if not finite.

    It is entered together with the background, which stays what it is: for a problem
    whose unknown is measured from there.
    """
    start = problem.start()
    rest = problem.field(start)
    if polarization.shape[1] < rest.shape[1]:
        rest = problem.voxel_field(start)
    finite = polarization.flatten(1).isfinite().all(1)
    good = torch.where(per_sample(finite, polarization), polarization, 0.0)
    size = root(rest.flatten(1).square().mean(1, dtype=torch.float64))
    field = rest + per_sample(size, rest) * unit(good)
    return problem.project(problem.enter(field) - start)


def conjugate(problem: Problem, d: Vector, image: Vector, lines: list[Line]) -> Line:
    """What a direction has that lines do not: no work of it on their images.

    Nothing at all if only rounding is left.
    """
    whole = problem.pairing(image, d)
    for line in lines:
        share = safe_div(problem.pairing(line.image, d), line.curvature)
        d = d - per_sample(share, d) * line.d
        image = image - per_sample(share, image) * line.image
    curvature = problem.pairing(image, d)
    new = curvature > NEW * torch.finfo(d.dtype).eps * whole
    d = torch.where(per_sample(new, d), d, 0.0)
    image = torch.where(per_sample(new, image), image, 0.0)
    return Line(d, image, torch.where(new, curvature, 0.0))
