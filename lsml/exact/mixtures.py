"""Uniform strain, uniform stress, layers: mixtures whose stiffness is algebra.

Milton (2002, The Theory of Composites) has them all; each function names its source.
Phases are given as to :func:`lsml.elasticity` or :func:`lsml.conductivity`; matrices
are float64, and ``t`` is the number of tables of phases: 1, or one per sample.
"""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.exact.shares import Values, as64, check_shares, shifted_mean
from lsml.mandel import PAIRS
from lsml.physics.conductivity import Conductivities, tensor
from lsml.physics.layers import averaged, layered
from lsml.physics.moduli import Stiffness
from lsml.physics.phases import Phases, Table, phase_table, table_of


def voigt(phases: Phases, fractions: Values, ndim: int = 3) -> Float[Tensor, "t c c"]:
    """Arithmetic mean <C>, the stiffness at uniform strain (Voigt 1889).

    An upper bound of C* as a quadratic form (Hill 1952).
    """
    table, shares = _mixture(phases, fractions, ndim)
    return averaged(table, shares)


def reuss(phases: Phases, fractions: Values, ndim: int = 3) -> Float[Tensor, "t c c"]:
    """Harmonic mean <C⁻¹>⁻¹, the stiffness at uniform stress (Reuss 1929).

    A lower bound of C* as a quadratic form (Hill 1952).
    """
    table, shares = _mixture(phases, fractions, ndim)
    return torch.linalg.inv(averaged(_inverse(table), shares))


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
    _check_solid(table)
    return layered(table, shares, stress)


def laminate_conductivity(
    phases: Conductivities, fractions: Values, ndim: int = 3
) -> Float[Tensor, "t d d"]:
    """Conductivity of layers stacked along the first axis.

    The harmonic mean across isotropic layers and the arithmetic mean along them
    (Maxwell 1873; any anisotropy: Milton 2002, section 9.2).
    """
    table, shares = conducting(phases, fractions, ndim)
    return layered(table, shares, [0])


def wiener(
    phases: Conductivities, fractions: Values, ndim: int = 3
) -> tuple[Float[Tensor, "t d d"], Float[Tensor, "t d d"]]:
    """Harmonic and arithmetic mean of the conductivities: bounds (Wiener 1912)."""
    table, shares = conducting(phases, fractions, ndim)
    return torch.linalg.inv(averaged(_inverse(table), shares)), averaged(table, shares)


def hill(bulk: Values, shear: float, fractions: Values) -> Tensor:
    """Bulk modulus K* of isotropic phases that share one shear modulus μ.

    1/(K* + 4μ/3) = <1/(K + 4μ/3)> and μ* = μ in any geometry (Hill 1963, J. Mech.
    Phys. Solids 11). Plane strain included, where λ* + 2μ = K* + 4μ/3.
    """
    k, shares = as64(bulk), as64(fractions)
    check_shares(shares, k.shape[-1])
    return shifted_mean(k, 4 * shear / 3, shares)


def conducting(
    phases: Conductivities, fractions: Values, ndim: int
) -> tuple[Float[Tensor, "t p d d"], Float[Tensor, "t p"]]:
    """Conductivity of each phase, and fractions."""
    read = partial(tensor, ndim=ndim)
    return _fractions(table_of(phases, read, "conductivity"), fractions)


def _mixture(phases: Phases, fractions: Values, ndim: int) -> tuple[Tensor, Tensor]:
    return _fractions(phase_table(phases, ndim), fractions)


def _fractions(table: Table, fractions: Values) -> tuple[Tensor, Tensor]:
    """Matrix of each phase (t, p, c, c), and fractions (t, p)."""
    matrices, shares = Stiffness(*table).matrix().double(), as64(fractions)
    check_shares(shares, matrices.shape[1])
    return matrices, shares if shares.ndim == 2 else shares[None]


def _inverse(stiffness: Tensor) -> Tensor:
    _check_solid(stiffness)
    return torch.linalg.inv(stiffness)


def _check_solid(stiffness: Tensor) -> None:
    if bool((stiffness == 0).flatten(-2).all(-1).any()):
        raise ValueError("phases: one has zero stiffness, and so has their mixture")
