"""Mixtures of rules: whatever a network answers, the driver's answer is right."""

import json
import pickle
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from cells import random_labels
from torch import nn
from typer.testing import CliRunner

import lsml
from lsml.bundle import layout_of, pack, split
from lsml.chain import Link, parse
from lsml.cli import app
from lsml.inputs import as_rule, in_form, learns
from lsml.learned import RLN
from lsml.numerics import keep_memory, memory_like
from lsml.rule import Iterate, Rule, family, renewed
from lsml.safeguard import NEVER, Watch
from lsml.state import Status
from lsml.stop import Never, RelativeResidual
from lsml.testing import CASES, CHECKS
from lsml.testing.trace import trace
from lsml.unroll import unroll

CG, MOULINEC = lsml.ConjugateGradient(), lsml.Moulinec()
FORMS = ["strain", "displacement"]
PASSES = 3


def draw(like, seed):
    numbers = torch.Generator().manual_seed(seed)
    return torch.randn(like.shape, generator=numbers, dtype=torch.float64).to(like)


def cell(form="displacement", shape=(5, 4), batch=2, scheme="rotated", seed=0):
    labels = random_labels(shape, batch=batch, seed=seed)
    phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=8.0, nu=0.2)]
    strain = [1e-3, -4e-4, 7e-4] if len(shape) == 2 else [1e-3, 0, -4e-4, 3e-4, 0, 7e-4]
    built = lsml.elasticity(labels, phases, lsml.load(strain=strain), scheme)
    return in_form(built, form, CG)


SOLVED = {}


def solution(problem):
    """To 1e-13, kept for the next who asks."""
    known = (type(problem), problem.strain.law.labels.numpy().tobytes())
    if known not in SOLVED:
        run = unroll(problem, CG, stop=RelativeResidual(1e-13), max_iter=400)
        SOLVED[known] = run.x
    return SOLVED[known]


# Networks that answer with anything: what they go to, from the problem and where it is.


def random(problem, x, k):
    return problem.start() + 1e-3 * draw(x, k)


def huge(problem, x, k):
    return problem.start() + 1e6 * draw(x, k)


def tiny(problem, x, k):
    return x + 1e-12 * draw(x, k)


def zero(problem, x, k):
    return torch.zeros_like(x)


def nan(problem, x, k):
    return torch.full_like(x, torch.nan)


def inf(problem, x, k):
    return torch.full_like(x, torch.inf)


def enormous(problem, x, k):
    return 1e200 * draw(x, k)


def translated(problem, x, k):
    """Where displacements have lost their digits, though the field is the same."""
    return x + 1e6


def sick(problem, x, k):
    """Of one sample only."""
    bad = x.clone()
    bad[0].flatten()[k] = torch.nan
    return bad


def still(problem, x, k):
    return x.clone()


def against(problem, x, k):
    """From the solution along an error that excites every mode alike.

    Its residual is less than that of x̄, so that it is not refused, but conjugate
    gradients need longer from here than from x̄, whose error is smooth.
    """
    true = solution(problem)
    noise = problem.precondition(problem.hessian(true, problem.project(draw(x, 7))))
    first = problem.norm(problem.residual(problem.start()))
    size = problem.norm(problem.residual(true + noise))
    scale = (0.8 * first / size).reshape(-1, *[1] * (x.ndim - 1))
    return true + scale * noise


NETWORKS = [random, huge, tiny, zero, nan, inf, enormous, sick, still, against]
PAIRS = [
    (n, FORMS[i % 2])
    for i, n in enumerate([random, huge, nan, enormous, still, against, against])
]


@dataclass(frozen=True)
class Answers(Rule):
    """As a network: a fixed number of passes, each of which goes anywhere."""

    network: Any
    passes: int = PASSES

    def step(self, problem, it, memory):
        return self.network(problem, it.x, it.k), memory


@dataclass(frozen=True)
class Spy(Rule):
    """Moulinec's steps, and a list of those that it was asked for."""

    passes: int | None = None
    seen: list[int] = field(default_factory=list)

    def step(self, problem, it, memory):
        self.seen.append(it.k)
        return it.x + problem.residual(it.x).step, memory


