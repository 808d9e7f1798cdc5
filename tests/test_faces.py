"""Dirichlet and Neumann faces against finite elements assembled on their own."""

from itertools import pairwise, product

import h5py
import numpy as np
import pytest
import torch
from cells import SPACING, distance, random_labels, random_stiffness

import lsml
from lsml import exact
from lsml.displacement_form import DisplacementForm
from lsml.rule import arithmetic

D, N, P = "dirichlet", "neumann", "periodic"
KAPPA = [1.0, 8.0, 0.2]
STIFF = [lsml.isotropic(E=e, nu=n) for e, n in ((1, 0.1), (8, 0.4), (0.3, -0.2))]
NODES = {"rotated": [0.5], "hex8": [0.5 - 12**-0.5, 0.5 + 12**-0.5]}


def problem(physics, shape, faces, scheme="hex8", phases=None, load=None, **options):
    """Conduction or elasticity of random phases on an uneven cell."""
    d, batch = len(shape), options.pop("batch", 1)
    labels = random_labels(shape, 3, batch, 5)
    options = {"spacing": SPACING[:d], "faces": faces, **options}
    if physics == "conduction":
        load = np.linspace(1, -0.5, d) if load is None else load
        given = KAPPA if phases is None else phases
        return lsml.conductivity(labels, given, load, scheme, **options)
    c = 3 if d == 2 else 6
    pull = lsml.load(strain=np.linspace(1, -0.5, c)) if load is None else load
    given = STIFF if phases is None else phases
    return lsml.elasticity(labels, given, pull, scheme, **options)


# --- an oracle: loops over elements, shape functions, dense linear algebra


def operator(physics, d, at, spacing):
    """Field at one point of an element from the values at its 2^d corners."""
    corners = list(product((0, 1), repeat=d))
    slopes = np.zeros((d, len(corners)))
    for k, corner in enumerate(corners):
        for a in range(d):
            factors = [x if up else 1 - x for x, up in zip(at, corner, strict=True)]
            factors[a] = (1 if corner[a] else -1) / spacing[a]
            slopes[a, k] = np.prod(factors)
    if physics == "conduction":
        return slopes
    pairs = lsml.mandel.PAIRS[d]
    b = np.zeros((len(pairs), len(corners) * d))
    for c, (i, j) in enumerate(pairs):
        weight = 1.0 if i == j else 0.5**0.5
        b[c, i::d] += weight * slopes[j]
        if i != j:
            b[c, j::d] += weight * slopes[i]
    return b


def tie(shape, faces, m):
    """Corner values (rows) from unknowns (columns)."""
    number, columns = {}, []
    for node in product(*[range(n + 1) for n in shape]):
        if any(
            f == D and j in (0, n) for j, n, f in zip(node, shape, faces, strict=True)
        ):
            columns.append(None)
            continue
        image = tuple(
            j % n if f == P else j for j, n, f in zip(node, shape, faces, strict=True)
        )
        columns.append(number.setdefault(image, len(number)))
    t = np.zeros((len(columns), len(number)))
    for row, column in enumerate(columns):
        if column is not None:
            t[row, column] = 1.0
    return np.kron(t, np.eye(m))


def assembled(physics, shape, faces, scheme, spacing, image):
    """B of all points on the unknowns, and the phase of each point."""
    d = len(shape)
    m = 1 if physics == "conduction" else d
    index = np.arange(np.prod([n + 1 for n in shape])).reshape([n + 1 for n in shape])
    rows, phase = [], []
    for voxel in product(*[range(n) for n in shape]):
        nodes = [
            index[tuple(v + c for v, c in zip(voxel, corner, strict=True))]
            for corner in product((0, 1), repeat=d)
        ]
        for at in product(NODES[scheme], repeat=d):
            local = operator(physics, d, at, spacing)
            row = np.zeros((len(local), index.size * m))
            for k, node in enumerate(nodes):
                row[:, node * m : node * m + m] += local[:, k * m : k * m + m]
            rows.append(row)
            phase.append(image[voxel])
    return np.stack(rows) @ tie(shape, faces, m), np.array(phase)


