"""Learned rules: the formulas they stand for, and what the driver makes of them."""

from functools import partial

import pytest
import torch
from cells import SCHEMES, SPACING, random_labels
from torch import nn

import lsml
from lsml.inputs import in_form
from lsml.learned import MKS, RLN, ConvGRU, Recurrent, ThreeLayer, VNet
from lsml.state import Status

PLANE = [1e-3, 0, 0]
SPACE = [1e-3, 0, 0, 0, 0, 0]


def numbers(*shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=draw, dtype=torch.float64)


def problem(labels, strain=PLANE, scheme="hex8-bbar", stiff=(1.0, 10.0), **options):
    phases = [lsml.isotropic(E=e, nu=0.3) for e in stiff]
    load = options.pop("load", lsml.load(strain=strain))
    return lsml.elasticity(torch.as_tensor(labels), phases, load, scheme, **options)


class Toy(nn.Module):
    """A user's own: every channel counts differently, and so does each neighbour."""

    def __init__(self, inputs, outputs, seed=0):
        super().__init__()
        self.weight = nn.Parameter(0.3 * numbers(outputs, inputs, seed=seed))

    def forward(self, features):
        mixed = torch.einsum("oi,bi...->bo...", self.weight, features)
        return torch.tanh(mixed + 0.5 * mixed.roll(1, 2)) + 0.7


class Constant(nn.Module):
    """Parameter-free: the same field whatever it sees, of mean zero."""

    def __init__(self, field):
        super().__init__()
        self.field = field

    def forward(self, features):
        shape = len(features), *self.field.shape[1:]
        return self.field.to(features.dtype).expand(shape)


def toys(passes, inputs, outputs):
    made = iter(range(passes))
    return lambda: Toy(inputs, outputs, seed=next(made))


def straight(rule, labels, k, start=None):
    """The paper's recursion, written out: a list of y_1 ... y_N."""
    loaded = [float(c == rule.load) for c in rule.components]
    uniform = torch.tensor(loaded, dtype=torch.float64)
    uniform = uniform.reshape(1, -1, *[1] * (labels.ndim - 1))
    first = uniform.expand(len(labels), -1, *labels.shape[1:])
    y = [first if start is None else start]
    for i in range(rule.passes):
        channels = []
        for back in range(k + 1):  # the newest first
            past = y[-1 - back] if back < len(y) else torch.zeros_like(first)
            for c in range(past.shape[1]):
                channels += [past[:, c] * (labels == h) for h in range(rule.phases)]
        f = rule.networks[0 if rule.tied else i](torch.stack(channels, 1))
        mean = f.mean(tuple(range(2, f.ndim)), keepdim=True)
        y.append(uniform + f - mean)
    return y[1:]


@pytest.mark.parametrize(
    ("phases", "components", "load", "history", "tied"),
    [
        (2, (0,), 0, 2, False),
        (2, (0,), 0, 2, True),
        (1, (2,), 2, 0, False),
        (3, (0, 1, 2), 0, 1, False),
        (3, (0, 1, 2), 2, 4, True),
    ],
)
def test_passes_are_the_papers_recursion(phases, components, load, history, tied):
    """y_i = y^R + f_i(y_{i-1}, ..., m) with f_i of mean zero, y_0 = y^R.

    Against the loop above. Catches a history of which the oldest comes first or whose
    missing part is not zero, channels in another order, a mean over the batch, and
    an increment to y_{i-1} instead of y^R.
    """
    o, passes = len(components), 4
    rule = RLN(
        toys(passes, phases * (history + 1) * o, o),
        passes,
        history,
        tied,
        phases=phases,
        components=components,
        load=load,
    )
    labels = torch.as_tensor(random_labels((5, 4), phases, batch=3))
    with torch.no_grad():
        want = torch.stack(straight(rule, labels, history), 1)
        torch.testing.assert_close(rule(labels), want, rtol=1e-12, atol=1e-12)


def test_all_six_components_in_space():
    """The same loop for whole strains; they come back in the order of Mandel."""
    rule = RLN(toys(2, 24, 6), 2, 1, components=tuple(range(6)), load=3)
    labels = torch.as_tensor(random_labels((3, 1, 4), batch=2))
    sol = lsml.solve(problem(labels, [0, 0, 0, 2.0, 0, 0]), rule)
    want = 2.0 * straight(rule, labels, 1)[-1].detach()
    torch.testing.assert_close(sol.predicted, want, rtol=1e-12, atol=1e-12)