def mixtures(rule):
    return {
        "schedule": lsml.Schedule(rule, PASSES, CG),
        "safeguarded": lsml.Safeguarded(rule, CG, budget=5),
        "safeguarded moulinec": lsml.Safeguarded(rule, MOULINEC, budget=9),
        "permissive": lsml.Safeguarded(rule, CG, factor=1e5, budget=5),
        "alternate": lsml.Alternate(rule, CG, every=3),
        "guess": lsml.Schedule(lsml.Guess(rule), PASSES, CG),
        "enriched": lsml.Enriched(rule, every=2),
        "nested": lsml.Safeguarded(lsml.Guess(rule), lsml.Enriched(rule)),
    }


def everyone(problem, x, k):
    """Each sample of a crowd has a network of its own, whoever has left."""
    crowd = torch.as_tensor(random_labels((5, 4), batch=len(NETWORKS)))
    rows = []
    for row, labels in enumerate(problem.strain.law.labels):
        network = NETWORKS[int((crowd == labels).flatten(1).all(1).nonzero()[0])]
        at = torch.tensor([row])
        rows.append(network(problem.select(at), x[at], k))
    return torch.cat(rows)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", mixtures(MOULINEC))
def test_any_network_costs_time_and_never_correctness(name, form):
    """Theorem: every sample ends CONVERGED, at CG's own field to 10 tol in C⁰.

    A network of each kind in one batch, and each as if it were alone. Catches NaN that
    gets through, a residual that the driver takes for divergence, a recurrence that
    goes on from where it was not, a budget that is spent by the whole batch, a return
    that takes others along, and rows that are lost when samples leave.
    """
    problem, tol = cell(form, batch=len(NETWORKS)), 1e-7
    rule, stop = mixtures(Answers(everyone))[name], RelativeResidual(tol)
    state = unroll(problem, rule, stop=stop, max_iter=200)
    assert state.status.tolist() == [Status.CONVERGED] * len(NETWORKS)
    total = problem.norm(problem.residual(state.x)) / state.scale
    assert bool((total <= tol).all())
    true = problem.field(unroll(problem, CG, stop=stop, max_iter=200).x)
    strain, gap = problem.strain, problem.field(state.x) - true
    error = strain.pairing(strain.reference(gap), gap).sqrt()
    size = strain.pairing(strain.reference(true), true).sqrt()
    assert bool((error <= 10 * tol * size).all())
    for i in (NETWORKS.index(nan), NETWORKS.index(against)):
        part = problem.select(torch.tensor([i]))
        alone = unroll(part, rule, stop=stop, max_iter=200)
        assert int(alone.iterations[0]) == int(state.iterations[i])
        torch.testing.assert_close(alone.x[0], state.x[i], rtol=1e-8, atol=1e-13)


@pytest.mark.parametrize(("scale", "tied"), [(1.0, False), (1e6, True)])
def test_a_network_without_training_costs_time_and_never_correctness(tied, scale):
    """The same of modules with random weights, scaled, through `lsml.solve`."""
    torch.manual_seed(2)

    def network():
        conv = nn.Conv3d(6, 1, 3, padding=1, padding_mode="circular")
        with torch.no_grad():
            conv.weight.mul_(scale)
        return conv

    labels = random_labels((4, 5, 3), batch=2)
    true = lsml.solve(labels, tol=1e-10, discretization="hex8-bbar").strain
    for rule in mixtures(RLN(network, passes=PASSES, tied=tied)).values():
        sol = lsml.solve(labels, rule, tol=1e-8)
        assert sol.converged.all()
        torch.testing.assert_close(sol.strain, true, rtol=0, atol=1e-9)


