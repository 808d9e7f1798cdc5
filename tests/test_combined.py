"""Rules made of rules: symmetries, load cases and ensembles."""

from functools import partial
from itertools import product

import pytest
import torch
from cells import components, random_labels, random_load
from torch import nn

import lsml
from lsml.learned import (
    RLN,
    Ensemble,
    LearnedRule,
    MonteCarlo,
    Superposed,
    Symmetrized,
    ThreeLayer,
    VNet,
    calibrate,
)
from lsml.learned.combined import turns
from lsml.learned.sample import Sample
from lsml.state import Status

E_MODULI = (1.0, 10.0)
PHASES = [lsml.isotropic(E=e, nu=0.3) for e in E_MODULI]
close = partial(torch.testing.assert_close, rtol=1e-10, atol=1e-12)


def numbers(*shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=draw, dtype=torch.float64)


def labelled(*shape, batch=1, seed=0):
    return torch.as_tensor(random_labels(shape, 2, batch, seed))


class Toy(nn.Module):
    """A network without any symmetry: other weights for each channel and direction."""

    def __init__(self, inputs, outputs, seed=0):
        super().__init__()
        self.weight = nn.Parameter(0.3 * numbers(outputs, inputs, seed=seed))

    def forward(self, features):
        v = torch.einsum("oi,bi...->bo...", self.weight, features)
        for axis in range(2, v.ndim):
            v = torch.tanh(v + 0.5 * axis * v.roll(1, axis)) + 0.2 * v
        return v


class Oracle(LearnedRule):
    """Knows the answer to one component of the mean strain: looks it up by CG."""

    passes, phases, parts = 1, 2, 2

    def __init__(self, ndim, load):
        super().__init__()
        self.components, self.load = tuple(range(components("x" * ndim))), load

    def amplitudes(self, mean):
        return mean[:, self.load, None]

    def begin(self, labels, amplitudes, field=None):
        strain = [float(c == self.load) for c in self.components]
        solved = lsml.elasticity(labels, PHASES, lsml.load(strain=strain), "rotated")
        return amplitudes, lsml.solve(solved, "cg", tol=1e-12, compile=False).strain

    def advance(self, memory, k):
        return memory

    def output(self, memory):
        return memory[0].reshape(-1, *[1] * (memory[1].ndim - 1)) * memory[1]


def toy(ndim, load=0, whole=False, passes=2, seed=0):
    places = tuple(range(components("x" * ndim))) if whole else (load,)
    o = len(places)
    return RLN(Toy(4 * o, o, seed), passes, 1, tied=True, components=places, load=load)


def turned(turn, vectors, axis=1):
    """Mandel components of a turned field or load, the arrays left alone."""
    parts, rows = [None] * vectors.shape[axis], vectors.unbind(axis)
    for c, row in enumerate(rows):
        place, sign = turn.component(c)
        parts[place] = sign * row
    return torch.stack(parts, axis)


@pytest.mark.parametrize(("shape", "count"), [((3, 4), 8), ((3, 2, 4), 48)])
@pytest.mark.parametrize("scheme", ["fourier", "hex8-bbar"])
def test_turning_a_problem_turns_its_field(shape, count, scheme):
    """Theorem for every symmetry of the grid, under a load with all components.

    Catches an inverse taken for the turn, a sign of shear, and a component that goes
    where its axes do not.
    """
    d, spacing = len(shape), torch.tensor([1.0, 2.0, 0.5])
    labels, load = labelled(*shape), random_load(components(shape), 1)
    options = {"tol": 1e-10, "compile": False}
    axes = spacing[:d]
    plain = lsml.elasticity(labels, PHASES, lsml.load(strain=load), scheme, axes)
    field = lsml.solve(plain, "cg", **options).strain
    assert len(set(turns(d))) == count
    for order in {t.order for t in turns(d)}:
        alike = [t for t in turns(d) if t.order == order]
        images = torch.cat([t.forth(labels, 1) for t in alike])
        loads = torch.cat([turned(t, load) for t in alike])
        edges = axes[list(order)]
        moved = lsml.elasticity(images, PHASES, lsml.load(strain=loads), scheme, edges)
        got = lsml.solve(moved, "cg", **options).strain
        want = torch.cat([t.forth(turned(t, field), 2) for t in alike])
        torch.testing.assert_close(got, want, rtol=0, atol=1e-7)


