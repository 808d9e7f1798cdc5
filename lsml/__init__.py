"""Physical and learned solvers for Lippmann-Schwinger equations, in PyTorch."""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from types import ModuleType as _ModuleType

from lsml.alternate import Alternate as Alternate
from lsml.api import solve as solve
from lsml.comparison.compare import compare as compare
from lsml.enriched import Enriched as Enriched
from lsml.expansion import EffectiveExpansion as EffectiveExpansion
from lsml.expansion import thermal_expansion as thermal_expansion
from lsml.gradients import Detached as Detached
from lsml.gradients import Implicit as Implicit
from lsml.gradients import Unrolled as Unrolled
from lsml.grid import Grid as Grid
from lsml.guess import Guess as Guess
from lsml.homogenization import EffectiveStiffness as EffectiveStiffness
from lsml.homogenization import homogenize as homogenize
from lsml.law import Law as Law
from lsml.learned.loading import load_rule as load_rule
from lsml.lippmann_schwinger import LippmannSchwinger as LippmannSchwinger
from lsml.metrics import mase as mase
from lsml.paths import LoadPath as LoadPath
from lsml.paths import load_path as load_path
from lsml.permeability import Permeability as Permeability
from lsml.permeability import permeability as permeability
from lsml.physics.coarse_space import CoarseSpace as CoarseSpace
from lsml.physics.coarse_space import coarse_space as coarse_space
from lsml.physics.coarsening import coarsen as coarsen
from lsml.physics.conductivity import conductivity as conductivity
from lsml.physics.elasticity import elasticity as elasticity
from lsml.physics.finite_strain import hyperelasticity as hyperelasticity
from lsml.physics.finite_strain import neo_hooke as neo_hooke
from lsml.physics.finite_strain import (
    saint_venant_kirchhoff as saint_venant_kirchhoff,
)
from lsml.physics.flow import stokes as stokes
from lsml.physics.hardening import hardening_table as hardening_table
from lsml.physics.hardening import swift as swift
from lsml.physics.hardening import voce as voce
from lsml.physics.helmholtz import helmholtz as helmholtz
from lsml.physics.incident import plane_wave as plane_wave
from lsml.physics.inelastic import j2 as j2
from lsml.physics.inelastic import power_law as power_law
from lsml.physics.inelastic import ramberg_osgood as ramberg_osgood
from lsml.physics.inelastic_law import Internal as Internal
from lsml.physics.kernels import PhaseKernels as PhaseKernels
from lsml.physics.loads import load as load
from lsml.physics.moduli import Stiffness as Stiffness
from lsml.physics.moduli import anisotropic as anisotropic
from lsml.physics.moduli import cubic as cubic
from lsml.physics.moduli import isotropic as isotropic
from lsml.physics.orientation import bunge as bunge
from lsml.physics.orientation import polycrystal as polycrystal
from lsml.physics.orientation import quaternion as quaternion
from lsml.physics.percolation import percolates as percolates
from lsml.physics.plasticity import plasticity as plasticity
from lsml.physics.rules.anderson import Anderson as Anderson
from lsml.physics.rules.auto import Auto as Auto
from lsml.physics.rules.barzilai_borwein import BarzilaiBorwein as BarzilaiBorwein
from lsml.physics.rules.bicgstab import BiCGStab as BiCGStab
from lsml.physics.rules.born import Born as Born
from lsml.physics.rules.chebyshev import Chebyshev as Chebyshev
from lsml.physics.rules.conjugate_gradient import (
    ConjugateGradient as ConjugateGradient,
)
from lsml.physics.rules.deflated import DeflatedCG as DeflatedCG
from lsml.physics.rules.fast_gradient import HeavyBall as HeavyBall
from lsml.physics.rules.fast_gradient import Nesterov as Nesterov
from lsml.physics.rules.minres import MinimalResidual as MinimalResidual
from lsml.physics.rules.momentum import Momentum as Momentum
from lsml.physics.rules.moulinec import Moulinec as Moulinec
from lsml.physics.rules.newton import Newton as Newton
from lsml.physics.rules.nonlinear_cg import NonlinearCG as NonlinearCG
from lsml.physics.rules.polarization import AugmentedLagrangian as AugmentedLagrangian
from lsml.physics.rules.polarization import EyreMilton as EyreMilton
from lsml.physics.rules.polarization import MonchietBonnet as MonchietBonnet
from lsml.physics.rules.polarization import Polarization as Polarization
from lsml.physics.rules.recycled import Recycled as Recycled
from lsml.physics.rules.steepest_descent import SteepestDescent as SteepestDescent
from lsml.problem import Problem as Problem
from lsml.realizations import RepresentativeEstimate as RepresentativeEstimate
from lsml.realizations import representative as representative
from lsml.reduced.basis import ReducedBasis as ReducedBasis
from lsml.rule import UpdateRule as UpdateRule
from lsml.safeguard import Safeguarded as Safeguarded
from lsml.schedule import Schedule as Schedule
from lsml.solution import ConvergenceError as ConvergenceError
from lsml.solution import Solution as Solution
from lsml.state import Status as Status
from lsml.sweeps import Sweep as Sweep
from lsml.sweeps import reduced_basis as reduced_basis
from lsml.sweeps import sweep as sweep

__version__ = _version("lsml")
NAMED = (
    *("data", "distributed", "exact", "io", "learned", "plot", "report", "testing"),
    "viewer",
)


def __getattr__(name: str) -> _ModuleType:
    """Subpackages that only some users need, imported when first named."""
    if name in NAMED:
        return _import_module(f"lsml.{name}")
    raise AttributeError(f"module 'lsml' has no attribute {name!r}")
