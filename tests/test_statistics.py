"""Statistics phase by phase against sums over masks, and what they must add up to."""

import numpy as np
import pytest
import torch
from cells import ELEMENTS, SPACING, distance, random_labels, random_stiffness

import lsml

PULL = {2: [1.0, 0.3, -0.2], 3: [1.0, 0.3, -0.2, 0.5, 0.1, -0.4]}
ISOTROPIC = [lsml.isotropic(E=e, nu=n) for e, n in ((1, 0.1), (8, 0.4), (0.3, -0.2))]


def elastic(shape, scheme, batch=2, eigen=False, phases=ISOTROPIC):
    c = len(PULL[len(shape)])
    draw = torch.Generator().manual_seed(3)
    problem = lsml.elasticity(
        random_labels(shape, 3, batch),
        phases,
        lsml.load(strain=PULL[len(shape)]),
        scheme,
        spacing=SPACING[: len(shape)],
        eigenstrain=torch.randn(3, c, generator=draw).double() if eigen else None,
    )
    return lsml.solve(problem, tol=1e-10)


def conducting(shape, scheme, phases, rule="cg"):
    problem = lsml.conductivity(
        random_labels(shape, 3, 2),
        phases,
        PULL[2][: len(shape)] if len(shape) == 2 else PULL[3][:3],
        scheme,
        spacing=SPACING[: len(shape)],
    )
    return lsml.solve(problem, rule, tol=1e-10)


CASES = {
    "elastic 3-D": lambda: elastic((3, 4, 5), "rotated"),
    "elastic 3-D points": lambda: elastic((3, 2, 4), "hex8", eigen=True),
    "elastic 3-D bbar": lambda: elastic((3, 2, 3), "hex8-bbar"),
    "elastic 2-D": lambda: elastic((5, 4), "hex8", 3),
    "elastic 2-D fourier": lambda: elastic((5, 3), "fourier", 1, eigen=True),
    "conduction 3-D": lambda: conducting((3, 4, 5), "hex8", [1.0, 5.0, 0.1]),
    "conduction complex": lambda: conducting(
        (4, 5), "rotated", [1.0, 5.0 - 2j, 0.1 + 0.3j], "moulinec"
    ),
}


@pytest.fixture(params=CASES, scope="module")
def solved(request):
    return CASES[request.param]()


def by_mask(solution, values, phase, sample):
    """Values (k, c) of one phase of one sample, all points; straight from NumPy."""
    inside = (solution.form.law.labels[sample] == phase).numpy()
    at = values[sample].unflatten(0, (solution.problem.points, -1)).numpy()
    return np.moveaxis(at[:, :, inside], 1, 2).reshape(-1, at.shape[1])


def test_moments_are_those_of_the_masked_points(solved):
    """Fraction, mean, second moment and covariance by an independent route.

    Catches points of one phase counted for another, samples that mix, and averages
    over voxels where points are meant.
    """
    found = solved.per_phase()
    x, y = solved.problem.field(solved.state.x), solved.problem.flux(solved.state.x)
    for field, values in ((found.strain, x), (found.stress, y)):
        for b, h in np.ndindex(*found.fraction.shape):
            rows = by_mask(solved, values, h, b)
            share = (solved.form.law.labels[b] == h).double().mean()
            assert float(found.fraction[b, h]) == pytest.approx(float(share))
            assert distance(field.mean[b, h], rows.mean(0)) < 1e-12
            second = rows.T @ rows.conj() / len(rows)
            assert distance(field.second[b, h], second) < 1e-12
            assert distance(field.covariance[b, h], np.cov(rows.T, bias=True)) < 1e-10


def test_phases_add_up_to_the_cell(solved):
    """Theorem: fractions sum to 1, fraction-weighted means are the means of the cell,
    energies of the phases sum to the energy.

    Catches a weight forgotten, and energy per phase where per cell is meant.
    """
    found = solved.per_phase()
    share = found.fraction[..., None]
    assert distance(found.fraction.sum(1), torch.ones(len(share))) < 1e-14
    assert distance((share * found.strain.mean).sum(1), solved.mean_strain) < 1e-12
    assert distance((share * found.stress.mean).sum(1), solved.mean_stress) < 1e-12
    assert distance(found.energy.sum(1), solved.energy) < 1e-12


@pytest.mark.parametrize("shape", [(3, 4, 5), (5, 4)])
@pytest.mark.parametrize("scheme", [*ELEMENTS, "fourier"])
def test_energy_is_half_the_contracted_second_moment(scheme, shape):
    """Theorem: without eigenstrain the energy of phase h is ½ f_h C_h : <ε⊗ε>_h, and
    <σ⊗σ>_h = C_h <ε⊗ε>_h C_h.

    Catches a second moment with components in another order than the stiffness.
    """
    solution = elastic(shape, scheme)
    found = solution.per_phase()
    c = solution.form.law.table
    moment = found.strain.second
    energy = 0.5 * found.fraction * (c * moment).sum((2, 3))
    assert distance(found.energy, energy) < 1e-12
    assert distance(found.stress.second, c @ moment @ c) < 1e-12


