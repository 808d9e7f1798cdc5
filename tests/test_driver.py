"""The driver: how samples end, and that its certificates are true."""

import pickle
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

import lsml
from lsml.displacement_form import DisplacementForm
from lsml.inputs import in_form
from lsml.physics.reference import spectrum
from lsml.problem import Residual
from lsml.rule import Rule
from lsml.state import Status
from lsml.stop import RelativeResidual
from lsml.testing.problems import CASES, isotropic_matrix
from lsml.testing.trace import trace
from lsml.unroll import unroll

SCHEMES = ("fourier", "rotated", "hex8", "hex8-bbar")
FORMS = ("strain", "displacement")
SOFT_STIFF = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=8.0, nu=0.2)]


def medium(*shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, shape, generator=draw)
    labels.flatten()[:2] = torch.tensor([0, 1])
    return labels


def problem(labels, scheme="rotated", **options):
    ndim = 2 if labels.ndim < 3 or "plane" in options else 3
    options.pop("plane", None)
    strain = [1e-3, -4e-4, 7e-4] if ndim == 2 else [1e-3, 0, -4e-4, 3e-4, 0, 7e-4]
    load = options.pop("load", lsml.load(strain=strain))
    return lsml.elasticity(labels, SOFT_STIFF, load, scheme, **options)


@dataclass(frozen=True)
class Liar(Rule):
    """Does `pace` of a Moulinec step and says that nothing is left to do."""

    pace: float = 0.0

    def residual(self, problem, x, memory, k):
        return Residual(torch.zeros_like(x), torch.zeros_like(x))

    def step(self, problem, it, memory):
        return it.x + self.pace * problem.residual(it.x).step, memory


@dataclass(frozen=True)
class Passes(lsml.Moulinec):
    """Four steps of Moulinec's."""

    passes: ClassVar[int] = 4


@pytest.mark.parametrize("form", FORMS)
def test_a_lie_is_not_believed(form):
    """Theorem: zero residual claimed and not there never ends CONVERGED.

    Without progress between two claims the sample is STAGNATED, at its true error.
    Catches a driver that takes the rule's word, or certifies with it.
    """
    got = lsml.solve(problem(medium(5, 4)), Liar(), form=form, throw=False)
    assert got.status.tolist() == [Status.STAGNATED]
    torch.testing.assert_close(got.error, torch.ones(1, dtype=torch.float64))


def test_a_liar_that_works_is_certified_late():
    """A rule that always claims ends CONVERGED only once it is true.

    Moulinec's step more than halves the error of this mild medium, so that each
    failed claim is a restart and not the end; the count is that of Moulinec.
    """
    phases = [isotropic_matrix(1.0, 3), isotropic_matrix(1.5, 3)]
    mild = lsml.elasticity(medium(5, 4), phases, lsml.load(strain=[1e-3, 0, 0]))
    honest = lsml.solve(mild, "moulinec", tol=1e-8)
    late = lsml.solve(mild, Liar(pace=1.0), tol=1e-8)
    assert late.iterations.tolist() == honest.iterations.tolist()
    assert float(late.error) <= 1e-8


def test_too_soft_a_reference_diverges():
    """Moulinec with C⁰ below half of the stiffest phase grows without bound.

    The classical condition of convergence is sharp; the status names it.
    """
    soft = problem(medium(4, 5), reference=lsml.isotropic(E=1.0, nu=0.3))
    got = lsml.solve(soft, "moulinec", throw=False)
    assert got.status.tolist() == [Status.DIVERGED]
    assert got.error > 1e6
    assert "reference medium" in Status.DIVERGED.advice


def test_float32_stagnates_above_what_it_cannot_resolve():
    """CG in float32 asked for 1e-9 ends STAGNATED, near rounding, not CONVERGED.

    The residual that CG carries in the displacement form passes any tolerance; the
    evaluated one cannot.
    """
    single = problem(medium(7, 6), dtype=torch.float32)
    plain = DisplacementForm(single.referred(lsml.ConjugateGradient().reference))
    got = unroll(plain, lsml.ConjugateGradient(), stop=RelativeResidual(1e-9))
    assert got.status.tolist() == [Status.STAGNATED]
    assert 1e-9 < float(got.error) < 1e-5


