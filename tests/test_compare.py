"""Comparisons: what is counted, what is measured, and what is told of it."""

import json
import re
import shlex
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf, isnan, log2, nan

import numpy as np
import pytest
import torch
from cells import SCHEMES, generator, random_labels
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

import lsml
from lsml.cli import app
from lsml.comparison import Comparison
from lsml.comparison.measure import Measure
from lsml.comparison.passes import Limits, solved
from lsml.comparison.trials import settled
from lsml.counted import CountedForm, counted, element_operations
from lsml.counting import Counter
from lsml.displacement_form import DisplacementForm
from lsml.inputs import in_form
from lsml.stop import Never
from lsml.unroll import unroll

LABELS = random_labels((5, 4, 3), batch=2, seed=1)
PLANE = random_labels((4, 3), seed=2)
LOAD = lsml.load(strain=[1e-3, 0, 0, 0, 0, 0])
MIXED = lsml.load(
    strain=[1e-3, None, None, 0, 0, 0], stress=[None, 0, 1e-3, None, None, None]
)
STIFF = staticmethod(lambda low, high: 0.7 * (low + high))
PHASES = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=10.0, nu=0.3)]


def problem(labels=LABELS, scheme="rotated", load=LOAD, **options):
    return lsml.elasticity(labels, PHASES, load, scheme, **options)


def compared(m=LABELS, rules=("moulinec", "cg"), **options):
    """Cheap unless asked for more: untimed, loose, one quadrature point."""
    given = {"repeats": 0, "tol": 1e-4, "goals": (0.1, 0.01), **options}
    if isinstance(m, np.ndarray):
        given.setdefault("discretization", "rotated")
    return lsml.compare(m, rules, **given)


def per_iteration(raw, rule, steps=4):
    """What is counted from one iterate to the next."""
    counter, seen = Counter(), []
    form = in_form(raw, "displacement", rule)
    with torch.no_grad(), counter:
        unroll(
            counted(form, counter),
            rule,
            stop=Never(),
            max_iter=steps,
            observe=lambda *_: seen.append(counter.total),
        )
    return [b.plus(a, -1) for a, b in pairwise(seen)]


# What is counted


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["moulinec", "steepest_descent", "cg"])
def test_an_iteration_is_one_law_and_one_green_operator(scheme, name):
    """Would catch operators counted twice, or work inside them counted as vectors."""
    rule = {
        "moulinec": lsml.Moulinec(),
        "steepest_descent": lsml.SteepestDescent(),
        "cg": lsml.ConjugateGradient(),
    }[name]
    vectors = {"moulinec": 3, "steepest_descent": 12, "cg": 10}[name]
    raw, voxels = problem(scheme=scheme), LABELS[0].size
    inside = 18 if scheme == "fourier" else 0  # transforms of a spectral B and Bᵀ
    for step in per_iteration(raw, rule):
        b = len(LABELS)
        assert (step.laws, step.greens) == (b, b)
        assert step.transforms == b * (6 + inside)
        each = 2.5 * voxels * log2(voxels)
        assert step.transform == pytest.approx(b * (6 + inside) * each)
        assert step.multiplier == b * 2 * 9 * voxels
        numbers = vectors * 3 * voxels * b
        assert numbers <= step.vectors <= numbers + 40 * b
        assert step.products == 0


def test_the_operations_of_an_element_by_hand():
    """One point in the plane, unit edges: would catch kernels counted per cell.

    Modes: a sum, a difference and then two more along the second axis, and their two
    scales, for each component: 12. Strain: one sum, in the shear. Stress: 2 products
    and a sum for each normal component, a product for the shear: 7. Forces, for each
    component: 2 products, 1 + 4 steps to the corners, 3 sums of corners: 20.
    """
    load = lsml.load(strain=[1e-3, 0, 0])
    raw = problem(PLANE, load=load)
    steps = per_iteration(raw, lsml.ConjugateGradient())
    assert steps[0].element == (12 + 1 + 7 + 20) * PLANE.size