@pytest.mark.parametrize("d", [2, 3])
def test_turns_are_a_group(d):
    """One after the other is a third, components and signs too; back undoes forth."""
    every = list(turns(d))
    v = numbers(2, 3, *(3, 4, 5)[:d])
    cube = torch.arange(3**d).reshape(1, *[3] * d)
    images = {tuple(t.forth(cube, 1).flatten().tolist()): t for t in every}
    assert every[0].forth(v, 2) is not None
    assert torch.equal(every[0].forth(v, 2), v)
    c = torch.arange(1.0, 1 + components("x" * d))[None]
    for s in every:
        assert torch.equal(s.back(s.forth(v, 2), 2), v)
        for t in every[::5]:
            both = t.forth(s.forth(cube, 1), 1)
            third = images[tuple(both.flatten().tolist())]
            assert torch.equal(turned(third, c), turned(t, turned(s, c)))


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(
    ("shape", "load", "count"),
    [((3, 4), 0, 4), ((3, 4), 2, 8), ((3, 2, 4), 0, 16), ((3, 2, 4), 5, 16)],
)
@torch.no_grad()
def test_symmetrized_is_the_average_by_hand(shape, load, count, whole):
    """Over the symmetries that leave the load's component, which shear may negate.

    And a field to start from is turned with the microstructure. Catches a sign lost
    on the way, and outputs mixed between passes.
    """
    d, n = len(shape), 2
    rule = toy(d, load, whole)
    mean = Symmetrized(rule, d)
    labels, field = labelled(*shape, batch=n), numbers(n, len(rule.components), *shape)
    amplitude = torch.tensor([[1e-3], [-2.0]], dtype=torch.float64)
    kept = [t for t in turns(d) if t.component(load)[0] == load]
    assert len(mean.terms) == len(kept) == count
    for start in (None, field):
        memory = mean.begin(labels, amplitude, start)
        hand = []
        for t in kept:
            sign = t.component(load)[1]
            image = start
            if start is not None:
                image = turned(t, start) if whole else sign * start
                image = t.forth(image, 2)
            own = rule.begin(t.forth(labels, 1), sign * amplitude, image)
            for k in range(2):
                own = rule.advance(own, k)
            back = t.back(rule.output(own), 2)
            back = undone(t, back) if whole else sign * back
            hand.append(back)
        for k in range(2):
            memory = mean.advance(memory, k)
        close(mean.output(memory), torch.stack(hand).mean(0))


def undone(turn, field):
    """Components turned back: the transpose of a signed permutation."""
    return torch.stack(
        [
            sign * field[:, place]
            for place, sign in map(turn.component, range(field.shape[1]))
        ],
        1,
    )


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(("shape", "count"), [((3, 4), 4), ((4, 3, 2), 16)])
@torch.no_grad()
def test_symmetrized_is_equivariant(shape, count, whole):
    """Theorem: a symmetry of the load turns the prediction as it turns the medium.

    The rule alone is not so. Catches turns that are no group together.
    """
    d, labels = len(shape), labelled(*shape, batch=2)
    rule = toy(d, whole=whole)
    mean = Symmetrized(rule, d)
    assert len(mean.terms) == count
    worst = 0.0
    for t in (term.turn for term in mean.terms):
        image = t.forth(labels, 1)
        for each in (mean, rule):
            want = each(labels)[:, -1]
            want = t.forth(turned(t, want) if whole else want, 2)
            got = each(image)[:, -1]
            if each is mean:
                close(got, want)
            worst = max(worst, float((got - want).abs().max()))
    assert worst > 0.1


@pytest.mark.parametrize(("shape", "shear"), [((3, 4), 2), ((3, 4, 2), 4)])
@pytest.mark.parametrize("tension", [0, 1])
def test_superposed_oracles_are_the_solution_of_any_load(shape, shear, tension):
    """From the answers to one normal and one shear strain, every load by symmetry.

    CONVERGED with the field of CG. Catches a shear that is turned with the wrong sign,
    and load cases that are added in another order.
    """
    d = len(shape)
    rule = Superposed(Oracle(d, tension), Oracle(d, shear), d)
    labels, load = labelled(*shape, batch=2), random_load(components(shape), 4, 2)
    problem = lsml.elasticity(labels, PHASES, lsml.load(strain=load), "rotated")
    sol = lsml.solve(problem, rule, tol=1e-8)
    true = lsml.solve(problem, "cg", tol=1e-12)
    assert sol.status.tolist() == [Status.CONVERGED] * 2
    torch.testing.assert_close(sol.predicted, true.strain, rtol=0, atol=1e-9)
    torch.testing.assert_close(sol.strain, true.strain, rtol=0, atol=1e-9)


def test_superposed_is_linear_in_the_load():
    """Whatever the networks: p(a e + b f) = a p(e) + b p(f); zero for zero."""
    rule = Superposed(toy(2, 1, whole=True), toy(2, 2, whole=True, seed=5), 2)
    labels = labelled(5, 4).expand(3, 5, 4)
    e, f = numbers(2, 3)
    loads = torch.stack([e, f, 2 * e - 3 * f])
    problem = lsml.elasticity(labels, PHASES, lsml.load(strain=loads))
    got = lsml.solve(problem, rule).predicted
    close(got[2], 2 * got[0] - 3 * got[1])
    none = lsml.elasticity(labels[:1], PHASES, lsml.load(strain=[0.0] * 3))
    assert lsml.solve(none, rule).predicted.abs().max() == 0


@torch.no_grad()
def test_superposed_alone_answers_a_unit_load():
    """Called on labels it is the rule for its first load, as evaluation needs it."""
    tension = toy(2, 0, whole=True)
    rule = Superposed(tension, toy(2, 2, whole=True), 2)
    labels = labelled(5, 4, batch=2)
    assert rule.load == 0
    close(rule(labels), tension(labels))