def oracle(physics, shape, faces, scheme, image, tables):
    """Effective tensor: fluctuations of zero mean field by a KKT system."""
    b, phase = assembled(physics, shape, faces, scheme, SPACING[: len(shape)], image)
    c = tables[phase]
    k = np.einsum("pci,pcd,pdj->ij", b, c, b) / len(b)
    mean, size = b.mean(0), b.shape[2]
    system = np.block([[k, mean.T], [mean, np.zeros((len(mean), len(mean)))]])
    drive = -np.einsum("pci,pcd->id", b, c) / len(b)
    right = np.vstack([drive, np.zeros((len(mean), len(mean)))])
    u = np.linalg.lstsq(system, right, rcond=1e-12)[0][:size]
    field = np.eye(len(mean)) + np.einsum("pci,ij->pcj", b, u)
    return np.einsum("pcd,pdj->cj", c, field) / len(b)


CASES = [
    ("conduction", (4, 3), (D, D), "hex8"),
    ("conduction", (3, 4), (N, N), "hex8"),
    ("conduction", (4, 3), (N, D), "rotated"),
    ("conduction", (4, 3), (P, N), "rotated"),
    ("conduction", (3, 2, 4), (D, P, N), "hex8"),
    ("conduction", (2, 3, 2), (N, N, N), "rotated"),
    ("conduction", (1, 4), (N, D), "hex8"),
    ("elasticity", (4, 3), (D, D), "hex8"),
    ("elasticity", (3, 4), (N, N), "hex8"),
    ("elasticity", (4, 3), (D, N), "rotated"),
    ("elasticity", (2, 3, 2), (D, D, D), "hex8"),
    ("elasticity", (2, 3, 2), (P, N, D), "rotated"),
]
IDS = ["-".join([p, *f, s]) for p, _, f, s in CASES]


@pytest.mark.parametrize(("physics", "shape", "faces", "scheme"), CASES, ids=IDS)
def test_effective_tensor_is_that_of_assembled_elements(physics, shape, faces, scheme):
    """Theorem: the effective tensor is the one of elements assembled in loops, with
    tied, clamped or free corners and Lagrange multipliers for the mean field.

    Catches a transform whose ends weigh wrongly, a mean field that drifts, and axes
    that trade places.
    """
    p = problem(physics, shape, faces, scheme)
    found = lsml.homogenize(p, tol=1e-12 if physics == "conduction" else 1e-9)
    law = p.law
    image, tables = law.labels[0].numpy(), law.table[0].numpy()
    expected = oracle(physics, shape, faces, scheme, image, tables)
    assert distance(found.stiffness[0], expected) < 1e-8
    assert bool(
        (found.lower <= torch.from_numpy(np.diag(expected).copy()) + 1e-8).all()
    )


def reference(p):
    """Force and step of its displacement form."""
    return DisplacementForm(p.referred(arithmetic))


@pytest.mark.parametrize("scheme", ["hex8", "rotated"])
@pytest.mark.parametrize(
    ("shape", "faces"), [((4, 5), (D, N)), ((5, 2, 3), (N, P, D)), ((3, 4), (N, N))]
)
def test_stencils_are_transposed(shape, faces, scheme):
    """Theorem: <B u, f> = <u, Bᵀ f> on fields that are zero, free or tied at faces."""
    draw = torch.Generator().manual_seed(0)
    for physics in ("conduction", "elasticity"):
        b = problem(physics, shape, faces, scheme).discretization
        u = torch.randn(2, b.differential.potentials, *b.lattice, generator=draw)
        f = torch.randn(2, b.points * b.differential.components, *shape, generator=draw)
        u, f = u.double(), f.double()
        work = (b.gradient(u) * f).flatten(1).sum(1)
        assert distance((u * b.transpose(f)).flatten(1).sum(1), work) < 1e-12


