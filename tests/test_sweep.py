"""Sweeps over moduli: the reduced basis against dense algebra and exact results."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

import lsml
from lsml import exact
from lsml.reduced.greedy import require
from lsml.reduced.setup import prepare

GRIDS = {
    "2-D quad4 odd": ((5, 4), "quad4", (1.0, 2.0)),
    "2-D rotated": ((5, 3), "rotated", (0.5, 1.0)),
    "3-D hex8": ((4, 3, 2), "hex8", (1.0, 2.0, 0.5)),
    "3-D hex8-bbar": ((3, 4, 3), "hex8-bbar", (1.0, 1.0, 2.0)),
    "3-D fourier": ((3, 4, 2), "fourier", (1.0, 1.0, 1.0)),
}


def image(shape, phases, batch=1, seed=0):
    """Labels of a random medium in which every phase occurs."""
    labels = np.random.default_rng(seed).integers(phases, size=(batch, *shape))
    labels.reshape(batch, -1)[:, :phases] = np.arange(phases)
    return labels


def isotropic_points(values, nu=0.3):
    """Two phases, of which the second takes each Young's modulus."""
    return [[lsml.isotropic(E=1, nu=0.25), lsml.isotropic(E=e, nu=nu)] for e in values]


def random_spd(c, count, seed):
    """Anisotropic stiffnesses, well conditioned."""
    draw = np.random.default_rng(seed)
    halves = draw.normal(size=(count, c, c))
    return halves @ halves.transpose(0, 2, 1) / c + np.eye(c)


class Dense:
    """Elasticity of one cell assembled as a matrix, from the gradient alone."""

    def __init__(self, labels, discretization, spacing):
        shape = labels.shape
        c = {2: 3, 3: 6}[len(shape)]
        form = lsml.elasticity(
            labels,
            [np.eye(c)] * (labels.max() + 1),
            lsml.load(strain=[1.0] + [0.0] * (c - 1)),
            discretization,
            spacing=spacing,
        )
        scheme = form.discretization
        unknowns = len(shape) * labels.size
        unit = torch.eye(unknowns, dtype=torch.float64)
        field = scheme.gradient(unit.unflatten(1, (len(shape), *shape)))
        points = field.unflatten(1, (scheme.points, c)).flatten(3).numpy()
        self.gradient = points.transpose(1, 3, 2, 0)  # point, voxel, component, unknown
        self.labels, self.c = labels.reshape(-1), c
        self.weight = 1 / (scheme.points * labels.size)

    def products(self, matrices, strains):
        """<ε_m : C ε_n> of strains (point, voxel, component, m)."""
        flux, m = matrices[self.labels] @ strains, strains.shape[3]
        return self.weight * strains.reshape(-1, m).T @ flux.reshape(-1, m)

    def fields(self, displacements):
        """Unit strains, then gradients of displacements (unknown, k)."""
        q, v = self.gradient.shape[:2]
        unit = np.broadcast_to(np.eye(self.c), (q, v, self.c, self.c))
        return np.concatenate([unit, self.gradient @ displacements], 3)

    def solve(self, matrices):
        """Displacement of each unit strain, of least norm."""
        every = self.products(matrices, self.fields(np.eye(self.gradient.shape[3])))
        return -inverse(every[self.c :, self.c :]) @ every[self.c :, : self.c]

    def stiffness(self, matrices):
        """Effective stiffness."""
        return galerkin(
            self.products(matrices, self.fields(self.solve(matrices))), self.c
        )


def inverse(matrix):
    """Of a positive semidefinite matrix, on its range."""
    return np.linalg.pinv(matrix, rcond=1e-11, hermitian=True)


def galerkin(products, c):
    """Least energy over all fields but the first c, which are unit strains."""
    inner = products[c:, c:]
    return products[:c, :c] - products[:c, c:] @ inverse(inner) @ products[c:, :c]


def matrices(points):
    """Mandel matrices of lists of phases, (t, p, c, c)."""
    return np.array([[phase.matrix().numpy() for phase in row] for row in points])