def test_the_softest_phase_is_the_first_whatever_its_label():
    """Stiffness, sample by sample, tells phases apart; results are in strain units.

    Catches indicators taken from labels, and one order of the phases for all samples.
    """
    labels = torch.as_tensor(random_labels((4, 5), 3, batch=2))
    moduli = [[4.0, 1.0, 2.0], [2.0, 3.0, 1.0]]
    order = torch.tensor([[2, 0, 1], [1, 2, 0]])
    phases = [[lsml.isotropic(E=e, nu=0.3) for e in row] for row in moduli]
    load = lsml.load(strain=[[-2e-3, 0, 0], [5e-4, 0, 0]])
    rule = RLN(toys(3, 9, 1), 3, 2, phases=3)
    sol = lsml.solve(lsml.elasticity(labels, phases, load), rule)
    ranks = order.gather(1, labels.flatten(1)).view_as(labels)
    amplitude = torch.tensor([-2e-3, 5e-4], dtype=torch.float64).reshape(2, 1, 1, 1)
    want = amplitude * straight(rule, ranks, 2)[-1].detach()
    torch.testing.assert_close(sol.predicted, want, rtol=1e-12, atol=1e-15)
    for i in range(2):
        load = lsml.load(strain=[amplitude[i].item(), 0, 0])
        alone = lsml.solve(lsml.elasticity(labels[i], phases[i], load), rule).strain
        torch.testing.assert_close(sol.strain[i : i + 1], alone, rtol=0, atol=1e-15)


def test_load_cases_share_a_microstructure():
    """Each case is scaled by its own amplitude; catches amplitudes in another order."""
    labels = random_labels((4, 5), batch=2)
    cases = torch.tensor([[[1.0, 0, 0], [-3.0, 0, 0]], [[5.0, 0, 0], [7.0, 0, 0]]])
    rule = RLN(toys(2, 6, 1), 2)
    sol = lsml.solve(problem(labels, load=lsml.load(strain=cases)), rule)
    unit = rule(torch.as_tensor(labels))[:, -1].detach()
    want = cases[..., :1, None, None] * unit[:, None]
    torch.testing.assert_close(sol.predicted, want.flatten(0, 1))


def test_a_given_field_is_the_first_iterate():
    """y_0 is the start, or what another rule has reached: relative to the load."""
    rule, labels = RLN(toys(2, 6, 1), 2), torch.as_tensor(random_labels((5, 4)))
    p = problem(labels)
    start = lsml.solve(p, "moulinec", max_iter=2, throw=False, quadrature=True).strain
    mean = start.mean(1)[:, :1] / 1e-3
    want = 1e-3 * straight(rule, labels, 2, mean)[-1].detach()
    given = lsml.solve(p, rule, x0=start)
    torch.testing.assert_close(given.predicted, want, rtol=1e-10, atol=1e-14)
    after = lsml.solve(p, lsml.Schedule(lsml.Moulinec(), 2, rule))
    torch.testing.assert_close(after.strain, given.strain, rtol=1e-10, atol=1e-14)
    assert after.iterations.tolist() == [4]


def test_a_tied_network_has_one_nth_of_the_parameters():
    """Exactly; and the untied start from different weights, a function's or copies'."""
    tied = RLN(VNet(6, 1), passes=5, tied=True)
    for given in (VNet(6, 1), lambda: VNet(6, 1)):
        free = RLN(given, passes=5)
        counts = [sum(p.numel() for p in r.parameters()) for r in (tied, free)]
        assert counts == [132_801, 5 * 132_801]
        assert len({n.out.bias.item() for n in free.networks}) == 5


