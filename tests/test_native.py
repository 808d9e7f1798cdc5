"""The hand-written kernels: the same operators, the same solves, the same errors."""

import multiprocessing
import os
import time
from dataclasses import replace

import pytest
import torch
from cells import ELEMENTS, SCHEMES

import lsml
from lsml import acceleration
from lsml.acceleration import accelerate
from lsml.displacement_form import DisplacementForm
from lsml.refined import RefinedForm
from lsml.testing import CASES, CHECKS

pytest.importorskip("numba")

from lsml.native import transform
from lsml.native.form import NativeForm
from lsml.native.threads import spread

DOUBLE = torch.float64
SHAPES = [
    (5, 6, 7),  # one slab
    (9, 1, 66),  # two rows of voxels in a row, a layer that is its own neighbour
    (33, 3, 64),  # slabs of unequal thickness, a row that is just full
    (8, 2, 129),
    (1, 1, 3),
    (5, 8),
    (17, 65),
]
PHASES = ("isotropic", "cubic", "anisotropic")


def stiffness(kind, ndim):
    if kind == "isotropic":
        return lsml.isotropic(E=10.0, nu=0.2)
    if kind == "cubic":
        return lsml.cubic(C11=5.0, C12=1.0, C44=3.0)
    c = {2: 3, 3: 6}[ndim]
    a = torch.randn(c, c, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    return a @ a.T + torch.eye(c, dtype=DOUBLE)


def build(shape, kind="isotropic", scheme="hex8", batch=2, **options):
    draw = torch.Generator().manual_seed(sum(shape))
    labels = torch.randint(2, (batch, *shape), generator=draw)
    labels.view(batch, -1)[:, 0], labels.view(batch, -1)[:, -1] = 0, 1
    strain = [1e-3, 2e-3, -1e-3, 3e-4, 5e-4, -2e-4][: 3 * len(shape) - 3]
    load = options.pop("load", lsml.load(strain=strain))
    other = stiffness(kind, len(shape))
    soft = stiffness("isotropic", 3) if kind != "anisotropic" else 0.2 * other
    return lsml.elasticity(labels, [soft, other], load, scheme, **options)


def mixed(shape):
    c = 3 * len(shape) - 3
    stress = [None] + [1e-3 * (i + 1) for i in range(1, c)]
    return lsml.load(strain=[1e-3] + [None] * (c - 1), stress=stress)


def distance(a, b):
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.parametrize("controlled", ["strain", "mixed"])
@pytest.mark.parametrize("kind", PHASES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scheme", ELEMENTS)
def test_operators_are_those_of_the_displacement_form(scheme, shape, kind, controlled):
    """Theorem: force, hessian, precondition, pairing and mean flux agree to rounding.

    With eigenstrain, voxels that are not cubes and more than one sample. Catches a
    wrong mode, weight or sign, a row or a slab that is added twice or not at all, a
    mean strain or an eigenfield that is dropped.
    """
    h = (1.0, 2.0, 0.5)[: len(shape)]
    eigen = [None, [1e-3, 0, 2e-3, 0, 1e-3, 0][: 3 * len(shape) - 3]]
    options = {"load": mixed(shape)} if controlled == "mixed" else {}
    p = build(shape, kind, scheme, spacing=h, eigenstrain=eigen, **options)
    plain, native = DisplacementForm(p), NativeForm(p)
    x = 1e-3 * torch.randn(plain.start().shape, dtype=DOUBLE)
    for name in ("force", "precondition", "mean_flux"):
        assert distance(getattr(native, name)(x), getattr(plain, name)(x)) < 1e-13
    assert distance(native.hessian(x, x), plain.hessian(x, x)) < 1e-13
    assert distance(native.pairing(x, x), plain.pairing(x, x)) < 1e-13


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 5])
def test_threads_and_batches_make_no_difference(threads, batch):
    """Samples, slabs and planes are shared out whole, whatever their numbers.

    The element kernel does the very same sums. Catches a piece of work that is left
    out, and one that two threads write to.
    """
    p = build((19, 6, 10), batch=batch)
    plain, native = DisplacementForm(p), NativeForm(p)
    x = 1e-3 * torch.randn(plain.start().shape, dtype=DOUBLE)
    one = native.hessian(x, x)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        fresh = NativeForm(p)
        assert torch.equal(fresh.hessian(x, x), one)
        assert distance(fresh.precondition(x), plain.precondition(x)) < 1e-13
    finally:
        torch.set_num_threads(before)


