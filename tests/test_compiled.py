"""The stiffness in modes, and what PyTorch compiles of it, against the stencils."""

import logging
from functools import partial

import pytest
import torch
from cells import (
    ELEMENTS,
    SPACING,
    components,
    distance,
    generator,
    random_labels,
    random_load,
    random_stiffness,
)

import lsml
from lsml import compiled
from lsml.compiled import CompiledForm, can_compile, report, starts, stiffness
from lsml.displacement_form import DisplacementForm
from lsml.modal import modal_force, planes_around
from lsml.unroll import unroll

SHAPES = [(5, 3, 3), (4, 1, 6), (1, 2, 3), (2, 2, 2), (5, 8), (1, 2)]
COMPILED = (4, 3, 5)


def media(name, c):
    """Phases, of which the first is a pore in ``pores``."""
    soft, stiff = lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=8.0, nu=0.1)
    return {
        "isotropic": [soft, stiff],
        "pores": [lsml.isotropic(E=0.0, nu=0.3), stiff],
        "cubic": [lsml.cubic(3.0, 1.0, 1.5), lsml.cubic(9.0, 2.0, 2.0), stiff],
        "anisotropic": [soft, random_stiffness(c, 2), random_stiffness(c, 3, 5.0)],
    }[name]


def mixed(c, cases=1, size=1.0):
    """Some components of the mean strain, some of the mean stress, of this size."""
    strain = random_load(c, 5, cases)
    stress = size * random_load(c, 6, cases)
    free = torch.arange(c) % 3 == 1
    strain[:, free], stress[:, ~free] = torch.nan, torch.nan
    return lsml.load(strain=strain[None], stress=stress[None])


def forms(problem):
    return CompiledForm(problem), DisplacementForm(problem)


def random_like(x, seed):
    return torch.randn(x.shape, dtype=x.dtype, generator=generator(seed))


def gaps(problem, seed=1):
    """Difference of force and Hessian from those of the composition."""
    one, other = forms(problem)
    x = random_like(other.start(), seed)
    d = random_like(other.start(), seed + 1)
    with torch.no_grad():
        force, expected = one.force(x), other.force(x)
        hessian = one.hessian(x, d, torch.full_like(d, torch.nan))
        return distance(force, expected), distance(hessian, other.hessian(x, d))


@pytest.fixture(name="forget")
def _forget():
    """What this process has found out about compilers, forgotten before and after."""
    caches = [can_compile, report, stiffness]
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.fixture(name="plain")
def _plain(monkeypatch, forget):
    """Nothing is compiled."""
    monkeypatch.setattr(compiled, "can_compile", lambda device: False)


