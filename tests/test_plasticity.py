"""Inelastic phases: their curves, tangents and energies, and the cells made of them."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from cells import components, generator, random_labels, random_load
from plastic_bodies import YIELD, YOUNG, Point, axial, mandel, phases, tensor
from plastic_bodies import voce_stress as voce_curve
from scipy.optimize import root as find_root

import lsml
from lsml.law import Law, PhaseLaw
from lsml.physics.roots import root
from lsml.strain_form import StrainForm

SHAPES = [(4, 3), (3, 4, 2)]
SOFT = lsml.isotropic(E=YOUNG, nu=0.3)


def mixed(shape, scheme="rotated", batch=2, seed=0, size=2e-3):
    """All kinds of phases in one image, under a load far beyond yield."""
    labels = random_labels(shape, 6, batch=batch, seed=seed)
    load = lsml.load(strain=size * random_load(components(shape), seed, batch))
    return lsml.plasticity(labels, phases(), load, scheme)


def strained(problem, seed=1, size=2e-3):
    """A law that has flowed, at a random field on which it flows on."""
    noise = [torch.randn(problem.start().shape, generator=generator(s)) for s in (7, 8)]
    first = problem.start() + size * noise[0].double()
    return problem.law.after(first), first + size * noise[1].double()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("flowed", [False, True])
def test_tangent_and_stress_are_derivatives(shape, flowed):
    """Theorem: σ = ∂W/∂ε, and the tangent is that of the radial return itself.

    By central differences, on phases of all kinds, in plane strain and 3-D, before and
    after flow. Catches the tangent of the continuum in the place of the consistent one,
    a plastic work that misses a part, and a trace without its out-of-plane component.
    """
    problem = mixed(shape, "hex8" if flowed else "rotated")
    law, x = strained(problem)
    law = law if flowed else problem.law
    v = torch.randn(x.shape, generator=generator(3)).to(x)
    h = 3e-9
    slope = (law(x + h * v) - law(x - h * v)) / (2 * h)
    found = law.tangent(x, v)
    assert float((slope - found).abs().max()) < 1e-5 * float(slope.abs().max())
    c, h = components(shape), 1e-6
    power = (law(x) * v).unflatten(1, (-1, c)).sum(2).mean()
    mean = (law.energy(x + h * v).mean() - law.energy(x - h * v).mean()) / (2 * h)
    assert float(mean) == pytest.approx(float(power), rel=1e-6)


def test_tangent_is_symmetric_and_frozen():
    """Theorem: <v, σ' w> = <w, σ' v>, and ``linearized`` is the tangent at its point.

    Catches a flow direction that is not that of the stress.
    """
    problem = mixed((3, 4, 2), "hex8")
    law, x = strained(problem)
    v, w = (torch.randn(x.shape, generator=generator(s)).to(x) for s in (1, 2))
    left, right = (v * law.tangent(x, w)).sum(), (w * law.tangent(x, v)).sum()
    assert float(left) == pytest.approx(float(right), rel=1e-12)
    frozen = law.linearized(x)
    assert torch.equal(frozen.tangent(w, v), law.tangent(x, v))
    assert float(frozen.energy(v).sum()) == pytest.approx(
        float((v * frozen(v)).sum()) / 2, rel=1e-12
    )


def test_power_law_curve():
    """Exact: well above the cutoff σ_eq = σ0 (ε_eq/ε0)^m, and no plastic volume."""
    phase = lsml.power_law(K=150.0, sigma0=0.3, epsilon0=1e-3, m=0.3, cutoff=1e-6)
    law = lsml.plasticity(
        np.zeros((2, 2, 2), int), [phase], lsml.load(strain=[1.0] + [0.0] * 5)
    ).law
    strain = torch.tensor([3e-3, -1e-3, 5e-4, 2e-3, 0.0, -7e-4], dtype=torch.float64)
    t = tensor(strain.numpy())
    deviator = t - np.trace(t) / 3 * np.eye(3)
    equivalent = np.sqrt(2 / 3) * np.linalg.norm(deviator)
    size = 0.3 * (equivalent / 1e-3) ** 0.3
    expected = 150.0 * np.trace(t) * np.eye(3) + 2 / 3 * size / equivalent * deviator
    found = law(strain.reshape(1, 6, 1, 1, 1).expand(1, 6, 2, 2, 2))[0, :, 0, 0, 0]
    np.testing.assert_allclose(found.numpy(), mandel(expected), rtol=1e-9)


def test_exponent_one_is_linear_elasticity():
    """Exact: linear elasticity at m = 1, and at n = 1 with a softer shear modulus.

    Catches a mistaken relation between the point (ε0, σ0) and the shear modulus.
    """
    labels = random_labels((3, 2), 2, batch=1, seed=0)
    load = lsml.load(strain=1e-3 * random_load(3, 0))
    power = lsml.power_law(K=150.0, sigma0=0.3, epsilon0=1e-3, m=1.0)
    osgood = lsml.ramberg_osgood(SOFT, sigma0=0.3, n=1.0, alpha=0.5)
    shear = YOUNG / 2.6
    softer = 1 / (1 / (3 * shear) + 0.5 / YOUNG) / 3
    bulk = YOUNG / (3 * 0.4)
    linear = [lsml.isotropic(K=150.0, G=100.0), lsml.isotropic(K=bulk, G=softer)]
    found = lsml.solve(
        lsml.plasticity(labels, [power, osgood], load), "newton", tol=1e-10
    )
    expected = lsml.solve(lsml.elasticity(labels, linear, load), tol=1e-10)
    scale = float(expected.stress.abs().max())
    torch.testing.assert_close(found.stress, expected.stress, rtol=0, atol=1e-8 * scale)


@pytest.mark.parametrize("ndim", [2, 3])
def test_homogeneous_medium_needs_no_iteration(ndim):
    """Theorem: a uniform strain is the answer, at any load."""
    shape = (3, 2, 4)[:ndim]
    load = lsml.load(strain=5e-3 * random_load(components(shape), 1))
    problem = lsml.plasticity(np.zeros(shape, int), phases()[1:2], load)
    found = lsml.solve(problem, "newton")
    assert found.iterations.tolist() == [0]
    assert found.stress.flatten(2).std(2).max() < 1e-12
    assert float(found.internal["accumulated_plastic_strain"].min()) > 0


def test_ramberg_osgood_in_tension():
    """Exact: a bar stretched by the stress σ is σ/E + α (σ0/E) (σ/σ0)^n long."""
    labels = random_labels((3, 2, 4), 1)
    load = lsml.load(stress=[0.45, 0, 0, 0, 0, 0])
    phase = lsml.ramberg_osgood(SOFT, sigma0=0.3, n=7.0, alpha=0.4)
    found = lsml.solve(lsml.plasticity(labels, [phase], load), "newton", tol=1e-11)
    expected = 0.45 / YOUNG + 0.4 * 0.3 / YOUNG * (0.45 / 0.3) ** 7
    assert float(found.mean_strain[0, 0]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("rule", ["newton", "auto"])
def test_bar_is_that_of_a_scalar_radial_return(rule):
    """Independent computation: loading, unloading, reloading in uniaxial stress.

    Lateral strains are free. Catches internal variables that are not handed on, flow
    that changes the volume, and yield that is tested against the wrong stress.
    """
    strains = [1e-3, 3e-3, 5e-3, 3e-3, -2e-3, -4e-3, 1e-3]
    loads = [
        lsml.load(strain=[e, *[None] * 5], stress=[None, 0, 0, 0, 0, 0])
        for e in strains
    ]
    labels = random_labels((2, 1, 2), 1)
    problem = lsml.plasticity(labels, phases()[1:2], loads[0])
    path = lsml.load_path(problem, loads, rule, tol=1e-10)
    expected = axial(strains, lambda p: voce_curve(p, **YIELD))
    np.testing.assert_allclose(path.mean_stress[:, 0, 0], expected, atol=1e-9)
    assert float(path.mean_stress[:, 0, 1:].abs().max()) < 1e-9
    _, lateral, *_ = path.mean_strain[:, 0].unbind(1)
    volume = path.mean_strain[:, 0, :3].sum(1)
    np.testing.assert_allclose(volume, 0.4 * expected / YOUNG, atol=1e-11)
    assert float(lateral.abs().max()) > 1e-3


def laminate(strains, share):
    """Mean stress of an elastic and a plastic layer, normal to axis 1."""
    layers = [
        Point(3 * YOUNG, 0.2),
        Point(YOUNG, 0.3, lambda p: voce_curve(p, **YIELD)),
    ]
    unit, jump, means = np.array([1.0, 0, 0]), np.zeros(3), []

    def split(mean, a):
        bend = (np.outer(a, unit) + np.outer(unit, a)) / 2
        return mean + bend / share, mean - bend / (1 - share)

    for strain in strains:
        mean = tensor(strain)

        def traction(a, mean=mean):
            first, second = split(mean, 1e-3 * a)
            return (layers[0].step(first)[0] - layers[1].step(second)[0]) @ unit

        found = find_root(traction, jump, tol=1e-13)
        assert np.abs(found.fun).max() < 1e-11
        jump = found.x
        pair = split(mean, 1e-3 * jump)
        stress = [layer.take(e) for layer, e in zip(layers, pair, strict=True)]
        means.append(mandel(share * stress[0] + (1 - share) * stress[1]))
    return np.array(means), layers[1]


@pytest.mark.parametrize("scheme", ["rotated", "hex8-bbar", "fourier"])
def test_laminate_is_algebra(scheme):
    """Independent computation: layers in equilibrium, along a path that turns.

    Catches a field that is not in equilibrium, and internal variables at wrong points.
    """
    strains = 1e-3 * np.array(
        [
            [2.0, -0.5, 0.3, 1.0, 0.0, 2.0],
            [3.0, -1.0, 0.3, 1.0, 1.0, 1.0],
            [0.0, -1.0, 0.5, 2.0, 2.0, -3.0],
        ]
    )
    labels = np.zeros((5, 2, 1), int)
    labels[2:] = 1
    loads = [lsml.load(strain=e) for e in strains]
    problem = lsml.plasticity(labels, phases()[:2], loads[0], scheme)
    path = lsml.load_path(problem, loads, "newton", tol=1e-11)
    expected, layer = laminate(strains, 0.4)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(path.mean_stress[:, 0], expected, atol=1e-8 * scale)
    assert path.solution is not None
    total = path.solution.internal["accumulated_plastic_strain"][0]
    np.testing.assert_allclose(total[2:], layer.total, rtol=1e-7)
    assert float(total[:2].abs().max()) == 0


@pytest.mark.parametrize("scheme", ["rotated", "hex8-bbar"])
def test_plane_strain_is_a_slab(scheme):
    """Theorem: a 3-D slab of one voxel, not strained along its axis, is plane strain.

    Catches out-of-plane plastic strain that is lost, and a 2-D trace in 3-D algebra.
    ``hex8-bbar`` averages another trace in 2-D, so that only averages of it agree where
    strains are uniform: it is held to layers.
    """
    flat = random_labels((3, 2), 4, seed=2)
    if scheme == "hex8-bbar":
        flat = np.zeros((1, 3, 2), int)
        flat[:, 1:] = 1
    steps = 2e-3 * random_load(3, 1, 2)
    thick = torch.zeros(2, 6, dtype=torch.float64)
    thick[:, [0, 1, 5]] = steps
    paths = []
    for labels, strains in ((flat, steps), (flat[..., None], thick)):
        loads = [lsml.load(strain=e) for e in strains]
        problem = lsml.plasticity(labels, phases()[:4], loads[0], scheme)
        paths.append(lsml.load_path(problem, loads, "newton", tol=1e-10))
    plane, slab = paths
    torch.testing.assert_close(
        plane.mean_stress, slab.mean_stress[..., [0, 1, 5]], rtol=1e-7, atol=1e-9
    )
    assert plane.solution is not None
    assert slab.solution is not None
    inner, outer = (p.solution.internal["plastic_strain"] for p in paths)
    torch.testing.assert_close(
        inner, outer[:, [0, 1, 2, 5], ..., 0], rtol=1e-6, atol=1e-10
    )
    assert float(inner[:, 2].abs().max()) > 1e-2 * float(inner.abs().max()) > 0


def test_batch_is_separate_solves():
    """Theorem: samples, parameters per sample and load cases do not mix.

    Catches internal variables or parameters of a neighbour, also once samples that have
    ended have left the batch.
    """
    labels = random_labels((4, 3), 2, batch=3, seed=5)
    sigma0 = torch.tensor([0.2, 0.4, 1e3], dtype=torch.float64)
    loads = 3e-3 * random_load(3, 4, 3)
    later = loads + 1e-3 * random_load(3, 9, 3)
    steps = [lsml.load(strain=e) for e in (loads, later)]
    hard = lsml.isotropic(E=3 * YOUNG, nu=0.2)
    phase = lsml.j2(SOFT, lsml.voce(sigma0, H=8.0))
    whole = lsml.load_path(
        lsml.plasticity(labels, [hard, phase], steps[0]), steps, "newton", tol=1e-10
    )
    for i in range(3):
        own = lsml.j2(SOFT, lsml.voce(float(sigma0[i]), H=8.0))
        alone = [lsml.load(strain=e[i]) for e in (loads, later)]
        problem = lsml.plasticity(labels[i], [hard, own], alone[0])
        path = lsml.load_path(problem, alone, "newton", tol=1e-10)
        torch.testing.assert_close(
            whole.mean_stress[:, i], path.mean_stress[:, 0], rtol=1e-8, atol=1e-10
        )
    tables = [[hard, lsml.j2(SOFT, lsml.voce(float(s), H=8.0))] for s in sigma0]
    listed = lsml.plasticity(labels, tables, steps[0])
    again = lsml.load_path(listed, steps, "newton", tol=1e-10)
    torch.testing.assert_close(again.mean_stress, whole.mean_stress)


RULES = ["newton", "barzilai_borwein", "nonlinear_cg", "anderson", "nesterov"]


@pytest.mark.parametrize("form", ["displacement", "strain"])
def test_rules_agree(form):
    """Theorem: a convex potential has one minimum, whichever rule finds it.

    Under mixed control, from internal variables that are not zero. Catches a rule that
    takes the law for linear. What needs linearity is refused by name.
    """
    labels = random_labels((3, 2), 3, seed=3)
    load = lsml.load(strain=[3e-3, None, 1e-3], stress=[None, 0.1, None])
    table = [
        lsml.isotropic(E=2 * YOUNG, nu=0.2),
        lsml.j2(SOFT, lsml.voce(0.2, H=60.0)),
        lsml.ramberg_osgood(SOFT, sigma0=0.3, n=2.0),
    ]
    first = lsml.plasticity(labels, table, load, "hex8-bbar")
    law, _ = strained(first, size=1e-3)
    problem = first.of(law)
    expected = lsml.solve(problem, "moulinec", tol=1e-8, form=form)
    for rule in RULES:
        found = lsml.solve(problem, rule, tol=1e-8, form=form)
        scale = float(expected.stress.abs().max())
        torch.testing.assert_close(
            found.stress, expected.stress, rtol=0, atol=1e-6 * scale
        )
        assert found.iterations.max() < expected.iterations.max()
    for rule in ("cg", "minres", "steepest_descent", "heavy_ball", "chebyshev"):
        with pytest.raises(ValueError, match=r"linear|bounds"):
            lsml.solve(problem, rule, form=form)


def test_perfect_plasticity_converges():
    """Tangents that vanish along the flow: Newton and auto still find the stress."""
    labels = random_labels((5, 4), 2, seed=1)
    load = lsml.load(strain=[6e-3, -2e-3, 1e-3])
    problem = lsml.plasticity(
        labels, [lsml.isotropic(E=400.0, nu=0.2), lsml.j2(SOFT, 0.2)], load
    )
    found = [lsml.solve(problem, rule, tol=1e-9) for rule in ("newton", "auto")]
    torch.testing.assert_close(found[0].stress, found[1].stress, rtol=0, atol=1e-6)


def test_newton_searches_its_line():
    """Theorem: x ← x − σ/σ' diverges on σ ~ ε^m for m < 1/2; with a search it does not.

    A bar of a power law that is let go from a stretch. The bare recursion is run beside
    it, without which the case would prove nothing.
    """
    m, x = 0.2, 5e-3
    for _ in range(5):
        x = x - x / m
    assert abs(x) > 1.0
    phase = lsml.power_law(K=150.0, sigma0=0.3, epsilon0=1e-3, m=m, cutoff=1e-4)
    load = lsml.load(stress=[0.02, 0.0, 0.0])
    problem = lsml.plasticity(np.zeros((3, 2), int), [phase], load)
    start = torch.zeros(1, 3, 3, 2, dtype=torch.float64)
    start[:, 0] = 5e-3
    found = lsml.solve(problem, "newton", x0=start, max_iter=40)
    assert found.converged.all()
    assert float(found.mean_stress[0, 0]) == pytest.approx(0.02, rel=1e-4)


def test_implicit_gradient_is_that_of_finite_differences():
    """Theorem: the implicit function theorem, through the cell and the scalar roots.

    With respect to every parameter of the three kinds of phases, by central
    differences. Catches a root whose derivative is not attached.
    """
    labels = random_labels((3, 2), 4, seed=4)
    load = lsml.load(strain=[3e-3, -1e-3, 2e-3])

    def mean_stress(values):
        young, sigma0, slope, m, n, alpha, bulk = values.unbind(-1)
        soft = lsml.isotropic(E=young, nu=0.3)
        table = [
            lsml.isotropic(E=3 * young, nu=0.2),
            lsml.j2(soft, lsml.voce(sigma0, H=slope, Q=0.1, b=60.0)),
            lsml.power_law(K=bulk, sigma0=sigma0, epsilon0=1e-3, m=m),
            lsml.ramberg_osgood(soft, sigma0=sigma0, n=n, alpha=alpha),
        ]
        images = np.broadcast_to(labels, (*(values.shape[:-1] or [1]), 3, 2))
        problem = lsml.plasticity(images, table, load)
        solution = lsml.solve(problem, "newton", tol=1e-11)
        return (solution.mean_stress * torch.tensor([1.0, -0.5, 2.0])).sum(1)

    values = torch.tensor([200.0, 0.3, 8.0, 0.4, 5.0, 0.4, 150.0], dtype=torch.float64)
    values.requires_grad_()
    (found,) = torch.autograd.grad(mean_stress(values), values)
    h = torch.diag(1e-5 * values.detach())  # a sample for each parameter and sign
    with torch.no_grad():
        rise, fall = mean_stress(torch.cat([values + h, values - h])).chunk(2)
    slopes = (rise - fall) / (2 * h.diagonal())
    assert found.tolist() == pytest.approx(slopes.tolist(), rel=2e-5)


def test_unrolled_gradient_agrees():
    """Theorem: backpropagation through converged Newton steps agrees."""
    labels = random_labels((3, 2), 2, seed=4)
    load = lsml.load(strain=[3e-3, -1e-3, 2e-3])
    rows = []
    for gradient in (lsml.Implicit(), lsml.Unrolled()):
        sigma0 = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
        table = [lsml.isotropic(E=400.0, nu=0.2), lsml.j2(SOFT, lsml.voce(sigma0, H=8))]
        problem = lsml.plasticity(labels, table, load)
        found = lsml.solve(problem, "newton", tol=1e-11, gradient=gradient)
        rows.append(torch.autograd.grad(found.mean_stress[0, 0], sigma0)[0])
    assert float(rows[0]) == pytest.approx(float(rows[1]), rel=1e-6)


def test_all_elastic_is_elasticity():
    """Without an inelastic phase the problem is that of ``elasticity``."""
    load = lsml.load(strain=[1e-3, 0.0, 0.0])
    problem = lsml.plasticity(np.eye(3, dtype=int), [SOFT, SOFT], load)
    assert type(problem.law) is PhaseLaw
    assert lsml.solve(problem, "cg").converged.all()


def test_eigenstrain_shifts_the_law():
    """Theorem: σ(ε) with an eigenstrain is the law at ε − ε*, also where it flows."""
    free = [None, *[[1e-3, -2e-3, 5e-4]] * 5]
    labels = random_labels((4, 3), 6, seed=6)
    load = lsml.load(strain=[2e-3, 1e-3, -1e-3])
    plain = lsml.plasticity(labels, phases(), load)
    swollen = lsml.plasticity(labels, phases(), load, eigenstrain=free)
    x, shift = plain.start(), torch.tensor([1e-3, -2e-3, 5e-4], dtype=torch.float64)
    inside = torch.as_tensor(labels > 0)[:, None]
    moved = x - torch.where(inside, shift.reshape(1, 3, 1, 1), 0.0)
    torch.testing.assert_close(swollen.law(x), plain.law(moved))


def test_results_are_written(tmp_path):
    """A solved step is saved with its internal variables; no bound of its error."""
    import h5py

    found = lsml.solve(mixed((4, 3)), "newton")
    with h5py.File(found.save(tmp_path / "step.h5")) as file:
        plastic = np.array(file["plastic_strain"])
        assert plastic.shape == (2, 4, 4, 3)
        np.testing.assert_allclose(plastic[:, :3].sum(1), 0, atol=1e-15)
        assert np.isinf(file["error_bound"]).all()
    assert found.to_vtk(tmp_path / "step.vti").exists()


def test_roots_of_all_kinds():
    """Exact: roots of z^n + z = t over twenty decades of t, to rounding.

    Catches a Newton iteration that leaves its interval or stops too early.
    """
    t = torch.logspace(-10, 10, 41, dtype=torch.float64)
    for n in (1.0, 7.0, 60.0):
        high = torch.minimum(t, t ** (1 / n))

        def excess(z, n=n):
            return z**n + z - t, n * z ** (n - 1) + 1

        z = root(excess, high, high, high)
        error = excess(z)[0].abs() / t
        assert float(error.max()) < 1e-14 * max(n, 4)


@dataclass(frozen=True)
class Cubic(Law):
    """σ = C x + k |x|² x, of which nobody has worked out the tangent."""

    plain: Law
    tags = frozenset({"symmetric", "positive"})

    def __call__(self, x):
        return self.plain(x) + 1e6 * x * x.square().sum(1, keepdim=True)

    def energy(self, x):
        square = x.square().sum(1, keepdim=True)
        return self.plain.energy(x) + 2.5e5 * square.square()


def test_law_without_tangent():
    """Newton, nonlinear CG and Implicit refuse it in one sentence; others solve it."""
    linear = lsml.elasticity(
        np.eye(3, dtype=int),
        [SOFT, lsml.isotropic(E=50.0, nu=0.3)],
        lsml.load(strain=[1e-3, 0.0, 0.0]),
    )
    assert isinstance(linear, StrainForm)
    problem = linear.of(Cubic(linear.law))
    for rule, name in (("newton", "Newton"), ("nonlinear_cg", "NonlinearCG")):
        with pytest.raises(ValueError, match=f"{name} needs the tangent of the law"):
            lsml.solve(problem, rule)
    with pytest.raises(ValueError, match="Implicit needs the tangent of the law"):
        lsml.solve(problem, "anderson", gradient=lsml.Implicit())
    assert lsml.solve(problem, "auto").converged.all()
    assert lsml.solve(problem, lsml.NonlinearCG("fletcher_reeves", 1.0)).converged.all()


REFUSED = [
    (lambda: lsml.voce(-1.0), "voce: sigma0 = -1 must be positive"),
    (lambda: lsml.voce(1.0, H=-2.0), "voce: H = -2 must be 0 or more"),
    (lambda: lsml.voce(1.0, Q=float("nan")), "voce: Q is not finite"),
    (lambda: lsml.swift(1.0, 0.0, 0.2), "swift: p0 = 0 must be positive"),
    (
        lambda: lsml.swift(1.0, 1e-3, 1.5),
        "swift: n = 1.5 must be above 0 and at most 1",
    ),
    (lambda: lsml.hardening_table([0, 1], [1]), "two lists of the same length"),
    (lambda: lsml.hardening_table([0.1, 1], [1, 2]), "must rise from 0"),
    (lambda: lsml.hardening_table([0, 1], [2, 1]), "must be positive and never fall"),
    (lambda: lsml.j2(lsml.isotropic(E=0.0, nu=0.0), 1.0), "shear modulus = 0 must be"),
    (lambda: lsml.j2(lsml.cubic(3.0, 1.0, 2.0), 1.0), "needs an isotropic stiffness"),
    (
        lambda: lsml.j2(SOFT.plane_strain(), 1.0),
        "needs a stiffness made by lsml.isotropic",
    ),
    (
        lambda: lsml.ramberg_osgood(SOFT, sigma0=1.0, n=0.5),
        "ramberg_osgood: n = 0.5 must be 1 or more",
    ),
    (
        lambda: lsml.power_law(K=1.0, sigma0=1.0, epsilon0=1.0, m=0.0),
        "power_law: m = 0 must be above 0 and at most 1",
    ),
    (
        lambda: lsml.power_law(K=1.0, sigma0=1.0, epsilon0=1.0, m=0.5, cutoff=0.0),
        "power_law: cutoff = 0 must be positive",
    ),
]


@pytest.mark.parametrize(("make", "sentence"), REFUSED, ids=[s for _, s in REFUSED])
def test_parameters_out_of_range(make, sentence):
    """One sentence names law, parameter, value and range."""
    with pytest.raises(ValueError, match=sentence):
        make()


def test_problems_that_are_refused():
    """Staggered schemes, internal variables of another cell, linear homogenization."""
    labels, load = np.eye(3, dtype=int), lsml.load(strain=[1e-3, 0.0, 0.0])
    table = [SOFT, lsml.j2(SOFT, 0.2)]
    with pytest.raises(ValueError, match="'staggered' holds the components"):
        lsml.plasticity(labels, table, load, "staggered")
    problem = lsml.plasticity(labels, table, load)
    strain, total = torch.zeros(1, 1, 4, 3, 3), torch.zeros(1, 1, 3, 3)
    for wrong, sentence in (
        (
            lsml.Internal(strain[:, :, :3], total),
            r"strain of shape .* must be \(1, 1, 4",
        ),
        (lsml.Internal(strain, total - 1), "accumulated plastic strain is negative"),
        (lsml.Internal(strain / 0, total), "internal: strain is not finite"),
    ):
        with pytest.raises(ValueError, match=sentence):
            lsml.plasticity(labels, table, load, internal=wrong)
    assert (
        lsml.plasticity(
            labels, table, load, internal=lsml.Internal(strain, total)
        ).law.variables
        is not None
    )
    with pytest.raises(ValueError, match="homogenize needs linear phases"):
        lsml.homogenize(problem)
    with pytest.raises(ValueError, match="lists of length"):
        lsml.plasticity(labels, [table, table[:1]], load)
    with pytest.raises(ValueError, match="different numbers of samples"):
        lsml.j2(lsml.isotropic(E=torch.ones(3), nu=0.3), lsml.voce(torch.ones(2)))
