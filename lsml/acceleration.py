"""Which kernels a displacement problem runs on: ``compile=`` of `lsml.solve`."""

import logging
import time
from functools import lru_cache
from importlib.util import find_spec
from typing import NamedTuple, TypeAlias

import torch

from lsml.compiled import CompiledForm
from lsml.displacement_form import DisplacementForm
from lsml.footprint import require
from lsml.law import PhaseLaw
from lsml.mandel import symmetric_gradient
from lsml.physics.discretization.multilinear import Multilinear
from lsml.problem import Problem
from lsml.refined import RefinedForm
from lsml.strain_form import StrainForm

Compile: TypeAlias = str | bool

SMALL = 2**14  # voxels of a batch for which importing compiled code does not pay
COLD = 2**17  # and for which compiling it for the first time does not
HELD = 1e-6  # tolerance down to which float32 holds the fields

EAGER = (DisplacementForm, "eager")

log = logging.getLogger("lsml")


class Accelerated(NamedTuple):
    """A problem on the kernels chosen for it, their name, and the time to get them."""

    problem: Problem
    engine: str
    seconds: float


def accelerate(problem: Problem, compile: Compile) -> Accelerated:
    """The same problem on the fastest kernels that ``compile`` admits.

    ``False`` keeps to whole-array operations. ``"auto"`` takes hand-written kernels on
    the CPU and compiled ones on a GPU, if the problem is large enough for it to pay;
    ``True`` takes them whatever its size, and without numba compiles on the CPU too.

    Raises
    ------
    ValueError
        Another ``compile``.
    MemoryError
        The solve cannot fit.
    """
    if compile not in ("auto", True, False):
        raise ValueError(f"compile = {compile!r} must be 'auto', True or False")
    if type(problem) is not DisplacementForm:
        return Accelerated(problem, "eager", 0.0)
    started = time.perf_counter()
    form, engine = engine_for(problem.strain, compile)
    require(problem, engine)
    seconds = time.perf_counter() - started if engine != "eager" else 0.0
    return Accelerated(form(problem.strain), engine, seconds)


def refine(given: Accelerated, tol: float) -> Accelerated:
    """A float32 problem to be solved by refinement, so that it reaches any tolerance.

    The answer is float32 as long as that holds it to ``tol``, float64 beyond.
    """
    work = given.problem
    if not isinstance(work, DisplacementForm) or work.differentiable:
        return given
    double = work.strain.double
    if double is None:
        return given
    dtype = torch.float32 if tol >= HELD else torch.float64
    exact = type(work)(double)
    return given._replace(problem=RefinedForm(double, exact, work, dtype))


def engine_for(
    strain: StrainForm, compile: Compile
) -> tuple[type[DisplacementForm], str]:
    """The class of the displacement form, and what to call it."""
    law, size = strain.law, strain.batch * strain.grid.size
    small = compile == "auto" and size < SMALL
    if not compile or small or not elastic_elements(strain):
        return EAGER
    assert isinstance(law, PhaseLaw)
    cold = compile == "auto" and size < COLD
    processor = strain.background.device.type == "cpu"
    if processor and find_spec("numba") is None:
        note_missing()
        return (CompiledForm, "compiled") if compile is True else EAGER
    if not processor:
        return EAGER if cold else (CompiledForm, "compiled")
    from lsml.native.form import NativeForm
    from lsml.native.warm import compiled_before, warm_up

    if cold and not compiled_before():
        return EAGER
    warm_up(law.labels.dtype, strain.background.dtype)
    return NativeForm, "native"


def elastic_elements(strain: StrainForm) -> bool:
    """Whether this is what there are kernels for."""
    scheme = strain.discretization
    elastic = scheme.differential == symmetric_gradient(scheme.grid.ndim)
    phases = isinstance(strain.law, PhaseLaw)
    elements = isinstance(scheme, Multilinear) and scheme.periodic
    elements = elements and scheme.grid.pieces == 1
    return elements and elastic and phases


@lru_cache(maxsize=1)
def note_missing() -> None:
    """Say once what would make it faster."""
    log.warning("numba is not installed: pip install 'lsml[fast]' for faster solves")
