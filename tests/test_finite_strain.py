"""Hyperelasticity: energies, rotations, laminates, small strains, and bad input."""

from functools import partial

import h5py
import numpy as np
import pytest
import torch
from cells import random_labels
from scipy.optimize import root

import lsml
from lsml.displacement_form import DisplacementForm
from lsml.mandel import from_mandel, to_mandel
from lsml.state import Status

MEAN = {
    2: [[1.12, 0.1], [-0.05, 0.95]],
    3: [[1.1, 0.08, 0.02], [-0.03, 0.95, 0.05], [0.04, 0.0, 1.06]],
}
SHAPES = {2: (5, 4), 3: (3, 4, 2)}
SCHEMES = ["rotated", "hex8", "fourier", "forward"]


def phases():
    """One energy each, so that voxels of both stand side by side."""
    return [
        lsml.neo_hooke(E=1.0, nu=0.3),
        lsml.saint_venant_kirchhoff(E=5.0, nu=0.2),
        lsml.neo_hooke(E=2.0, nu=0.1),
    ]


def finite(scheme, ndim, mean=None, batch=2):
    labels = random_labels(SHAPES[ndim], 3, batch=batch, seed=ndim)
    spacing = (1.0, 1.3, 0.7)[:ndim]
    load = lsml.load(deformation=MEAN[ndim] if mean is None else mean)
    return lsml.hyperelasticity(labels, phases(), load, scheme, spacing)


def wobble(x, seed, size=0.02):
    draw = torch.Generator().manual_seed(seed)
    return size * torch.randn(x.shape, generator=draw, dtype=x.dtype)


@pytest.mark.parametrize("ndim", [2, 3])
def test_stress_and_tangent_are_derivatives_of_the_energy(ndim):
    """Theorem: P = ∂W/∂F by autograd, and its tangent is symmetric and that of P.

    Catches a transpose in F⁻ᵀ dFᵀ F⁻ᵀ, a trace in place of a product, and a voxel that
    has the energy of another phase.
    """
    problem = finite("hex8", ndim)
    law, x = problem.law, problem.start()
    x = (x + wobble(x, 1, 0.05)).requires_grad_(True)
    (known,) = torch.autograd.grad(law.energy(x).sum(), x)
    torch.testing.assert_close(law(x), known, rtol=1e-11, atol=1e-12)
    v, w, h = wobble(x, 2), wobble(x, 3), 1e-6
    slope = (law(x + h * v) - law(x - h * v)) / (2 * h)
    torch.testing.assert_close(law.tangent(x, v), slope, rtol=1e-6, atol=1e-9)
    forth, back = (law.tangent(x, v) * w).sum(), (law.tangent(x, w) * v).sum()
    torch.testing.assert_close(forth, back, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ["neo_hooke", "saint_venant_kirchhoff"])
def test_energies_are_those_of_the_books(name):
    """W of one F by hand with NumPy, in 3-D; catches a moduli conversion."""
    f = np.array(MEAN[3])
    young, nu = 2.0, 0.3
    lam, mu = young * nu / ((1 + nu) * (1 - 2 * nu)), young / (2 * (1 + nu))
    e, log = (f.T @ f - np.eye(3)) / 2, np.log(np.linalg.det(f))
    known = {
        "neo_hooke": mu / 2 * (np.trace(f.T @ f) - 3) - mu * log + lam / 2 * log**2,
        "saint_venant_kirchhoff": lam / 2 * np.trace(e) ** 2 + mu * (e * e).sum(),
    }[name]
    problem = lsml.hyperelasticity(
        np.zeros((1, 1, 1), int),
        [getattr(lsml, name)(E=young, nu=nu)],
        lsml.load(deformation=MEAN[3]),
    )
    assert float(problem.law.energy(problem.start())) == pytest.approx(known, rel=1e-13)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_solution_is_in_equilibrium_and_admissible(scheme, ndim):
    """Theorem: the energy is stationary; <F> is the load; <P : δF> = <P> : <δF>.

    Against the energy, which the solver does not use. Catches an unknown that is
    compatible with something else than the full gradient.
    """
    solved = lsml.solve(finite(scheme, ndim), "newton", tol=1e-9)
    form, x = solved.problem, solved.state.x
    mean = solved.deformation.flatten(2).mean(2)
    known = torch.tensor(MEAN[ndim], dtype=torch.float64).flatten().expand_as(mean)
    torch.testing.assert_close(mean, known, rtol=1e-12, atol=1e-12)

    def energy(at):
        return form.strain.law.energy(form.field(at)).sum()

    def slope(at):
        free = at.clone().requires_grad_(True)
        return torch.autograd.grad(energy(free), free)[0]

    rough = slope(wobble(x, 5)).norm()
    assert slope(x).norm() < 1e-7 * rough