@pytest.mark.parametrize("rule", ["cg", "steepest_descent", "moulinec"])
def test_rounding_is_a_floor_and_not_a_start(rule):
    """In float64 the strain form reaches 1e-13 and stays there for 60 iterations.

    Its force has the whole flux in it. Catches an energy slope taken from that force
    and a carried step, which stops descent at 1e-8, and a recurrence that amplifies
    rounding past convergence.
    """
    phases = [isotropic_matrix(1.0, 3), isotropic_matrix(2.0, 3)]
    load = lsml.load(strain=[1e-3, -4e-4, 7e-4])
    p = lsml.elasticity(medium(3, 4), phases, load, "hex8")
    got = lsml.solve(p, rule, tol=1e-30, max_iter=100, form="strain", throw=False)
    assert got.history[:, 40:].max() < 1e-13
    assert got.error < 1e-13


@dataclass(frozen=True)
class Exaggerating(lsml.Moulinec):
    """Says a million times its residual at the start, so that all later is small."""

    def residual(self, problem, x, memory, k):
        true = problem.residual(x)
        factor = 1e6 if k == 0 else 1.0
        return Residual(factor * true.force, factor * true.step)

    def step(self, problem, it, memory):
        return it.x + problem.residual(it.x).step, memory


def test_a_rule_does_not_set_the_scale():
    """Theorem: errors are relative to the residual at x̄ that the driver evaluates."""
    p = problem(medium(5, 4))
    got = lsml.solve(p, Exaggerating(), tol=1e-4)
    honest = lsml.solve(p, "moulinec", tol=1e-4)
    assert got.iterations.tolist() == honest.iterations.tolist()
    torch.testing.assert_close(got.error, honest.error)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rule", [lsml.ConjugateGradient(), lsml.Moulinec()])
@pytest.mark.parametrize("early", [1, 4])
def test_a_sample_that_has_ended_keeps_its_bits(rule, form, early):
    """While others go on, whether it leaves the batch or the batch stays whole.

    And its iterations count until it ended. Catches a row that a later step
    overwrites, rows out of order, and a count that goes on.
    """
    labels = torch.stack([medium(5, 4, seed=s) for s in range(5)])
    p = in_form(problem(labels, plane=True), form, rule)
    x0 = p.start()
    solved = trace(p, lsml.ConjugateGradient(), stop=RelativeResidual(1e-4)).state.x
    x0[1 : 1 + early] = solved[1 : 1 + early]  # they end before they begin
    run = trace(p, rule, x0)
    for k in range(len(run.x) - 1):
        over = run.status[k] != Status.RUNNING
        assert torch.equal(run.x[k + 1][over], run.x[k][over])
    steps = (run.status[:-1] == Status.RUNNING).sum(0)
    assert torch.equal(steps, run.state.iterations)
    assert bool(run.state.converged.all())
    alone = [trace(p.select(torch.tensor([i])), rule, x0[i : i + 1]) for i in range(5)]
    together = torch.cat([a.state.x for a in alone])
    torch.testing.assert_close(run.state.x, together, rtol=1e-11, atol=1e-14)


def test_out_of_iterations():
    """MAX_ITER after exactly max_iter, with the field of that iterate."""
    got = lsml.solve(problem(medium(5, 4)), "moulinec", max_iter=3, throw=False)
    assert got.status.tolist() == [Status.MAX_ITER]
    assert got.iterations.tolist() == [3]
    assert got.history.shape == (1, 4)


def test_passes_complete_and_never_converge():
    """A rule with four passes takes four and ends COMPLETED; fewer are MAX_ITER."""
    done = lsml.solve(problem(medium(5, 4)), Passes())
    assert done.status.tolist() == [Status.COMPLETED]
    assert done.iterations.tolist() == [4]
    cut = lsml.solve(problem(medium(5, 4)), Passes(), max_iter=2, throw=False)
    assert cut.status.tolist() == [Status.MAX_ITER]