def test_the_operations_of_larger_elements_are_those_counted_for_the_roofline():
    """By hand 265 for `hex8` in benchmarks/roofline.py; docs/compare.md tells these."""
    told = {"rotated": 123, "hex8": 258, "hex8-bbar": 390}
    for scheme, operations in told.items():
        raw = problem(scheme=scheme)
        assert element_operations(raw.law, raw.discretization) == operations
    assert told["hex8"] == pytest.approx(265, rel=0.05)


def test_transforms_and_pointwise_operations():
    x = torch.ones(2, 3, 4, 5, 6)
    with Counter() as counter:
        hat = torch.fft.rfftn(x, dim=(2, 3, 4))
        torch.fft.irfftn(hat, s=(4, 5, 6), dim=(2, 3, 4))
    assert counter.total.transforms == 12
    assert counter.total.flops == pytest.approx(12 * 2.5 * 120 * log2(120))
    y = x.reshape(-1)
    with Counter() as counter:
        z = y * y
        torch.addcmul(z, y, y)
        z.sum()
        torch.complex(y, y) * torch.complex(y, y)
        y > 0.5  # noqa: B015 (nothing to pay for)
        y.clone().reshape(2, -1)
    assert counter.total.vectors == (1 + 2 + 1 + 6) * len(y)


def test_networks_are_counted_as_pytorch_counts_them():
    """Convolutions by PyTorch's own formulas, activations a number each."""
    net = lsml.learned.VNet(6, 1).eval()
    x = torch.randn(1, 6, 8, 8, 8, generator=generator(0))
    with torch.no_grad():
        with FlopCounterMode(display=False) as known:
            net(x)
        with Counter() as counter:
            net(x)
    assert counter.total.products == known.get_total_flops() > 0
    assert 0 < counter.total.vectors < 0.05 * counter.total.products


def test_nothing_is_counted_while_errors_are_measured():
    """The operations of a solve are the same whether or not it is watched."""
    rule, raw = lsml.ConjugateGradient(), problem(LABELS[:1])
    steps = per_iteration(raw, rule)
    (trial,) = compared(LABELS[:1], ["cg"], discretization="rotated").trials
    first = np.diff(trial.flops[0])[:3]
    assert first == pytest.approx([step.flops for step in steps[:3]], rel=1e-12)


def test_the_counted_problem_takes_the_same_steps():
    raw, rule = problem(load=MIXED), lsml.ConjugateGradient()
    form = in_form(raw, "displacement", rule)
    with torch.no_grad():
        plain = unroll(form, rule)
        watched = unroll(counted(form, Counter()), rule)
        few = counted(form, Counter()).select(torch.tensor([1, 0]))
    assert torch.equal(plain.x, watched.x)
    assert isinstance(few, CountedForm)
    assert few.batch == few.form.batch == 2


def test_the_strain_form_is_counted_too():
    """For rules that iterate on strains: its operations one by one."""
    raw, rule = in_form(problem(), "strain", lsml.Moulinec()), lsml.Moulinec()
    counter = Counter()
    with torch.no_grad(), counter:
        plain = unroll(raw, rule, max_iter=3)
        before = counter.total
        watched = unroll(counted(raw, counter), rule, max_iter=3)
    assert torch.equal(plain.x, watched.x)
    total = counter.total.plus(before, -1)
    residuals = 1 + 1 + 3 + 1  # the scale, the start, each step, the certificate
    assert total.greens == len(LABELS) * residuals
    assert total.laws == 2 * len(LABELS) * residuals
    assert total.vectors > 0


# What is measured


def dense(form):
    """H as a matrix, and the solution by least squares."""
    zero = form.start()
    size = zero.shape[1]
    columns = [form.hessian(zero, row[None])[0] for row in torch.eye(size).double()]
    matrix = torch.stack(columns, 1).numpy()
    return matrix, np.linalg.lstsq(matrix, form.force(zero)[0].numpy(), rcond=1e-12)[0]


