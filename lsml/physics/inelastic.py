"""Phases that are not elastic: parameters, and tables of them beside elastic ones.

Power law and Ramberg-Osgood are of the deformation theory of plasticity. J2 is of the
flow theory, step by step as in Moulinec & Suquet (1998, CMAME 157).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from lsml.physics.hardening import Hardening, voce
from lsml.physics.moduli import Modulus, Stiffness, isotropic
from lsml.physics.parameters import (
    at_least_one,
    positive,
    rows,
    share,
    together,
)
from lsml.physics.phases import Phase, listed
from lsml.physics.responses import PowerLaw, RambergOsgood, Response, VonMises

ROUNDING = 1e-6  # of the shear modulus, by which C_11 − C_12 − 2μ may miss zero


@dataclass(frozen=True)
class Inelastic:
    """A phase; made by :func:`j2`, :func:`ramberg_osgood` or :func:`power_law`.

    Attributes
    ----------
    elastic : isotropic stiffness of small strains.
    response : of the von Mises stress.
    parameters : K, 3μ and those of the response, one row or one per sample.
    """

    elastic: Stiffness
    response: Response
    parameters: Float[Tensor, "*b g"]


InelasticPhase: TypeAlias = Phase | Inelastic
InelasticPhases: TypeAlias = (
    Sequence[InelasticPhase] | Sequence[Sequence[InelasticPhase]] | Any
)


def j2(elastic: Stiffness, hardening: Hardening | Modulus) -> Inelastic:
    """Von Mises plasticity with associated flow and isotropic hardening.

    Parameters
    ----------
    elastic : from :func:`lsml.isotropic`.
    hardening : from :func:`lsml.voce`, :func:`lsml.swift` or
        :func:`lsml.hardening_table`; a number is the yield stress of perfect
        plasticity.

    Raises
    ------
    ValueError
        Elasticity that is not isotropic, or parameters out of range.
    """
    if not isinstance(hardening, Hardening):
        hardening = voce(hardening)
    curve, own = hardening
    response = VonMises(curve, own.shape[-1])
    return _phase("j2", elastic, response, list(own.unbind(-1)))


def ramberg_osgood(
    elastic: Stiffness, *, sigma0: Modulus, n: Modulus, alpha: Modulus = 3 / 7
) -> Inelastic:
    """Nonlinear elasticity ε_eq = σ_eq/(3μ) + α (σ0/E) (σ_eq/σ0)^n.

    In uniaxial tension ε = σ/E + α (σ0/E) (σ/σ0)^n (Ramberg & Osgood 1943).

    Raises
    ------
    ValueError
        Elasticity that is not isotropic, σ0 or α not positive, n below 1.
    """
    law = "ramberg_osgood"
    stress, n_, factor = rows(law, {"sigma0": sigma0, "n": n, "alpha": alpha})
    positive(law, "sigma0", stress)
    at_least_one(law, "n", n_)
    positive(law, "alpha", factor)
    bulk, shear = moduli_of(law, elastic)
    young = 3 * bulk * shear / (3 * bulk + shear / 3)
    strain0 = factor * stress / young
    return _phase(law, elastic, RambergOsgood(), [stress, strain0, n_])


def power_law(
    *,
    K: Modulus,  # noqa: N803 (the field's name)
    sigma0: Modulus,
    epsilon0: Modulus,
    m: Modulus,
    cutoff: Modulus = 1e-3,
) -> Inelastic:
    """Nonlinear elasticity σ_eq = σ0 (ε_eq/ε0)^m with an elastic volume.

    At small strains no slope may be infinite: the law is
    σ0 (ε_eq/ε0) ((ε_eq² + δ²)/ε0²)^((m − 1)/2), which is linear below δ and within
    (δ/ε_eq)²/2 of the power law above. m = 1 is linear elasticity with 3μ = σ0/ε0.

    Parameters
    ----------
    K : bulk modulus.
    sigma0, epsilon0 : a point of the curve.
    m : from 0, perfectly plastic and excluded, to 1, linear.
    cutoff : δ/ε0.

    Raises
    ------
    ValueError
        A parameter out of range.
    """
    law = "power_law"
    given = {"K": K, "sigma0": sigma0, "epsilon0": epsilon0, "m": m, "cutoff": cutoff}
    bulk, stress, strain, exponent, ratio = rows(law, given)
    for name, value in zip(given, (bulk, stress, strain), strict=False):
        positive(law, name, value)
    share(law, "m", exponent)
    positive(law, "cutoff", ratio)
    shear = stress / strain * ratio ** (exponent - 1) / 3
    own = [stress, strain, exponent, ratio * strain]
    return _phase(law, isotropic(K=bulk, G=shear), PowerLaw(), own)


def moduli_of(law: str, elastic: object) -> tuple[Tensor, Tensor]:
    """K and 3μ.

    Raises
    ------
    ValueError
        The phase is not isotropic, or a pore.
    """
    if not isinstance(elastic, Stiffness) or elastic.components != 6:
        raise ValueError(
            f"{law} needs a stiffness made by lsml.isotropic, "
            f"got {type(elastic).__name__}"
        )
    c = elastic.matrix()
    normal, lateral, shear = c[..., 0, 0], c[..., 0, 1], c[..., 3, 3]
    same = isotropic(lam=lateral.detach(), mu=shear.detach() / 2).matrix()
    if bool(((same - c.detach()).abs() > ROUNDING * shear.abs().max()).any()):
        raise ValueError(f"{law} needs an isotropic stiffness: see lsml.isotropic")
    positive(law, "the shear modulus", shear)
    return (normal + 2 * lateral) / 3, 1.5 * shear


def _phase(
    law: str, elastic: Stiffness, response: Response, own: list[Tensor]
) -> Inelastic:
    bulk, shear = moduli_of(law, elastic)
    try:
        row = torch.broadcast_tensors(bulk, shear, *own)
    except RuntimeError:
        raise ValueError(
            f"{law}: moduli and parameters are given for different numbers of samples"
        ) from None
    parameters = together(list(row))
    moduli = elastic.moduli.expand(*parameters.shape[:-1], -1)
    return Inelastic(replace(elastic, moduli=moduli), response, parameters)


class Tables(NamedTuple):
    """Phases by label, for each table.

    Attributes
    ----------
    elastic : what an elastic builder takes: stiffness of each phase.
    responses : the different ones that occur.
    codes : 0 where a phase is elastic, k where it answers by the k-th response.
    parameters : of each phase, filled up with zeros.
    """

    elastic: Any
    responses: tuple[Response, ...]
    codes: Integer[Tensor, "t p"]
    parameters: Float[Tensor, "t p g"]


def tables(phases: InelasticPhases) -> Tables | None:
    """Phases taken apart; None if all of them are elastic.

    Raises
    ------
    ValueError
        No phases, or parameters for numbers of samples that do not fit.
    """
    if isinstance(phases, Tensor) or not isinstance(phases, Sequence):
        return None
    lists = listed(phases, "phase")
    found = [p for row in lists for p in row if isinstance(p, Inelastic)]
    if not found:
        return None
    responses = tuple(dict.fromkeys(p.response for p in found))
    width = max(p.parameters.shape[-1] for p in found)
    parts = [_table(row, responses, width) for row in lists]
    elastic = [[_elastic(p) for p in row] for row in lists]
    codes, parameters = (torch.cat(part) for part in zip(*parts, strict=True))
    return Tables(elastic, responses, codes, parameters)


def _elastic(phase: InelasticPhase) -> Phase:
    return phase.elastic if isinstance(phase, Inelastic) else phase


def _table(
    row: list[InelasticPhase], responses: tuple[Response, ...], width: int
) -> tuple[Tensor, Tensor]:
    """Codes and parameters of one list of phases, for its samples."""
    columns, codes = [], []
    for phase in row:
        if not isinstance(phase, Inelastic):
            columns.append(torch.zeros(1, width, dtype=torch.float64))
            codes.append(0)
            continue
        own = phase.parameters.reshape(-1, phase.parameters.shape[-1]).cpu()
        columns.append(torch.nn.functional.pad(own, (0, width - own.shape[-1])))
        codes.append(1 + responses.index(phase.response))
    samples = {len(c) for c in columns} - {1}
    if len(samples) > 1:
        raise ValueError(
            f"phases have parameters for {sorted(samples)} samples: give one value "
            "per sample everywhere, or a single one"
        )
    t = max(samples, default=1)
    parameters = torch.stack([c.expand(t, -1) for c in columns], 1)
    return torch.tensor(codes).expand(t, -1), parameters