@pytest.mark.parametrize("budget", [0, 4, 100])
@pytest.mark.parametrize("fallback", [CG, MOULINEC], ids=["cg", "moulinec"])
def test_safeguarded_is_bounded(fallback, budget):
    """Theorem: iterations ≤ passes + budget + those of the fallback by itself.

    From a given start, sample by sample, for a network of each kind.
    """
    problem = cell(batch=len(NETWORKS))
    x0 = problem.start() + 1e-4 * draw(problem.start(), 3)
    rule = lsml.Safeguarded(Answers(everyone), fallback, budget=budget)
    stop = {"stop": RelativeResidual(1e-5), "max_iter": 500}
    got, alone = (unroll(problem, r, x0, **stop) for r in (rule, fallback))
    assert bool(got.converged.all())
    assert bool((got.iterations <= PASSES + budget + alone.iterations).all())


@pytest.mark.parametrize(
    "network", [nan, inf, huge, enormous], ids=lambda n: n.__name__
)
def test_steps_that_never_count_cost_no_iteration(network):
    """The iterates are those of the fallback, to the last bit, through all passes."""
    problem, rule = cell(), Answers(network)
    alone = trace(problem, CG)
    for mixture in (lsml.Safeguarded(rule, CG), lsml.Alternate(rule, CG, every=2)):
        got = trace(problem, mixture)
        assert torch.equal(got.x, alone.x)
        assert torch.equal(got.state.iterations, alone.state.iterations)


@pytest.mark.parametrize("given", [False, True], ids=["from x̄", "from x0"])
def test_safeguarded_returns_to_the_fallbacks_own_run(given):
    """Theorem: after the budget the iterates are those of the fallback by itself.

    The network leads to a point from which CG takes longer than from x̄: the bound is
    met with equality, after one pass that counts and two that do not, which the
    fallback takes from the network's point and which are part of the budget.
    """
    problem, budget = cell(shape=(7, 6)), 6
    x0 = problem.start() + 1e-4 * draw(problem.start(), 3) if given else None
    stop = {"stop": RelativeResidual(1e-9), "max_iter": 500}
    alone = trace(problem, CG, x0, **stop)
    got = trace(
        problem, lsml.Safeguarded(Answers(against), CG, budget=budget), x0, **stop
    )
    back = 1 + budget
    assert got.state.iterations.tolist() == [
        back + n for n in alone.state.iterations.tolist()
    ]
    count = len(alone.x) - 1
    assert torch.equal(got.x[back + 1 :], alone.x[1:])
    assert count + back + 1 == len(got.x)


def test_after_the_return_the_rule_is_asked_no_more():
    """Though it has passes left whose steps would count.

    One counts, one does not, and the budget of one is spent: the own run begins.
    """
    problem = cell()

    def relapsing(problem, x, k):
        true = solution(problem)
        point = true + 0.5**k * (against(problem, x, k) - true)
        return still(problem, x, k) if k in (1, 2) else point

    rule = lsml.Safeguarded(Answers(relapsing, passes=9), CG, budget=1)
    alone, got = trace(problem, CG), trace(problem, rule)
    assert torch.equal(got.x[3:], alone.x[1:])


@pytest.mark.parametrize("name", ["schedule", "alternate", "enriched", "guess"])
def test_a_translation_costs_no_digits(name):
    """A displacement plus 10⁶ has the same strain, and ten digits less.

    Catches conjugate gradients that go on from there, and stagnate at 1e-6.
    """
    rule = mixtures(Answers(translated))[name]
    state = trace(cell(), rule, stop=RelativeResidual(1e-9), max_iter=200).state
    assert state.status.tolist() == [Status.CONVERGED] * 2


def test_a_good_point_is_not_left():
    """A network near the solution: converged within the budget, nothing thrown away."""
    problem = cell()

    def near(problem, x, k):
        return solution(problem) + 1e-6 * draw(x, k)

    got = trace(problem, lsml.Safeguarded(Answers(near), CG, budget=30)).state
    alone = trace(problem, CG).state
    assert bool((got.iterations < alone.iterations).all())