def test_a_rule_starts_from_another():
    """Theorem: it predicts what that does, and goes its own way from there.

    Catches passes that share the weights they were given, passes in another order, and
    weights of other networks or of too few passes taken in silence.
    """
    medium = problem(random_labels((4, 3), 2, 2))
    for tied in (True, False):
        first = RLN(toys(3, 6, 1), passes=3, tied=tied)
        rule = RLN(toys(3, 6, 1), passes=3)
        for network in rule.networks:
            nn.init.ones_(network.weight)
        rule.start_from(first)
        one, other = (lsml.solve(medium, r, throw=False) for r in (first, rule))
        assert torch.equal(one.predicted, other.predicted)
        nn.init.zeros_(rule.networks[2].weight)
        again = lsml.solve(medium, first, throw=False)
        assert torch.equal(one.predicted, again.predicted)
        assert rule.networks[1].weight.abs().min() > 0
    with pytest.raises(ValueError, match="of 4 networks cannot start from one of 3"):
        RLN(toys(4, 6, 1), passes=4).start_from(rule)
    with pytest.raises(ValueError, match=r"Toy, are not those of this one, VNet"):
        RLN(VNet(6, 1, ndim=2), passes=3).start_from(rule)


@pytest.mark.parametrize("make", [partial(VNet, 6, 1), partial(ConvGRU, 6, 1)])
@torch.no_grad()
def test_a_prediction_does_not_depend_on_its_batch_mates(make):
    """Theorem, to float32 rounding; the authors' own code subtracts a batch mean."""
    rule = RLN(make, passes=3).eval()
    labels = torch.as_tensor(random_labels((6, 5, 3), batch=3))
    alone = torch.cat([rule(labels[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(rule(labels), alone, rtol=0, atol=1e-6)


class Counter(Recurrent):
    """Its state counts the passes, its output tells it at the first voxel."""

    channels = 2

    def forward(self, features, state):
        out = torch.zeros_like(features[:, :1])
        out[:, :, 0] = state[:, :1, 0]
        return out, state + 1


def test_a_recurrent_network_keeps_its_state():
    """Zero at first, then what the pass before has left, in each sample."""
    labels = torch.as_tensor(random_labels((4, 3), batch=2))
    told = RLN(Counter(), 4, tied=True)(labels)
    want = 1 + torch.arange(4.0) * (1 - 1 / 4)
    torch.testing.assert_close(told[:, :, 0, 0, 0], want.expand(2, 4))
    net = ConvGRU(2, 1, 2, width=3)
    rule, state, y = RLN(net, 3, 0, tied=True), torch.zeros(2, 3, 4, 3), torch.ones(())
    m = torch.stack([labels == 0, labels == 1], 1).float()
    for i in range(3):
        f, state = net(y * m, state)
        y = 1 + f - f.mean((2, 3), keepdim=True)
        torch.testing.assert_close(rule(labels)[:, i], y)


def test_passes_are_counted_recorded_and_certified():
    """COMPLETED after N; iterates, history and error are those of each pass.

    Fewer steps than passes are MAX_ITER, and no number of passes is CONVERGED.
    """
    torch.manual_seed(0)
    rule = RLN(partial(VNet, 6, 1), passes=3)
    labels = random_labels((5, 4, 3), batch=2)
    sol = lsml.solve(labels, rule, record=True)
    assert sol.status.tolist() == [Status.COMPLETED] * 2
    assert sol.iterations.tolist() == [3, 3]
    assert (sol.error > 1e-3).all()
    assert sol.history.shape == (2, 4)
    assert sol.iterates.shape == (2, 4, 6, 5, 4, 3)
    torch.testing.assert_close(sol.iterates[:, -1], sol.strain)
    torch.testing.assert_close(sol.history[:, -1], sol.error)
    cut = lsml.solve(labels, rule, max_iter=2, throw=False)
    assert cut.status.tolist() == [Status.MAX_ITER] * 2
    torch.testing.assert_close(cut.strain, sol.iterates[:, 2])
    uniform = lsml.solve(labels, rule, max_iter=0, throw=False)
    torch.testing.assert_close(uniform.predicted, torch.full((2, 1, 5, 4, 3), 1e-3))


@pytest.mark.parametrize("form", ["strain", "displacement"])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("whole", [False, True])
def test_the_field_is_compatible_and_has_the_mean(form, scheme, whole):
    """Projecting it changes nothing; both forms and float32 give the same field.

    Catches a field of six predicted components that the strain form takes as it is.
    """
    components = tuple(range(6)) if whole else (0,)
    o = len(components)
    rule = RLN(toys(1, 2 * o, o), 1, 0, components=components)
    p = problem(random_labels((3, 4, 1)), SPACE, scheme, spacing=SPACING)
    sol = lsml.solve(p, rule, form=form, quadrature=True)
    torch.testing.assert_close(sol.mean_strain, torch.tensor([SPACE]).double())
    strain = sol.form.referred(rule.reference)
    x = sol.strain.flatten(1, 2)
    torch.testing.assert_close(strain.admit(x), x, rtol=0, atol=1e-15)
    single = problem(
        random_labels((3, 4, 1)), SPACE, scheme, spacing=SPACING, dtype=torch.float32
    )
    rough = lsml.solve(single, rule, quadrature=True).strain
    torch.testing.assert_close(rough.double(), sol.strain, rtol=0, atol=1e-8)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("shape", [(3, 3, 2), (4, 3)])
@pytest.mark.parametrize("last", [False, True])
def test_one_component_is_completed_at_least_energy(scheme, shape, last):
    """û = N s* (s N s*)⁻¹ ê is the minimum of the C⁰ energy under B̄u = e.

    Against dense least squares: a particular solution, and the null space of the
    voxel averages; both for a normal and a shear component. Catches the symbol of a
    point instead of the average, its conjugate, and Nyquist modes.
    """
    d = len(shape)
    load, component = (PLANE, 2) if d == 2 else (SPACE, 5)
    component = component if last else 0
    p = problem(random_labels(shape), load, scheme, spacing=SPACING[:d])
    form = in_form(p, "strain", lsml.Moulinec())
    discretization, c = form.discretization, len(load)
    count = d * form.grid.size
    units = torch.eye(count, dtype=torch.float64).reshape(count, d, *shape)
    gradient = discretization.gradient(units).flatten(1).T
    seen = discretization.voxel_gradient(units)[:, component].flatten(1).T
    root = torch.linalg.cholesky(form.reference.matrix[0])
    points = gradient.reshape(-1, c, form.grid.size * count)
    energy = (root.T @ points).reshape(-1, count)
    values = numbers(1, *shape)
    first = torch.linalg.pinv(seen, rtol=1e-10) @ values.flatten()
    _, size, rows = torch.linalg.svd(seen)
    free = rows[int((size > 1e-10 * size[0]).sum()) :].T
    rest = torch.linalg.pinv(energy @ free, rtol=1e-10) @ (energy @ first)
    want = (gradient @ (first - free @ rest)).reshape(1, -1, *shape)
    got = form.from_component(values, component) - form.start()
    torch.testing.assert_close(got, want, rtol=1e-8, atol=1e-8)
    reached = (seen @ first).reshape(1, *shape)
    voxels = form.voxel_field(got)[:, component]
    torch.testing.assert_close(voxels, reached, rtol=1e-8, atol=1e-8)


NAN = Constant(torch.full((1, 1, 4, 3, 5), torch.nan))


def bad_networks():
    torch.manual_seed(3)
    yield RLN(partial(ThreeLayer, 6, 1), passes=4)
    yield RLN(Constant(100 * numbers(1, 1, 4, 3, 5)), passes=4, tied=True)
    yield RLN(NAN, passes=4, tied=True)


@pytest.mark.parametrize("form", ["strain", "displacement"])
def test_a_bad_network_costs_time_and_not_correctness(form):
    """Followed by CG, or guarded, it ends at the solution; alone it ends COMPLETED.

    NaN is NONFINITE where it is alone. Catches a status that takes the word of
    a network, and a safeguard that keeps what it has refused.
    """
    p = problem(random_labels((4, 3, 5), batch=2), SPACE)
    true = lsml.solve(p, "cg", tol=1e-10).strain
    close = partial(torch.testing.assert_close, rtol=0, atol=1e-8)
    for rule in bad_networks():
        alone = lsml.solve(p, rule, throw=False, form=form)
        guarded = lsml.Safeguarded(rule, lsml.Moulinec())
        safe = lsml.solve(p, guarded, tol=1e-6, form=form)
        assert safe.converged.all()
        close(safe.strain, true)
        before = lsml.Schedule(rule, 3, lsml.ConjugateGradient())
        helped = lsml.solve(p, before, tol=1e-8, form=form)
        close(helped.strain, true)
        assert helped.predicted is None
        if rule.networks[0] is NAN:
            assert alone.status.tolist() == [Status.NONFINITE] * 2
        else:
            assert alone.status.tolist() == [Status.COMPLETED] * 2
            assert (alone.error > 1e-3).all()


def test_a_right_prediction_is_certified():
    """A network that knows the solution is CONVERGED after one pass, and ends there."""
    p = problem(random_labels((5, 4)), scheme="rotated")
    true = lsml.solve(p, "cg", tol=1e-12)
    known = Constant(true.strain / 1e-3)
    rule = RLN(known, 5, tied=True, components=(0, 1, 2))
    sol = lsml.solve(p, rule, tol=1e-6)
    assert sol.status.tolist() == [Status.CONVERGED]
    assert sol.iterations.tolist() == [1]
    torch.testing.assert_close(sol.strain, true.strain, rtol=0, atol=1e-9)


def test_a_homogeneous_sample_is_solved_before_the_first_pass():
    """CONVERGED at 0 with the uniform prediction, among others that go on.

    Catches predictions that come back in another order when samples leave a batch.
    """
    labels = torch.as_tensor(random_labels((4, 5), batch=4))
    labels[[1, 3]] = torch.tensor([0, 1])[:, None, None]
    rule = RLN(toys(2, 6, 1), 2)
    sol = lsml.solve(problem(labels), rule, tol=1e-10)
    done = [Status.COMPLETED, Status.CONVERGED] * 2
    assert sol.status.tolist() == done
    assert sol.iterations.tolist() == [2, 0, 2, 0]
    want = straight(rule, labels, 2)[-1].detach()
    want[[1, 3]] = 1.0
    torch.testing.assert_close(sol.predicted, 1e-3 * want)


def test_contrasts_that_were_not_learned_are_named():
    """A warning, not a refusal; none at the contrast of the data."""
    rule = RLN(toys(1, 6, 1), 1)
    rule.contrast = 10.0
    lsml.solve(problem(random_labels((4, 5))), rule)
    with pytest.warns(UserWarning, match="at contrast 10 and .* at contrast 40"):
        lsml.solve(problem(random_labels((4, 5)), stiff=(20.0, 0.5)), rule)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"load": lsml.load(strain=[1, 0, None], stress=[None, None, 0])}, "mean"),
        ({"eigenstrain": [[1e-3, 0, 0], None]}, "without eigenstrain"),
        ({"stiff": (1.0, 2.0, 3.0)}, "made for 2 phases; this problem has 3"),
        ({"strain": [0, 1e-3, 0]}, r"component 0 alone .* \[0.0, 0.001, 0.0\]"),
        ({"strain": [1e-3, 0, 1e-4]}, "component 0 alone"),
    ],
)
@pytest.mark.parametrize("make", [lambda: RLN(Toy(6, 1)), lambda: MKS((5, 4))])
def test_what_a_rule_was_not_made_for_is_refused(make, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        lsml.solve(problem(random_labels((5, 4), 2), **options), make())


def test_networks_and_components_that_do_not_fit_are_refused():
    """In one sentence with both shapes; nothing is broadcast or reordered."""
    p = problem(random_labels((5, 4)))
    with pytest.raises(ValueError, match=r"shape \(1, 2, 5, 4\); expected \(1, 1, 5"):
        lsml.solve(p, RLN(Toy(6, 2)))
    for components in ((0, 1), (1, 0, 2), (3,)):
        o = len(components)
        rule = RLN(Toy(6 * o, o), components=components)
        with pytest.raises(ValueError, match="of 3: one or all"):
            lsml.solve(p, rule)
    with pytest.raises(ValueError, match=r"VNet has 4 input channels; 2 .* make 6"):
        RLN(VNet(4, 1, 2))
    for made in (RLN(VNet(6, 1, 3)), MKS((3, 3, 3))):
        with pytest.raises(ValueError, match=r"made for 3 axes; .* has 2"):
            lsml.solve(p, made)
    with pytest.raises(ValueError, match="RLN passes = 0 must be 1 or more"):
        RLN(Toy(6, 1), passes=0)
    uniform = p.start()
    general = lsml.LippmannSchwinger(p.grid, p.law, p.reference, p.green, uniform)
    with pytest.raises(ValueError, match=r"RLN needs a problem that is \['compatible"):
        lsml.solve(general, RLN(Toy(6, 1)))
    with pytest.raises(ValueError, match="asks for 9 steps of a rule that has 5"):
        lsml.Schedule(RLN(Toy(6, 1)), 9, lsml.ConjugateGradient())