def test_energy_error_against_a_dense_solution():
    """Would catch errors in another norm, or against another solution."""
    raw = problem(PLANE, "hex8", lsml.load(strain=[1e-3, 2e-4, 5e-4]))
    form = in_form(raw, "displacement", lsml.ConjugateGradient())
    matrix, exact = dense(form)
    iterates = []
    with torch.no_grad():
        unroll(
            form, lsml.ConjugateGradient(), max_iter=4,
            observe=lambda k, x, *_: iterates.append(x[0].clone().numpy()),
        )  # fmt: skip
    field = form.field(torch.from_numpy(exact)[None])
    flux = form.flux(torch.from_numpy(exact)[None])
    size = float((field * flux).sum()) * form.strain.grid.size / field[0, 0].numel()
    size /= form.points
    (trial,) = compared(raw, ["cg"], tol=1e-12).trials
    for k, x in enumerate(iterates):
        e = x - exact
        assert trial.energy[0, k] ** 2 == pytest.approx(e @ matrix @ e / size, rel=1e-6)


def test_errors_of_the_recorded_iterates():
    """Strains, mean stress and energy from the fields that `lsml.solve` returns."""
    options = {"discretization": "hex8", "contrast": 20.0}
    true = lsml.solve(LABELS, tol=1e-13, quadrature=True, **options)
    few = lsml.solve(
        LABELS,
        "cg",
        max_iter=5,
        record=True,
        quadrature=True,
        throw=False,
        **options,
    )
    (trial,) = compared(rules=["cg"], tol=1e-11, **options).trials
    table = true.form.law.table[0].numpy()[LABELS].transpose(0, 4, 5, 1, 2, 3)
    mean = true.strain.mean((1, 3, 4, 5)).norm(dim=1)

    def energy(e):
        return np.einsum("bqixyz,bijxyz,bqjxyz->b", e, table, e)

    strain = true.strain.numpy()
    for k in range(6):
        e = few.iterates[:, k].numpy() - strain
        assert trial.energy[:, k] == pytest.approx(
            np.sqrt(energy(e) / energy(strain)), rel=1e-6
        )
        voxel = torch.from_numpy(e.mean(1))
        mase = 100 * voxel.abs().mean((2, 3, 4)) / mean[:, None]
        assert trial.mase[:, k] == pytest.approx(mase.numpy(), rel=1e-6, abs=1e-9)
        known = lsml.mase(few.iterates[:, k].mean(1)[:, 0], true.strain.mean(1)[:, 0])
        assert trial.mase[:, k, 0] == pytest.approx(known.numpy(), rel=1e-6)
    stress = few.mean_stress - true.mean_stress
    gap = stress.norm(dim=1) / true.mean_stress.norm(dim=1)
    assert trial.effective[:, 5] == pytest.approx(gap.numpy(), rel=1e-6)
    assert trial.residual[:, :6] == pytest.approx(few.history.numpy(), rel=1e-9)


def test_the_reference_has_no_error_in_the_end():
    (trial,) = compared(rules=["cg"], tol=1e-9).trials
    ends = [trial.energy[i, k] for i, k in enumerate(trial.iterations)]
    assert max(ends) < 1e-13
    assert trial.status == ("CONVERGED",) * len(LABELS)
    assert (trial.error <= 1e-9).all()


@dataclass(frozen=True)
class OtherMedium(lsml.Moulinec):
    """On a medium that is stiffer than the mean of the phases."""

    reference = STIFF


def test_rules_on_other_reference_media_have_the_same_solution():
    """Their unknown under a mixed load is another one: it must be carried over."""
    raw = problem(LABELS[:1], load=MIXED)
    found = compared(raw, {"other": OtherMedium()}, tol=1e-6)
    (trial,) = found.trials
    assert set(trial.status) == {"CONVERGED"}
    last = [trial.energy[i, k] for i, k in enumerate(trial.iterations)]
    assert max(last) < 1e-5
    assert trial.energy[:, 0].min() > 1e-2


def test_the_strain_form_has_the_same_errors():
    raw, rule = problem(load=MIXED), lsml.ConjugateGradient()
    _, truths = solved(raw, rule, Limits(1e-10, 200, False))
    form = in_form(problem(LABELS[:1], load=MIXED), "strain", rule)
    plain = DisplacementForm(form)
    x = torch.randn(plain.start().shape, generator=generator(3), dtype=torch.float64)
    x = plain.precondition(x)
    a = Measure.of(truths[0], plain)(x)
    b = Measure.of(truths[0], form)(plain.field(x))
    assert a.energy == pytest.approx(b.energy, rel=1e-9)
    assert a.effective == pytest.approx(b.effective, rel=1e-9)
    assert a.mase == pytest.approx(b.mase, rel=1e-9)