def test_what_is_spent_outlives_a_new_start_of_the_driver():
    """The fallback's own start and the budget are kept; the rest begins anew at x.

    Catches a restart that takes the present iterate for the fallback's own start.
    """
    problem = cell(shape=(5, 4))
    guard = lsml.Safeguarded(Answers(against), CG, budget=6)
    start = problem.start()
    with torch.no_grad():
        x, memory = guard.init(problem, start.clone(), 0)
        for k in range(5):
            residual = guard.residual(problem, x, memory, k)
            x, memory = guard.step(problem, Iterate(x, residual, k), memory)
        watch = Watch(*split(memory)[0])
        again, renewal = renewed(guard, problem, x.clone(), memory, 5)
    fresh = Watch(*split(renewal)[0])
    assert torch.equal(fresh.own, start)
    assert torch.equal(fresh.spent, watch.spent)
    assert watch.spent.tolist() == [4, 4]
    assert layout_of(renewal) == layout_of(memory)
    torch.testing.assert_close(again, x, rtol=1e-12, atol=1e-18)
    anew = Watch(*split(guard.init(problem, x.clone(), 5)[1])[0])
    assert anew.spent.tolist() == [NEVER] * 2


@pytest.mark.parametrize(
    "network", [against, nan, huge, random], ids=lambda n: n.__name__
)
def test_the_bound_holds_in_single_precision(network):
    """Where the driver starts rules anew as the carried residual falls."""
    labels = random_labels((9, 8, 7))
    options = {"tol": 1e-6, "dtype": torch.float32, "discretization": "hex8"}
    alone = lsml.solve(labels, "cg", **options)
    guard = lsml.Safeguarded(Answers(network), CG, budget=5)
    got = lsml.solve(labels, guard, **options)
    assert got.converged.all()
    assert int(got.iterations) <= PASSES + 5 + int(alone.iterations)


# Energy


def energy(problem, x):
    """½<ε, Cε>, from the law and the field at the points."""
    strain = problem.strain
    return strain.law.energy(problem.field(x)).flatten(1).mean(1)


@pytest.mark.parametrize(("network", "form"), PAIRS)
def test_a_guess_is_never_worse_than_none(network, form):
    """Theorem: E(guess) ≤ E(x̄), per sample, and it is the least on its line.

    The least by the parabola through three energies. Catches a step length of the
    wrong sign or of another sample, and an answer that is not finite.
    """
    problem = cell(form)
    guess = lsml.Guess(Answers(network))
    run = trace(problem, guess, stop=Never())
    first = energy(problem, problem.start())
    assert run.state.status.tolist() == [Status.COMPLETED] * 2
    for k, x in enumerate(run.x[1:]):
        now = energy(problem, x)
        assert bool((now <= first * (1 + 1e-13)).all())
        y = network(problem, run.x[0], k)
        if network in (random, against, zero) and form == "strain":
            start, d = problem.start(), problem.project(y - problem.start())
            sides = [energy(problem, start + s * d) for s in (-1.0, 1.0)]
            bend = sides[0] + sides[1] - 2 * first
            slope = (sides[1] - sides[0]) / 2
            least = first - torch.where(bend > 0, slope**2 / (2 * bend), 0.0)
            torch.testing.assert_close(now, least, rtol=1e-9, atol=0)


def test_a_guess_finds_the_solution_behind_any_factor():
    """y = x̄ − 40 (x* − x̄) is as good as x* itself."""
    problem = cell()

    def behind(problem, x, k):
        return problem.start() - 40 * (solution(problem) - problem.start())

    state = trace(
        problem, lsml.Guess(Answers(behind)), stop=RelativeResidual(1e-9)
    ).state
    assert state.iterations.tolist() == [1, 1]
    assert bool(state.converged.all())


def states(problem, rule, steps):
    """Iterate, memory and number before each of some steps."""
    x, memory = rule.init(problem, problem.start(), 0)
    found = []
    for k in range(steps):
        found.append((x, memory, k))
        residual = rule.residual(problem, x, memory, k)
        x, memory = rule.step(problem, Iterate(x, residual, k), memory)
    return found


