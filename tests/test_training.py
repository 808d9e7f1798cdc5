"""Training: what it minimizes, that it can stop anywhere, and what it refuses."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from cells import random_labels

import lsml
from lsml.displacement_form import DisplacementForm
from lsml.learned import RLN, LearnedRule, Plan, ThreeLayer, VNet, evaluate, train
from lsml.learned.losses import Equilibrium, mse, rmse, shares
from lsml.learned.sample import Sample

SHAPE = (5, 4)
HERE = Path(__file__).parent


def numbers(*shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=draw, dtype=torch.float64)


def samples(count, seed=0, o=1, shape=SHAPE):
    """Microstructures with fields of mean 1 in the first component, else 0."""
    labels = torch.as_tensor(random_labels(shape, 2, count, seed), dtype=torch.uint8)
    noise = 0.3 * numbers(count, o, *shape, seed=seed + 1).float()
    strain = noise - noise.mean((2, 3), keepdim=True)
    strain[:, 0] += 1
    return [Sample(*row) for row in zip(labels, strain, strict=True)]


def small(passes=2, seed=0, **options):
    torch.manual_seed(seed)
    return RLN(partial(ThreeLayer, 4, 1, 2, width=3), passes, 1, **options)


def weights(rule):
    return torch.cat([p.detach().flatten() for p in rule.parameters()])


def test_one_sample_is_learned_by_heart():
    """The loss falls below a ten-thousandth of its start; the error of a solve with it.

    Catches gradients that do not reach the weights, and a loss of something else than
    what `evaluate` and the rule in `lsml.solve` predict.
    """
    torch.manual_seed(0)
    rule = RLN(ThreeLayer(2, 1, 2, width=24), 1, 0)
    labels = torch.as_tensor(random_labels((4, 4)), dtype=torch.uint8)
    load = lsml.load(strain=[1e-3, 0, 0])
    problem = lsml.elasticity(
        labels, [lsml.isotropic(E=e, nu=0.3) for e in (1.0, 10.0)], load, "hex8-bbar"
    )
    true = lsml.solve(problem, "cg").strain[:, 0]
    sample = Sample(labels[0], (true / 1e-3).float())
    rows = train(rule, [sample], plan=Plan(200, 1, 1e-2, accelerator="cpu"))
    assert len(rows) == 200
    assert min(row.loss for row in rows) < 1e-4 * rows[0].loss
    got = lsml.mase(lsml.solve(problem, rule).predicted[:, 0].double(), true)
    told = evaluate(rule, [sample])
    torch.testing.assert_close(told.mase, got.float(), rtol=1e-3, atol=1e-4)
    assert told.mean < 1.0


@pytest.mark.parametrize("clip", [None, 0.05])
@pytest.mark.parametrize("loss", ["mse", "rmse"])
def test_steps_are_adam_on_the_weighted_loss(loss, clip):
    """Against the loop written out, in float64, with all samples in one batch.

    Learning rate along a cosine, gradient clipped, at 2·N by default; Fabric hands out
    the iterates in float32. Catches a schedule by batches, clipping before the sum,
    and weights that are not shares.
    """
    data, rule, other = samples(3), small(), small()
    other.double()
    plan = Plan(
        epochs=4,
        batch=3,
        learning_rate=1e-2,
        loss=loss,
        iterate_weights=[1.0, 3.0],
        clip=clip,
        precision="64-true",
        accelerator="cpu",
    )
    rows = train(rule, data, plan=plan)
    labels = torch.stack([s.labels for s in data])
    true = torch.stack([s.strain for s in data]).double()
    adam = torch.optim.Adam(other.parameters(), lr=1e-2)
    losses, states = [], []
    for epoch in range(4):
        rate = (
            1e-8
            + (1e-2 - 1e-8)
            * (1 + torch.cos(torch.tensor(epoch * torch.pi / 4)).item())
            / 2
        )
        adam.param_groups[0]["lr"] = rate
        assert rows[epoch].learning_rate == pytest.approx(rate, rel=1e-6)
        square = (other(labels) - true[:, None]).square().mean((0, 2, 3, 4))
        each = square if loss == "mse" else 100 * square.sqrt()
        total = 0.25 * each[0] + 0.75 * each[1]
        adam.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(
            other.parameters(), 4.0 if clip is None else clip
        )
        adam.step()
        losses.append(total.item())
        states.append(weights(other))
    assert [row.loss for row in rows] == pytest.approx(losses, rel=1e-6)
    best = states[losses.index(min(losses))]
    torch.testing.assert_close(weights(rule), best, rtol=1e-6, atol=1e-7)


class PowerError(Exception):
    """The power fails."""


PLAN = Plan(epochs=3, batch=2, learning_rate=1e-2, accelerator="cpu")


def dropping(seed=0):
    """A rule whose training draws random numbers at every step."""
    torch.manual_seed(seed)
    return RLN(VNet(4, 1, 2, dropout=0.3), 2, 1, tied=True)


def run(folder, seed=0, stop=None, seconds=None, plan=PLAN):
    """Train on five samples, three batches an epoch; or until ``stop``."""

    def observe(epoch, batch, batches, loss):
        assert batches == 3
        if (epoch, batch) == stop:
            raise PowerError

    rule = dropping(seed)
    validation = samples(2, seed=9)
    rows = train(
        rule, samples(5), validation, folder, plan, seconds=seconds, observe=observe
    )
    return rule, rows


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nobody interrupts."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    rule, rows = run(folder)
    return rule, rows, (folder / "best.safetensors").read_bytes()


def check_same(whole, rule, rows, folder):
    assert rows == whole[1]
    for name, tensor in whole[0].state_dict().items():
        assert torch.equal(rule.state_dict()[name], tensor), name
    assert (folder / "best.safetensors").read_bytes() == whole[2]
    lines = (folder / "log.csv").read_text().splitlines()
    assert lines[0] == "epoch,loss,learning_rate,validation"
    assert len(lines) == 1 + len(rows)
    assert not list(folder.glob(".last*"))


@pytest.mark.parametrize("interval", [0.0, 1e9])
@pytest.mark.parametrize("stops", [[(0, 1)], [(0, 3)], [(1, 2), (2, 3)], [(1, 1)] * 3])
def test_an_interrupted_run_ends_where_it_would_have(
    whole, stops, interval, tmp_path, monkeypatch
):
    """Bit for bit: weights, curve and file, though each new start has other weights.

    Checkpoints after every batch, or after epochs only. Catches an optimizer, an order
    or random numbers of dropout that begin anew, and sums over a broken epoch.
    """
    monkeypatch.setattr("lsml.learned.journal.INTERVAL", interval)
    folder = tmp_path / "run"
    for i, stop in enumerate(stops):
        with pytest.raises(PowerError):
            run(folder, seed=i, stop=stop)
        torch.rand(7)  # what else happens in the process must not matter
    check_same(whole, *run(folder, seed=8), folder)


def test_a_run_of_many_short_sittings(whole, tmp_path):
    """No `seconds`, so one batch at a sitting: the same end; one more sitting is idle.

    Catches a sitting that ends between the last batch and the end of its epoch.
    """
    folder, counts = tmp_path / "run", []
    for i in range(10):
        rule, rows = run(folder, seed=i, seconds=0.0)
        counts.append(len(rows))
    assert counts == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]
    check_same(whole, rule, rows, folder)
    check_same(whole, *run(folder, seed=33), folder)


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from pathlib import Path
import lsml.learned.journal as journal
import test_training as t
journal.INTERVAL, replace, kept = 0.0, os.replace, []

def killing(source, target):
    if Path(target).name == "last.ckpt":
        kept.append(target)
        if len(kept) == 7:
            os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)

os.replace = killing
t.run(Path(sys.argv[2]))
"""


