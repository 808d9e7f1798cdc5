"""A periodic cell of trilinear hexahedra, solved by `sfepy`.

Nothing here imports `lsml`: mesh, element stiffness, quadrature, periodic
conditions, assembly, strain and stress are all sfepy's, and the linear solver
is its interface to SuperLU.  The unknown is the periodic fluctuation; the mean
strain enters as the known affine displacement, interpolated at the nodes (a
trilinear element represents it exactly).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .silence import silent

with silent():
    from sfepy.discrete import (
        Equation,
        Equations,
        FieldVariable,
        Function,
        Integral,
        Integrals,
        Material,
        Problem,
    )
    from sfepy.discrete.conditions import Conditions, EssentialBC, PeriodicBC
    from sfepy.discrete.fem import FEDomain, Field
    from sfepy.discrete.fem.periodic import match_grid_plane
    from sfepy.mechanics.matcoefs import stiffness_from_youngpoisson
    from sfepy.mesh.mesh_generators import gen_block_mesh
    from sfepy.solvers.ls import ScipySuperLU
    from sfepy.terms import Term

Floats = NDArray[np.float64]

# sfepy stores 11, 22, 33, 12, 13, 23; Mandel here is 11, 22, 33, 23, 13, 12.
_FROM_SFEPY = [0, 1, 2, 5, 4, 3]
_MANDEL = np.sqrt([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])[:, None, None, None]


@dataclass(frozen=True)
class Cell:
    """Element averages over the 8 Gauss points, Mandel, float64.

    Parameters
    ----------
    strain, stress : ndarray, shape (6, nx, ny, nz)
        Components 11, 22, 33, 23, 13, 12, the shears times sqrt(2).
    """

    strain: Floats
    stress: Floats


def _gauss_2x2x2() -> Integral:
    """Make the full integration rule, and refuse any other.

    sfepy multiplies the order by the dimension and uses a product rule only
    above order 5, so order 1 means a rule of 6 points and 2 the one wanted; a
    release that changes this must not change the oracle silently.
    """
    rule = Integral("i", order=2)
    points, weights = rule.get_qp("3_8")
    low, high = 0.5 - 0.5 / np.sqrt(3.0), 0.5 + 0.5 / np.sqrt(3.0)
    corners = np.array(
        [[x, y, z] for x in (low, high) for y in (low, high) for z in (low, high)]
    )
    order = np.lexsort(points.T[::-1])
    if (
        points.shape != corners.shape
        or not np.allclose(points[order], corners, rtol=0.0, atol=1e-14)
        or not np.allclose(weights, 0.125, rtol=0.0, atol=1e-14)
    ):
        raise RuntimeError(
            "sfepy's integral of order 2 is no longer the 2x2x2 Gauss rule"
        )
    return rule


def _voxel(points: Floats, spacing: Floats) -> tuple[NDArray[np.intp], ...]:
    """Find the voxels that hold the points, so no order of cells is assumed."""
    i, j, k = np.floor(points / spacing).astype(np.intp).T
    return i, j, k


def _conditions(
    domain: FEDomain, size: Floats, spacing: Floats
) -> tuple[Conditions, Conditions]:
    """Tie opposite faces, and hold the 8 corners, which are one periodic point."""
    faces = {}
    for axis, x in enumerate("xyz"):
        near, far = 0.5 * spacing[axis], size[axis] - 0.5 * spacing[axis]
        faces[axis] = (f"({x} < {near:.17g})", f"({x} > {far:.17g})")

    periodic = []
    for axis, sides in faces.items():
        regions = [
            domain.create_region(f"face_{axis}_{n}", f"vertices in {side}", "facet")
            for n, side in enumerate(sides)
        ]
        match = Function(
            f"match_{axis}",
            # The cache of matches is global in sfepy and keyed by counts only.
            lambda near, far, axis=axis: match_grid_plane(
                near, far, axis, get_saved=False
            ),
        )
        periodic.append(
            PeriodicBC(f"tie_{axis}", regions, {"u.all": "u.all"}, match=match)
        )

    ends = " & ".join(f"({near} | {far})" for near, far in faces.values())
    corners = domain.create_region("corners", f"vertices in ({ends})", "vertex")
    if corners.vertices.size != 8:
        raise RuntimeError("the cell must have 8 corners")
    fixed = EssentialBC("hold", corners, {"u.all": 0.0})
    return Conditions([fixed]), Conditions(periodic)


def _solve(problem: Problem) -> Floats:
    """Solve the linear problem for its nodal values, at all nodes.

    Not by sfepy's Newton: its stopping residual is absolute, hence tied to the
    units of E.  The second pass, with the same factors, is iterative refinement.
    """
    problem.time_update()
    problem.update_materials()
    problem.equations.init_state()
    evaluator = problem.get_evaluator()
    state = problem.equations.create_reduced_vec()
    matrix = evaluator.eval_tangent_matrix(state)
    solver = ScipySuperLU({"use_presolve": True}, mtx=matrix)
    for _ in range(2):
        state = state - solver(evaluator.eval_residual(state))
    full: Floats = problem.equations.make_full_vec(state)
    return full


def solve_cell(
    labels: ArrayLike,
    moduli: Sequence[tuple[float, float]],
    spacing: Sequence[float],
    mean_strain: ArrayLike,
) -> Cell:
    """Solve a periodic elastic cell under a prescribed mean strain.

    Parameters
    ----------
    labels : array_like of int, shape (nx, ny, nz)
        The phase of each voxel; one voxel is one element.
    moduli : sequence of (E, nu)
        Young's modulus and Poisson's ratio of each phase.
    spacing : (hx, hy, hz)
        Voxel edges.  sfepy matches faces to 1e-9, so keep them of order one.
    mean_strain : array_like, shape (6,)
        Mandel components 11, 22, 33, 23, 13, 12.

    Returns
    -------
    Cell
        Strain and stress averaged over the 8 Gauss points of each element.
    """
    with silent():
        return _cell(
            np.asarray(labels),
            np.stack([stiffness_from_youngpoisson(3, E, nu) for E, nu in moduli]),
            np.asarray(spacing, dtype=np.float64),
            np.asarray(mean_strain, dtype=np.float64),
        )


def balanced_strain(
    labels: ArrayLike,
    moduli: Sequence[tuple[float, float]],
    spacing: Sequence[float],
    strain: ArrayLike,
    stress: ArrayLike,
) -> Floats:
    """Mean strain of a cell under a mixed load, by superposition of six solves.

    Parameters
    ----------
    labels, moduli, spacing
        As in `solve_cell`.
    strain, stress : array_like, shape (6,)
        Mandel components of the means; NaN in one where the other is given.

    Returns
    -------
    ndarray, shape (6,)
        All components, for `solve_cell`.
    """
    answers = [solve_cell(labels, moduli, spacing, unit) for unit in np.eye(6)]
    stiffness = np.stack([a.stress.mean(axis=(1, 2, 3)) for a in answers], axis=1)
    mean, target = np.asarray(strain, np.float64), np.asarray(stress, np.float64)
    free = np.isnan(mean)
    given = np.where(free, 0.0, mean)
    lack = (target - stiffness @ given)[free]
    given[free] = np.linalg.solve(stiffness[np.ix_(free, free)], lack)
    return given


def _cell(
    labels: NDArray[np.integer],
    stiffness: Floats,
    spacing: Floats,
    mean_strain: Floats,
) -> Cell:
    """Do the work of `solve_cell` on arrays, with sfepy's stiffness of each phase."""
    shape = np.array(labels.shape)
    size = shape * spacing
    mesh = gen_block_mesh(size, shape + 1, size / 2.0, verbose=False)
    domain = FEDomain("cell", mesh)
    omega = domain.create_region("Omega", "all")
    field = Field.from_args("displacement", np.float64, "vector", omega, approx_order=1)
    u = FieldVariable("u", "unknown", field)
    v = FieldVariable("v", "test", field, primary_var_name="u")
    affine = FieldVariable("affine", "parameter", field, primary_var_name="u")
    total = FieldVariable("total", "parameter", field, primary_var_name="u")

    def material(
        _ts: object, points: Floats, mode: str, **_: object
    ) -> dict[str, Floats]:
        """Give the stiffness at the quadrature points; other modes are unused."""
        return {"D": stiffness[labels[_voxel(points, spacing)]]} if mode == "qp" else {}

    m = Material("m", function=Function("material", material))

    e11, e22, e33, e23, e13, e12 = mean_strain / _MANDEL.ravel()
    tensor = np.array([[e11, e12, e13], [e12, e22, e23], [e13, e23, e33]])
    affine.set_data((field.get_coor() @ tensor).ravel())

    rule = _gauss_2x2x2()
    inner = Term.new("dw_lin_elastic(m.D, v, u)", rule, omega, m=m, v=v, u=u)
    outer = Term.new(
        "dw_lin_elastic(m.D, v, affine)", rule, omega, m=m, v=v, affine=affine
    )
    problem = Problem("cell", equations=Equations([Equation("balance", inner + outer)]))
    fixed, periodic = _conditions(domain, size, spacing)
    problem.set_bcs(ebcs=fixed, epbcs=periodic)
    total.set_data(affine() + _solve(problem))

    voxels = _voxel(domain.cmesh.get_centroids(3), spacing)

    def average(expression: str) -> Floats:
        """Evaluate an element average and put it on the voxel grid."""
        values = problem.evaluate(
            expression,
            mode="el_avg",
            integrals=Integrals([rule]),
            verbose=False,
            m=m,
            total=total,
        )
        grid = np.empty((*labels.shape, 6))
        grid[voxels] = values[:, 0, :, 0]
        return np.moveaxis(grid, -1, 0)[_FROM_SFEPY]

    # sfepy doubles the shear strains (engineering) and leaves the stresses.
    return Cell(
        strain=average("ev_cauchy_strain.i.Omega(total)") / _MANDEL,
        stress=average("ev_cauchy_stress.i.Omega(m.D, total)") * _MANDEL,
    )