def test_no_sample_depends_on_its_batch_mates():
    """Would catch operations of a batch, or certificates that others asked for."""
    (together,) = compared(rules=["cg"]).trials
    for i, labels in enumerate(LABELS):
        (alone,) = compared(labels, ["cg"]).trials
        last = 1 + alone.iterations[0]
        assert together.iterations[i] == alone.iterations[0]
        for name in ("energy", "effective", "residual", "mase"):
            a, b = getattr(together, name)[i, :last], getattr(alone, name)[0]
            assert a == pytest.approx(b, rel=1e-6, abs=1e-9)
        assert np.array_equal(together.flops[i, :last], alone.flops[0])
        assert np.isnan(together.energy[i, last:]).all()


def test_float32_problems_are_measured_in_float64():
    labels, options = LABELS[:1], {"rules": ["cg"], "tol": 1e-6}
    exact = compared(labels, **options, dtype=torch.float64).trials[0]
    single = compared(labels, **options, dtype=torch.float32).trials[0]
    assert single.energy[:, :5] == pytest.approx(exact.energy[:, :5], rel=1e-3)
    assert single.energy[0, single.iterations[0]] < 1e-5


# What is told


def trial_like(rule, energy, seconds, flops=None, problem=""):
    """A trial of which only errors and costs matter."""
    base = compared(LABELS[:1], ["cg"]).trials[0]
    energy = np.atleast_2d(np.asarray(energy, float))
    b, k = energy.shape
    return replace(
        base,
        rule=rule,
        problem=problem,
        status=("CONVERGED",) * b,
        iterations=(k - 1,) * b,
        error=np.zeros(b),
        residual=energy,
        energy=energy,
        effective=energy,
        mase=np.zeros((b, k, 6)),
        flops=np.broadcast_to(np.arange(k) if flops is None else flops, (b, k)) * 1.0,
        seconds=np.asarray(seconds, float),
    )


def made(trials, training=None, goals=(0.1, 0.01)):
    return Comparison(tuple(trials), goals, "cg", 1e-8, ("11",) * 6, training or {}, {})


def test_a_goal_is_reached_when_it_is_no_longer_left():
    """An error that passes through zero has not reached anything."""
    assert settled(np.array([1, 0.05, 0.5, 0.02, 0.01]), 0.1) == 3
    assert settled(np.array([0.05, 0.01]), 0.1) == 0
    assert isnan(settled(np.array([1, 0.05, 0.2]), 0.1))
    assert isnan(settled(np.array([1, 0.05, nan]), 0.1))


def test_costs_are_per_sample_and_a_batch_waits_for_its_slowest():
    energy = [[1, 0.05, 0.001, 0.0001], [1, 0.5, 0.05, 0.0001]]
    found = made([trial_like("cg", energy, [1, 2, 4, 7])])
    cost = found.cost("cg", 0.1)
    assert (cost.reached, cost.samples) == (2, 2)
    assert cost.iterations == cost.flops == 1.5
    assert cost.seconds == 4 / 2
    none = found.cost("cg", 1e-9)
    assert none.reached == 0
    assert isnan(none.seconds)
    with pytest.raises(ValueError, match="'rln' was not compared; there are cg"):
        found.cost("rln", 0.1)


def test_costs_over_problems_count_samples_once():
    trials = [
        trial_like("cg", [[1, 0.01]], [1, 3], problem="a"),
        trial_like("cg", [[1, 0.5, 0.01]] * 3, [1, 2, 6], problem="b"),
    ]
    found = made(trials)
    assert found.cost("cg", 0.1).iterations == (1 + 3 * 2) / 4
    assert found.cost("cg", 0.1).seconds == (3 + 6) / 4
    assert found.only("a").cost("cg", 0.1).seconds == 3
    with pytest.raises(ValueError, match="'c' is unknown; there are a, b"):
        found.only("c")