def test_a_run_that_was_killed_while_it_wrote(whole, tmp_path):
    """SIGKILL before the seventh checkpoint has its name; the sixth is whole."""
    folder = tmp_path / "run"
    command = [sys.executable, "-c", KILLED, str(HERE), str(folder)]
    ended = subprocess.run(command, check=False, timeout=300, env=dict(os.environ))
    assert ended.returncode == -9
    assert len(list(folder.glob(".last*"))) == 1
    state = torch.load(folder / "last.ckpt", weights_only=True)["run"]
    assert (state["epoch"], state["batch"]) == (1, 1)
    check_same(whole, *run(folder, seed=5), folder)


@pytest.mark.parametrize("name", ["log.csv", "last.ckpt", "best.safetensors"])
def test_a_run_that_ends_while_it_ends(whole, name, tmp_path, monkeypatch):
    """At the last time that a file is written; the curve has its last epoch all the
    same, which a checkpoint that is ahead of it would leave out.
    """
    folder, replace, left = tmp_path / "run", os.replace, [3 + (name == "last.ckpt")]

    def failing(source, target):
        left[0] -= Path(target).name == name
        if Path(target).name == name and left[0] == (2 if "best" in name else 0):
            raise PowerError
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", failing)
        with pytest.raises(PowerError):
            run(folder)
    check_same(whole, *run(folder, seed=4), folder)