@pytest.mark.parametrize("scheme", ["hex8", "rotated"])
@pytest.mark.parametrize("faces", list(product((D, N, P), repeat=2)), ids="-".join)
def test_conduction_has_an_exact_green_operator(faces, scheme):
    """Theorem: in a homogeneous medium N H d = d for every admissible d, so that one
    step solves, and Γ κ⁰ is a projection; both forms take the same steps.

    Catches a Neumann face whose mean gradient is not held, and a wrong eigenvalue.
    """
    p = problem("conduction", (4, 5), faces, scheme, [2.5] * 3)
    form = reference(p)
    draw = torch.Generator().manual_seed(1)
    field = torch.randn(1, p.points * 2, 4, 5, generator=draw).double()
    d = form.precondition(form._pull(field))
    assert distance(form.precondition(form.hessian(d, d)), d) < 1e-11
    strain = form.strain
    assert strain.exact
    once = strain.project(field)
    assert distance(strain.project(once), once) < 1e-11
    assert float(p.discretization.average(once).abs().max()) < 1e-13


def test_elasticity_has_a_laplacian_above_the_reference():
    """Theorem: eigenvalues of N H in a homogeneous medium lie between
    `equivalence` and 1; 1 is met to within Korn's factor, and free faces have 0.

    Catches bounds that certify what is not so.
    """
    for faces, least in (((D, D), 0.1), ((D, P), 0.1), ((N, N), 0.0)):
        p = problem(
            "elasticity", (3, 4), faces, phases=[lsml.isotropic(E=1, nu=0.3)] * 3
        )
        form = reference(p)
        assert not form.strain.exact
        assert "resolvable" not in form.strain.tags
        unit = torch.eye(form.unknowns, dtype=torch.float64)
        form = DisplacementForm(form.strain.select(torch.zeros(len(unit), dtype=int)))
        values = torch.linalg.eigvals(form.precondition(form.hessian(unit, unit))).real
        low = float(p.discretization.equivalence(form.strain.reference.matrix).min())
        assert least <= low < 0.5
        assert float(values.max()) <= 1 + 1e-12
        inside = values[values > 1e-9]
        assert float(inside.min()) >= low - 1e-12


BRACKETS = {
    "conduction 2-D": ("conduction", (5, 4), "hex8", 3),
    "conduction 3-D": ("conduction", (3, 4, 2), "rotated", 1),
    "elasticity 2-D": ("elasticity", (4, 5), "rotated", 2),
    "elasticity 3-D": ("elasticity", (2, 3, 2), "hex8", 1),
}


@pytest.mark.parametrize("case", BRACKETS.values(), ids=BRACKETS)
def test_dirichlet_is_above_periodic_is_above_neumann(case):
    """Theorem (Huet 1990): C_D ≥ C_P ≥ C_N ≥ Reuss as quadratic forms, in any mixture
    that goes one way on every axis (Hazanov & Huet 1994), and Voigt is above.

    Catches spaces that are not nested.
    """
    physics, shape, scheme, batch = case
    d = len(shape)
    kinds = [(D,) * d, (P,) * (d - 1) + (D,), (P,) * d, (N,) + (P,) * (d - 1), (N,) * d]
    chain = [
        lsml.homogenize(
            problem(physics, shape, f, scheme, batch=batch), tol=1e-9
        ).stiffness
        for f in kinds
    ]
    law = problem(physics, shape, P, scheme, batch=batch).law
    table = law.table[0][law.labels.long()].flatten(1, d)
    chain = [table.mean(1), *chain, torch.linalg.inv(torch.linalg.inv(table).mean(1))]
    for above, below in pairwise(chain):
        gap = torch.linalg.eigvalsh(above - below)
        assert float(gap.min()) > -1e-7
        assert float(gap.max()) > 1e-3