@pytest.mark.parametrize("name", ["isotropic", "pores", "cubic", "anisotropic"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("scheme", ELEMENTS)
def test_modes_equal_stencils(scheme, shape, name, plain):
    """Theorem: in the modes the quadrature is exact, so both are Bᵀ C B / q.

    Odd, even and single voxels, unequal edges, 2-D and 3-D, under prescribed strain and
    mixed control. Catches a weight h²/12 of the wrong axis, a mode at the wrong corner,
    a lost √½ of a Mandel shear, and an axis that is not wrapped around.
    """
    c = components(shape)
    phases = media(name, c)
    build = partial(
        lsml.elasticity,
        random_labels(shape, len(phases) if shape != (1, 2) else 2, seed=1),
        phases,
        discretization=scheme,
        spacing=SPACING[: len(shape)],
    )
    assert max(gaps(build(load=lsml.load(strain=random_load(c, 2))))) < 1e-13
    cut = name == "pores" and shape == (1, 2)  # one voxel of pore, no stress across it
    assert max(gaps(build(load=mixed(c, size=0.0 if cut else 1.0)))) < 1e-13


@pytest.mark.parametrize("eigen", [None, "shared", "own"])
@pytest.mark.parametrize(("samples", "cases"), [(1, 3), (3, 1), (2, 3)])
@pytest.mark.parametrize("shape", [(3, 2, 4), (4, 5)], ids=str)
def test_batches_equal_stencils(shape, samples, cases, eigen, plain):
    """Theorem: each sample has its own labels, table, eigenstrain and load.

    Catches load cases that read the labels of another sample, a phase counted from
    the wrong row of the tables, and an eigenstrain added instead of taken off.
    """
    c = components(shape)
    young = torch.linspace(2.0, 9.0, samples, dtype=torch.float64)
    own = {None: None, "shared": (2,), "own": (samples, 2)}[eigen]
    problem = lsml.elasticity(
        random_labels(shape, 2, samples),
        [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=young, nu=0.2)],
        mixed(c, cases),
        "hex8",
        eigenstrain=None if own is None else random_like(torch.empty(*own, c), 4),
    )
    assert problem.batch == samples * cases
    assert max(gaps(problem)) < 1e-13


@pytest.mark.parametrize("voxels", [1, 3 * 12, 100])
def test_pieces_make_the_whole(voxels, plain, monkeypatch):
    """Theorem: a node has the same force whatever piece it is in, and each plane of
    voxels counts once in the mean.

    Some planes of one sample, some of the samples; the last piece overlaps. Catches a
    plane missing between two pieces, and one that is summed twice.
    """
    monkeypatch.setitem(compiled.VOXELS, "cpu", voxels)
    monkeypatch.setattr(compiled, "LAYERS", 4)
    for shape in [(11, 3, 4), (3, 4)]:
        problem = lsml.elasticity(
            random_labels(shape, 2, 5),
            media("isotropic", 6),
            mixed(components(shape)),
            "hex8",
        )
        operator = CompiledForm(problem)._operator
        assert operator.samples * operator.layers < 5 * shape[0] or voxels == 100
        assert max(gaps(problem)) < 1e-13


def test_pieces_cover():
    """Theorem: pieces of one size reach from the first to the last entry, no gap."""
    for count in range(1, 12):
        for size in range(1, count + 1):
            covered = {k + i for k in starts(count, size) for i in range(size)}
            assert covered == set(range(count))


def test_load_cases_of_one_call(plain):
    """Theorem: b = s·l displacements on s images are l load cases on each.

    The pure function by itself, as a user would compile it.
    """
    problem = lsml.elasticity(
        random_labels((3, 4), 2, 2), media("isotropic", 3), mixed(3, 3), "hex8"
    )
    form = CompiledForm(problem)
    operator, law = form._operator, problem.law
    u = random_like(torch.empty(6, 2, 3, 4, dtype=torch.float64), 3)
    planes = planes_around(0, 3, 3, u.device)
    mean = random_load(3, 7, 6)
    force, sums = modal_force(
        operator._element, u, planes, law.labels, law.coefficients, mean[:, None]
    )
    field = problem.discretization.gradient(u) + problem.spread(mean)
    flux = law(field)
    assert distance(force, problem.green.pull(flux)) < 1e-13
    assert distance(sums.sum(2) / 12, problem.discretization.average(flux)) < 1e-13


def test_single_precision(plain):
    """Theorem: float32 stays float32, and sums of stress are in float64 in between."""
    problem = lsml.elasticity(
        random_labels((6, 5, 4)), media("cubic", 6), mixed(6), "hex8",
        dtype=torch.float32,
    )  # fmt: skip
    form = CompiledForm(problem)
    assert form.force(form.start()).dtype == torch.float32
    assert max(gaps(problem)) < 2e-6


def test_solves_alike(plain, monkeypatch):
    """Theorem: the same iterates, samples that end on the way included.

    Catches a force and a Hessian that are not of one problem, and pieces kept from
    before the batch became smaller.
    """
    young = torch.tensor([1.5, 200.0, 3.0], dtype=torch.float64)
    phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=young, nu=0.3)]
    problem = lsml.elasticity(random_labels((5, 4, 6), 2, 3), phases, mixed(6), "hex8")
    rule = lsml.ConjugateGradient()
    together = unroll(DisplacementForm(problem), rule)
    for voxels in (1, 2**15):
        monkeypatch.setitem(compiled.VOXELS, "cpu", voxels)
        form = CompiledForm(problem)
        apart = form.select(torch.tensor([1]))
        assert (type(apart) is CompiledForm) if voxels == 1 else (apart is None)
        state = unroll(form, rule)
        assert state.iterations.tolist() == together.iterations.tolist()
        assert len(set(state.iterations.tolist())) > 1
        assert distance(state.x, together.x) < 1e-10


@pytest.mark.parametrize("differentiable", ["moduli", "unknown"])
def test_gradients_flow(differentiable, plain):
    """Theorem: what is to be differentiated goes by the stencils, whose derivative is
    known; catches a force that is detached from what it depends on.
    """
    young = torch.tensor(5.0, dtype=torch.float64)
    young.requires_grad_(differentiable == "moduli")
    phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=young, nu=0.3)]
    problem = lsml.elasticity(random_labels((4, 5)), phases, mixed(3), "hex8")
    slopes = []
    for form in forms(problem):
        x = random_like(form.start().detach(), 1)
        x.requires_grad_(differentiable == "unknown")
        leaf = young if differentiable == "moduli" else x
        for result in (form.force(x), form.hessian(x, x)):
            scalar = result.square().sum()
            slopes += torch.autograd.grad(scalar, leaf, retain_graph=True)
        with torch.no_grad():
            assert not form.hessian(x, x).requires_grad
    assert distance(slopes[0], slopes[2]) < 1e-13
    assert distance(slopes[1], slopes[3]) < 1e-13