def test_the_best_epoch_is_by_validation(tmp_path):
    """Its weights are handed back, not the last ones; without, the loss decides.

    The validation is the rule's own prediction before training, which it leaves.
    """
    rule, data, seen = small(), samples(4), []
    labels = torch.stack([s.labels for s in data])
    with torch.no_grad():
        before = rule(labels)[:, -1]
    known = [Sample(*row) for row in zip(labels, before, strict=True)]

    def observe(epoch, batch, batches, loss):
        seen.append(weights(rule))

    plan = Plan(6, 4, 1e-2, accelerator="cpu")
    rows = train(rule, data, known, tmp_path / "run", plan, observe=observe)
    scores = [row.validation for row in rows]
    assert scores.index(min(scores)) == 0
    assert torch.equal(weights(rule), seen[0])
    assert rule.record["training"]["best_epoch"] == 0
    again = lsml.load_rule("rln", tmp_path / "run" / "best.safetensors")
    assert torch.equal(weights(again), seen[0])
    assert again.record["training"]["validation_mase"] == scores[0]
    assert not rule.training
    errors = evaluate(again, known).mean
    assert errors == pytest.approx(scores[0], rel=1e-4)


def test_evaluation_is_mase_after_every_pass():
    """By the formula, sample by sample, whatever the batch."""
    rule, data = small(3).eval(), samples(5)
    rule.load = 0
    labels = torch.stack([s.labels for s in data])
    true = torch.stack([s.strain for s in data])[:, 0]
    with torch.no_grad():
        error = (rule(labels)[:, :, 0] - true[:, None]).abs().mean((2, 3))
    want = 100 * error / true.mean((1, 2))[:, None]
    for batch in (1, 2, 32):
        got = evaluate(rule, data, batch)
        torch.testing.assert_close(got.errors, want)
    assert got.worst == int(want[:, -1].argmax())
    assert got.mean == pytest.approx(float(want[:, -1].mean()))
    assert got.std == pytest.approx(float(want[:, -1].std(correction=0)))
    assert got.parameters == weights(rule).numel()


def test_losses_are_their_formulas():
    """Mean square over batch, components and voxels of each iterate; and its root."""
    iterates, true = (
        numbers(2, 3, 1, *SHAPE),
        torch.stack([s.strain for s in samples(2)]),
    )
    batch = Sample(torch.zeros(2, *SHAPE, dtype=torch.uint8), true)
    square = torch.stack(
        [(iterates[:, k] - true.double()).square().mean() for k in range(3)]
    )
    torch.testing.assert_close(mse(iterates, batch), square)
    torch.testing.assert_close(rmse(iterates, batch), 100 * square.sqrt())
    exact = true[:, None].double().requires_grad_()
    rmse(exact, batch).sum().backward()
    assert bool(exact.grad.isfinite().all())


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ("uniform", [0.25] * 4),
        ("rising", [0.1, 0.2, 0.3, 0.4]),
        ("last", [0, 0, 0, 1.0]),
        ([2, 0, 0, 6], [0.25, 0, 0, 0.75]),
    ],
)
def test_shares_add_up_to_one(given, want):
    torch.testing.assert_close(shares(given, 4), torch.tensor(want))