@pytest.mark.parametrize("physics", ["conduction", "elasticity"])
def test_laminates_are_exact(physics):
    """Theorem: layers between two faces of either kind are met exactly, as fields that
    vary along their normal only are affine on Dirichlet faces and have a uniform flux.

    Catches faces in the middle of a voxel.
    """
    labels = np.broadcast_to(np.array([0, 1, 2, 2, 0])[:, None, None], (5, 2, 3))
    shares = exact.volume_fractions(labels, 3)
    for kind in (D, N):
        faces = (kind, P, P)
        if physics == "conduction":
            p = lsml.conductivity(labels, KAPPA, [1.0, 0, 0], "hex8", faces=faces)
            expected = exact.laminate_conductivity(KAPPA, shares)
        else:
            pull = lsml.load(strain=[1.0, 0, 0, 0, 0, 0])
            p = lsml.elasticity(labels, STIFF, pull, "hex8", faces=faces)
            expected = exact.laminate(STIFF, shares)
        tol = 1e-12 if physics == "conduction" else 1e-9
        assert distance(lsml.homogenize(p, tol=tol).stiffness, expected) < 1e-8


@pytest.mark.parametrize("physics", ["conduction", "elasticity"])
def test_what_holds_on_the_faces(physics):
    """Theorem: fluctuations vanish on Dirichlet faces; free faces carry the traction of
    the mean stress: Bᵀ(σ − <σ>) = 0 at all corners, the outer ones too.

    Catches a free surface without its load.
    """
    clamped = lsml.solve(problem(physics, (4, 3), (D, P), batch=2), tol=1e-10)
    u = clamped.displacement
    assert tuple(u.shape[2:]) == (5, 3)
    assert float(u[:, :, [0, -1]].abs().max()) == 0
    assert float(u.abs().max()) > 1e-2
    rebuilt = clamped.form.discretization.gradient(u[:, :, 1:-1])
    field = clamped.problem.field(clamped.state.x)
    mean = clamped.form.spread(clamped.mean_strain)
    assert distance(rebuilt, field - mean) < 1e-9
    free = lsml.solve(problem(physics, (4, 3), N), tol=1e-11)
    assert tuple(free.displacement.shape[2:]) == (5, 4)
    any_numbers = free.problem.field(torch.ones_like(free.state.x).cumsum(1))
    mean = free.form.discretization.average(any_numbers)
    assert distance(mean, free.form.load.field) < 1e-10
    flux = free.problem.flux(free.state.x)
    rest = free.form.discretization.transpose(flux - free.form.spread(free.mean_stress))
    size = free.form.discretization.transpose(flux).abs().max()
    assert float(rest.abs().max() / size) < 1e-9
    assert distance(free.mean_strain, free.form.load.field) < 1e-12


@pytest.mark.parametrize("faces", [(D, D), (N, D), (N, N)], ids="-".join)
@pytest.mark.parametrize("physics", ["conduction", "elasticity"])
def test_mean_fluxes_can_be_prescribed(physics, faces):
    """Theorem: under a mean flux the mean field is C*⁻¹ σ̄, and mixed control is that of
    C*; work is <σ>·<ε> (Hill-Mandel).

    Catches a free mean that a face does not follow.
    """
    words = ("gradient", "flux") if physics == "conduction" else ("strain", "stress")
    c = {"conduction": 2, "elasticity": 3}[physics]
    field = [None] * (c - 1) + [0.4]
    flux = [*np.linspace(1, 0.5, c - 1), None]
    load = lsml.load(**dict(zip(words, (field, flux), strict=True)))
    p = problem(physics, (4, 3), faces, load=load)
    found = lsml.solve(p, tol=1e-11)
    c_star = lsml.homogenize(p, tol=1e-10).stiffness[0]
    mean, stress = found.mean_strain[0], found.mean_stress[0]
    assert distance(c_star @ mean, stress) < 1e-6
    assert float(mean[-1]) == pytest.approx(0.4)
    assert distance(stress[:-1], torch.as_tensor(np.linspace(1, 0.5, c - 1))) < 1e-9
    assert float(2 * found.energy) == pytest.approx(float(mean @ stress), rel=1e-8)