def test_nan_in_the_start_is_nonfinite():
    """NONFINITE from x0 given in voxels, for the sample that has it only."""
    two = problem(medium(2, 5, 4), plane=True)
    x0 = torch.zeros(2, 3, 5, 4, dtype=torch.float64)
    x0[1, 0, 0, 0] = torch.nan
    got = lsml.solve(two, "cg", x0=x0, throw=False)
    assert got.status.tolist() == [Status.CONVERGED, Status.NONFINITE]
    assert bool(got.strain[0].isfinite().all())


def test_convergence_error_carries_the_solution():
    """The sentence names sample, status, iterations; the fields are not lost."""
    with pytest.raises(lsml.ConvergenceError, match="sample 0: MAX_ITER after 2") as e:
        lsml.solve(problem(medium(5, 4)), "moulinec", max_iter=2)
    assert e.value.solution.strain.shape == (1, 3, 5, 4)
    assert "raise max_iter" in str(e.value)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("rule", ["moulinec", "steepest_descent", "cg"])
def test_recorded_error_is_that_of_the_recorded_iterate(rule, scheme, form):
    """Theorem: history[k] = ‖residual of iterate k‖ / ‖residual of x̄‖.

    Recomputed from the strain that was recorded at the quadrature points, by the
    strain form, which sees incompatibility too. Catches errors shifted by one
    iteration, residuals by recurrence that drift, and another norm in one form.
    """
    got = lsml.solve(
        problem(medium(3, 4, 5), scheme, spacing=(1, 2, 0.5)),
        rule,
        tol=1e-7,
        form=form,
        record=True,
        quadrature=True,
    )
    strain_form = got.form
    norms = []
    for field in got.iterates.unbind(1):
        x = field.flatten(1, 2)
        norms.append(strain_form.norm(strain_form.residual(x)))
    relative = (torch.stack(norms) / norms[0]).T
    torch.testing.assert_close(got.history, relative, rtol=1e-6, atol=1e-12)
    torch.testing.assert_close(got.error, relative[:, -1], rtol=1e-6, atol=1e-14)


@pytest.mark.parametrize("case", CASES[1::5], ids=lambda case: case.name)
def test_certified_error_is_the_total_residual(case):
    """An incompatible start in equilibrium is no solution.

    The field of uniform stress has no out-of-balance force at all; its residual is
    all incompatibility. Catches a certificate made of Γσ alone.
    """
    plain = case.strain_form(lsml.Moulinec().reference)
    inverse = torch.linalg.inv(plain.law.table)
    stress = torch.ones(case.batch, 1, plain.law.components, dtype=torch.float64)
    per_phase = (inverse @ stress[..., None]).squeeze(-1)
    if plain.law.eigenfield is not None:
        per_phase = per_phase + plain.law.eigenfield
    field = torch.stack([c[:, 0, 0] for c in plain.law.spread(per_phase)], 1)
    x = plain.enter(field)
    force = plain.law(x)
    torch.testing.assert_close(force, torch.ones_like(force))
    state = trace(plain, lsml.Moulinec(), x, max_iter=0).state
    assert bool((state.error > 0.1).all())


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("tol", [1e-2, 1e-4])
def test_error_bound_bounds_the_true_error(scheme, tol):
    """Theorem: ‖ε_k − ε‖ ≤ bound · ‖ε̄‖ in C⁰, and bound = error · λmax/λmin.

    The truth is a solve to 1e-13. Catches a bound in another norm, relative to
    another size, with the ratio upside down, or taken from other phases.
    """
    p = problem(medium(2, 5, 4), scheme, plane=True)
    true = lsml.solve(p, "cg", tol=1e-13, quadrature=True, form="strain")
    for rule in ("moulinec", "cg"):
        got = lsml.solve(p, rule, tol=tol, quadrature=True)
        form = got.form
        gap = (got.strain - true.strain).flatten(1, 2)
        error = form.pairing(form.reference(gap), gap).sqrt()
        mean = got.mean_strain
        size = (mean * form.reference.mean(mean)).sum(1).sqrt()
        assert bool((error <= got.error_bound * size).all())
        assert bool((error >= 1e-3 * got.error_bound * size).all())
        low, high = spectrum(form.law.table, form.reference.matrix)
        torch.testing.assert_close(got.error_bound, got.error * high / low)