def equilibrium(d=2, whole=True, contrast=5.0):
    c = 3 if d == 2 else 6
    phases = [lsml.isotropic(E=e, nu=0.3) for e in (1.0, contrast)]
    load = lsml.load(strain=[-2e-3] + [0.0] * (c - 1))

    def make(labels):
        form = lsml.elasticity(labels, phases, load, "rotated")
        return DisplacementForm(form.referred(lsml.Moulinec().reference))

    return Equilibrium(make, tuple(range(c)) if whole else (0,)), make


@pytest.mark.parametrize("whole", [True, False])
def test_equilibrium_is_zero_at_the_solution(whole):
    """Of all components; of one, where it decides on the others: in a laminate."""
    loss, make = equilibrium(whole=whole)
    labels = torch.as_tensor(random_labels(SHAPE, 2, 2), dtype=torch.uint8)
    labels = labels if whole else labels[:, :, :1].expand(2, *SHAPE)
    solved = lsml.solve(make(labels), "cg", tol=1e-13).strain / -2e-3
    solved = solved[:, None] if whole else solved[:, None, :1]
    batch = Sample(labels, solved[:, 0].float())
    uniform = torch.zeros_like(solved)
    uniform[:, :, 0] = 1
    got = loss(torch.cat([uniform, solved], 1), batch)
    assert got[0] == pytest.approx(1)
    assert 0 <= got[1] < 1e-20


@pytest.mark.parametrize("whole", [True, False])
def test_equilibrium_is_the_square_of_the_certified_error(whole):
    """Of every pass of a rule, as `lsml.solve` states it, homogeneous samples too."""
    loss, make = equilibrium(whole=whole)
    labels = torch.as_tensor(random_labels(SHAPE, 2, 3), dtype=torch.uint8)
    labels[1] = 1
    o = len(loss.components)
    torch.manual_seed(2)
    network, components = ThreeLayer(4 * o, o, 2, 4).double(), loss.components
    rule = RLN(network, 2, 1, tied=True, components=components)
    alone = [
        lsml.solve(make(labels[i : i + 1]), rule, tol=1e-99).history for i in (0, 2)
    ]
    with torch.no_grad():
        got = loss(
            rule(labels[[0, 2]]), Sample(labels[[0, 2]], labels[[0, 2], None] / 1.0)
        )
    want = torch.cat(alone)[:, 1:].square().mean(0)
    torch.testing.assert_close(got, want)
    with torch.no_grad():
        assert bool(
            loss(rule(labels), Sample(labels, labels[:, None] / 1.0)).isfinite().all()
        )


@pytest.mark.parametrize("whole", [True, False])
def test_the_gradient_of_equilibrium(whole):
    """Against central differences; it is quadratic, so they are exact to rounding."""
    loss, _ = equilibrium(whole=whole)
    labels = torch.as_tensor(random_labels(SHAPE, 2, 2), dtype=torch.uint8)
    o = len(loss.components)
    x, d = numbers(2, 3, o, *SHAPE).requires_grad_(), numbers(2, 3, o, *SHAPE, seed=4)
    batch = Sample(labels, torch.zeros(2, o, *SHAPE))
    (slope,) = torch.autograd.grad(loss(x, batch).sum(), x)
    with torch.no_grad():
        difference = (loss(x + d, batch) - loss(x - d, batch)).sum() / 2
    torch.testing.assert_close((slope * d).sum(), difference, rtol=1e-9, atol=0)