def test_certificates_hold():
    """Theorem: intervals of a rough solve contain the tight values, and the energy of
    the error is below its bound; free faces in elasticity have no lower end.

    Catches λ_min of the phases where Korn's factor is missing.
    """
    for physics, faces in (("conduction", (N, D)), ("elasticity", (D, P))):
        p = problem(physics, (5, 4), faces, batch=2)
        tight = lsml.homogenize(p, tol=1e-11).stiffness.diagonal(dim1=1, dim2=2)
        for rule in ("cg", "moulinec"):
            rough = lsml.homogenize(p, rule, tol=5e-2)
            assert bool((rough.lower <= tight).all() & (tight <= rough.upper).all())
            assert bool((rough.lower > 0).all())
        best, poor = (lsml.solve(p, tol=t) for t in (1e-11, 1e-1))
        e = poor.problem.field(poor.state.x) - best.problem.field(best.state.x)
        mean = poor.form.spread(poor.mean_strain).expand_as(e)
        norm = [
            poor.form.reference.energy(f).flatten(1).mean(1).sqrt() for f in (e, mean)
        ]
        assert bool((norm[0] / norm[1] <= poor.error_bound).all())
    open_ended = lsml.homogenize(problem("elasticity", (4, 3), (N, D)), tol=1e-6)
    assert bool((open_ended.lower == 0).all())


def test_rules_and_forms_agree():
    """Theorem: rules that are admitted find the same fields; both forms in conduction.

    What needs an exact Green operator is refused in elasticity.
    """
    p = problem("conduction", (4, 5), (D, N), batch=2)
    expected = lsml.solve(p, tol=1e-10).flux
    for rule, form in (
        ("moulinec", "strain"),
        ("eyre_milton", "strain"),
        ("cg", "strain"),
        ("barzilai_borwein", "displacement"),
    ):
        found = lsml.solve(p, rule, tol=1e-10, form=form)
        assert distance(found.flux, expected) < 1e-7, rule
    p = problem("elasticity", (4, 3), (N, D))
    expected = lsml.solve(p, tol=1e-10).stress
    for rule in ("moulinec", "anderson"):
        assert distance(lsml.solve(p, rule, tol=1e-9).stress, expected) < 1e-6, rule
    with pytest.raises(ValueError, match="form='displacement'"):
        lsml.solve(p, form="strain")
    with pytest.raises(ValueError, match="resolvable"):
        lsml.solve(p, "eyre_milton")


def test_batches_and_precision():
    """Theorem: a batch with a table per sample is its samples; float32 is refined to
    the tolerance; complex phases are taken.
    """
    tables = np.stack(
        [[random_stiffness(3, 10 * b + i) for i in range(3)] for b in (0, 1)]
    )
    whole = problem("elasticity", (4, 3), (N, D), phases=tables, batch=2)
    both = lsml.solve(whole, tol=1e-10).stress
    labels = whole.law.labels
    for b in (0, 1):
        pull = lsml.load(strain=np.linspace(1, -0.5, 3))
        one = lsml.elasticity(
            labels[b], tables[b], pull, "hex8", spacing=(1.0, 2.0), faces=(N, D)
        )
        assert distance(both[b], lsml.solve(one, tol=1e-10).stress[0]) < 1e-7
    single = problem("conduction", (4, 3), (N, D), dtype=torch.float32)
    double = problem("conduction", (4, 3), (N, D))
    found, wanted = lsml.solve(single, tol=1e-9), lsml.solve(double, tol=1e-9)
    assert distance(found.flux.double(), wanted.flux) < 1e-6
    twisted = problem("conduction", (4, 3), (N, D), phases=[1.0, 3 - 1j, 0.5 + 0.1j])
    value = lsml.homogenize(twisted, "bicgstab", tol=1e-10).stiffness[0]
    image, tables = twisted.law.labels[0].numpy(), twisted.law.table[0].numpy()
    wanted = oracle("conduction", (4, 3), (N, D), "hex8", image, tables)
    assert distance(value, wanted) < 1e-8