@pytest.mark.parametrize("grid", GRIDS)
def test_galerkin_value_is_that_of_dense_algebra(grid):
    """Wrong terms, a transposed Gram block or a missed load case would show."""
    shape, name, spacing = GRIDS[grid]
    labels = image(shape, 2)
    training, others = isotropic_points([2.0, 30.0]), isotropic_points([0.3, 7.0, 200])
    options = {"discretization": name, "spacing": spacing, "tol": 1e-14}
    basis = lsml.reduced_basis(labels, phases=training, snapshots=2, **options)
    dense, plane = Dense(labels[0], name, spacing), (0, 1, 5)
    reduce = plane if len(shape) == 2 else range(6)
    select = np.ix_(reduce, reduce)
    cut = [m[..., select[0], select[1]] for m in (matrices(training), matrices(others))]
    snapshots = np.concatenate([dense.solve(m) for m in cut[0]], 1)
    fields = dense.fields(snapshots)
    estimate = basis(others)
    for value, table in zip(estimate.stiffness[:, 0].numpy(), cut[1], strict=True):
        expected = galerkin(dense.products(table, fields), dense.c)
        assert value == pytest.approx(expected, rel=1e-7, abs=1e-8)
        exact_value = dense.stiffness(table)
        assert np.linalg.eigvalsh(value - exact_value).min() > -1e-9


@pytest.mark.parametrize("grid", GRIDS)
def test_residual_is_that_of_the_full_problem(grid):
    """The offline-online residual equals the evaluated one: a wrong Riesz product, or
    a residual of another reference medium, would make it another number."""
    shape, name, spacing = GRIDS[grid]
    options = {"discretization": name, "spacing": spacing, "tol": 1e-14}
    labels = image(shape, 2, batch=2)
    training = isotropic_points([2.0, 30.0])
    basis = lsml.reduced_basis(labels, phases=training, snapshots=1, **options)
    others = isotropic_points([0.4, 11.0], nu=0.3)
    solution = basis.solve(others, tol=None)
    estimate = basis(others)
    assert (solution.iterations == 0).all()
    assert estimate.error.flatten() == pytest.approx(solution.error.numpy(), rel=1e-5)
    assert estimate.mean_stress.flatten(0, 2) == pytest.approx(
        solution.mean_stress.numpy(), rel=1e-9, abs=1e-10
    )
    assert estimate.energy.flatten() == pytest.approx(solution.energy.numpy(), rel=1e-9)


def test_estimates_at_snapshots_are_exact():
    """A snapshot spans its own solution: a basis that lost one would show."""
    labels = image((4, 3, 2), 2)
    points = isotropic_points([0.05, 3.0, 60.0])
    basis = lsml.reduced_basis(labels, phases=points, snapshots=3, tol=1e-15)
    assert len(basis.snapshots) == 3
    estimate, error = basis(points), basis.solve(points, tol=None).error
    assert error.max() < 1e-6
    for point, value in zip(points, estimate.stiffness, strict=True):
        truth = lsml.homogenize(labels, tol=1e-13, phases=point)
        assert value.numpy() == pytest.approx(np.asarray(truth), rel=1e-11, abs=1e-11)


def test_energy_falls_as_the_basis_grows():
    """Spaces are nested and values are minima: a Gram-Schmidt that loses old
    displacements, or a value that is no minimum, would make some energy rise."""
    labels = image((5, 4), 2, batch=2)
    points = isotropic_points(np.geomspace(0.02, 300, 7))
    before = None
    for snapshots in range(1, 5):
        options = {"phases": points, "snapshots": snapshots, "tol": 1e-15}
        options["spacing"] = (1.0, 2.0)
        values = lsml.reduced_basis(labels, **options)(points).stiffness
        if before is not None:
            least = torch.linalg.eigvalsh(before - values).amin()
            assert least > -1e-11 * values.abs().max()
        before = values


@pytest.mark.parametrize("seed", range(6))
def test_intervals_contain_the_truth(seed):
    """360 points with 3 or 6 intervals each: a bound from a wrong λ_min, a residual
    in another norm or a forgotten rounding would leave some truth outside."""
    draw = np.random.default_rng(seed)
    grid = GRIDS[list(GRIDS)[seed % len(GRIDS)]]
    shape, name, spacing = grid
    c = {2: 3, 3: 6}[len(shape)]
    p, points = int(draw.integers(2, 4)), 60
    contrasts = 10 ** draw.uniform(-2, 2, size=(points, p))
    ratios = draw.uniform(-0.3, 0.45, size=(points, p))
    phases = [
        [lsml.isotropic(E=e, nu=nu) for e, nu in zip(*row, strict=True)]
        for row in zip(contrasts, ratios, strict=True)
    ]
    labels = image(shape, p, seed=seed)
    snapshots = int(draw.integers(1, 4))
    options = {"discretization": name, "spacing": spacing, "tol": 1e-13}
    basis = lsml.reduced_basis(
        labels, phases=phases[:8], snapshots=snapshots, **options
    )
    estimate, dense = basis(phases), Dense(labels[0], name, spacing)
    keep = np.ix_(range(c), range(c)) if c == 6 else np.ix_((0, 1, 5), (0, 1, 5))
    tables = matrices(phases)[..., keep[0], keep[1]]
    truth = torch.tensor(np.array([dense.stiffness(table) for table in tables]))
    diagonal = truth.diagonal(dim1=1, dim2=2)
    rounding = 1e-11 * diagonal  # of the dense solution
    assert (estimate.lower[:, 0] <= diagonal + rounding).all()
    assert (diagonal <= estimate.upper[:, 0] + rounding).all()
    stress_error = (
        estimate.stress_error[:, 0] + 1e-11 * truth.abs().amax((1, 2))[:, None, None]
    )
    assert ((estimate.mean_stress[:, 0] - truth).abs() <= stress_error).all()