@pytest.mark.parametrize("rule", ["moulinec", "steepest_descent", "cg"])
@pytest.mark.parametrize("form", FORMS)
def test_a_start_at_the_solution_takes_no_iteration(rule, form):
    """The solution given back as x0 is CONVERGED at 0, and so is x̄ without contrast.

    The second has a residual of rounding alone, which relative to itself is 1.
    """
    p = problem(medium(5, 6), "hex8")
    solved = lsml.solve(p, "cg", tol=1e-9, quadrature=True)
    again = lsml.solve(p, rule, x0=solved.strain, form=form)
    assert again.iterations.tolist() == [0]
    uniform = problem(torch.ones(5, 6, dtype=torch.long), "hex8")
    got = lsml.solve(uniform, rule, tol=1e-12, form=form)
    assert got.iterations.tolist() == [0]
    assert float(got.error) < 1e-14


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("mixed", [False, True])
def test_float32_stays_float32(scheme, mixed):
    """Fields carry the dtype asked for, errors are float64; mixed control included."""
    tension = lsml.load(strain=[1e-3, None, None], stress=[None, 0.0, 0.0])
    options = {"load": tension} if mixed else {}
    p = problem(medium(5, 4), scheme, dtype=torch.float32, **options)
    for form in FORMS:
        got = lsml.solve(p, "cg", tol=1e-4, form=form)
        for t in (got.strain, got.stress, got.mean_strain, got.displacement):
            assert t.dtype == torch.float32
        assert got.error.dtype == torch.float64
        double = lsml.solve(
            problem(medium(5, 4), scheme, **options), "cg", tol=1e-9, form=form
        )
        gap = (got.strain.double() - double.strain).abs().max()
        assert gap < 1e-3 * double.strain.abs().max()


def test_observer_sees_every_iterate_once():
    """k counts from 0 without gaps, and the status shown is final when it ends."""
    seen = []

    def observe(k, x, error, status):
        seen.append((k, int(status[0])))

    p = problem(medium(5, 4))
    state = unroll(p, lsml.Moulinec(), stop=RelativeResidual(1e-3), observe=observe)
    assert [k for k, _ in seen] == list(range(int(state.iterations[0]) + 1))
    assert {s for _, s in seen[:-1]} == {Status.RUNNING}
    assert seen[-1][1] == Status.CONVERGED


def test_without_load_a_given_start_is_brought_to_rest():
    """Zero load: x0 decays to zero, and its error is relative to where it began.

    Catches a scale of zero, which would call every such sample NONFINITE.
    """
    labels = medium(4, 3, 5)
    strained = lsml.solve(labels).strain
    rest = lsml.solve(labels, x0=strained, load=lsml.load(strain=[0.0] * 6))
    assert rest.converged.all()
    assert rest.strain.abs().max() <= 1e-5 * strained.abs().max()


def test_problems_and_solutions_can_be_pickled():
    """Worker processes need both; catches closures among their parts."""
    solution = lsml.solve(medium(3, 4), "moulinec", form="strain")
    again = pickle.loads(pickle.dumps(solution))
    assert torch.equal(again.strain, solution.strain)
    solved = lsml.solve(again.problem, "moulinec", form="strain")
    assert torch.equal(solved.strain, solution.strain)
    with pytest.raises(lsml.ConvergenceError) as failed:
        lsml.solve(medium(3, 4), max_iter=1)
    copy = pickle.loads(pickle.dumps(failed.value))
    assert str(copy) == str(failed.value)
    assert torch.equal(copy.solution.strain, failed.value.solution.strain)


def test_a_general_problem_has_a_field_and_averages():
    """`LippmannSchwinger` needs no strain form; catches a Solution that asks for it."""
    form = problem(medium(3, 4))
    uniform = form.start()
    general = lsml.LippmannSchwinger(
        form.grid, form.law, form.reference, form.green, uniform
    )
    solution = lsml.solve(general, "moulinec", tol=1e-8)
    strain = lsml.solve(form, "moulinec", tol=1e-8).strain
    torch.testing.assert_close(solution.strain, strain, rtol=0, atol=1e-9)
    assert "CONVERGED" in repr(solution)