@pytest.mark.parametrize(("network", "form"), PAIRS)
def test_a_learned_direction_is_never_worse_than_the_step_it_joins(network, form):
    """Theorem: E after an enriched step ≤ E after CG's from the same state, per sample.

    And the step is the Galerkin solution on the span of both: the force does no work
    along either. Catches a direction that is not conjugate, and a line search with the
    force before the step.
    """
    problem = cell(form)
    enriched, plain = (lsml.Enriched(Answers(n)) for n in (network, nan))
    for x, memory, k in states(problem, enriched, PASSES):
        it = Iterate(x, enriched.residual(problem, x, memory, k), k)
        new, after = enriched.step(problem, it, memory)
        other, _ = plain.step(problem, it, memory)
        base = energy(problem, x)
        with_, without = energy(problem, new), energy(problem, other)
        assert bool((with_ <= without + 1e-14 * base).all())
        assert bool((without <= base * (1 + 1e-14)).all())
        force, size = problem.force(new), problem.square(it.residual)
        for part in split(after)[1:3]:
            d, _, curvature = part
            work = problem.pairing(force, d).abs()
            assert bool((work <= 1e-8 * (size * curvature).sqrt()).all())


def test_without_a_direction_it_is_conjugate_gradients():
    """To rounding, on both forms; catches a recurrence of another method."""
    for form in FORMS:
        problem = cell(form)
        mine = trace(problem, lsml.Enriched(Answers(nan)), stop=RelativeResidual(1e-8))
        its = trace(problem, CG, stop=RelativeResidual(1e-8))
        assert torch.equal(mine.state.iterations, its.state.iterations)
        torch.testing.assert_close(mine.x, its.x, rtol=1e-7, atol=1e-13)


def test_a_direction_to_the_solution_ends_it_whatever_its_length():
    """x* is in the span; catches a learned step that is merely averaged in."""
    problem = cell()

    def away(problem, x, k):
        return x - 300 * (solution(problem) - x)

    rule = lsml.Enriched(Answers(away))
    state = trace(problem, rule, stop=RelativeResidual(1e-9)).state
    assert state.iterations.tolist() == [1, 1]


def test_later_steps_do_not_undo_a_learned_direction():
    """The force stays without work along the kept ones, through plain steps.

    Catches directions that are not made conjugate to them, as in plain CG.
    """
    problem = cell(batch=1)
    rule = lsml.Enriched(Answers(random), every=1, kept=PASSES)
    found = states(problem, rule, 12)
    learned = [part[0] for part in split(found[PASSES][1])[2:]]
    curved = [part[2] for part in split(found[PASSES][1])[2:]]
    assert bool((torch.stack(curved) > 0).all())
    for x, _, k in found[PASSES:]:
        force = problem.force(x)
        for d, curvature in zip(learned, curved, strict=True):
            work = problem.pairing(force, d).abs()
            size = problem.square(problem.residual(problem.start()))
            assert float(work) <= 1e-10 * float((size * curvature).sqrt()), k


# Whose turn it is


def test_alternate_takes_every_kth_step():
    """Steps 0, 3, 6, ... by the rule as its passes 0, 1, 2, and then no more."""
    problem, spy = cell(), Spy(passes=3)
    run = trace(
        problem, lsml.Alternate(spy, MOULINEC, every=3), stop=Never(), max_iter=14
    )
    assert spy.seen == [0, 1, 2]
    plain = trace(problem, MOULINEC, stop=Never(), max_iter=14)
    torch.testing.assert_close(run.x, plain.x, rtol=1e-12, atol=1e-16)
    endless = Spy()
    trace(problem, lsml.Alternate(endless, MOULINEC, every=2), stop=Never(), max_iter=7)
    assert endless.seen == [0, 1, 2, 3]


def test_the_other_rule_begins_anew_after_a_learned_step():
    """Alternate of Moulinec and CG, written out; catches directions that go on."""
    problem = cell("strain")
    run = trace(
        problem, lsml.Alternate(MOULINEC, CG, every=3), stop=Never(), max_iter=6
    )
    x = problem.start()
    for k in (1, 4):
        x = x + problem.residual(x).step
        torch.testing.assert_close(run.x[k], x, rtol=0, atol=1e-15)
        x = trace(problem, CG, x, stop=Never(), max_iter=2).x[-1]
        torch.testing.assert_close(run.x[k + 2], x, rtol=0, atol=1e-15)