@pytest.mark.parametrize("case", ["stiffness", "load"])
def test_sweep_equals_single_solves(case):
    """Points finished by conjugate gradients, points read from the basis: both are
    what solving each point alone gives, in their order and for each microstructure."""
    labels = image((5, 3, 4), 2, batch=2)
    points = isotropic_points(np.geomspace(0.1, 100, 4))
    mean = [1e-3, 0.0, -2e-4, 0.0, 5e-4, 0.0]
    load = {} if case == "stiffness" else {"load": lsml.load(strain=mean)}
    result = lsml.sweep(labels, phases=points, snapshots=2, tol=1e-8, **load)
    assert (result.iterations > 0).any()
    assert (result.iterations == 0).any()
    for i, point in enumerate(points):
        if case == "stiffness":
            one = lsml.homogenize(labels, phases=point, tol=1e-10)
            assert result.half_width.max() <= 1e-8
            expected = np.asarray(one)
            assert result.stiffness[i].numpy() == pytest.approx(
                expected, rel=1e-7, abs=1e-8
            )
            assert (result.lower[i] <= one.upper).all()
            assert (one.lower <= result.upper[i]).all()
        else:
            one = lsml.solve(labels, phases=point, tol=1e-11, **load)
            assert result.error.max() <= 1e-8
            missed = (result.mean_stress[i, :, 0] - one.mean_stress).abs()
            assert (missed <= result.stress_error[i, :, 0]).all()
            assert missed.max() <= 1e-6 * one.mean_stress.abs().max()
            energy = one.energy.numpy()
            assert result.energy[i, :, 0] == pytest.approx(energy, rel=1e-10)


def test_fields_on_demand_are_those_of_a_solve():
    """The Galerkin start is entered as a displacement of the right sample."""
    labels = image((4, 5, 6), 2, batch=2)
    points = isotropic_points([0.2, 4.0, 50.0])
    load = lsml.load(strain=[[[1e-3, 0, 0, 0, 0, 0], [0, 0, 0, 0, 2e-3, 1e-3]]])
    options = {"phases": points, "load": load, "discretization": "hex8-bbar"}
    basis = lsml.sweep(labels, snapshots=2, tol=1e-3, **options).basis
    others = isotropic_points([9.0, 0.7])
    solution = basis.solve(others, tol=1e-9)
    assert solution.converged.all()
    for i, point in enumerate(others):
        alone = {"load": load, "discretization": "hex8-bbar", "tol": 1e-9}
        one = lsml.solve(labels, phases=point, **alone)
        rows = slice(4 * i, 4 * (i + 1))
        scale = float(one.strain.abs().max())
        assert (solution.strain[rows] - one.strain).abs().max() < 1e-7 * scale
        assert solution.iterations[rows].sum() < one.iterations.sum()


def test_laminate_at_every_point():
    """One shear and one stretch field span all laminates of two phases: Backus' formula
    holds at points far outside of the training set."""
    labels = np.zeros((6, 3, 2), dtype=int)
    labels[2:] = 1
    training = [
        [lsml.isotropic(E=1, nu=0.2), lsml.isotropic(K=k, G=g)]
        for k, g in ((2.0, 3.0), (9.0, 1.0), (0.1, 5.0), (4.0, 0.2))
    ]
    basis = lsml.reduced_basis(labels, phases=training, snapshots=4, tol=1e-14)
    for phases in ([lsml.isotropic(E=3, nu=0.2), lsml.isotropic(K=1e3, G=2e2)],):
        expected = exact.laminate(phases, [1 / 3, 2 / 3])
        estimate = basis(phases)
        assert estimate.stiffness[0] == pytest.approx(
            expected.numpy(), rel=1e-9, abs=1e-9
        )
        assert (estimate.half_width < 1e-6).all()