def said(caplog):
    return [record for record in caplog.records if record.name == "lsml"]


def refuse(*args, **options):
    def call(*given):
        raise RuntimeError("no C++ compiler\nanywhere\n\nmore")

    return call


def test_without_a_compiler(monkeypatch, forget, caplog):
    """Statement: without a compiler the numbers are the same, and one line says why.

    Catches an exception that ends the solve, and a line for every product.
    """
    monkeypatch.setattr(torch, "compile", refuse)
    with caplog.at_level(logging.INFO, "lsml"):
        for shape in [(3, 4), (2, 3, 4)]:
            problem = lsml.elasticity(
                random_labels(shape),
                media("isotropic", 6),
                mixed(components(shape)),
                "hex8",
            )
            assert CompiledForm(problem).warm_up() >= 0
            assert max(gaps(problem)) < 1e-13
    (record,) = said(caplog)
    assert record.levelname == "WARNING"
    assert record.getMessage().endswith("no C++ compiler anywhere")


def test_with_a_compiler_that_fails_on_it(monkeypatch, forget, caplog):
    """Statement: the same where only what is large cannot be compiled."""
    monkeypatch.setattr(torch, "compile", refuse)
    monkeypatch.setattr(compiled, "can_compile", lambda device: True)
    load = lsml.load(strain=[1.0, 0.0, 0.0])
    for shape in [(3, 4), (4, 4)]:
        labels = random_labels(shape)
        problem = lsml.elasticity(labels, media("isotropic", 3), load, "hex8")
        assert max(gaps(problem)) < 1e-13
    assert len(said(caplog)) == 1


def test_any_number_of_shapes(monkeypatch, forget, caplog):
    """Theorem: shapes do not count against each other.

    PyTorch compiles one function eight times and then gives up; traced only here.
    """
    trace = torch.compile

    def untranslated(function, *, options=None, **settings):
        return trace(function, backend="eager", **settings)

    monkeypatch.setattr(torch, "compile", untranslated)
    load = lsml.load(strain=[1.0, 0.0, 0.0])
    for n in range(2, 12):
        labels = random_labels((n, 2))
        problem = lsml.elasticity(labels, media("isotropic", 3), load, "rotated")
        form, other = forms(problem)
        d = random_like(form.start(), n)
        with torch.no_grad():
            assert distance(form.hessian(d, d), other.hessian(d, d)) < 1e-13
    assert stiffness.cache_info().misses == 10
    assert [r.levelname for r in said(caplog)] == []


def compiled_problem(seed, contrast, device="cpu"):
    """Problems of one shape: mixed load, eigenstrain, two load cases."""
    return lsml.elasticity(
        random_labels(COMPILED, 2, 1, seed),
        [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=contrast, nu=0.2)],
        mixed(6, 2),
        "hex8",
        spacing=SPACING,
        eigenstrain=random_load(6, seed, 2),
        device=device,
    )


@pytest.mark.slow
def test_compiled_once_for_all():
    """Theorem: compiled or not, the numbers agree to rounding, and what was compiled
    for one problem serves another of its shape as it is.

    Catches a modulus, a load or a label that became part of the compiled code.
    """
    if not can_compile("cpu"):
        pytest.skip("torch.compile finds no C++ compiler on this machine")
    assert max(gaps(compiled_problem(1, 10.0))) < 1e-12
    known = stiffness.cache_info().misses
    with torch.compiler.set_stance("fail_on_recompile"):
        for seed, contrast in ((2, 10.0), (3, 1e4), (4, 1e-3)):
            assert max(gaps(compiled_problem(seed, contrast))) < 1e-12
    assert stiffness.cache_info().misses == known
    assert CompiledForm(compiled_problem(5, 2.0)).warm_up() < 1.0


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_accelerator_equals_processor():
    """Theorem: the device changes nothing; catches planes or labels left behind."""
    if not can_compile("cuda:0"):
        pytest.skip("torch.compile finds no Triton on this machine")
    here = DisplacementForm(compiled_problem(1, 10.0))
    x = random_like(here.start(), 1)
    there = CompiledForm(compiled_problem(1, 10.0, "cuda:0"))
    with torch.no_grad():
        assert distance(there.force(x.cuda()).cpu(), here.force(x)) < 1e-12
        assert (
            distance(there.hessian(x.cuda(), x.cuda()).cpu(), here.hessian(x, x))
            < 1e-12
        )