def test_what_a_network_may_cost_is_stated():
    """A point of a residual above the limit is not gone to; the limit can be lifted."""
    problem = cell()
    for limit, moved in ((10.0, False), (float("inf"), True)):
        rule = lsml.Schedule(Answers(far), PASSES, CG, limit=limit)
        run = trace(problem, rule, stop=Never(), max_iter=1)
        assert torch.equal(run.x[1], run.x[0]) is not moved
        with pytest.raises(ValueError, match=r"limit = 0\.5 must be 1"):
            replace(rule, limit=0.5)


def far(problem, x, k):
    return problem.start() + draw(x, k)


@pytest.mark.parametrize("law", CHECKS)
@pytest.mark.parametrize("name", ["alternate", "enriched", "guess", "nested"])
def test_mixture_obeys(name, law):
    """Theorem: every law of `lsml.testing`, with passes of Moulinec's as network.

    `test_conformance` has the schedules and the safeguards.
    """
    rule = mixtures(Relaxed())[name]
    CHECKS[law](rule, CASES[list(mixtures(MOULINEC)).index(name)])


@dataclass(frozen=True)
class Relaxed(Rule):
    """Passes that any problem admits."""

    passes: ClassVar[int] = PASSES

    def step(self, problem, it, memory):
        return it.x + (0.9, 1.0, 0.8)[it.k] * problem.residual(it.x).step, memory


# Texts


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("cg", [("cg", None)]),
        ("rln:5 > cg", [("rln", 5), ("cg", None)]),
        (" rln-t>cg ", [("rln-t", None), ("cg", None)]),
        ("a : 2 > b:30>c", [("a", 2), ("b", 30), ("c", None)]),
    ],
)
def test_chains_are_read(text, links):
    """The grammar of `lsml.chain`; blanks do not matter."""
    assert parse(text) == tuple(Link(*link) for link in links)
    assert parse(" > ".join(map(str, parse(text)))) == parse(text)


def test_a_chain_is_the_schedule_that_it_says():
    """To the last bit; longer ones are nested."""
    problem = cell()
    for text, rule in (
        ("moulinec:10 > cg", lsml.Schedule(MOULINEC, 10, CG)),
        (
            "moulinec:2 > chebyshev:3 > cg",
            lsml.Schedule(MOULINEC, 2, lsml.Schedule(lsml.Chebyshev(), 3, CG)),
        ),
    ):
        made = as_rule(text, None, problem)
        assert made == rule
        mine, its = (lsml.solve(problem, r, tol=1e-8) for r in (text, rule))
        assert torch.equal(mine.strain, its.strain)
        assert torch.equal(mine.iterations, its.iterations)


@pytest.fixture
def weights(tmp_path):
    """Two networks without training, saved."""
    torch.manual_seed(0)
    made = {}
    for name, passes in (("rln-t", 4), ("fln", 1)):
        rule = RLN(lsml.learned.ThreeLayer(6, 1), passes=passes, tied=True)
        made[name] = tmp_path / f"{name}.safetensors"
        lsml.learned.save(rule, made[name])
    return made


def test_learned_links_take_weights_and_their_discretization(weights):
    """One file for one name, a mapping for several; all passes unless told otherwise.

    Catches a chain on the default discretization of physical rules.
    """
    labels = random_labels((4, 5, 3))
    own = as_rule("rln-t > cg", weights["rln-t"], lsml.solve(labels).problem)
    assert own.steps == 4
    one = lsml.solve(labels, "rln-t:2 > cg", weights=weights["rln-t"])
    assert (
        one.form.discretization
        == lsml.solve(labels, discretization="hex8-bbar").form.discretization
    )
    two = lsml.solve(labels, "fln > moulinec:2 > rln-t > cg", weights=weights)
    assert two.converged.all()
    both = as_rule("fln > rln-t:2 > fln > cg", weights, two.problem)
    assert both.first is both.then.then.first


