"""Conjugate gradients with a learned second preconditioner: theorems and training."""

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from cells import components, random_labels, random_load, random_stiffness
from torch import nn

import lsml
from lsml.displacement_form import DisplacementForm
from lsml.learned import (
    Curriculum,
    Encodings,
    Multipreconditioned,
    TensorBasis,
    train_label_free,
)
from lsml.learned.checkpoint import save
from lsml.learned.combined import turns
from lsml.learned.curriculum import task
from lsml.learned.encodings import encoded, phases_of
from lsml.learned.loading import load_file
from lsml.problem import Residual
from lsml.rule import Iterate
from lsml.stop import Never
from lsml.testing import CASES, CHECKS
from lsml.testing.problems import in_strain, small_case
from lsml.testing.trace import trace

FORMS = {"displacement": DisplacementForm, "strain": in_strain}
SHAPES = [(6, 5, 4), (5, 5, 5), (8, 7)]


class Formula(nn.Module):
    """A proposal without weights."""

    def __init__(self, formula, directions=1):
        super().__init__()
        self.formula, self.directions = formula, directions

    def prepare(self, moduli):
        return moduli

    def forward(self, prepared, state):
        return self.formula(prepared, state)


def network(seed=0, scale=1.0):
    """Random weights, all of them, none of the start that training has."""
    torch.manual_seed(seed)
    made = TensorBasis(features=3, width=5)
    for p in made.parameters():
        nn.init.normal_(p, std=scale)
    return made


def problem(shape, contrast=50.0, form="displacement", batch=2, scheme="rotated"):
    """Two isotropic phases with the same Poisson ratio, a load of all components."""
    phases = [lsml.isotropic(E=e, nu=0.3) for e in (1.0, contrast)]
    load = lsml.load(strain=1e-3 * random_load(components(shape), 1, batch))
    labels = random_labels(shape, 2, batch)
    strain = lsml.elasticity(labels, phases, load, scheme)
    return FORMS[form](strain)


def steps(p, rule, count):
    """Iterates and memories of the first steps."""
    x, memory = rule.init(p, p.start(), 0)
    found = [(x, memory)]
    for k in range(count):
        it = Iterate(x, rule.residual(p, x, memory, k), k)
        x, memory = rule.step(p, it, memory)
        found.append((x, memory))
    return found


def energy(p, x):
    """Energy above that of the start; quadratic, so that forces at both ends do."""
    rise = x - p.start()
    return -0.5 * (p.pairing(p.force(p.start()), rise) + p.pairing(p.force(x), rise))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", SHAPES)
def test_without_a_proposal_it_is_cg(shape, form):
    """Theorem: the space of residual and last direction is that of CG.

    Catches a wrong conjugation, line search or update of the carried residual.
    """
    p = problem(shape, form=form)
    mine = trace(p, Multipreconditioned(), stop=Never(), max_iter=8)
    cg = trace(p, lsml.ConjugateGradient(), stop=Never(), max_iter=8)
    scale = (cg.x - cg.x[0]).abs().max()
    torch.testing.assert_close(mine.x / scale, cg.x / scale, rtol=0, atol=1e-10)


