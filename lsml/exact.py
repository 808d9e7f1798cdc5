"""Closed forms that effective properties of elasticity obey, for any microstructure.

Milton (2002, The Theory of Composites) has them all; each function names its source.
Phases are given as to :func:`lsml.elasticity`; matrices are Mandel and float64, and
``t`` is the number of tables of phases: 1, or one per sample.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lsml.mandel import PAIRS, to_mandel
from lsml.physics.labels import as_labels
from lsml.physics.moduli import Stiffness
from lsml.physics.phases import Phases, phase_table

Values = Tensor | np.ndarray | Sequence[float] | Sequence[Sequence[float]]


class Interval(NamedTuple):
    """Lower and upper bound of a modulus, in its unit."""

    lower: Tensor
    upper: Tensor


def volume_fractions(
    labels: object, phases: int, ndim: int | None = None
) -> Float[Tensor, "b p"]:
    """Share of the voxels that each of ``phases`` labels takes.

    Parameters
    ----------
    labels : image (*n) or batch (b, *n), as in :func:`lsml.elasticity`.
    ndim : spatial axes; None reads three axes as one 3-D image.
    """
    image = as_labels(labels, ndim, None).flatten(1)
    inside = [(image == h).double().mean(1) for h in range(phases)]
    return torch.stack(inside, 1)


def voigt(phases: Phases, fractions: Values, ndim: int = 3) -> Float[Tensor, "t c c"]:
    """Arithmetic mean <C>, the stiffness at uniform strain (Voigt 1889).

    An upper bound of C* as a quadratic form (Hill 1952).
    """
    table, shares = _mixture(phases, fractions, ndim)
    return _mean(table, shares)


def reuss(phases: Phases, fractions: Values, ndim: int = 3) -> Float[Tensor, "t c c"]:
    """Harmonic mean <C⁻¹>⁻¹, the stiffness at uniform stress (Reuss 1929).

    A lower bound of C* as a quadratic form (Hill 1952).
    """
    table, shares = _mixture(phases, fractions, ndim)
    return torch.linalg.inv(_mean(_inverse(table), shares))


def laminate(
    phases: Phases, fractions: Values, ndim: int = 3
) -> Float[Tensor, "t c c"]:
    """Stiffness of layers stacked along the first axis, in any order and thickness.

    With C in blocks for the components that the layers share as stress (11, 13, 12)
    and as strain (22, 33, 23), C = [[P, R], [Rᵀ, Q]]: P* = <P⁻¹>⁻¹, R* = P* <P⁻¹R>,
    Q* = <Q − Rᵀ P⁻¹ R> + <RᵀP⁻¹> P* <P⁻¹R> (Backus 1962; Milton 2002, section 9.2).
    In 2-D the phases are reduced to plane strain and the blocks are (11, 12) and 22.
    """
    table, shares = _mixture(phases, fractions, ndim)
    stress = [c for c, pair in enumerate(PAIRS[ndim]) if 0 in pair]
    strain = [c for c, pair in enumerate(PAIRS[ndim]) if 0 not in pair]
    blocks = table[..., stress + strain, :][..., stress + strain]
    k = len(stress)
    p, r, q = blocks[..., :k, :k], blocks[..., :k, k:], blocks[..., k:, k:]
    soft = _inverse(p) @ r
    across = torch.linalg.inv(_mean(_inverse(p), shares))
    mixed = across @ _mean(soft, shares)
    along = _mean(q - r.mT @ soft, shares) + _mean(soft, shares).mT @ mixed
    layered = torch.cat(
        [torch.cat([across, mixed], -1), torch.cat([mixed.mT, along], -1)], -2
    )
    back = torch.tensor(stress + strain).argsort()
    return layered[..., back, :][..., back]


def hill(bulk: Values, shear: float, fractions: Values) -> Tensor:
    """Bulk modulus K* of isotropic phases that share one shear modulus μ.

    1/(K* + 4μ/3) = <1/(K + 4μ/3)> and μ* = μ in any geometry (Hill 1963, J. Mech.
    Phys. Solids 11). Plane strain included, where λ* + 2μ = K* + 4μ/3.
    """
    k, shares = _as64(bulk), _as64(fractions)
    _check_shares(shares, k.shape[-1])
    return _shifted_mean(k, 4 * shear / 3, shares)


def cubic_polycrystal_bulk(
    C11: float | Tensor,  # noqa: N803 (the field's name)
    C12: float | Tensor,  # noqa: N803
) -> Tensor:
    """K* = (C11 + 2 C12)/3 of cubic grains, whatever their shapes and orientations.

    Pressure strains every grain alike (Hill 1952, Proc. Phys. Soc. A 65; 3-D).
    """
    return (_as64(C11) + 2 * _as64(C12)) / 3


def levin_thermal_expansion(
    effective: object, bulk: Values, expansion: Values, fractions: Values
) -> Float[Tensor, "b 6"]:
    """Thermal expansion α* of two isotropic phases from their effective stiffness.

    α* = <α> I + (α₂ − α₁)/(1/K₂ − 1/K₁) · (3 C*⁻¹ : I − <1/K> I) in any geometry
    (Levin 1967, Mech. Solids 2; Rosen & Hashin 1970, Int. J. Eng. Sci. 8).

    Parameters
    ----------
    effective : C*, (b, 6, 6) or (6, 6) Mandel, such as :func:`lsml.homogenize` gives.
    bulk : 3-D bulk moduli (K₁, K₂), the unit of C*.
    expansion : stress-free strain of each phase, α₁ I and α₂ I.
    fractions : volume fractions of the phases, (2,) or (b, 2).

    Raises
    ------
    ValueError
        Another number of phases than two, or K₁ = K₂, which leaves α* open.
    """
    c, k, a = _as64(effective), _as64(bulk), _as64(expansion)
    shares = _as64(fractions)
    for name, values in (("bulk", k), ("expansion", a)):
        if tuple(values.shape) != (2,):
            raise ValueError(
                f"{name} of shape {tuple(values.shape)} must be (2,): "
                "the theorem is for two phases"
            )
    _check_shares(shares, 2)
    if float(k[0]) == float(k[1]):
        raise ValueError(f"bulk moduli are both {float(k[0])} and must differ")
    unit = to_mandel(torch.eye(3, dtype=torch.float64, device=c.device))
    c = c if c.ndim == 3 else c[None]
    shares = shares.expand(len(c), 2)
    answer = 3 * torch.linalg.solve(c, unit.expand(len(c), 6))
    excess = answer - (shares / k).sum(1, keepdim=True) * unit
    slope = (a[1] - a[0]) / (1 / k[1] - 1 / k[0])
    return (shares * a).sum(1, keepdim=True) * unit + slope * excess


def hashin_shtrikman(
    bulk: Values, shear: Values, fractions: Values
) -> tuple[Interval, Interval]:
    """Bounds of K* and μ* of an isotropic mixture of isotropic phases in 3-D.

    K(μ₀) = <1/(K + 4μ₀/3)>⁻¹ − 4μ₀/3 and μ(ζ₀) = <1/(μ + ζ₀)>⁻¹ − ζ₀ with
    ζ₀ = μ₀(9K₀ + 8μ₀)/(6(K₀ + 2μ₀)) at the least and the greatest moduli (Hashin &
    Shtrikman 1963, J. Mech. Phys. Solids 11; for phases of which the stiffer in bulk
    is the softer in shear: Walpole 1966, the same journal 14).

    Returns
    -------
    tuple of Interval
        For K* and for μ*. One cell that is not isotropic need not obey them.
    """
    k, g, shares = _as64(bulk), _as64(shear), _as64(fractions)
    if k.shape != g.shape:
        raise ValueError(
            f"bulk of shape {tuple(k.shape)} and shear of shape {tuple(g.shape)} "
            "must agree"
        )
    _check_shares(shares, k.shape[-1])
    extremes = [(k.amin(-1), g.amin(-1)), (k.amax(-1), g.amax(-1))]
    bulks = [_shifted_mean(k, 4 * g0 / 3, shares) for _, g0 in extremes]
    zeta = [g0 * (9 * k0 + 8 * g0) / (6 * (k0 + 2 * g0)) for k0, g0 in extremes]
    shears = [_shifted_mean(g, z, shares) for z in zeta]
    return Interval(*bulks), Interval(*shears)


def _shifted_mean(values: Tensor, shift: Tensor | float, shares: Tensor) -> Tensor:
    """<1/(values + shift)>⁻¹ − shift over the phases, the last axis."""
    moved = torch.as_tensor(shift, dtype=torch.float64)
    return 1 / (shares / (values + moved[..., None])).sum(-1) - moved


def _mixture(phases: Phases, fractions: Values, ndim: int) -> tuple[Tensor, Tensor]:
    """Stiffness of each phase (t, p, c, c), and fractions (t, p)."""
    table = Stiffness(*phase_table(phases, ndim)).matrix().double()
    shares = _as64(fractions)
    _check_shares(shares, table.shape[1])
    return table, shares if shares.ndim == 2 else shares[None]


def _inverse(stiffness: Tensor) -> Tensor:
    if bool((stiffness == 0).flatten(-2).all(-1).any()):
        raise ValueError("phases: one has zero stiffness, and so has their mixture")
    return torch.linalg.inv(stiffness)


def _mean(values: Float[Tensor, "t p k l"], shares: Tensor) -> Tensor:
    return (shares[..., None, None] * values).sum(1)


def _check_shares(shares: Tensor, phases: int) -> None:
    if shares.ndim not in (1, 2) or shares.shape[-1] != phases:
        raise ValueError(
            f"fractions of shape {tuple(shares.shape)} must have one entry for each "
            f"of the {phases} phases, ({phases},) or (t, {phases})"
        )
    if bool((shares < 0).any()) or bool(((shares.sum(-1) - 1).abs() > 1e-9).any()):
        raise ValueError(
            f"fractions {shares.tolist()} must be 0 or more and sum up to 1"
        )


def _as64(values: object) -> Tensor:
    if isinstance(values, Tensor):
        return values.double()
    return torch.from_numpy(np.asarray(values, dtype=np.float64))