def test_three_phases_with_an_anisotropic_one():
    """General entries: a wrong place in the triangle shows against dense algebra."""
    labels = image((3, 2, 3), 3, seed=4)
    tables = np.stack([random_spd(6, 3, seed) for seed in range(3)])
    basis = lsml.reduced_basis(
        labels, phases=tables, snapshots=3, tol=1e-14, discretization="hex8"
    )
    mixed = (0.2 * tables[0] + 1.5 * tables[1] + 0.7 * tables[2])[None]
    dense = Dense(labels[0], "hex8", (1.0, 1.0, 1.0))
    snapshots = np.concatenate([dense.solve(table) for table in tables], 1)
    expected = galerkin(dense.products(mixed[0], dense.fields(snapshots)), 6)
    assert basis(mixed).stiffness[0, 0].numpy() == pytest.approx(expected, rel=1e-7)
    with pytest.raises(ValueError, match=r"phase \d is no combination"):
        basis(np.stack([random_spd(6, 3, 9)]))


@pytest.mark.parametrize("phases", ["isotropic", "cubic"])
def test_gradient_is_that_of_finite_differences(phases):
    """First and second: a solve detached from the graph would lose its part of them."""
    make = {
        "isotropic": lambda t: [
            lsml.isotropic(E=t[0], nu=0.3),
            lsml.isotropic(E=t[1], nu=t[2]),
        ],
        "cubic": lambda t: [
            lsml.isotropic(E=t[0], nu=0.3),
            lsml.cubic(C11=4 * t[1], C12=t[1], C44=t[2]),
        ],
    }[phases]
    labels = image((4, 3), 2)
    values = torch.tensor([1.0, 20.0, 0.3], dtype=torch.float64)
    scales = torch.tensor(
        [[1.0, 0.2, 1.0], [1.0, 2.0, 0.9], [2.0, 5.0, 1.1], [1.0, 1.0, 0.7]]
    )
    training = [make(values * row) for row in scales.double()]
    options = {"spacing": (1.0, 2.0), "snapshots": 2, "tol": 1e-14}
    basis = lsml.reduced_basis(labels, phases=training, **options)

    def stiffness(t):
        return basis(make(t)).stiffness

    values.requires_grad_()
    assert torch.autograd.gradcheck(stiffness, (values,), rtol=1e-5)
    assert torch.autograd.gradgradcheck(stiffness, (values,), rtol=1e-4)


def test_gradient_at_a_snapshot_is_that_of_the_full_problem():
    """dC*/dθ = <ε : C_h ε>, which needs the fields of this point only: also along
    Poisson's ratio, which no point of the training set changes."""
    labels = image((4, 3, 4), 2)
    values = torch.tensor([12.0, 0.3], dtype=torch.float64, requires_grad=True)
    points = isotropic_points([values[0], 40.0], values[1])
    basis = lsml.reduced_basis(labels, phases=points, snapshots=2, tol=1e-15)
    (slope,) = torch.autograd.grad(basis(points[:1]).stiffness.sum(), values)
    dense = Dense(labels[0], "rotated", (1.0, 1.0, 1.0))
    tables = matrices(isotropic_points([12.0, 11.0]))
    h = 1e-5
    more, less = (
        matrices(isotropic_points([12.0], nu))[0] for nu in (0.3 + h, 0.3 - h)
    )
    strains = dense.fields(dense.solve(tables[0]))
    strains = strains[..., :6] + strains[..., 6:]
    rates = (tables[0] - tables[1], (more - less) / (2 * h))
    expected = [dense.products(rate, strains).sum() for rate in rates]
    assert slope.numpy() == pytest.approx(expected, rel=1e-8)