def pieces_done():
    done = []

    def work(piece, thread):
        time.sleep(0.05)  # long enough for every thread to be started
        done.append(piece)

    spread(work, 5, 3)
    return sorted(done)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    """Work is shared out after a fork, as data loaders make it; catches a hang."""
    assert pieces_done() == [0, 1, 2, 3, 4]
    with multiprocessing.get_context("fork").Pool(1) as pool:
        there = pool.apply_async(pieces_done).get(timeout=60)
    assert there == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("shape", [(7, 6, 5), (8, 16, 4), (6, 7)])
def test_transforms_of_scipy_do_as_well(shape, monkeypatch):
    """Without FFTW the same N is applied. Catches a normalization of one library."""
    monkeypatch.setattr(transform, "find_spec", lambda name: None)
    p = build(shape)
    plain, native = DisplacementForm(p), NativeForm(p)
    x = 1e-3 * torch.randn(plain.start().shape, dtype=DOUBLE)
    assert distance(native.precondition(x), plain.precondition(x)) < 1e-13


def test_load_cases_share_labels_and_tables():
    """b = s·l: two microstructures with a table each under three loads."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(2, (2, 4, 5, 6), generator=draw)
    table = torch.stack([stiffness("anisotropic", 3) * f for f in (1.0, 2.0, 5.0, 0.7)])
    strain = torch.randn(2, 3, 6, dtype=DOUBLE, generator=draw)
    load = lsml.load(strain=strain)
    p = lsml.elasticity(labels, table.reshape(2, 2, 6, 6), load, "hex8")
    plain, native = DisplacementForm(p), NativeForm(p)
    x = 1e-3 * torch.randn(plain.start().shape, dtype=DOUBLE)
    assert len(x) == 6
    assert distance(native.force(x), plain.force(x)) < 1e-13
    assert distance(native.precondition(x), plain.precondition(x)) < 1e-13


def test_nan_does_not_get_lost():
    """A displacement that is not a number makes forces that are not.

    The kernels are compiled with leave to assume that there are none.
    """
    native = NativeForm(build((5, 6, 7)))
    x = native.start()
    x[1, 40] = torch.nan
    force = native.hessian(x, x)
    assert bool(force[0].isfinite().all())
    assert bool(force[1].isnan().any())


@pytest.mark.parametrize("scheme", ELEMENTS)
@pytest.mark.parametrize("rule", ["cg", "moulinec", "steepest_descent"])
def test_a_fast_solve_is_the_same_solve(rule, scheme):
    """Theorem: with and without compiled kernels, the same iterates to 1e-12."""
    p = build((9, 8, 10), scheme=scheme, load=mixed((1, 1, 1)), batch=3)
    slow = lsml.solve(p, rule, compile=False)
    fast = lsml.solve(p, rule, compile=True)
    assert (slow.engine, fast.engine) == ("eager", "native")
    assert torch.equal(fast.iterations, slow.iterations)
    assert distance(fast.strain, slow.strain) < 1e-12
    assert distance(fast.mean_stress, slow.mean_stress) < 1e-12
    assert "compile" in fast.timings
    assert "compile" not in slow.timings


def test_homogenize_on_kernels():
    """Effective stiffness and its interval agree to 1e-12."""
    labels = build((7, 6, 8)).law.labels
    slow = lsml.homogenize(labels, contrast=20, compile=False)
    fast = lsml.homogenize(labels, contrast=20, compile=True)
    assert fast.solution.engine == "native"
    assert distance(fast.stiffness, slow.stiffness) < 1e-12
    assert distance(fast.lower, slow.lower) < 1e-12


def test_gradients_come_from_the_displacement_form():
    """Derivatives on the fast path are those of the slow one."""
    gradients = []
    for compile in (True, False):
        stiff = torch.tensor(8.0, dtype=DOUBLE, requires_grad=True)
        labels = build((5, 4, 6)).law.labels
        phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=stiff, nu=0.2)]
        load = lsml.load(strain=[1e-3, 0, 0, 0, 0, 0])
        p = lsml.elasticity(labels, phases, load, "hex8")
        solved = lsml.solve(p, tol=1e-11, compile=compile)
        solved.mean_stress.sum().backward()
        gradients.append(stiff.grad)
    assert distance(*gradients) < 1e-9


@pytest.mark.parametrize("law", CHECKS)
@pytest.mark.parametrize("make", ["native", "refined"])
def test_cg_obeys_every_law_on_kernels(law, make):
    """The laws of `lsml.testing` hold on kernels, in float64 and under refinement.

    `keeps_precision` is a law of rules on float32 problems; a refined one is float64.
    """
    if (make, law) in [("refined", name) for name in TO_ROUNDING]:
        pytest.skip("compares iterates to the rounding of float64")
    for case in CASES:
        if case.form is DisplacementForm and case.discretization != "fourier":
            CHECKS[law](lsml.ConjugateGradient(), replace(case, form=FORMS[make]))


def refined(strain):
    """A float64 problem by refinement, or what that becomes for float32."""
    if strain.background.dtype == torch.float32 or strain.differentiable:
        return DisplacementForm(strain)
    single = replace(strain, double=strain)
    return RefinedForm(strain, NativeForm(strain), as_single(single), DOUBLE)


def as_single(strain):
    law = strain.law
    eigen = None if law.eigenfield is None else law.eigenfield.float()
    free = None if strain.green.free is None else strain.green.free.float()
    return NativeForm(
        replace(
            strain,
            law=replace(law, coefficients=law.coefficients.float(), eigenfield=eigen),
            reference=replace(strain.reference, matrix=strain.reference.matrix.float()),
            green=replace(
                strain.green, inverse=strain.green.inverse.float(), free=free
            ),
            background=strain.background.float(),
            load=type(strain.load)(*(t.float() for t in strain.load)),
            double=None,
        )
    )


TO_ROUNDING = (
    "error_belongs_to_iterate",
    "translation",
    "overwriting_is_harmless",
    "unit_scaling",
)
FORMS = {"native": NativeForm, "refined": refined}


@pytest.mark.parametrize("compile", [True, False])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_float32_reaches_what_it_is_asked_for(scheme, compile):
    """Theorem: float32 with refinement is float64 to the tolerance, 1e-10 included.

    Under stress control and eigenstrain. Catches moduli rounded to float32, and a
    residual that is believed below its rounding.
    """
    eigen = [None, [1e-3, 0, 2e-3, 0, 1e-3, 0]]
    options = {"load": mixed((1, 1, 1)), "eigenstrain": eigen, "scheme": scheme}
    exact = lsml.solve(build((7, 6, 9), **options), tol=1e-12, compile=compile)
    for tol, dtype in ((1e-10, DOUBLE), (1e-5, torch.float32)):
        single = build((7, 6, 9), **options, dtype=torch.float32)
        got = lsml.solve(single, tol=tol, compile=compile)
        assert float(got.error.max()) <= tol
        assert got.strain.dtype == got.mean_stress.dtype == dtype
        assert distance(got.strain.double(), exact.strain) < 20 * tol
        assert distance(got.mean_stress.double(), exact.mean_stress) < 20 * tol


def test_tiny_problems_are_not_compiled_for():
    """Nothing is imported or compiled for a cell that is solved in a moment."""
    p = build((5, 6, 7))
    assert lsml.solve(p).engine == "eager"
    assert lsml.solve(p, compile=True).engine == "native"
    assert lsml.solve(p, compile=True, form="strain").engine == "eager"


def test_large_problems_are(monkeypatch):
    """From the size at which it pays, without being asked; cold, from a larger one."""
    monkeypatch.setattr(acceleration, "SMALL", 400)
    monkeypatch.setattr(acceleration, "COLD", 400)
    assert lsml.solve(build((5, 6, 7))).engine == "native"
    assert lsml.solve(build((5, 6, 7), scheme="fourier")).engine == "eager"


def test_without_numba_one_line_in_the_log(monkeypatch, caplog):
    """Whole-array operations, and said once, not at every solve."""
    monkeypatch.setattr(acceleration, "find_spec", lambda name: None)
    monkeypatch.setattr(acceleration, "SMALL", 0)
    acceleration.note_missing.cache_clear()
    for _ in range(3):
        assert lsml.solve(build((5, 6, 7))).engine == "eager"
    assert [r.message for r in caplog.records if "numba" in r.message] == [
        "numba is not installed: pip install 'lsml[fast]' for faster solves"
    ]


def test_compile_is_checked():
    """One sentence for what is none of the three."""
    with pytest.raises(
        ValueError, match="compile = 'fast' must be 'auto', True or Fal"
    ):
        lsml.solve(build((2, 3, 2)), compile="fast")


def test_what_cannot_fit_is_refused(monkeypatch):
    """MemoryError before a solve and before an operator, with both numbers."""
    p = build((5, 6, 7))
    monkeypatch.setattr("lsml.memory.available", lambda device: 1000)
    with pytest.raises(MemoryError, match=r"2 × 5 × 6 × 7 voxels needs .* available"):
        lsml.solve(p)
    with pytest.raises(MemoryError, match=r"Green operator of 5 × 6 × 7 voxels needs"):
        build((5, 6, 7))


def test_other_problems_stay_as_they_are():
    """A user's own problem is not touched."""
    p = build((3, 4, 5))
    got = accelerate(p, True)
    assert got.problem is p
    assert got.engine == "eager"
