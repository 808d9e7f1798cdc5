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
from lsml.physics.phases import listed, table_of
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
        Solve it by ``"newton"``, large loads in steps by :func:`lsml.load_path`. The
        solution has ``deformation`` F and ``piola`` P, (b, d², *n). Where det F ≤ 0
        comes up, it ends NONFINITE. Tagged *positive*, which holds of stable states
        only.

    Raises
    ------
    ValueError
        One sentence naming the argument, what was given and what was expected.
    """
    if not isinstance(load, Load) or load.names != NAMES[2]:
        raise ValueError("load must be made by lsml.load(deformation=..., piola=...)")
    if discretization not in SCHEMES:
        raise ValueError(
            f"discretization {discretization!r} does not hold whole deformation "
            f"gradients; choose one of {', '.join(SCHEMES)}"
        )
    ndim = {4: 2, 9: 3}[load.field.shape[-1]]
    energies = energies_of(phases)
    read = partial(_at_rest, ndim=ndim)
    physics = Physics(displacement_gradient(ndim), rotating_projectors(ndim), read)
    table = table_of(list(phases), read, "hyperelastic phase")
    options = Options(discretization, spacing, None, reference, dtype, device)
    return Finite(energies)(cell(physics, ndim, labels, table, load, options))


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
    lam, mu = _known(phase).lame.unbind(-1)
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


def energies_of(phases: object) -> tuple[Energy, ...]:
    """The energy of each phase, which is the same in all samples.

    Raises
    ------
    ValueError
        No phases, other ones, or samples that differ in the energy of a phase.
    """
    rows = listed(phases, "hyperelastic phase")
    columns = zip(*([_known(p).energy for p in row] for row in rows), strict=True)
    kinds = [set(column) for column in columns]
    if any(len(kind) > 1 for kind in kinds):
        k = next(k for k, kind in enumerate(kinds) if len(kind) > 1)
        raise ValueError(
            f"phase {k} has another energy in another sample: moduli may differ from "
            "sample to sample, energies may not"
        )
    return tuple(kind.pop() for kind in kinds)


def _known(phase: object) -> HyperelasticPhase:
    if not isinstance(phase, HyperelasticPhase):
        raise ValueError(
            "a hyperelastic phase must be made by lsml.neo_hooke or "
            f"lsml.saint_venant_kirchhoff, got {type(phase).__name__}"
        )
    return phase
