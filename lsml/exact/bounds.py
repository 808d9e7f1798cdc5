"""Bounds of Hashin and Shtrikman, and what holds for any geometry of special phases."""

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.exact.shares import Interval, Values, as64, check_shares, shifted_mean
from lsml.mandel import to_mandel


def cubic_polycrystal_bulk(
    C11: float | Tensor,  # noqa: N803 (the field's name)
    C12: float | Tensor,  # noqa: N803
) -> Tensor:
    """K* = (C11 + 2 C12)/3 of cubic grains, whatever their shapes and orientations.

    Pressure strains every grain alike (Hill 1952, Proc. Phys. Soc. A 65; 3-D).
    """
    return (as64(C11) + 2 * as64(C12)) / 3


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
    c, k, a = as64(effective), as64(bulk), as64(expansion)
    shares = as64(fractions)
    for name, values in (("bulk", k), ("expansion", a)):
        if tuple(values.shape) != (2,):
            raise ValueError(
                f"{name} of shape {tuple(values.shape)} must be (2,): "
                "the theorem is for two phases"
            )
    check_shares(shares, 2)
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
    k, g, shares = as64(bulk), as64(shear), as64(fractions)
    if k.shape != g.shape:
        raise ValueError(
            f"bulk of shape {tuple(k.shape)} and shear of shape {tuple(g.shape)} "
            "must agree"
        )
    check_shares(shares, k.shape[-1])
    extremes = [(k.amin(-1), g.amin(-1)), (k.amax(-1), g.amax(-1))]
    bulks = [shifted_mean(k, 4 * g0 / 3, shares) for _, g0 in extremes]
    zeta = [g0 * (9 * k0 + 8 * g0) / (6 * (k0 + 2 * g0)) for k0, g0 in extremes]
    shears = [shifted_mean(g, z, shares) for z in zeta]
    return Interval(*bulks), Interval(*shears)


def hashin_shtrikman_conductivity(
    conductivities: Values, fractions: Values, ndim: int = 3
) -> Interval:
    """Bounds of κ* of an isotropic mixture of isotropic phases in 2-D or 3-D.

    <1/(κ + (d − 1) κ₀)>⁻¹ − (d − 1) κ₀ at the least and the greatest conductivity κ₀
    (Hashin & Shtrikman 1962, J. Appl. Phys. 33). The lower one is that of spheres
    (cylinders) coated by the worst conductor; for two phases that is Maxwell's.

    Returns
    -------
    Interval
        One cell that is not isotropic need not obey it.
    """
    k, shares = as64(conductivities), as64(fractions)
    check_shares(shares, k.shape[-1])
    ends = (k.amin(-1), k.amax(-1))
    return Interval(*(shifted_mean(k, (ndim - 1) * k0, shares) for k0 in ends))