@pytest.mark.parametrize(
    ("text", "given", "sentence"),
    [
        ("rln-t: > cg", None, r"the steps in 'rln-t:' must be a whole number from 1"),
        ("moulinec:x > cg", None, r"the steps in 'moulinec:x' must be"),
        ("moulinec:0 > cg", None, r"the steps in 'moulinec:0' must be"),
        ("moulinec:1:2 > cg", None, r"the steps in 'moulinec:1:2' must be"),
        ("moulinec:3 >", None, "part 2 has no name"),
        ("> cg", None, "part 1 has no name"),
        ("", None, "part 1 has no name"),
        ("moulinec > cg", None, "'moulinec' goes on for ever; say for how many"),
        ("moulinec:3 > cg:4", None, "'cg:4' is the last and goes on to its own end"),
        ("cg:4", None, "'cg:4' is the last"),
        ("moulinec:3 > gc", None, "rule 'gc' is unknown; choose one of .*cg"),
        ("rln-t:9 > cg", "rln-t", "'rln-t:9' asks for 9 steps of a rule that has 4"),
        ("moulinec:3 > cg", "rln-t", "given, but rule 'moulinec:3 > cg' has none"),
        (
            "fln > rln-t > cg",
            "rln-t",
            "one file, but .* has 2 learned rules: give a map",
        ),
        (
            "rln-t > cg",
            "both",
            r"given for \['fln'\], but the learned rules .* \['rln-t",
        ),
        ("fln > cg", "rln-t", "holds a rule 'rln-t', not 'fln'"),
        (MOULINEC, "rln-t", "given beside a Moulinec, which has its own"),
    ],
)
def test_bad_chains_are_refused_in_a_sentence(text, given, sentence, weights):
    """That names the part; before anything is solved."""
    chosen = weights if given == "both" else weights.get(given)
    with pytest.raises(ValueError, match=sentence):
        lsml.solve(random_labels((4, 5, 3)), text, weights=chosen)


def test_chains_on_the_command_line(weights, tmp_path):
    """The same iterations as in Python, with one file and with several by name."""
    labels, image = random_labels((4, 5, 3)), tmp_path / "image.npy"
    np.save(image, labels)
    files = {name: str(path) for name, path in weights.items()}
    both = [f"--weights={name}={file}" for name, file in files.items()]
    for rule, given, python in (
        ("rln-t:2 > cg", [f"--weights={files['rln-t']}"], files["rln-t"]),
        ("fln > rln-t > cg", both, files),
        ("moulinec:3 > cg", [], None),
    ):
        told = CliRunner().invoke(
            app, ["solve", str(image), "--rule", rule, "--json", *given]
        )
        assert told.exit_code == 0
        want = lsml.solve(labels, rule, weights=python)
        assert json.loads(told.stdout)["iterations"] == want.iterations.tolist()
    for given, sentence in (
        ([*both[:1], *both[:1]], "several files are written as NAME=FILE"),
        (["--contrast=77"], "rule 'rln-t' needs weights"),
    ):
        line = CliRunner().invoke(
            app, ["solve", str(image), "--rule", "rln-t > cg", *given]
        )
        assert line.exit_code == 2
        assert sentence in line.stderr


# Parts


def test_wrappers_are_seen_through():
    """`learns` and the default discretization, however deep; catches lists of names."""
    rule = RLN(nn.Conv3d(6, 1, 1), passes=PASSES)
    deep = lsml.Schedule(
        MOULINEC,
        2,
        lsml.Safeguarded(lsml.Guess(rule), lsml.Alternate(lsml.Enriched(rule), CG, 2)),
    )
    assert [type(r).__name__ for r in family(deep)][:2] == ["Moulinec", "RLN"]
    for each in [*mixtures(rule).values(), deep]:
        assert learns(each)
        assert any(part is rule for part in family(each))
        parts = [part.requires for part in family(each)]
        assert each.requires == frozenset().union(*parts) >= rule.requires
    for each in [*mixtures(MOULINEC).values(), CG, "cg", "moulinec:2 > cg", 3]:
        assert not learns(each)
    assert learns(lsml.load_rule("mpcg"))
    assert learns("moulinec:3 > rln-t > cg")