def test_payback():
    """Training over what a solve saves; never where nothing is saved."""
    trials = [
        trial_like("cg", [[1, 0.5, 0.05, 0.005]], [1, 2, 5, 9]),
        trial_like("quick", [[1, 0.05]], [1, 3]),
        trial_like("slow", [[1, 0.05, 0.005]], [3, 6, 8]),
    ]
    found = made(trials, {"quick": 7.0, "slow": None})
    assert found.payback("quick", 0.1) == 7.0 / (5 - 3)
    assert isnan(found.payback("quick", 0.01))
    assert isnan(found.payback("slow", 0.1))
    known = replace(found, training={"slow": 5.0})
    assert known.payback("slow", 0.1) == inf
    assert known.payback("slow", 0.01) == 5.0 / (9 - 8)
    assert isnan(found.payback("cg", 0.1))
    lines = found.table("energy").splitlines()
    assert ["quick", "7", "4", "-"] in [line.split() for line in lines]
    assert ["slow", "5", "never", "5"] in [
        line.split() for line in known.table("energy").splitlines()
    ]


def test_the_table_has_the_costs():
    found = compared(LABELS[:1], contrast=5.0, repeats=1)
    told = found.table()
    for quantity in ("energy", "effective"):
        for rule in found.rules:
            for goal in found.goals:
                cost = found.cost(rule, goal, quantity)
                assert cost.whole
                cells = [cost.iterations, 1e3 * cost.seconds, 1e-6 * cost.flops]
                assert " / ".join(f"{c:.3g}" for c in cells) in told
    assert "1 CONVERGED" in told
    assert "training" not in told


def test_seconds_grow_from_the_set_up_on():
    (trial,) = compared(rules=["cg"], repeats=3, tol=1e-3).trials
    assert trial.seconds[0] > 0
    assert (np.diff(trial.seconds) >= 0).all()
    assert len(trial.seconds) == 1 + max(trial.iterations)
    assert np.isnan(compared(rules=["cg"]).trials[0].seconds).all()


def strict(text):
    return json.loads(text, parse_constant=pytest.fail)


def test_json_round_trip(tmp_path):
    """Rows of unequal length and untimed rules hold NaN, which JSON has not."""
    rules = {"cg": "cg", "fails": Refuses()}
    found = compared({"a": problem(), "b": problem(LABELS[:1])}, rules)
    text = found.to_json(tmp_path / "c.json")
    assert (tmp_path / "c.json").read_text().strip() == text
    values = strict(text)
    assert values["format"] == 1
    assert values["trials"][0]["seconds"][0] is None
    again = Comparison.from_json(text)
    assert again.to_json() == text
    assert again.table() == found.table()
    for a, b in zip(found.trials, again.trials, strict=True):
        for name in ("energy", "mase", "flops", "error", "seconds"):
            assert np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True)


@pytest.mark.parametrize("text", ["{}", "[]", "no", '{"format": 2}', '{"format": 1}'])
def test_json_of_something_else_is_refused(text):
    with pytest.raises(ValueError, match="not a comparison written by lsml"):
        Comparison.from_json(text)


def test_what_was_not_timed_can_be_drawn(tmp_path):
    """A logarithmic axis without a number is an error of matplotlib's."""
    pytest.importorskip("matplotlib", reason='needs pip install "lsml[plot]"')
    found = compared(LABELS[:1], {"cg": "cg", "refuses": Refuses()})
    found.plot(tmp_path / "c.png", "effective")
    found.only("").plot(tmp_path / "d.png", "residual")
    assert len(list(tmp_path.iterdir())) == 2


def test_the_picture_has_the_numbers(tmp_path):
    pytest.importorskip("matplotlib", reason='needs pip install "lsml[plot]"')
    several = {"a": problem(), "b": problem(LABELS[:1])}
    found = compared(several, tol=1e-2, repeats=1)
    figure = found.plot(tmp_path / "c.png")
    assert (tmp_path / "c.png").stat().st_size > 0
    panels = figure.axes
    assert len(panels) == 6
    for j, (name, row) in enumerate((("a", panels[:3]), ("b", panels[3:]))):
        for i, rule in enumerate(found.rules):
            (trial,) = found.only(name).of(rule)
            steps, seconds, flops = (axes.lines[i] for axes in row)
            assert np.array_equal(seconds.get_xdata(), trial.seconds / trial.samples)
            assert np.array_equal(steps.get_xdata(), np.arange(len(trial.seconds)))
            assert (flops.get_xdata()[0], flops.get_label()) == (
                pytest.approx(trial.flops[:, 0].mean()),
                rule,
            )
            if j:
                shown = np.where(trial.energy[0] > 0, trial.energy[0], nan)
                assert np.array_equal(steps.get_ydata(), shown, equal_nan=True)
            assert name in row[0].get_ylabel()