def three_dimensional(solution, stress):
    """Tensors (b, 3, 3, q, v), made independently of the Mandel vectors' norms."""
    q = solution.problem.points
    at = (solution.problem.flux if stress else solution.problem.field)(solution.state.x)
    at = at.unflatten(1, (q, -1)).flatten(3).movedim(2, -1)
    d = 2 if at.shape[-1] == 3 else 3
    tensor = torch.zeros(*at.shape[:-1], 3, 3, dtype=at.dtype)
    tensor[..., :d, :d] = lsml.mandel.from_mandel(at)
    if stress and d == 2:
        nu = torch.tensor([0.1, 0.4, -0.2], dtype=at.dtype)
        ratio = nu[solution.form.law.labels.flatten(1).long()][:, None]
        tensor[..., 2, 2] = ratio * (tensor[..., 0, 0] + tensor[..., 1, 1])
    return tensor


@pytest.mark.parametrize("shape", [(3, 2, 4), (5, 4)])
def test_equivalents_are_those_of_von_mises(shape):
    """Against principal values: √(½ Σ (σ_i − σ_j)²) of stress, √(2/9 Σ (ε_i − ε_j)²) of
    strain, in plane strain with its σ_33 and ε_33 = 0.

    Catches √2 on the shear counted twice, and a plane treated as the space.
    """
    solution = elastic(shape, "hex8")
    found = solution.per_phase()
    for field, stress, weight in ((found.stress, 1, 0.5), (found.strain, 0, 2 / 9)):
        a, b, c = torch.linalg.eigvalsh(three_dimensional(solution, stress)).unbind(-1)
        expected = (weight * ((a - b) ** 2 + (b - c) ** 2 + (c - a) ** 2)).sqrt()
        assert distance(field.equivalent, expected) < 1e-12
        assert distance(field.equivalent_mean[0, 1], mean_of(field, 0, 1)) < 1e-12


def mean_of(field, sample, phase):
    inside = field.owners.labels[sample] == phase
    return field.equivalent[sample][:, inside].mean()


def test_vectors_are_measured_by_their_length():
    """A complex gradient has the length √(xᴴx); the laws of percentiles hold on it."""
    solution = CASES["conduction complex"]()
    flux = solution.per_phase().flux
    assert distance(
        flux.equivalent[:, 0], solution.flux.abs().pow(2).sum(1).sqrt().flatten(1)
    ) < (1e-14)
    with pytest.raises(ValueError, match="complex"):
        flux.histogram(component="1")


def test_percentiles_and_histograms_describe_the_same_points(solved):
    """Theorem: 0 % and 100 % are the extremes, the median splits the phase in half, a
    histogram sums to 1 in each phase and is that of NumPy.

    Catches a density by count and not by width, and bins that differ between phases.
    """
    field = solved.per_phase().stress
    ends = field.percentile([0.0, 50.0, 100.0])
    shown = field.histogram(bins=7)
    width = shown.edges.diff()
    assert distance((shown.density * width).sum(2), torch.ones(ends.shape[:2])) < 1e-12
    for b, h in np.ndindex(*ends.shape[:2]):
        inside = field.equivalent[b][:, field.owners.labels[b] == h].numpy().ravel()
        expected = [inside.min(), np.median(inside), inside.max()]
        assert distance(ends[b, h], expected) < 1e-12
        reference, _ = np.histogram(inside, shown.edges.numpy(), density=True)
        assert distance(shown.density[b, h], reference) < 1e-9
    assert field.percentile(50.0).shape == ends.shape[:2]


@pytest.mark.parametrize("scheme", ["rotated", "hex8-bbar"])
def test_flowing_phase_is_at_its_yield_stress(scheme):
    """Theorem: under a large load every point of a perfectly plastic phase flows, at
    von Mises' stress σ0, and the energies of the phases are that of the cell.

    Catches statistics of the wrong points, and phases that only elastic laws tell.
    """
    soft = lsml.j2(lsml.isotropic(E=200.0, nu=0.3), 0.25)
    problem = lsml.plasticity(
        random_labels((3, 2, 4), 2, 2),
        [soft, lsml.isotropic(E=400.0, nu=0.2)],
        lsml.load(strain=[0.05, -0.02, -0.03, 0.02, 0, 0.01]),
        scheme,
    )
    solved = lsml.solve(problem, "newton", tol=1e-9)
    found = solved.per_phase()
    ends = found.stress.percentile([0, 100])[:, 0]
    torch.testing.assert_close(ends, torch.full_like(ends, 0.25), rtol=1e-9, atol=0)
    torch.testing.assert_close(found.energy.sum(1), solved.energy)
    flat = lsml.plasticity(
        random_labels((3, 2), 2), [soft, soft], lsml.load(strain=[0.01, 0, 0])
    )
    found = lsml.solve(flat, "newton").per_phase()
    assert found.strain.equivalent_mean.shape == (1, 2)
    with pytest.raises(ValueError, match="plane strain needs elastic phases"):
        found.stress.equivalent_mean  # noqa: B018