@pytest.mark.parametrize("faces", [(D, D), (N, P)], ids="-".join)
def test_gradients_are_those_of_differences(faces):
    """Theorem: dσ̄/dE by the adjoint is that of central differences.

    Catches a transform that is not its own adjoint under backpropagation.
    """

    def stress(young):
        phases = [lsml.isotropic(E=young, nu=0.2), *STIFF[1:]]
        p = problem("elasticity", (3, 4), faces, phases=phases)
        return lsml.solve(p, tol=1e-11).mean_stress[0, 0]

    young = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(stress(young), young)
    with torch.no_grad():
        h = 1e-4
        expected = (stress(young + h) - stress(young - h)) / (2 * h)
    assert float(slope) == pytest.approx(float(expected), rel=1e-6)


def test_labels_take_faces_and_files_tell_them(tmp_path):
    """`faces` is an option of labels, and is written with the discretization's name."""
    labels = random_labels((3, 4, 2), 2)
    found = lsml.solve(labels, faces=D, discretization="hex8")
    with h5py.File(found.save(tmp_path / "s.h5")) as file:
        assert list(file.attrs["faces"]) == [D] * 3
        assert file.attrs["discretization"] == "hex8"
        assert file["displacement"].shape == (1, 3, 4, 5, 3)
    assert found.per_phase().energy.sum() == pytest.approx(float(found.energy))


def test_refusals():
    """One sentence each, before any work."""
    for faces, message in (
        ("clamped", "periodic, dirichlet, neumann"),
        ((D, D, D), "2 of them"),
        ((D, P), "'hex8'"),
    ):
        scheme = "fourier" if faces == (D, P) else "hex8"
        with pytest.raises(ValueError, match=message):
            problem("conduction", (4, 3), faces, scheme)
    with pytest.raises(ValueError, match="axis 0 has 1 voxel"):
        problem("conduction", (1, 3), (D, P))
    with pytest.raises(ValueError, match="periodic cell"):
        lsml.sweep(random_labels((3, 4), 2), phases=np.ones((2, 2, 3, 3)) * np.eye(3),
                   faces=D, spacing=(1.0, 1.0))  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("faces", [(N, D), (N, N, P)])
def test_the_mean_of_any_potential_is_held_to_rounding(faces, dtype):
    """Theorem: Π is a projection on <B u> = 0, and what relieves a force its transpose.

    Also of a float32 problem in float64, on numbers that are rounded: a potential far
    larger than its field, which a stalled iteration can grow, must not show in the mean
    field, for no residual sees it there.
    """
    p = problem("elasticity", (4, 3, 5)[: len(faces)], faces, "rotated", dtype=dtype)
    form = DisplacementForm(p if p.double is None else p.double)
    green, draw = form.strain.green, torch.Generator().manual_seed(0)
    u, f = torch.randn(2, *form.split(form.start())[0].shape, generator=draw).double()
    held = green.held(1e9 * u)
    mean = form.strain.discretization.average(form.strain.discretization.gradient(held))
    assert float(mean.abs().max()) <= 1e-5  # of 1e9 over the spacing
    torch.testing.assert_close(green.held(held), held, rtol=1e-12, atol=1e-5)
    works = [(green.hold.relieve(f) * u).sum(), (f * green.held(u)).sum()]
    torch.testing.assert_close(*works, rtol=1e-12, atol=1e-12)