@torch.no_grad()
def test_an_ensemble_has_mean_and_deviation():
    """Both by hand, after every pass; members do not see each other."""
    rules = [toy(2, seed=s) for s in range(3)]
    ensemble, labels = Ensemble(rules, 2), labelled(5, 4, batch=2)
    memory = ensemble.begin(labels, torch.full((2, 1), 2.0).double())
    for k in range(2):
        memory = ensemble.advance(memory, k)
        each = torch.stack([2 * rule(labels)[:, k] for rule in rules])
        close(ensemble.output(memory), each.mean(0))
        close(ensemble.deviation(memory), each.std(0, correction=0))
    close(ensemble(labels), torch.stack([rule(labels) for rule in rules]).mean(0))


class Known(nn.Module):
    """The same field of mean zero for any microstructure."""

    def __init__(self, field):
        super().__init__()
        self.field = nn.Parameter(field.float())

    def forward(self, features):
        return self.field.expand(len(features), *self.field.shape[1:])


def test_errors_as_large_as_the_deviation_are_calibrated():
    """Normal errors of the spread that the ensemble states fill every level.

    Three times as large, they do not. Catches levels of another distribution.
    """
    shape, s = (60, 50), 0.1
    rules = [RLN(Known(torch.zeros(1, 1, *shape)), 1) for _ in range(2)]
    wave = s * (-1.0) ** torch.arange(50)  # of mean zero, the same size everywhere
    for rule, sign in zip(rules, (1, -1), strict=True):
        rule.networks[0].field.data += sign * wave
    labels = labelled(*shape)[0].to(torch.uint8)
    error = numbers(1, *shape).float()
    found = [
        calibrate(Ensemble(rules, 2), [Sample(labels, 1 + scale * s * error)])
        for scale in (1, 3)
    ]
    assert found[0].error < 0.02
    assert found[1].error > 0.2
    assert (found[1].found < found[0].found).all()


def test_monte_carlo_draws_in_evaluation_too():
    """Dropout stays on, and only that; draws differ, and so do two calls.

    Catches `eval()` that silences it, and draws that share one mask.
    """
    rule = RLN(VNet(4, 1, 2, dropout=0.5), 2, 1, tied=True)
    many, labels = MonteCarlo(rule, 3, 2), labelled(8, 7)
    drops = [m for m in many.modules() if isinstance(m, nn.Dropout1d)]
    for mode in (many.eval(), many.train(False), many):
        assert [m.training for m in drops] == [True]
        assert not mode.rules[0].networks[0].begin.training
    with torch.no_grad():
        assert not torch.equal(many(labels), many(labels))
        memory = many.begin(labels, torch.ones(1, 1))
        memory = many.advance(memory, 0)
        assert (many.deviation(memory) > 0).any()
        torch.manual_seed(0)
        once = many(labels)
        torch.manual_seed(0)
        assert torch.equal(many(labels), once)


def solved(rule, strain):
    load = lsml.load(strain=strain)
    return lsml.solve(lsml.elasticity(labelled(5, 4), PHASES, load), rule)


def test_what_cannot_be_combined_is_refused():
    """In a sentence that says what was expected."""
    rule, other = toy(2), toy(2, passes=3)
    plain = RLN(partial(ThreeLayer, 4, 1, 2), 2, 1)
    whole, shear = toy(2, 0, whole=True), toy(2, 2, whole=True)
    with pytest.raises(ValueError, match="two rules or more, got 1"):
        Ensemble([rule], 2)
    with pytest.raises(ValueError, match="passes = 2 and 3 cannot be combined"):
        Ensemble([rule, other], 2)
    with pytest.raises(ValueError, match="load = 0 and 2 cannot be combined"):
        Ensemble([whole, shear], 2)
    with pytest.raises(ValueError, match="needs a network with dropout"):
        MonteCarlo(plain, 2, 2)
    with pytest.raises(
        ValueError, match=r"tension must predict all 3 .* \(0,\) under 0"
    ):
        Superposed(rule, shear, 2)
    with pytest.raises(ValueError, match=r"shear must .* strains \[2\]; .* under 0"):
        Superposed(whole, whole, 2)
    for made in (Symmetrized(rule, 2), Ensemble([rule, rule], 2)):
        for strain in ([1e-3, 0, 1e-4], [0, 1e-3, 0], [0, 0, 0]):
            with pytest.raises(ValueError, match=r"component 0 alone .* this load is"):
                solved(made, strain)


@pytest.mark.parametrize("d", [2, 3])
def test_every_symmetry_is_a_signed_permutation(d):
    """Components change places one to one, and normal strains keep their sign."""
    for t, c in product(turns(d), range(components("x" * d))):
        assert sorted(t.component(i)[0] for i in range(components("x" * d))) == list(
            range(components("x" * d))
        )
        assert t.component(c)[1] in ((1.0,) if c < d else (1.0, -1.0))