# Rules that fail, and what is refused


@dataclass(frozen=True)
class Refuses(lsml.Moulinec):
    """Needs what no problem has."""

    requires = frozenset({"made up"})


@dataclass(frozen=True)
class Breaks(lsml.Moulinec):
    """Fails in its second step."""

    def step(self, problem, it, memory):
        if it.k == 1:
            raise RuntimeError("out of\n luck")
        return super().step(problem, it, memory)


class Tiny(nn.Module):
    """A network of one convolution."""

    def __init__(self, phases=2):
        super().__init__()
        channels = 3 * phases
        self.arguments = {"in_channels": channels, "out_channels": 1, "ndim": 3}
        self.layer = nn.Conv3d(channels, 1, 3, padding="same", padding_mode="circular")

    def forward(self, x):
        return 0.01 * self.layer(x)


def test_a_rule_that_fails_is_a_row_that_says_so():
    three = lsml.learned.RLN(Tiny(3), passes=2, tied=True, phases=3).eval()
    rules = {
        "cg": "cg",
        "refuses": Refuses(),
        "breaks": Breaks(),
        "diverges": lsml.SteepestDescent(step_length=50.0),
        "three phases": three,
    }
    found = compared(rules=rules, max_iter=40, repeats=1)
    cg, refuses, breaks, diverges, phases = found.trials
    assert "needs a problem that is ['made up']" in refuses.refusal
    assert breaks.refusal == "out of luck"
    assert "made for 3 phases" in phases.refusal
    assert set(diverges.status) == {"DIVERGED"}
    assert set(cg.status) == {"CONVERGED"}
    told = found.table()
    assert "refused: Refuses needs a problem that is ['made up']" in told
    assert "2 DIVERGED" in told
    assert found.cost("refuses", 0.1).reached == 0


def test_learned_rules_their_training_and_the_reference_they_pay_against():
    net = lsml.learned.RLN(Tiny(), passes=2, tied=True).eval()
    net.record = {"training": {"seconds": 30}}
    mixed = lsml.Schedule(net, 2, lsml.ConjugateGradient())
    found = compared(rules=[net, mixed], repeats=1, tol=1e-2)
    assert found.training == {"RLN": 30.0, "Schedule": 30.0}
    assert found.rules == ("RLN", "Schedule", "cg")
    assert found.of("RLN")[0].status == ("COMPLETED",) * len(LABELS)
    assert "Solves that pay for training, against cg" in found.table()
    shipped = lsml.load_rule("mpcg")
    shipped.record = {"training": {"seconds": 5}}
    rules = {"a": lsml.Safeguarded(shipped, lsml.Moulinec())}
    assert compared(rules=rules, tol=1e-2).training == {"a": 5.0}
    net.record = {}
    assert compared(rules=[net], tol=1e-2).training == {"RLN": None}
    assert found.of("RLN")[0].operations["products"] > 0
    assert found.of("cg")[0].operations["products"] < 1e3  # the size of the stress


def test_rules_of_one_class_keep_apart():
    rules = [lsml.SteepestDescent(), lsml.SteepestDescent(step_length=1.0), "cg"]
    found = compared(LABELS[:1], rules, tol=1e-2)
    assert found.rules == ("SteepestDescent", "SteepestDescent 2", "cg")


def test_labels_take_the_discretization_of_learned_rules():
    found = lsml.compare(LABELS[:1], ["cg"], tol=1e-2, repeats=0)
    assert found.setting["discretization"] == "BBar"


def general():
    """A problem of which nothing is known but H = A + B."""
    raw = problem(LABELS[:1])
    parts = raw.grid, raw.law, raw.reference, raw.green
    return lsml.LippmannSchwinger(*parts, raw.start())


