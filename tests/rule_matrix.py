"""Rules × physics × discretizations × dimensions: who solves what, and who may not.

``python benchmarks/rule_matrix.py`` writes the tables of the documentation. A physics
joins by a line in ``PHYSICS``, a rule by its name in ``lsml.inputs.RULES``.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from absorbing_waves import scattering
from cells import random_labels
from dense_systems import saturating

import lsml
from lsml.inputs import RULES, in_form
from lsml.problem import Problem
from lsml.rule import check
from lsml.stop import RelativeResidual
from lsml.strain_form import StrainForm
from lsml.unroll import unroll

TOL = 1e-8
SHAPES = {2: (5, 6), 3: (4, 3, 5)}
ALL = ("fourier", "rotated", "hex8", "hex8-bbar", "staggered")
PLAIN = ("fourier", "rotated", "hex8", "staggered", "forward")


class Physics(NamedTuple):
    """Schemes of a physics, and what makes the problem of one in 2-D or 3-D."""

    schemes: tuple[str, ...]
    make: Callable[[str, int], Problem]


def labels(ndim):
    return random_labels(SHAPES[ndim], 2, batch=2, seed=ndim)


def isotropic_phases():
    return [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=12.0, nu=0.2)]


def elastic(scheme, ndim):
    strain = [1e-3, -4e-4, 0.0, 0.0, 3e-4, 7e-4]
    load = lsml.load(strain=[strain[i] for i in ((0, 1, 5), range(6))[ndim - 2]])
    return lsml.elasticity(labels(ndim), isotropic_phases(), load, scheme)


def thermoelastic(scheme, ndim):
    c = {2: 3, 3: 6}[ndim]
    free = torch.arange(c) > 0
    strain = torch.full((c,), 1e-3).masked_fill(free, torch.nan)
    load = lsml.load(strain=strain, stress=torch.zeros(c).masked_fill(~free, torch.nan))
    swelling = [None, [1e-3] * ndim + [0.0] * (c - ndim)]
    return lsml.elasticity(
        labels(ndim), isotropic_phases(), load, scheme, eigenstrain=swelling
    )


def porous(scheme, ndim):
    phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=0.0, nu=0.0)]
    image = labels(ndim) * 0
    image[:, 1:3, 1:4] = 1
    load = lsml.load(strain=[1e-3, 2e-4, 0.0, 0.0, 0.0, 0.0][: {2: 3, 3: 6}[ndim]])
    return lsml.elasticity(image, phases, load, scheme)


def saturating_elastic(scheme, ndim):
    return saturating(elastic(scheme, ndim))


def conducting(scheme, ndim):
    mean = [1.0, -0.4, 0.7][:ndim]
    return lsml.conductivity(labels(ndim), [1.0, 9.0], mean, scheme)


def dielectric(scheme, ndim):
    mean = [1.0, -0.4, 0.7][:ndim]
    return lsml.conductivity(labels(ndim), [1.0 + 0.6j, 7.0 - 3.0j], mean, scheme)


def between_faces(scheme, ndim):
    mean = [1.0, -0.4, 0.7][:ndim]
    return lsml.conductivity(labels(ndim), [1.0, 9.0], mean, scheme, faces="dirichlet")


def yielding(scheme, ndim):
    strain = [1e-3, -4e-4, 0.0, 0.0, 3e-4, 7e-4]
    load = lsml.load(strain=[strain[i] for i in ((0, 1, 5), range(6))[ndim - 2]])
    hard, soft = (lsml.isotropic(E=e, nu=0.3) for e in (12.0, 1.0))
    phases = [
        lsml.j2(hard, lsml.voce(3e-3, H=0.5)),
        lsml.ramberg_osgood(soft, sigma0=5e-4, n=3.0),
    ]
    return lsml.plasticity(labels(ndim), phases, load, scheme)


def stretched(scheme, ndim):
    unit = torch.eye(ndim, dtype=torch.float64)
    shift = torch.tensor([[0.06, 0.03, 0.0], [0.0, -0.03, 0.01], [0.02, 0.0, 0.02]])
    load = lsml.load(deformation=unit + shift[:ndim, :ndim])
    phases = [
        lsml.neo_hooke(E=1.0, nu=0.3),
        lsml.saint_venant_kirchhoff(E=8.0, nu=0.2),
    ]
    return lsml.hyperelasticity(labels(ndim), phases, load, scheme)


def waves(scheme, ndim):
    return scattering(SHAPES[ndim], absorption=2.0)[0]


def open_waves(scheme, ndim):
    index = 1.0 + 0.4 * torch.from_numpy(labels(ndim))
    source = torch.zeros_like(index)
    source[:, 1, 2] = 1.0
    return lsml.helmholtz(index, 8.0, source=source, layers=1.0)


def flowing(scheme, ndim):
    solid = labels(ndim) * 0
    solid[:, 1:3, 1:3] = 1
    return lsml.stokes(solid, [1.0, -0.4, 0.7][:ndim])


PHYSICS = {
    "elasticity": Physics(ALL, elastic),
    "elasticity, mixed load and eigenstrain": Physics(ALL, thermoelastic),
    "elasticity with pores": Physics(("rotated", "hex8"), porous),
    "nonlinear elasticity": Physics(("fourier", "rotated", "hex8"), saturating_elastic),
    "plasticity": Physics(("fourier", "rotated", "hex8"), yielding),
    "finite strain": Physics(("fourier", "rotated", "hex8"), stretched),
    "conduction": Physics(PLAIN, conducting),
    "conduction, complex": Physics(("fourier", "rotated", "hex8"), dielectric),
    "conduction between faces": Physics(("rotated", "hex8"), between_faces),
    "scattering": Physics(("spectral",), waves),
    "waves in open space": Physics(("spectral",), open_waves),
    "flow": Physics(("marker and cell",), flowing),
}
# One scheme to each rule in turn, another in 3-D; the table goes through all of them.
# Cells of one reference follow each other: test processes need not each compute all.
CELLS = [
    (rule, physics, scheme, ndim)
    for physics, (schemes, _) in PHYSICS.items()
    for ndim in (2, 3)
    for k, scheme in enumerate(schemes)
    for i, rule in enumerate(RULES)
    if (i + ndim) % len(schemes) == k
]


def prepared(rule, physics, scheme, ndim):
    """Rule and problem of a cell, on the reference medium and form of the rule."""
    made = PHYSICS[physics].make(scheme, ndim)
    chosen = RULES[rule]()
    return chosen, in_form(made, "displacement", chosen)


def refusal(rule, problem):
    """Why a rule may not, in the words of the table; None if it may."""
    missing = sorted(rule.requires - problem.tags)
    if missing:
        return "not " + ", ".join(missing)
    try:
        check(problem, rule)
    except ValueError:
        return "no bounds"
    return None


def solved(rule, problem, tol=TOL):
    with torch.no_grad():
        return unroll(problem, rule, stop=RelativeResidual(tol), max_iter=4000)


@cache
def reference(physics, scheme, ndim):
    """The same field by Anderson's method, which asks nothing, far below TOL."""
    rule = lsml.Anderson(depth=10)
    problem = PHYSICS[physics].make(scheme, ndim)
    if isinstance(problem, StrainForm):
        problem = in_form(problem, "displacement", rule)
    state = solved(rule, problem, 1e-11)
    assert state.converged.all(), (physics, scheme, ndim, state.error)
    return problem.voxel_field(state.x), problem.voxel_flux(state.x)


def assert_agrees(state, problem, physics, scheme, ndim):
    """Fluxes are those of the reference; fields too, but for those inside pores."""
    field, flux = reference(physics, scheme, ndim)
    found = problem.voxel_flux(state.x)
    torch.testing.assert_close(found, flux, rtol=0, atol=2e-6 * float(flux.abs().max()))
    if physics != "elasticity with pores":
        found, atol = problem.voxel_field(state.x), 2e-6 * float(field.abs().max())
        torch.testing.assert_close(found, field, rtol=0, atol=atol)
