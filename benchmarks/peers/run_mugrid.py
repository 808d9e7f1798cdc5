"""muGrid: its fused stiffness operator of Q1 elements and its preconditioned CG.

The preconditioner inverts the stiffness of the mean moduli in Fourier space, by the
route muGrid recommends (analytic symbol). One thread: wheels are built without MPI.
"""

import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import harness
import muGrid
import numpy as np
from muGrid.Preconditioners import make_reference_stiffness_preconditioner
from muGrid.Solvers import conjugate_gradients

State = Mapping[str, float]
Stop = Callable[[State, float, float], None]  # state, first rᵀMr, tol

STRAIN = [1.0] + [0.0] * 8
OWN = "nodal force in the Euclidean norm, recomputed at the end"
ENERGY = "force in the norm of the preconditioner, the one lsml uses"


class Cell(NamedTuple):
    """Operator, fields and preconditioner of one cell."""

    operator: muGrid.IsotropicStiffnessOperator
    engine: muGrid.FFTEngine
    moduli: tuple[muGrid.Field, muGrid.Field]
    preconditioner: Callable[[muGrid.Field, muGrid.Field], None]


def cell(image: np.ndarray, contrast: float, dtype: type) -> Cell:
    """Set up from the labels."""
    spacing = [1 / n for n in image.shape]
    operator = muGrid.IsotropicStiffnessOperator(3, spacing)
    engine = muGrid.FFTEngine(image.shape, ghosts=operator)
    values = harness.lame(image, contrast)
    moduli = (field(engine, "lambda", dtype), field(engine, "mu", dtype))
    for modulus, value in zip(moduli, values, strict=True):
        modulus.p[...] = value
        engine.communicate_ghosts(modulus)
    preconditioner = make_reference_stiffness_preconditioner(
        engine,
        dtype=dtype,
        element=muGrid.FEMElement.q1,
        grid_spacing=spacing,
        lambda_ref=float(values[0].mean()),
        mu_ref=float(values[1].mean()),
    )
    return Cell(operator, engine, moduli, preconditioner)


def field(engine: muGrid.FFTEngine, name: str, dtype: type, *shape: int) -> Any:
    """A real field with ghosts."""
    return engine.real_space_field(name, shape, dtype)


class Reached(Exception):  # noqa: N818 (not an error)
    """Raised to stop a solve."""


def euclidean(state: State, first: float, tol: float) -> None:
    """Leave the stop to muGrid."""


def energy(state: State, first: float, tol: float) -> None:
    """Stop at a residual that is small in the norm of the preconditioner."""
    if state["rz"] <= tol**2 * first:
        raise Reached


def solve(
    image: np.ndarray, contrast: float, tol: float, *, stop: Stop, dtype: type
) -> harness.Answer:
    """From labels to the mean stress."""
    one = cell(image, contrast, dtype)
    u, force = (field(one.engine, name, dtype, 3) for name in ("u", "force"))
    one.operator.apply_macro_rhs(*one.moduli, STRAIN, force)
    force.s[...] *= -1
    history: list[float] = []

    def observe(k: int, state: State) -> None:
        history.append(float(state["rz"]))
        stop(state, history[0], tol)

    with contextlib.suppress(Reached):
        conjugate_gradients(
            one.engine.communicator,
            one.engine.real_space_collection,
            force,
            u,
            partial(stiffness, one),
            one.preconditioner,
            rtol=tol,
            callback=observe,
        )
    one.engine.communicate_ghosts(u)
    mean = one.operator.average_stress(u, *one.moduli, STRAIN)
    stress = harness.components(np.reshape(mean, (3, 3)))
    return harness.Answer(stress, [len(history) - 1])


def stiffness(one: Cell, u: muGrid.Field, force: muGrid.Field) -> None:
    """Nodal forces of a displacement."""
    one.engine.communicate_ghosts(u)
    one.operator.apply(u, *one.moduli, force)


def variant(stop: Stop, dtype: type, residual: str) -> harness.Variant:
    """With one stop and precision."""
    call = partial(solve, stop=stop, dtype=dtype)
    return harness.Variant(harness.one_by_one(call), residual)


VARIANTS = {
    "own": variant(euclidean, np.float64, OWN),
    "energy": variant(energy, np.float64, ENERGY),
    "energy-float32": variant(energy, np.float32, ENERGY),
}

if __name__ == "__main__":
    harness.main(VARIANTS, ["muGrid"])