def test_eigenstrain_is_a_column():
    """With eigenstrain: exact at snapshots, certified elsewhere. A column of the wrong
    sign, or one that a load case leaves out, would miss energy and mean stress."""
    labels = image((4, 5), 2, batch=2)
    load = lsml.load(strain=[1e-3, 0.0, 5e-4])
    options = {"eigenstrain": [None, [2e-3, 1e-3, 0.0]], "load": load}
    points = isotropic_points([0.2, 4.0, 50.0])
    basis = lsml.reduced_basis(labels, phases=points[:2], snapshots=2, **options)
    estimate = basis(points)
    for i, point in enumerate(points):
        one = lsml.solve(labels, phases=point, tol=1e-12, **options)
        twice = 2 * one.energy
        assert (estimate.lower[i, :, 0] <= twice).all()
        assert (twice <= estimate.upper[i, :, 0]).all()
        missed = (estimate.mean_stress[i, :, 0] - one.mean_stress).abs()
        assert (missed <= estimate.stress_error[i, :, 0]).all()
        if i < 2:
            energy = one.energy.numpy()
            assert estimate.energy[i, :, 0].numpy() == pytest.approx(energy, rel=1e-11)
            assert missed.max() <= 1e-7 * one.mean_stress.abs().max()


def test_pores_have_no_lower_bound():
    """Residuals bound no energies in a pore: the interval begins at 0."""
    labels = image((4, 4, 3), 2)
    pore = lsml.isotropic(E=0, nu=0.3)
    points = [[pore, lsml.isotropic(E=e, nu=0.3)] for e in (1, 5)]
    result = lsml.sweep(labels, phases=points, snapshots=1, tol=1e-9)
    one = lsml.homogenize(labels, phases=points[1], tol=1e-10)
    assert (result.lower == 0).all()
    assert result.stiffness[1].numpy() == pytest.approx(np.asarray(one), abs=1e-7)


def test_a_homogeneous_point_needs_no_basis():
    """Equal phases make no fluctuation: nothing to orthonormalize or to divide by."""
    labels = image((3, 4, 3), 2)
    same = [[lsml.isotropic(E=e, nu=0.3)] * 2 for e in (1.0, 2.0)]
    result = lsml.sweep(labels, phases=same)
    assert (result.iterations == 0).all()
    assert result.stiffness[1, 0].numpy() == pytest.approx(same[1][0].matrix().numpy())


def test_moduli_with_units_and_equal_points():
    """Points that repeat or scale each other bring nothing new; units do not matter."""
    labels = image((3, 4, 5), 2)
    points = isotropic_points([7.0, 7.0, 30.0])
    points += [[lsml.isotropic(E=10, nu=0.25), lsml.isotropic(E=70.0, nu=0.3)]]
    giga = [
        [lsml.Stiffness(phase.moduli * 1e9, phase.entries) for phase in row]
        for row in points
    ]
    small, large = (
        lsml.sweep(labels, phases=table, snapshots=4, tol=1e-12).stiffness
        for table in (points, giga)
    )
    assert large.numpy() == pytest.approx(1e9 * small.numpy(), rel=1e-9)
    assert small[0].numpy() == pytest.approx(small[1].numpy(), rel=1e-11)
    assert small[3].numpy() == pytest.approx(10 * small[0].numpy(), rel=1e-9)


@pytest.mark.parametrize("load", [None, [1e-3, 0.0, 0.0]])
def test_saved_and_loaded(tmp_path, load):
    """A field lost on the way, or a form on other entries, would change an answer."""
    labels = image((4, 5), 2, batch=2)
    points = isotropic_points([0.2, 4.0, 50.0])
    options = {} if load is None else {"load": lsml.load(strain=load)}
    options |= {"spacing": (1.0, 2.0), "discretization": "quad4"}
    if load is not None:
        options["eigenstrain"] = [None, [1e-3, 0.0, 0.0]]
    basis = lsml.reduced_basis(labels, phases=points, snapshots=2, **options)
    again = lsml.ReducedBasis.load(basis.save(tmp_path / "basis.h5"))
    others = isotropic_points([0.5, 15.0])
    for name in ("work", "lower", "upper", "error", "mean_stress"):
        assert torch.equal(getattr(basis(others), name), getattr(again(others), name))
    fields = [b.solve(others, tol=1e-8).strain for b in (basis, again)]
    assert fields[0] == pytest.approx(fields[1].numpy(), rel=1e-12)
    with h5py.File(tmp_path / "basis.h5") as file:
        assert file.attrs["discretization"] == "hex8"
        assert file.attrs["lsml"] == lsml.__version__