@pytest.mark.parametrize(
    ("arguments", "options", "sentence"),
    [
        ((LABELS, "cg"), {}, "rules must be a list of rules, got 'cg'"),
        ((LABELS, []), {}, "rules is empty"),
        ((LABELS, ["cg", "cg"]), {}, "rule 'cg' is given twice"),
        ((LABELS, ["cg", "jacobi"]), {}, "'jacobi'"),
        ((LABELS, ["cg"]), {"reference": "jacobi"}, "'jacobi'"),
        ((LABELS, ["cg"]), {"weights": {"rln": "x"}}, "given for ['rln'], which no"),
        ((LABELS, ["cg"]), {"weights": {"cg": "x"}}, "has none"),
        ((LABELS, ["rln"]), {"contrast": 77.0}, "needs weights"),
        ((LABELS, ["cg"]), {"goals": [1.5]}, "must be numbers between 0 and 1"),
        ((LABELS, ["cg"]), {"goals": []}, "must be numbers between 0 and 1"),
        ((LABELS, ["cg"]), {"repeats": -1}, "repeats = -1 must be a whole number"),
        ((LABELS, ["cg"]), {"tol": 0}, "tol = 0 must be positive"),
        ((LABELS, ["cg"]), {"contrasts": 3}, "unknown options ['contrasts']"),
        (([problem(), LABELS], ["cg"]), {}, "must all be problems"),
        (({}, ["cg"]), {}, "no problem to compare on"),
        ((general(), ["cg"]), {}, "needs a compatible problem, got LippmannSchwinger"),
        (
            (LABELS, ["cg"]),
            {"reference": lsml.learned.RLN(Tiny(), 1, tied=True)},
            "must go on until it converges; RLN ends after 1 passes",
        ),
    ],
)
def test_bad_input_is_refused_first(monkeypatch, arguments, options, sentence):
    monkeypatch.setattr("lsml.comparison.passes.unroll", pytest.fail)
    with pytest.raises(ValueError, match=re.escape(sentence)) as error:
        compared(*arguments, **options)
    assert "\n" not in str(error.value)


def test_a_reference_that_does_not_converge_is_an_error():
    with pytest.raises(lsml.ConvergenceError, match="MAX_ITER"):
        compared(max_iter=2)


# Command line


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("image.npy", LABELS[0])
    return tmp_path


def run(command):
    return CliRunner().invoke(app, shlex.split(command), catch_exceptions=False)


def test_the_command_tells_what_the_library_finds(folder):
    pytest.importorskip("matplotlib", reason='needs pip install "lsml[plot]"')
    options = "--contrast 20 --repeats 1 --discretization rotated --tol 1e-2"
    result = run(f"compare image.npy {options} --out c.json --plot c.png")
    assert result.exit_code == 0
    found = Comparison.from_json((folder / "c.json").read_text())
    expected = compared(LABELS[0], contrast=20.0, tol=1e-2)
    for a, b in zip(found.trials, expected.trials, strict=True):
        assert np.array_equal(a.energy, b.energy, equal_nan=True)
    for rule in ("moulinec", "cg"):
        cost = found.cost(rule, 0.1)
        assert f"{cost.iterations:.3g} / {1e3 * cost.seconds:.3g}" in result.stdout
    assert (folder / "c.png").exists()
    values = strict(run(f"compare image.npy {options} --rules cg --json").stdout)
    assert [trial["rule"] for trial in values["trials"]] == ["cg"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--rules cg,jacobi", "'jacobi'"),
        ("--rules ,", "rules is empty"),
        ("--weights rln", "--weights 'rln' must be NAME=FILE"),
        ("--rules rln --weights rln=gone.safetensors", "neither a file nor shipped"),
        ("--goals 1e-1,x", "must be numbers between commas"),
        ("--out gone/c.json", "gone"),
        ("--out image.npy", "exists already; --overwrite replaces it"),
        ("--plot image.npy", "exists already; --overwrite replaces it"),
    ],
)
def test_bad_input_is_one_line_and_status_two(folder, options, sentence):
    result = run(f"compare image.npy {options}")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("lsml: ")
    assert sentence in line


def test_a_reference_that_fails_is_status_one(folder):
    result = run("compare image.npy --max-iter 2")
    assert result.exit_code == 1
    assert "reference cg, sample 0: MAX_ITER after 2 iterations" in result.stderr


def test_help_fits_a_screen(folder):
    result = run("compare --help")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) <= 55
