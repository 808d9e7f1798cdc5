"""Bytes that a conjugate gradient solve takes: counted by hand."""

from math import prod

from lsml.displacement_form import DisplacementForm
from lsml.law import PhaseLaw
from lsml.memory import available, demand

VECTORS = 4  # displacements that conjugate gradients hold: x, force, direction, step
CERTIFICATE = 2  # and that the driver adds when it evaluates a residual
TEMPORARIES = 5  # fields at all points at a time, where nothing is fused


def working_bytes(form: DisplacementForm, engine: str) -> int:
    """What iterations take beyond the problem, double unknowns of float32 included."""
    strain = form.strain
    voxels, real = prod(strain.grid.shape), strain.background.itemsize
    m = strain.discretization.differential.potentials
    fields = (VECTORS + CERTIFICATE) * m + (m if strain.double is not None else 0)
    if engine == "native":  # one spectrum serves every sample
        return voxels * real * (strain.batch * fields + m)
    points = strain.points * strain.background.shape[1]
    return voxels * real * strain.batch * (fields + m + TEMPORARIES * points)


def problem_bytes(form: DisplacementForm) -> int:
    """What the problem holds already: N and labels."""
    law = form.strain.law
    labels = law.labels.nbytes if isinstance(law, PhaseLaw) else 0
    return form.strain.green.inverse.nbytes + labels


def require(form: DisplacementForm, engine: str) -> None:
    """Refuse a solve that cannot fit.

    Raises
    ------
    MemoryError
        With the bytes needed, those available, and the largest cell that would fit.
    """
    grid, device = form.strain.grid, form.strain.background.device
    need = working_bytes(form, engine)
    each = (need + problem_bytes(form)) / (form.strain.batch * prod(grid.shape))
    edge = int((grid.pieces * available(device) / each) ** (1 / grid.ndim))
    shape = " × ".join(str(n) for n in (form.strain.batch, *grid.shape))
    advice = f"; one cell of {edge} voxels along each axis would fit"
    demand(need, device, f"a solve of {shape} voxels", advice)