def test_histogram_of_a_component_within_limits():
    """Values beyond the limits count in the outer bins, so that nothing is lost."""
    solution = elastic((3, 4, 5), "rotated")
    shown = solution.per_phase().strain.histogram(4, "12", (-0.3, -0.1))
    assert shown.edges.tolist() == pytest.approx([-0.3, -0.25, -0.2, -0.15, -0.1])
    assert distance(shown.density.sum(2) * 0.05, torch.ones(2, 3)) < 1e-12
    at = solution.strain[0, 5][solution.form.law.labels[0] == 0]
    low = float((at < -0.25).double().mean())
    assert float(shown.density[0, 0, 0]) * 0.05 == pytest.approx(low)


def test_load_cases_share_an_image():
    """Two load cases on each of two images: an image is that of its cases, which follow
    one another.

    Catches labels repeated in the wrong order.
    """
    labels = random_labels((4, 5), 3, 2)
    loads = np.array([[[1.0, 0], [0, 1.0]], [[1.0, 1.0], [0.5, 0]]])
    both = lsml.solve(lsml.conductivity(labels, [1.0, 5.0, 0.2], loads), tol=1e-10)
    for i in range(2):
        for j in range(2):
            one = lsml.conductivity(labels[i], [1.0, 5.0, 0.2], loads[i, j])
            alone = lsml.solve(one, tol=1e-10).per_phase()
            together = both.per_phase()
            assert distance(together.flux.mean[2 * i + j], alone.flux.mean[0]) < 1e-8
            assert distance(together.energy[2 * i + j], alone.energy[0]) < 1e-8


def test_absent_phases_are_not_a_number():
    """A phase without voxels has no mean, no energy and an empty histogram."""
    labels = np.zeros((3, 4), int)
    solution = lsml.solve(lsml.conductivity(labels, [1.0, 2.0], [1.0, 0.0]))
    found = solution.per_phase()
    assert found.fraction.tolist() == [[1.0, 0.0]]
    assert found.energy[0, 1] == 0
    assert bool(found.gradient.mean[0, 1].isnan().all())
    assert bool(found.flux.percentile(50)[0, 1].isnan())
    assert float(found.flux.histogram(3).density[0, 1].sum()) == 0


def test_statistics_have_gradients():
    """Theorem: d<energy of a phase>/dE by backpropagation is that of differences.

    Catches averages that leave the graph.
    """

    def energy(young):
        phases = [lsml.isotropic(E=young, nu=0.2), lsml.isotropic(E=5.0, nu=0.3)]
        labels = random_labels((4, 3), 2)
        pull = lsml.load(strain=PULL[2])
        solution = lsml.solve(lsml.elasticity(labels, phases, pull), tol=1e-12)
        return solution.per_phase().energy[0, 1]

    young = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(energy(young), young)
    step = torch.tensor(1e-4, dtype=torch.float64)
    with torch.no_grad():
        difference = (energy(young + step) - energy(young - step)) / (2 * step)
    assert float(slope) == pytest.approx(float(difference), rel=1e-6)


def test_the_record_can_be_read():
    """The printed form has a line per phase."""
    text = repr(CASES["elastic 2-D"]().per_phase())
    assert "3 samples, 3 phases" in text
    assert len(text.splitlines()) == 5


def test_refusals():
    """One sentence each: staggered places, an unknown component, σ_33 not known."""
    pull = lsml.load(strain=PULL[2])
    labels = random_labels((4, 4), 2)
    apart = lsml.elasticity(labels, ISOTROPIC[:2], pull, "staggered")
    with pytest.raises(ValueError, match="staggered"):
        lsml.solve(apart).per_phase()
    general = [random_stiffness(3, 1), random_stiffness(3, 2)]
    found = lsml.solve(lsml.elasticity(labels, general, pull)).per_phase()
    assert found.strain.equivalent_mean.shape == (1, 2)
    with pytest.raises(ValueError, match="isotropic phases"):
        found.stress.equivalent_mean  # noqa: B018
    for wrong, message in (
        (lambda: found.strain.percentile(101), "0 to 100"),
        (lambda: found.strain.histogram(0), "bins = 0"),
        (lambda: found.strain.histogram(3, "33"), "11, 22, 12"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