@pytest.mark.parametrize("scheme", ["rotated", "hex8-bbar"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_answer_of_the_medium_makes_two_krylov_steps_of_one(shape, form, scheme):
    """Theorem: with Γ C step as second direction, iterate k is iterate 2k of CG.

    (s-step CG, Chronopoulos & Gear 1989.) Catches any error in the way from
    encodings to polarization to direction, and a window that forgets too much.
    """
    p = problem(shape, form=form, scheme=scheme)
    rule = Multipreconditioned(Formula(lambda m, s: s.local_answer))
    mine = trace(p, rule, stop=Never(), max_iter=4)
    cg = trace(p, lsml.ConjugateGradient(), stop=Never(), max_iter=8)
    scale = (cg.x - cg.x[0]).abs().max()
    torch.testing.assert_close(mine.x / scale, cg.x[::2] / scale, rtol=0, atol=1e-8)


@pytest.mark.parametrize("scheme", ["rotated", "hex8-bbar"])
@pytest.mark.parametrize("shape", SHAPES)
def test_no_step_is_worse_than_the_best_of_residual_and_last_direction(shape, scheme):
    """Theorem: random weights cannot make a step worse than CG's from the same point.

    That step by an independent least-squares solve. Catches a direction that is left
    out, or a line search that is not exact.
    """
    p = problem(shape, 200.0, scheme=scheme)
    found = steps(p, Multipreconditioned(network()), 6)
    for (before, _), (x, m), (after, _) in zip(
        found, found[1:], found[2:], strict=False
    ):
        for i in range(p.batch):
            v = torch.stack([m.step, x - before], 2)
            hv = torch.stack([p.hessian(x, d) for d in v.unbind(2)], 2)
            gram, slope = v[i].T @ hv[i], v[i].T @ m.force[i]
            share = torch.linalg.solve(gram, slope)
            best = energy(p, x + (v @ share))[i]
            assert energy(p, after)[i] <= best + 1e-9 * best.abs()


@pytest.mark.parametrize("window", [1, 3])
def test_the_decrease_is_that_of_the_energy(window):
    """Theorem: E(x_k) − E(x_{k+1}) is the sum of the line searches' decreases.

    Training rests on it.
    """
    p = problem((6, 5, 4))
    found = steps(p, Multipreconditioned(network(), window), 4)
    for (x, _), (after, m) in pairwise(found):
        torch.testing.assert_close(
            energy(p, x) - energy(p, after), m.decrease, rtol=1e-7, atol=0
        )


HURTFUL = {
    "nothing": lambda m, s: 0 * s.step,
    "the residual again": lambda m, s: s.step,
    "uniform": lambda m, s: torch.ones_like(s.step),
    "not a number": lambda m, s: s.step * torch.nan,
    "infinite": lambda m, s: s.step + torch.inf,
    "huge": lambda m, s: 1e30 * s.stress,
    "uphill": lambda m, s: -s.step * (1 + 9 * m[:, :1]),
    "noise": lambda m, s: torch.sin(1e5 * s.step),
}


@pytest.mark.parametrize(
    ("hurt", "form"), [*zip(HURTFUL, [*FORMS] * 4, strict=True)], ids=[*HURTFUL]
)
def test_a_hurtful_proposal_costs_time_only(hurt, form):
    """Theorem: the answer is that of CG, certified, in no more iterations than descent.

    Catches a division by a direction that is none, and a proposal that is believed.
    """
    p = problem((5, 4, 3), 20.0, form)
    mine = lsml.solve(p, Multipreconditioned(Formula(HURTFUL[hurt])), tol=1e-8)
    cg = lsml.solve(p, "cg", tol=1e-8)
    down = lsml.solve(p, "steepest_descent", tol=1e-8)
    assert bool(mine.converged.all())
    assert bool((mine.iterations <= down.iterations).all())
    size = cg.strain.abs().max()
    torch.testing.assert_close(mine.strain / size, cg.strain / size, rtol=0, atol=1e-7)


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_network_turns_with_the_cube(ndim):
    """Theorem: turned inputs give the turned output, for all symmetries of the cell.

    Catches an axis, or a shear component, that is treated unlike the others.
    """
    shape = (5, 4, 6)[:ndim]
    c, net = {2: 3, 3: 6}[ndim], network()
    draw = torch.Generator().manual_seed(3)
    moduli = torch.randn(2, 2, *shape, generator=draw, dtype=torch.float64)
    fields = torch.randn(6, 2, c, *shape, generator=draw, dtype=torch.float64)
    state = Encodings(*fields.unbind())
    plain = net(net.prepare(moduli), state)
    for turn in turns(ndim):
        turned = Encodings(*(turned_field(turn, f) for f in state))
        found = net(net.prepare(turn.forth(moduli, 2)), turned)
        torch.testing.assert_close(found, turned_field(turn, plain))


def turned_field(turn, field):
    """A field of Mandel vectors, as the turned cell has it."""
    moved, out = turn.forth(field, 2), torch.empty_like(turn.forth(field, 2))
    for c in range(field.shape[1]):
        place, sign = turn.component(c)
        out[:, place] = sign * moved[:, c]
    return out


def test_encodings_know_no_units():
    """Theorem: moduli × 7 and load × −3 change no modulus and turn the fields' sign."""
    case = small_case("hex8", DisplacementForm, (5, 4, 3), 3)
    scaled = case.scaled(-3.0, -21.0, 2.0)
    seen = []
    for each in (case, scaled):
        p = each.problem(lsml.ConjugateGradient().reference)
        force = p.force(p.start())
        residual = Residual(force, p.precondition(force))
        phases = phases_of(p.specimen(), lsml.ConjugateGradient().reference)
        seen.append(
            (phases.relative, encoded(p, p.start(), residual, phases.reference))
        )
    (moduli, state), (other_moduli, other_state) = seen
    torch.testing.assert_close(moduli, other_moduli)
    for field, other in zip(state, other_state, strict=True):
        torch.testing.assert_close(field, -other)
        square = field.flatten(1).square().mean(1)
        torch.testing.assert_close(square, torch.ones_like(square))


def test_the_moduli_of_anisotropic_phases_are_those_of_the_nearest_isotropic():
    """Independent: least-squares fit of the two moduli by NumPy."""
    table = torch.from_numpy(
        np.stack([random_stiffness(6, s, k) for s, k in ((1, 1.0), (2, 9.0))])
    )
    labels = random_labels((3, 2, 4))
    load = lsml.load(strain=[1.0, 0, 0, 0, 0, 0])
    p = lsml.elasticity(labels, table, load)
    phases = phases_of(p.specimen(), lambda low, high: high)
    unit = np.array([1, 1, 1, 0, 0, 0]) / 3**0.5
    sphere = np.outer(unit, unit)
    design = np.stack([sphere.ravel(), (np.eye(6) - sphere).ravel()], 1)
    fit = np.stack([np.linalg.lstsq(design, t.numpy().ravel())[0] for t in table])
    expected = np.log(fit / fit.max(0))[labels[0]]
    np.testing.assert_allclose(phases.reference[0], fit.max(0))
    np.testing.assert_allclose(np.moveaxis(phases.relative[0].numpy(), 0, -1), expected)


@pytest.mark.parametrize("law", CHECKS)
def test_it_obeys_every_law(law):
    """Theorem: a rule with random weights obeys all laws of `lsml.testing`.

    Two cases that show their phases to the network, and one that does not.
    """
    rule = Multipreconditioned(network()).requires_grad_(False)
    for case in (CASES[3], CASES[8], CASES[11]):
        CHECKS[law](rule, case)


@pytest.mark.parametrize("scheme", ["rotated", "hex8-bbar"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_solves_in_both_precisions_and_on_compiled_kernels(dtype, scheme):
    """The answer of `lsml.solve` is that of CG, also by refinement and native kernels.

    Catches a proposal that is computed in the wrong precision.
    """
    m = random_labels((8, 7, 6), 3)
    options = {
        "phases": [
            lsml.isotropic(E=e, nu=n) for e, n in ((1, 0.3), (20, 0.2), (5, 0.4))
        ],
        "load": lsml.load(strain=[1e-3, 0, -1e-3, 0, 2e-3, 0]),
        "discretization": scheme,
        "dtype": dtype,
    }
    rule = Multipreconditioned(network())
    expected = lsml.solve(m, "cg", tol=1e-9, **(options | {"dtype": torch.float64}))
    for compiled in (False, True):
        sol = lsml.solve(m, rule, tol=1e-6, compile=compiled, **options)
        assert bool(sol.converged.all())
        assert sol.strain.dtype == dtype
        gap = (sol.strain - expected.strain).abs().max()
        assert gap <= 1e-4 * expected.strain.abs().max()


def test_it_hands_over_to_cg():
    """A schedule ends certified, at the answer of CG."""
    p = problem((6, 5, 4))
    rule = lsml.Schedule(Multipreconditioned(network()), 3, lsml.ConjugateGradient())
    sol = lsml.solve(p, rule, tol=1e-8)
    cg = lsml.solve(p, "cg", tol=1e-8)
    assert bool(sol.converged.all())
    size = cg.strain.abs().max()
    torch.testing.assert_close(sol.strain / size, cg.strain / size, rtol=0, atol=1e-7)


def test_the_gradient_of_a_step_is_that_of_finite_differences():
    """Theorem: training descends along the derivative of the energy released."""
    p = problem((4, 3, 5), batch=1)
    rule = Multipreconditioned(network(scale=0.3).double())
    weight = rule.proposal.weights.layers[0].weight

    def released():
        return torch.stack([m.decrease.sum() for _, m in steps(p, rule, 2)]).sum()

    (gradient,) = torch.autograd.grad(released(), weight)
    direction = torch.randn(weight.shape, dtype=torch.float64)
    h, values = 1e-5, []
    for sign in (1, -1):
        with torch.no_grad():
            weight += sign * h * direction
            values.append(released())
            weight -= sign * h * direction
    slope = (values[0] - values[1]) / (2 * h)
    torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-5, atol=0)


@cache
def tasks():
    """Two batches of different cells."""
    made = [problem((6, 5, 4), 30.0), problem((4, 3, 5), 300.0)]
    return [task(p) for p in made]


def test_the_gap_is_the_energy_above_the_solution():
    """Independent: the energy of a tight solution by CG."""
    p = problem((6, 5, 4))
    state = lsml.unroll.unroll(p, lsml.ConjugateGradient(), max_iter=500)
    torch.testing.assert_close(task(p).gap, -energy(p, state.x), rtol=1e-9, atol=0)


def test_training_releases_more_energy():
    """After some epochs the steps leave less of the error than after the first."""
    rule = Multipreconditioned(network(1))
    plan = Curriculum(epochs=8, depth=2, horizon=2, learning_rate=0.03)
    rows = train_label_free(rule, tasks(), curriculum=plan)
    assert min(r.loss for r in rows[4:]) < rows[0].loss - 0.05
    assert (
        rule.record["training"]["best_epoch"] == min(rows, key=lambda r: r.loss).epoch
    )


def test_an_interrupted_training_ends_with_the_same_bits(tmp_path):
    """Stopped after every task and started anew, the weights are those of one run."""
    plan, ended = Curriculum(epochs=2, depth=3, horizon=2, seed=5), []
    for folder, pieces in ((None, 1), (tmp_path / "run", 5)):
        for _ in range(pieces):
            rule = Multipreconditioned(network(2).float())
            seconds = None if pieces == 1 else 0.0
            train_label_free(rule, tasks(), folder, plan, seconds=seconds)
        ended.append(rule.state_dict())
    for name, value in ended[0].items():
        assert torch.equal(value, ended[1][name]), name
    other = replace(plan, seed=6)
    with pytest.raises(ValueError, match="holds a run with seed = 5"):
        train_label_free(rule, tasks(), tmp_path / "run", other)


def test_save_and_load(tmp_path):
    """A file gives back the rule: weights, window, passes and record."""
    rule = Multipreconditioned(network(4), window=2, passes=7)
    rule.record = {"note": "random"}
    save(rule, tmp_path / "rule.safetensors")
    again = lsml.load_rule("mpcg", tmp_path / "rule.safetensors")
    assert (again.window, again.passes, again.record) == (2, 7, {"note": "random"})
    p = problem((4, 5, 3))
    assert torch.equal(steps(p, rule, 2)[-1][0], steps(p, again, 2)[-1][0])
    with pytest.raises(ValueError, match="does not predict"):
        load_file(tmp_path / "rule.safetensors")
    with pytest.raises(ValueError, match="'mpcg', not 'rln'"):
        lsml.load_rule("rln", tmp_path / "rule.safetensors")


def test_bad_arguments_are_refused():
    """One sentence each."""
    with pytest.raises(ValueError, match="window = 0 must be 1 or more"):
        Multipreconditioned(window=0)
    with pytest.raises(ValueError, match="passes = 0 must be 1 or more, or None"):
        Multipreconditioned(passes=0)
    with pytest.raises(ValueError, match="`directions` and `prepare`"):
        Multipreconditioned(nn.Conv3d(1, 1, 1))
    with pytest.raises(ValueError, match="no proposal with weights"):
        train_label_free(Multipreconditioned(), tasks()[:1])
    with pytest.raises(ValueError, match="no problems to train on"):
        train_label_free(Multipreconditioned(network()), [])
    with pytest.raises(ValueError, match="depth = 0 must be positive"):
        Curriculum(depth=0)