def test_a_loss_without_labels_trains():
    """Equilibrium falls, and its run can go on in another process: its name is kept."""
    loss, _ = equilibrium(whole=False)
    plan = Plan(20, 4, 1e-2, loss=loss, accelerator="cpu")
    rows = train(small(1), samples(4), plan=plan)
    assert rows[-1].loss < 0.9 * rows[0].loss
    assert plan.described()["loss"] == "Equilibrium"
    assert Plan(loss=mse).described()["loss"] == "mse"


def refuse(
    sentence, rule, data, folder=None, validation=None, error=ValueError, **plan
):
    with pytest.raises(error, match=sentence):
        train(rule, data, validation, folder, Plan(accelerator="cpu", **plan))


def test_what_cannot_be_trained_is_refused_at_once(tmp_path):
    """Before the first step, in one sentence."""
    data, rule = samples(2), small()
    refuse("training set has no samples", rule, [])
    refuse("validation set has no samples", rule, data, validation=[])
    refuse(
        "training samples hold 3 components .* RLN predicts 1", rule, samples(2, o=3)
    )
    refuse(r"weights \[1.0\] must be 2 numbers", rule, data, iterate_weights=[1.0])
    refuse("'first' are unknown; .* uniform", rule, data, iterate_weights="first")
    refuse(r"cannot make .* does not exist", rule, data, tmp_path / "no" / "run")
    (tmp_path / "file").write_text("")
    refuse("is a file", rule, data, tmp_path / "file")
    refuse("epochs = 0 must be positive", rule, data, epochs=0)
    refuse("loss 'mae' is unknown; choose one of mse, rmse", rule, data, loss="mae")
    refuse("Own cannot be saved", Own(rule), data, tmp_path / "own", epochs=1)
    assert not (tmp_path / "own" / "last.ckpt").exists()


class Own(LearnedRule):
    """A user's own kind, which no file can describe."""

    def __init__(self, rule):
        super().__init__()
        self.rule, self.passes, self.components = rule, rule.passes, rule.components
        self.phases, self.parts = rule.phases, rule.parts
        for name in ("amplitudes", "begin", "advance", "output"):
            setattr(self, name, getattr(rule, name))

    def amplitudes(self, mean): ...
    def begin(self, labels, amplitudes, field=None): ...
    def advance(self, memory, k): ...
    def output(self, memory): ...


def test_a_folder_holds_one_run(tmp_path):
    """Another plan, data set or rule is refused, and what differs is named."""
    folder, data = tmp_path / "run", samples(2)
    train(small(), data, None, folder, Plan(1, 2, accelerator="cpu"))
    same = {"epochs": 1, "batch": 2}
    refuse("a run with seed = 0, not 1", small(), data, folder, **same, seed=1)
    refuse(
        "a run with loss = 'mse', not 'rmse'",
        small(),
        data,
        folder,
        **same,
        loss="rmse",
    )
    refuse("a run with samples = 2, not 3", small(), samples(3), folder, **same)
    twin = RLN(partial(ThreeLayer, 4, 1, 2, width=3), 2, 0, phases=4)  # as many weights
    refuse("a run with rule = ", twin, data, folder, **same)
    last = folder / "last.ckpt"
    for damaged in (b"PK half of it", last.read_bytes()[:-900], b""):
        last.write_bytes(damaged)
        refuse("is no checkpoint of lsml", small(), data, folder, **same)
    torch.save([1, 2], last)
    refuse("is no checkpoint of lsml", small(), data, folder, **same)


def test_a_loss_that_is_not_finite_ends_the_run():
    """With the place where it happened, and the weights as they were before."""
    data, rule = samples(4), small()
    bad = data[0]._replace(strain=torch.full_like(data[0].strain, torch.nan))
    before = weights(rule)
    refuse(
        "the loss is nan in batch 0 of epoch 0: lower the learning rate",
        rule,
        [bad],
        error=FloatingPointError,
    )
    assert torch.equal(weights(rule), before)