def test_files_of_something_else_are_refused(tmp_path):
    """One sentence, whatever the file is."""
    text = tmp_path / "basis.h5"
    text.write_text("not HDF5")
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file.attrs["format"] = "something else"
    for path, sentence in (
        (text, "is not a readable HDF5 file"),
        (other, "is no reduced basis of lsml"),
    ):
        with pytest.raises(ValueError, match=sentence):
            lsml.ReducedBasis.load(path)
    with pytest.raises(FileNotFoundError, match=r"absent\.h5 does not exist"):
        lsml.ReducedBasis.load(tmp_path / "absent.h5")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"phases": None}, "needs phases"),
        ({"phases": isotropic_points([2.0])[0][:1]}, "only 1 phases"),
        ({"phases": [np.eye(3), np.eye(3)]}, r"\(6, 6\)"),
        ({"load": lsml.load(stress=[1.0, 0, 0, 0, 0, 0])}, "mean strains"),
        ({"contrast": 3.0}, "contrast"),
        ({"tol": 0}, "tol"),
        ({"snapshots": 0}, "snapshots"),
        ({"dtype": torch.float32}, "float64"),
        ({"discretization": "hex9"}, "hex9"),
        ({"discretization": "staggered"}, "StaggeredLaw"),
        ({"colour": 1}, "colour"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(change, sentence):
    """Before any solve."""
    options = {"phases": isotropic_points([2.0, 5.0])} | change
    options = {name: value for name, value in options.items() if value is not None}
    with pytest.raises(ValueError, match=sentence):
        lsml.sweep(image((3, 3, 3), 2), **options)


def test_pores_in_one_point_are_refused_where_they_cannot_be_resolved():
    """The check of the builder sees one table; each point must be seen."""
    points = isotropic_points([1.0])
    points.append([points[0][0], lsml.isotropic(E=0, nu=0.3)])
    with pytest.raises(ValueError, match="zero stiffness"):
        lsml.sweep(image((3, 3, 3), 2), phases=points, discretization="fourier")


def test_phases_that_are_none_of_the_basis_are_refused():
    """Another number, pattern or dimension; the stiffness, where there is a load."""
    load = lsml.load(strain=[1e-3, 0, 0, 0, 0, 0])
    points = isotropic_points([2.0, 5.0])
    basis = lsml.reduced_basis(image((3, 3, 3), 2), phases=points, load=load)
    with pytest.raises(ValueError, match="3 phases given, this basis has 2"):
        basis([points[0][0]] * 3)
    with pytest.raises(ValueError, match="anisotropic"):
        basis([np.eye(6), random_spd(6, 1, 0)[0]])
    with pytest.raises(ValueError, match=r"\(6, 6\)"):
        basis([np.eye(3), np.eye(3)])
    with pytest.raises(ValueError, match="phase 1 is no combination"):
        basis([points[0][0], lsml.isotropic(E=1.0, nu=0.1)])
    with pytest.raises(ValueError, match="leave out load"):
        basis(points).stiffness  # noqa: B018


def test_problems_that_are_not_affine_are_refused():
    """Another physics, or a law without a table of moduli, has none to sweep over."""
    labels, points = image((3, 3, 3), 2)[0], isotropic_points([2.0, 5.0])
    load = lsml.load(strain=[1e-3, 0, 0, 0, 0, 0])
    problem = lsml.elasticity(labels, points[0], load)
    result = lsml.sweep(problem, phases=points, tol=1e-8)
    same = lsml.sweep(labels, phases=points, load=load, tol=1e-8)
    assert result.energy.numpy() == pytest.approx(same.energy.numpy(), rel=1e-12)
    twisted = lsml.testing.problems.Twisted(problem.law)
    other = lsml.LippmannSchwinger(
        problem.grid, twisted, problem.reference, problem.green, problem.start()
    )
    with pytest.raises(ValueError, match="LippmannSchwinger"):
        lsml.sweep(other, phases=points)
    with pytest.raises(ValueError, match="Twisted"):
        lsml.sweep(replace(problem, law=twisted), phases=points)
    heat = lsml.conductivity(labels, [1.0, 2.0], lsml.load(gradient=[1.0, 0, 0]))
    with pytest.raises(ValueError, match="problem of gradient"):
        lsml.sweep(heat, phases=points)
    with pytest.raises(ValueError, match="builder"):
        lsml.sweep(problem, phases=points, spacing=(1, 1, 1))


def test_a_basis_that_cannot_fit_is_refused(monkeypatch):
    """Before the first snapshot."""
    options = {"phases": isotropic_points([2.0, 5.0])}
    setup = prepare(image((3, 3, 3), 2), options, False)
    monkeypatch.setattr("lsml.memory.available", lambda device: 10_000)
    with pytest.raises(MemoryError, match="fewer snapshots"):
        require(setup, 8)
