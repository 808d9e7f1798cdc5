"""Discretizations by name."""

from collections.abc import Callable, Mapping

from lsml.discretization import Differential, Discretization
from lsml.grid import Grid
from lsml.physics.discretization.bbar import bbar
from lsml.physics.discretization.differences import backward, forward
from lsml.physics.discretization.multilinear import GAUSS, MIDPOINT, Multilinear
from lsml.physics.discretization.spectral import Spectral
from lsml.physics.discretization.staggered import staggered

DISCRETIZATIONS: Mapping[str, Callable[[Grid, Differential], Discretization]] = {
    "fourier": Spectral,
    "rotated": lambda grid, d: Multilinear(grid, d, MIDPOINT),
    "hex8": lambda grid, d: Multilinear(grid, d, GAUSS),
    "quad4": lambda grid, d: Multilinear(grid, d, GAUSS),
    "hex8-bbar": bbar,
    "staggered": staggered,
    "forward": forward,
    "backward": backward,
}


def discretization(name: str, grid: Grid, differential: Differential) -> Discretization:
    """The scheme called ``name`` on a grid.

    Raises
    ------
    ValueError
        Unknown name; the known ones are listed.
    """
    if name not in DISCRETIZATIONS:
        known = ", ".join(sorted(DISCRETIZATIONS))
        raise ValueError(f"discretization {name!r} is unknown; choose one of {known}")
    return DISCRETIZATIONS[name](grid, differential)


def name_of(scheme: Discretization) -> str:
    """The first name that makes this scheme, or its type's for a user's own."""
    for name, make in DISCRETIZATIONS.items():
        if make(scheme.grid, scheme.differential) == scheme.plain:
            return name
    return type(scheme).__name__
