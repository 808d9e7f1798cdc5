"""Hyperelasticity at finite strain: Div P(F) = 0 with F = 1 + H, 3-D or plane strain.

For FFT-based methods Lahellec, Michel, Moulinec & Suquet (2003) and Kabel, Böhlke &
Schneider (2014, Comput. Mech. 54). The field of the problem is the displacement
gradient H = F − 1, so that the reference medium answers a load as at small strain.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.discretization import Differential, Words
from lsml.law import Entry, PhaseLaw
from lsml.physics.cell import Options, Physics, Spacing, cell
from lsml.physics.hyperelastic import (
    Energy,
    Hyperelastic,
    NeoHooke,
    SaintVenantKirchhoff,
)
from lsml.physics.loads import NAMES, Load
from lsml.physics.moduli import Modulus, Stiffness, isotropic
from lsml.physics.phases import table_of
from lsml.strain_form import StrainForm
from lsml.typing import Mean

# What C⁰ sets against rotations, over μ: it has to be definite, and phases at rest
# set nothing against them. It stiffens transverse waves by half of that.
SPIN = 0.2
SCHEMES = ("fourier", "rotated", "hex8", "quad4", "forward", "backward")


@dataclass(frozen=True)
class HyperelasticPhase:
    """An energy and its moduli; made by :func:`neo_hooke` and the like."""

    energy: Energy
    stiffness: Stiffness

    @property
    def lame(self) -> Float[Tensor, "*b 2"]:
        """λ and μ."""
        moduli = self.stiffness.moduli
        return torch.stack([moduli[..., 1], moduli[..., 2] / 2], -1)


def neo_hooke(*, E: Modulus, nu: Modulus) -> HyperelasticPhase:  # noqa: N803
    """W = μ/2 (F:F − d) − μ ln J + λ/2 (ln J)²; moduli of small strain, as numbers.

    Raises
    ------
    ValueError
        As :func:`lsml.isotropic`, or a pore.
    """
    return _phase(NeoHooke(), E, nu)


def saint_venant_kirchhoff(
    *,
    E: Modulus,  # noqa: N803
    nu: Modulus,
) -> HyperelasticPhase:
    """W = λ/2 (tr E)² + μ E:E of Green's strain E; moduli as of :func:`neo_hooke`.

    Raises
    ------
    ValueError
        As :func:`neo_hooke`.
    """
    return _phase(SaintVenantKirchhoff(), E, nu)


def hyperelasticity(  # noqa: PLR0913 (the public builder)
    labels: object,
    phases: Sequence[object],
    load: Load,
    discretization: str = "rotated",
    spacing: Spacing | None = None,
    *,
    reference: HyperelasticPhase | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> StrainForm:
    """Equilibrium of a periodic voxel image at finite strain, in the undeformed cell.

    Parameters
    ----------
    labels : phase of each voxel, integer or bool, (*n) or a batch (b, *n), 2-D (plane
        strain) or 3-D by the load.
    phases : one per label, from :func:`neo_hooke` or :func:`saint_venant_kirchhoff`.
    load : from ``lsml.load(deformation=, piola=)``: mean F and mean P, component by
        component, 11 12 13 21 … or as matrices (3, 3), (2, 2) in 2-D.
    discretization : ``"fourier"``, ``"rotated"``, ``"hex8"`` (= ``"quad4"`` in 2-D),
        ``"forward"``, ``"backward"``.
    spacing : voxel edges, any unit; 1 by default.
    reference : phase whose small-strain moduli are C⁰; None leaves it to the rule.
    dtype : float32 or float64, the default.
    device : of the whole problem; by default that of the labels.

    Returns
    -------
    StrainForm
        Solve it by ``"newton"``, large loads in steps. The solution has ``deformation``
        F and ``piola`` P, (b, d², *n). Where det F ≤ 0 comes up, it ends NONFINITE.
        Tagged *positive*, which holds of stable states only.

    Raises
    ------
    ValueError
        One sentence naming the argument, what was given and what was expected.
    """
    if not isinstance(load, Load) or load.names != NAMES[2]:
        raise ValueError("load must be made by lsml.load(deformation=..., piola=...)")
    if load.field.shape[-1] not in (4, 9):
        raise ValueError(
            f"load has {load.field.shape[-1]} components, must have 9 (3-D) or 4 (2-D)"
        )
    if discretization not in SCHEMES:
        raise ValueError(
            f"discretization {discretization!r} does not hold whole deformation "
            f"gradients; choose one of {', '.join(SCHEMES)}"
        )
    ndim = {4: 2, 9: 3}[load.field.shape[-1]]
    _check_load(load, ndim)
    _check_phases(phases)
    read = partial(_at_rest, ndim=ndim)
    physics = Physics(displacement_gradient(ndim), rotating_projectors(ndim), read)
    table = table_of(list(phases), read, "hyperelastic phase")
    options = Options(discretization, spacing, None, reference, dtype, device)
    unit = torch.eye(ndim).flatten().to(load.field)
    raised = replace(load, field=load.field - unit)
    linear = cell(physics, ndim, labels, table, raised, options)
    known = (p for p in phases if isinstance(p, HyperelasticPhase))  # all of them
    energies = tuple(phase.energy for phase in known)
    return Finite(energies)(linear)


@dataclass(frozen=True)
class Finite:
    """Makes a problem of phases at rest one of finite strain, on any medium."""

    energies: tuple[Energy, ...]

    def __call__(self, linear: StrainForm) -> StrainForm:
        """With the law exchanged."""
        assert isinstance(linear.law, PhaseLaw)
        moduli = linear.law.coefficients
        lame = torch.stack([moduli[..., 1], moduli[..., 2] / (1 + SPIN / 2)], -1)
        rebuild = None if linear.rebuild is None else partial(self.again, linear)
        law = Hyperelastic(linear.law, lame, self.energies)
        return replace(linear, law=law, rebuild=rebuild, double=None)

    def again(self, linear: StrainForm, mean: Mean) -> StrainForm:
        """The same on the medium of another mean."""
        return self(linear.referred(mean))


def displacement_gradient(ndim: int) -> Differential:
    """H_ij = ∂_j u_i, row by row."""
    pairs = [(i, j) for i in range(ndim) for j in range(ndim)]
    terms = tuple((c, i, j, 1.0) for c, (i, j) in enumerate(pairs))
    names = tuple(f"{i + 1}{j + 1}" for i, j in pairs)
    words = Words(
        "displacement gradient",
        "stress",
        "displacement",
        "stiffness",
        names,
        ("H", "P"),
    )
    return Differential(ndim**2, ndim, terms, words)


def rotating_projectors(ndim: int) -> Float[Tensor, "3 c c"]:
    """On spherical, deviatoric and skew matrices, row by row."""
    unit = torch.eye(ndim, dtype=torch.float64)
    every = torch.eye(ndim**2, dtype=torch.float64)
    swapped = every.reshape(ndim, ndim, -1).transpose(0, 1).flatten(0, 1)
    spherical = torch.outer(unit.flatten(), unit.flatten()) / ndim
    return torch.stack(
        [spherical, (every + swapped) / 2 - spherical, (every - swapped) / 2]
    )


def _at_rest(phase: object, ndim: int) -> Stiffness:
    """∂P/∂F at F = 1, with the stiffness against rotations that C⁰ needs."""
    if not isinstance(phase, HyperelasticPhase):
        raise ValueError(
            "a hyperelastic phase must be made by lsml.neo_hooke or "
            f"lsml.saint_venant_kirchhoff, got {type(phase).__name__}"
        )
    lam, mu = phase.lame.unbind(-1)
    moduli = [lam + 2 * mu, lam, (1 + SPIN / 2) * mu, (1 - SPIN / 2) * mu]
    axes, entries = range(ndim), list[Entry]()
    for i in axes:
        for j in axes:
            at, turned = i * ndim + j, j * ndim + i
            entries.append((i * ndim + i, j * ndim + j, 0 if i == j else 1))
            if i != j:
                entries += [(at, at, 2), (at, turned, 3)]
    return Stiffness(torch.stack(moduli, -1), tuple(entries))


def _phase(energy: Energy, young: Modulus, nu: Modulus) -> HyperelasticPhase:
    stiffness = isotropic(E=young, nu=nu)
    if bool((stiffness.moduli[..., 2] == 0).any()):
        raise ValueError(
            "E = 0 makes a pore, whose deformation is unknown: give a soft phase"
        )
    return HyperelasticPhase(energy, stiffness)


def _check_phases(phases: object) -> None:
    if not isinstance(phases, (list, tuple)) or not phases:
        raise ValueError("phases must list one hyperelastic phase per label")


def _check_load(load: Load, ndim: int) -> None:
    """Refuse rotations that are free, and a mean deformation that is none."""
    free = load.field.isnan().unflatten(-1, (ndim, ndim))
    turning = (free & free.mT).reshape(-1, ndim, ndim).any(0).triu(1).nonzero()
    if len(turning):
        i, j = (1 + turning[0]).tolist()
        raise ValueError(
            f"load leaves the rotation in plane {i}{j} free: prescribe the mean "
            f"deformation {i}{j} or {j}{i}"
        )
    whole = load.field.detach()[~load.field.isnan().any(-1)].double()
    volumes = torch.linalg.det(whole.unflatten(-1, (ndim, ndim)))
    if bool((volumes <= 0).any()):
        raise ValueError(
            f"load has a mean deformation of determinant {float(volumes.min()):.3g}, "
            "which must be positive"
        )