@pytest.mark.parametrize("name", [n for n in mixtures(MOULINEC) if "moulinec" not in n])
def test_missing_tags_are_named_with_the_part_that_needs_them(name):
    """Before any step."""
    spy = Spy(passes=PASSES)
    problem, rule = CASES[0].untagged(CG.reference), mixtures(spy)[name]
    with pytest.raises(ValueError, match="needs a problem that is") as refusal:
        trace(problem, rule)
    assert spy.seen == []
    if name in ("schedule", "alternate", "permissive"):
        assert "because of its ConjugateGradient" in str(refusal.value)


@pytest.mark.parametrize(
    ("rule", "options", "sentence"),
    [
        (RLN(nn.Conv3d(18, 2, 1), components=(0, 1)), {}, "of 6: one or all"),
        (RLN(nn.Conv3d(9, 1, 1), phases=3), {}, "made for 3 phases"),
        (RLN(nn.Conv3d(6, 1, 1), load=3), {}, "component 3 alone"),
        (RLN(nn.Conv3d(6, 1, 1)), {"eigenstrain": [[1e-3] * 6, None]}, "eigenstrain"),
    ],
)
def test_weights_for_something_else_are_refused_before_any_work(
    rule, options, sentence
):
    """Wherever in a mixture they are; catches a refusal after the first steps."""
    spy = Spy()
    late = [
        lsml.Schedule(spy, 3, lsml.Schedule(rule, 1, CG)),
        lsml.Safeguarded(spy, lsml.Alternate(rule, CG, 2)),
        lsml.Alternate(spy, lsml.Enriched(rule), 2),
        lsml.Schedule(spy, 3, lsml.Guess(rule)),
    ]
    phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=3.0, nu=0.3)]
    load = lsml.load(strain=[1e-3, 0, 0, 0, 0, 0])
    problem = lsml.elasticity(random_labels((4, 5, 3)), phases, load, **options)
    for each in late:
        with pytest.raises(ValueError, match=sentence):
            lsml.solve(problem, each)
    assert spy.seen == []


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: lsml.Safeguarded(MOULINEC, CG, factor=0.0),
            "factor = 0.0 must be pos",
        ),
        (
            lambda: lsml.Safeguarded(MOULINEC, CG, factor=torch.inf),
            "positive and finite",
        ),
        (lambda: lsml.Safeguarded(MOULINEC, CG, budget=-1), "budget = -1 must be 0"),
        (
            lambda: lsml.Safeguarded(CG, Answers(nan)),
            "fallback that goes on to the end",
        ),
        (lambda: lsml.Alternate(MOULINEC, CG, every=1), "every = 1 must be 2 or more"),
        (lambda: lsml.Alternate(MOULINEC, CG, 2, limit=0.0), "limit = 0.0 must be 1"),
        (lambda: lsml.Enriched(MOULINEC, every=0), "every = 0 must be 1 or more"),
        (lambda: lsml.Enriched(MOULINEC, kept=0), "kept = 0 must be 1 or more"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


# Bundles


def test_bundles_come_apart_as_they_were_put_together():
    """Named tuples, plain ones, empty ones, bundles; also after a copy or a pickle."""
    numbers = [torch.full((2,), float(i)) for i in range(6)]
    watch = Watch(*numbers[:3])
    inner = pack((numbers[3],), ())
    whole = pack(watch, (), inner, tuple(numbers[4:]))
    copies = [whole, memory_like(whole, list(whole)), pickle.loads(pickle.dumps(whole))]
    for each in copies:
        parts = split(each)
        assert isinstance(parts[0], Watch)
        assert parts[1] == ()
        assert torch.equal(split(parts[2])[0][0], numbers[3])
        assert [float(t[0]) for t in each] == [0, 1, 2, 3, 4, 5]
        assert layout_of(each) == layout_of(whole)
    other = pack(watch, tuple(numbers[3:]))
    assert keep_memory(torch.tensor([True, False]), other, whole) is other