@pytest.mark.parametrize("scheme", ["rotated", "hex8"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_newton_sees_the_tangent_of_the_force(scheme, ndim):
    """Theorem: ``hessian`` is minus the derivative of ``force``, mean stress free too.

    Catches a tangent at F where it has to be at the present point.
    """
    mean = np.array(MEAN[ndim], dtype=object)
    stress = np.full(mean.shape, None)
    mean[-1, -1], stress[-1, -1] = None, 0.02
    load = lsml.load(deformation=mean.tolist(), piola=stress.tolist())
    labels = random_labels(SHAPES[ndim], 3, batch=2, seed=ndim)
    problem = DisplacementForm(lsml.hyperelasticity(labels, phases(), load, scheme))
    x = problem.start()
    x, d, h = x + wobble(x, 1), problem.project(wobble(x, 2)), 1e-6
    slope = (problem.force(x - h * d) - problem.force(x + h * d)) / (2 * h)
    torch.testing.assert_close(problem.hessian(x, d), slope, rtol=1e-5, atol=1e-8)


def turned(angle, axis):
    """A rotation, its last axes in 3-D turned on."""
    c, s = np.cos(angle), np.sin(angle)
    r = np.eye(3)
    i, j = [k for k in range(3) if k != axis]
    r[i, i] = r[j, j] = c
    r[i, j], r[j, i] = -s, s
    return r


@pytest.mark.parametrize("ndim", [2, 3])
def test_rotation_of_the_load_rotates_the_stress(ndim):
    """Theorem (objectivity): F̄ → R F̄ gives F → R F and P → R P, voxel by voxel.

    For any microstructure and energy, however large the rotation. Catches a strain
    measure that is not one, and P in place of Pᵀ.
    """
    r = (turned(0.7, 2) @ (turned(0.4, 0) if ndim == 3 else np.eye(3)))[:ndim, :ndim]
    plain = lsml.solve(finite("rotated", ndim), "newton", tol=1e-10)
    mean = (r @ np.array(MEAN[ndim])).tolist()
    solved = lsml.solve(finite("rotated", ndim, mean), "newton", tol=1e-10)
    for found, first in (
        (solved.piola, plain.piola),
        (solved.deformation, plain.deformation),
    ):
        matrices = first.unflatten(1, (ndim, ndim))
        known = torch.einsum("ij,bjk...->bik...", torch.from_numpy(r), matrices)
        torch.testing.assert_close(found, known.flatten(1, 2), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(solved.energy, plain.energy, rtol=1e-8, atol=0)


def neo_hooke_stress(f, lam, mu):
    inverse = np.linalg.inv(f).T
    return mu * (f - inverse) + lam * np.log(np.linalg.det(f)) * inverse


def saint_venant_stress(f, lam, mu):
    e = (f.T @ f - np.eye(3)) / 2
    return f @ (lam * np.trace(e) * np.eye(3) + 2 * mu * e)


@pytest.mark.parametrize(
    ("scheme", "n"), [("rotated", 4), ("hex8", 3), ("forward", 4), ("fourier", 5)]
)
@pytest.mark.parametrize("ndim", [2, 3])
def test_laminate_is_that_of_algebra(scheme, n, ndim):
    """Theorem: layers deform by F̄ + a_p ⊗ e₁ with one traction P e₁ (here by `root`).

    To the tolerance of the solve at any resolution; `fourier` on odd grids. In 2-D
    against 3-D algebra in plane strain. Catches a gradient ∂_i u_j in place of ∂_j u_i.
    """
    image = np.zeros((n, 2, 1)[:ndim], int)
    image[: n // 2] = 1
    share = (n // 2) / n
    mean = np.eye(3)
    mean[:ndim, :ndim] = MEAN[ndim]
    lame = [(e * nu / ((1 + nu) * (1 - 2 * nu)), e / (2 * (1 + nu)))
            for e, nu in ((1.0, 0.3), (5.0, 0.2))]  # fmt: skip
    soft = partial(neo_hooke_stress, lam=lame[0][0], mu=lame[0][1])
    stiff = partial(saint_venant_stress, lam=lame[1][0], mu=lame[1][1])

    def layers(a):
        jump = np.zeros((3, 3))
        jump[:, 0] = a
        return soft(mean + share * jump), stiff(mean - (1 - share) * jump)

    def unlike(a):
        first, second = layers(a)
        return (first - second)[:, 0]

    answer = root(unlike, np.zeros(3), tol=1e-13)
    assert answer.success
    first, second = layers(answer.x)
    known = ((1 - share) * first + share * second)[:ndim, :ndim]
    problem = lsml.hyperelasticity(
        image, phases()[:2], lsml.load(deformation=MEAN[ndim]), scheme
    )
    solved = lsml.solve(problem, "newton", tol=1e-10)
    found = solved.mean_stress[0].reshape(ndim, ndim).numpy()
    np.testing.assert_allclose(found, known, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("ndim", [2, 3])
def test_small_strains_are_those_of_elasticity(ndim):
    """Theorem: P/t → σ of Hooke's law for F̄ = 1 + t H̄, with an error of order t.

    Measured: twice the error for twice the load. Catches a modulus of 2μ for μ.
    """
    labels = random_labels(SHAPES[ndim], 2, batch=1, seed=3)
    h = np.array(MEAN[ndim]) - np.eye(ndim)
    strain = torch.from_numpy((h + h.T) / 2)
    moduli = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=5.0, nu=0.2)]
    load = lsml.load(strain=to_mandel(strain))
    linear = lsml.solve(lsml.elasticity(labels, moduli, load, "hex8"), tol=1e-10)
    known = from_mandel(linear.mean_stress).flatten(1)
    gaps = []
    for t in (1e-3, 2e-3):
        mean = lsml.load(deformation=np.eye(ndim) + t * h)
        problem = lsml.hyperelasticity(labels, phases()[:2], mean, "hex8")
        found = lsml.solve(problem, "newton", tol=1e-9).mean_stress / t
        gaps.append(float((found - known).norm() / known.norm()))
    assert gaps[0] < 1e-3
    assert gaps[1] / gaps[0] == pytest.approx(2, rel=0.05)


def test_uniaxial_tension_of_neo_hooke():
    """Theorem: F₁₁ given and P₂₂ = P₃₃ = 0: the lateral stretch is a root by algebra.

    Catches a mean stress that is prescribed against C⁰ H and not P(F).
    """
    n, young, nu = None, 2.0, 0.3
    lam, mu = young * nu / ((1 + nu) * (1 - 2 * nu)), young / (2 * (1 + nu))
    load = lsml.load(
        deformation=[[1.4, 0, 0], [0, n, 0], [0, 0, n]],
        piola=[[n, n, n], [n, 0, n], [n, n, 0]],
    )
    material = lsml.neo_hooke(E=young, nu=nu)
    problem = lsml.hyperelasticity(np.zeros((2, 3, 1), int), [material], load)
    solved = lsml.solve(problem, "newton", tol=1e-11)

    def stress(side):
        return neo_hooke_stress(np.diag([1.4, side[0], side[0]]), lam, mu)

    side = root(lambda s: [stress(s)[1, 1]], [0.9], tol=1e-13).x
    found = solved.deformation[0, :, 0, 0, 0]
    known = torch.from_numpy(np.diag([1.4, *side, *side])).flatten()
    torch.testing.assert_close(found, known, rtol=1e-9, atol=1e-10)
    assert float(solved.mean_stress[0, 0]) == pytest.approx(stress(side)[0, 0])


def test_gradient_is_that_of_finite_differences():
    """Theorem: the derivative of the mean stress to both moduli, by the adjoint.

    Catches a reference medium that is differentiated, and NaN from the other energy.
    """
    labels = random_labels((3, 4), 2, batch=1, seed=1)

    def stress(p, **options):
        table = [
            lsml.neo_hooke(E=p[..., 0], nu=0.3),
            lsml.saint_venant_kirchhoff(E=p[..., 1], nu=p[..., 2]),
        ]
        load = lsml.load(deformation=MEAN[2])
        images = np.broadcast_to(labels, (*(p.shape[:-1] or [1]), 3, 4))
        problem = lsml.hyperelasticity(images, table, load)
        solved = lsml.solve(problem, "newton", tol=1e-11, **options)
        return (solved.mean_stress * torch.tensor([1.0, -0.3, 0.7, 0.2])).sum(1)

    p = torch.tensor([1.0, 4.0, 0.25], dtype=torch.float64, requires_grad=True)
    rule = lsml.ConjugateGradient()
    value = stress(p, gradient=lsml.Implicit(rule=rule, tol=1e-11))
    (slope,) = torch.autograd.grad(value, p)
    with torch.no_grad():
        h = 1e-5 * torch.eye(3, dtype=torch.float64)  # a sample for each step
        rise, fall = stress(torch.cat([p + h, p - h])).chunk(2)
    known = (rise - fall) / 2e-5
    assert slope.tolist() == pytest.approx(known.tolist(), rel=1e-6)


def test_samples_do_not_mix():
    """A batch of unlike images and loads is its samples one at a time, in any order."""
    labels = random_labels((4, 3), 3, batch=3, seed=2)
    means = torch.eye(2).double() + wobble(torch.zeros(3, 2, 2).double(), 4, 0.1)
    load = partial(lsml.load)
    whole = lsml.solve(
        lsml.hyperelasticity(labels, phases(), load(deformation=means.flatten(1))),
        "newton",
        tol=1e-9,
    )
    for i in (2, 0):
        one = lsml.hyperelasticity(labels[i], phases(), load(deformation=means[i]))
        alone = lsml.solve(one, "newton", tol=1e-9)
        torch.testing.assert_close(alone.piola[0], whole.piola[i], rtol=1e-7, atol=1e-9)


def steps(ndim, count=4):
    """Stretched and sheared by a half, its last normal stress 0 where in 3-D."""
    for t in np.linspace(1 / count, 1, count):
        mean = np.eye(ndim)
        mean[0, 0], mean[0, 1] = 1 + 0.5 * t, 0.5 * t
        piola = np.full((ndim, ndim), np.nan)
        mean[-1, -1], piola[-1, -1] = np.nan, 0.0
        yield lsml.load(deformation=mean, piola=piola)


@pytest.mark.parametrize("ndim", [2, 3])
def test_large_loads_come_in_steps(ndim):
    """Theorem: a load path ends where each of its steps, solved alone, ends.

    Catches loads of F that are taken for H, a start that is not entered, and an energy
    that falls under load.
    """
    labels = random_labels(SHAPES[ndim], 2, batch=2, seed=7)
    table, energies = [phases()[0], phases()[2]], []

    def seen(k, solved):
        energies.append(solved.energy.tolist())

    loads = list(steps(ndim))
    problem = lsml.hyperelasticity(labels, table, loads[0])
    path = lsml.load_path(problem, loads, "newton", tol=1e-9, each=seen)
    assert sorted(energies) == energies
    solved = path.solution
    matrices = solved.deformation.flatten(2).mT.unflatten(2, (ndim, ndim))
    assert float(torch.linalg.det(matrices).min()) > 0
    assert float(path.mean_stress[..., -1].abs().max()) < 1e-9
    assert path.mean_strain[:, 0, 0].tolist() == pytest.approx(
        [0.125, 0.25, 0.375, 0.5]
    )
    last = lsml.hyperelasticity(labels, table, loads[-1])
    alone = lsml.solve(
        last, "newton", tol=1e-9, x0=solved.strain + 1e-3 * wobble(solved.strain, 1)
    )
    torch.testing.assert_close(alone.piola, solved.piola, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("ndim", [2, 3])
def test_files_hold_whole_gradients(tmp_path, ndim):
    """Theorem: what a file holds is H and P, component by component.

    Catches nine components that are read as Mandel's six, and √2 on shear.
    """
    solved = lsml.solve(finite("rotated", ndim), "newton")
    pyvista = pytest.importorskip("pyvista")
    image = pyvista.read(solved.to_vtk(tmp_path / "a.vti", sample=1))
    names = [i + j for i in "XYZ"[:ndim] for j in "XYZ"[:ndim]]
    for name, field in (
        ("displacement gradient", solved.strain),
        ("stress", solved.piola),
    ):
        wanted = field[1].flatten(1).T.reshape(-1, ndim**2)
        stored = np.asarray(image.cell_data[name])
        by_column = stored.reshape(*solved.form.grid.shape, -1, order="F")
        np.testing.assert_array_equal(by_column.reshape(-1, ndim**2), wanted.numpy())
        data = image.GetCellData().GetArray(name)
        assert [data.GetComponentName(k) for k in range(ndim**2)] == names
    with h5py.File(solved.save(tmp_path / "a.h5")) as file:
        np.testing.assert_array_equal(
            file["displacement gradient"][:], solved.strain.numpy()
        )


def test_samples_have_phases_of_their_own():
    """Theorem: tables of two samples are two solves; energies must be alike.

    Catches lists of lists that leave no energy.
    """
    labels = random_labels((4, 3), 2, batch=2, seed=3)
    load = lsml.load(deformation=MEAN[2])
    rows = [[lsml.neo_hooke(E=e, nu=0.3), phases()[1]] for e in (1.0, 3.0)]
    whole = lsml.solve(lsml.hyperelasticity(labels, rows, load), "newton", tol=1e-9)
    for i in range(2):
        problem = lsml.hyperelasticity(labels[i], rows[i], load)
        alone = lsml.solve(problem, "newton", tol=1e-9)
        torch.testing.assert_close(alone.piola[0], whole.piola[i], rtol=1e-7, atol=1e-9)
    with pytest.raises(ValueError, match="phase 0 has another energy in another"):
        lsml.hyperelasticity(labels, [rows[0], phases()[1::-1]], load)


@pytest.mark.parametrize("material", [lsml.neo_hooke, lsml.saint_venant_kirchhoff])
def test_inverted_voxels_end_a_solve(material):
    """J ≤ 0 anywhere: NONFINITE, never an answer, and the other sample goes on.

    Catches an energy that is even in J, and a NaN that reaches another sample.
    """
    load = lsml.load(deformation=[[1.1, 0.0], [0.0, 1.0]])
    problem = lsml.hyperelasticity(
        random_labels((3, 4), 2, batch=2, seed=0),
        [material(E=1.0, nu=0.3), material(E=3.0, nu=0.3)],
        load,
    )
    x0 = problem.start()
    x0[1, 0] += 4 * torch.tensor([1.0, -0.5, -0.5]).double()[:, None]
    solved = lsml.solve(problem, "newton", x0=x0, throw=False)
    assert solved.status.tolist() == [Status.CONVERGED, Status.NONFINITE]
    x = problem.start()
    x[1, 0, 1, 2] = -2.5
    assert bool(problem.law(x)[1, :, 1, 2].isnan().all())
    assert bool(problem.law(x)[0].isfinite().all())


BAD = [
    (
        {"load": lsml.load(strain=[0, 0, 0])},
        "load must be made by lsml.load.deformation",
    ),
    ({"discretization": "staggered"}, "does not hold whole deformation gradients"),
    ({"discretization": "hex8-bbar"}, "does not hold whole deformation gradients"),
    ({"phases": [1.0]}, "must be made by lsml.neo_hooke"),
    ({"phases": []}, "phases must list one hyperelastic phase"),
    ({"labels": np.ones((2, 2), int)}, "only 1 phases are given"),
]


@pytest.mark.parametrize(("changed", "sentence"), BAD)
def test_bad_input_is_refused(changed, sentence):
    """One sentence, before any work."""
    given = {
        "labels": np.zeros((2, 2), int),
        "phases": phases()[:1],
        "load": lsml.load(deformation=np.eye(2)),
    } | changed
    with pytest.raises(ValueError, match=sentence):
        lsml.hyperelasticity(**given)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"deformation": [1, 1, 1.0]}, "load has 3 components"),
        ({"deformation": [[1, 0], [0, -1]]}, "determinant -1, which must be positive"),
        (
            {"deformation": [[1, None], [None, 1]], "piola": [[None, 0], [0, None]]},
            "leaves the rotation in plane 12 free",
        ),
    ],
)
def test_bad_deformations_are_refused(given, sentence):
    """In every load, those of a path too."""
    with pytest.raises(ValueError, match=sentence):
        lsml.load(**given)


def test_pores_and_wrong_rules_are_refused():
    """A pore has no deformation; linear rules and homogenize need a linear law."""
    with pytest.raises(ValueError, match="give a soft phase"):
        lsml.neo_hooke(E=0.0, nu=0.3)
    problem = finite("rotated", 2)
    with pytest.raises(ValueError, match=r"needs a problem that is \['linear'\]"):
        lsml.solve(problem, "cg")
    with pytest.raises(ValueError, match="homogenize needs linear phases"):
        lsml.homogenize(problem)
    with pytest.raises(AttributeError, match="makes no deformation gradient"):
        _ = lsml.solve(np.array([[0, 1], [1, 1]])).deformation
