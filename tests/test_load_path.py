"""Load paths: each step from where the last one ended, also after an interruption."""

import numpy as np
import pytest
import torch
from cells import random_labels, random_load
from plastic_bodies import phases

import lsml


class KilledError(Exception):
    """What stands for a kill."""


STEPS = [1e-3, 3e-3, 4e-3, 1e-3, 5e-3]


def pulled(strains=STEPS):
    """A mean strain along axis 1, the other stresses free, sample by sample."""
    return [
        lsml.load(
            strain=[[e, None, None], [-e, None, None]],
            stress=[[None, 0.0, 0.0], [None, 0.05, 0.0]],
        )
        for e in strains
    ]


def cell(scheme="hex8-bbar"):
    labels = random_labels((3, 2), 2, batch=2, seed=3)
    return lsml.plasticity(labels, phases()[:2], pulled()[0], scheme)


def same(a, b):
    """To the last bit."""
    pairs = [(getattr(a, n), getattr(b, n)) for n in ("mean_strain", "mean_stress")]
    pairs += [(a.status, b.status), (a.iterations, b.iterations), (a.error, b.error)]
    pairs += [(a.history.nan_to_num(), b.history.nan_to_num())]
    inner = [p.problem.law.internal() for p in (a, b)]
    pairs += [(inner[0][name], inner[1][name]) for name in inner[0]]
    return all(torch.equal(x, y) for x, y in pairs)


@pytest.fixture(scope="module")
def uninterrupted():
    """All steps of the cell, without a file."""
    return lsml.load_path(cell(), pulled(), "newton", tol=1e-8)


def test_path_is_its_steps():
    """Theorem: a path is one solve after the other, internal variables handed on.

    Against a loop written out with the builder. Catches a start that changes the
    answer, and internal variables of the step before the last.
    """
    problem, loads = cell(), pulled()
    path = lsml.load_path(problem, loads, "newton", tol=1e-10)
    labels, internal = random_labels((3, 2), 2, batch=2, seed=3), None
    for k, load in enumerate(loads):
        step = lsml.plasticity(
            labels, phases()[:2], load, "hex8-bbar", internal=internal
        )
        found = lsml.solve(step, "newton", tol=1e-10)
        scale = float(found.mean_stress.abs().max())
        torch.testing.assert_close(
            path.mean_stress[k], found.mean_stress, rtol=0, atol=1e-8 * scale
        )
        torch.testing.assert_close(
            path.mean_strain[k], found.mean_strain, rtol=0, atol=1e-11
        )
        internal = step.law.after(found.problem.field(found.state.x)).variables
    assert path.iterations.shape == (5, 2)
    assert bool((path.error <= 1e-10).all())
    ended = path.history.isfinite().sum(2)
    torch.testing.assert_close(ended, path.iterations + 1)


def test_prescribed_means_are_met():
    """Each component of mean strain or stress is what its step prescribes."""
    path = lsml.load_path(cell(), pulled(), tol=1e-9)
    e = torch.tensor(STEPS, dtype=torch.float64)
    torch.testing.assert_close(path.mean_strain[:, 0, 0], e)
    torch.testing.assert_close(path.mean_strain[:, 1, 0], -e)
    stress = torch.tensor([[0.0, 0.0], [0.05, 0.0]], dtype=torch.float64)
    for found in path.mean_stress:
        torch.testing.assert_close(found[:, 1:], stress, rtol=0, atol=1e-8)


def test_control_may_change():
    """A cell is stretched, then let go: the mean stress is 0 and a strain is left.

    Catches a compliance of free means that stays that of the first step.
    """
    labels = random_labels((4, 3), 2, seed=1)
    first = lsml.load(strain=[4e-3, -1e-3, 2e-3])
    loads = [first, lsml.load(stress=[0.0, 0.0, 0.0])]
    problem = lsml.plasticity(labels, phases()[:2], first)
    path = lsml.load_path(problem, loads, tol=1e-10)
    scale = float(path.mean_stress[0].abs().max())
    assert float(path.mean_stress[1].abs().max()) < 1e-8 * scale
    internal = lsml.load_path(problem, loads[:1], tol=1e-10).problem.law.variables
    step = lsml.plasticity(labels, phases()[:2], loads[1], internal=internal)
    found = lsml.solve(step, "newton", tol=1e-10)
    torch.testing.assert_close(
        path.mean_strain[1], found.mean_strain, rtol=0, atol=1e-10
    )
    assert float(found.mean_strain.abs().max()) > 1e-5


def test_warm_starts_save_iterations():
    """Theorem: on a proportional path of a power law the guess is second order.

    Iterations from extrapolated answers are fewer than from x̄. Catches an increment
    that is scaled or signed wrongly.
    """
    labels = random_labels((4, 3), 2, seed=2)
    table = [phases()[0], phases()[2]]
    loads = [lsml.load(strain=[e, -0.3 * e, 0.5 * e]) for e in 1e-3 * np.arange(2, 7)]
    problem = lsml.plasticity(labels, table, loads[0])
    path = lsml.load_path(problem, loads, tol=1e-8)
    cold = [
        int(lsml.solve(lsml.plasticity(labels, table, e), "auto", tol=1e-8).iterations)
        for e in loads
    ]
    assert int(path.iterations[0]) == cold[0]
    assert int(path.iterations[2:].sum()) < 0.8 * sum(cold[2:])


def test_linear_paths_need_no_iterations_but_the_first():
    """Theorem: where all is linear and proportional, the extrapolation is the answer.

    Also in conduction, whose fields have other names, and in float32 with its
    refinement.
    """
    labels = random_labels((4, 3), 2, seed=2)
    conduct = lsml.conductivity(labels, [1.0, 9.0], [1.0, -0.5])
    drives = [lsml.load(gradient=[e, -0.5 * e]) for e in (1.0, 2.0, 4.0)]
    path = lsml.load_path(conduct, drives, tol=1e-8)
    assert path.iterations[:, 0].tolist()[1:] == [0, 0]
    np.testing.assert_allclose(path.mean_stress[2], 4 * path.mean_stress[0], rtol=1e-9)
    single = torch.float32
    table = [lsml.isotropic(E=e, nu=0.3) for e in (1.0, 5.0)]
    steps = [lsml.load(strain=[e, 0.0, e]) for e in (1e-3, 2e-3)]
    elastic = lsml.elasticity(labels, table, steps[0], dtype=single)
    path = lsml.load_path(elastic, steps, "cg", tol=1e-5)
    assert path.mean_stress.dtype == single
    assert path.iterations[1].tolist() == [0]


@pytest.mark.parametrize("killed", [0, 1, 4])
def test_interrupted_path_goes_on_with_the_same_numbers(
    tmp_path, uninterrupted, killed
):
    """Theorem: killed and started again, a path is the uninterrupted one.

    After any step, to the last bit. Catches a guess, internal variables or records that
    the file lacks.
    """
    file, problem, loads = tmp_path / "path.h5", cell(), pulled()
    taken = []

    def watch(k, solution):
        taken.append(k)
        if k == killed and len(taken) <= killed + 1:
            raise KilledError

    with pytest.raises(KilledError):
        lsml.load_path(problem, loads, "newton", tol=1e-8, file=file, each=watch)
    again = lsml.load_path(problem, loads, "newton", tol=1e-8, file=file, each=watch)
    assert taken == [*range(killed + 1), *range(killed, 5)]
    assert same(uninterrupted, again)
    read = lsml.load_path(problem, loads, "newton", tol=1e-8, file=file)
    assert same(uninterrupted, read)
    assert read.solution is None


def test_file_is_whole_or_that_of_the_step_before(tmp_path, monkeypatch):
    """A kill while the file is being replaced leaves that of the last complete step."""
    import os

    file, problem, loads = tmp_path / "path.h5", cell(), pulled()[:3]
    whole = lsml.load_path(problem, loads, "newton", tol=1e-8)
    real, calls = os.replace, []

    def replace(a, b):
        calls.append(b)
        if len(calls) == 2:
            raise KilledError
        real(a, b)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(KilledError):
        lsml.load_path(problem, loads, "newton", tol=1e-8, file=file)
    assert [p.name for p in tmp_path.iterdir()] == ["path.h5"]
    again = lsml.load_path(problem, loads, "newton", tol=1e-8, file=file)
    assert same(whole, again)


def test_loads_may_be_appended(tmp_path, uninterrupted):
    """A finished path goes on with further loads, as if they had been there before."""
    file, problem, loads = tmp_path / "path.h5", cell(), pulled()
    lsml.load_path(problem, loads[:2], "newton", tol=1e-8, file=file)
    again = lsml.load_path(problem, loads, "newton", tol=1e-8, file=file)
    assert same(uninterrupted, again)


def test_file_of_another_path_is_refused(tmp_path):
    """Another problem, rule, tolerance, load or kind of file: one sentence each."""
    file, problem, loads = tmp_path / "path.h5", cell(), pulled()[:2]

    def go(problem=problem, loads=loads, rule="newton", **options):
        return lsml.load_path(problem, loads, rule, file=file, **options)

    go()
    other = "was written for another problem, rule, tolerance or limit"
    for change in (
        {"problem": cell("rotated")},
        {
            "problem": lsml.plasticity(
                random_labels((3, 2), 2, 2, seed=9), phases()[:2], loads[0], "hex8-bbar"
            )
        },
        {"rule": "anderson"},
        {"rule": lsml.Newton(forcing=0.1)},
        {"tol": 1e-5},
        {"max_iter": 7},
    ):
        with pytest.raises(ValueError, match=other):
            go(**change)
    with pytest.raises(ValueError, match="is of another path: step 1 had another load"):
        go(loads=[loads[0], *pulled([9e-3])])
    with pytest.raises(ValueError, match="holds 2 steps, 1 loads are given"):
        go(loads=loads[:1])
    file.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="is not a readable HDF5 file"):
        go()
    lsml.solve(problem, "newton").save(file)
    with pytest.raises(ValueError, match=r"has the format 'lsml solution 1', expected"):
        go()
    with pytest.raises(ValueError, match=r"the folder .* does not exist"):
        lsml.load_path(problem, loads, file=tmp_path / "no" / "path.h5")


def test_failed_step_ends_the_path(tmp_path):
    """A step that fails raises with its solution, and does not go into the file.

    Without ``throw`` it is the last of the path.
    """
    file, problem, loads = tmp_path / "path.h5", cell(), pulled()
    with pytest.raises(lsml.ConvergenceError) as caught:
        lsml.load_path(problem, loads, "moulinec", max_iter=2, file=file)
    assert caught.value.solution.status.tolist() == [lsml.Status.MAX_ITER] * 2
    assert not file.exists()
    path = lsml.load_path(problem, loads, "moulinec", max_iter=2, throw=False)
    assert path.status.shape == (1, 2)


def test_bad_loads_are_refused_before_any_work():
    """What, where, and what was expected."""
    problem = cell()
    six = lsml.load(strain=1e-3 * random_load(6, 1))
    for loads, sentence in (
        ([], "loads must list one load"),
        (
            [pulled()[0], lsml.load(gradient=[1.0, 0.0])],
            r"loads: step 1 must be made by lsml.load\(strain=",
        ),
        ([lsml.load(gradient=[1.0, 0.0])], "loads: step 0 must be made by"),
        ([six], "load has 6 components but this problem has 3"),
    ):
        with pytest.raises(ValueError, match=sentence):
            lsml.load_path(problem, loads)
    three = lsml.load(strain=1e-3 * random_load(3, 1, 3))
    with pytest.raises(ValueError, match="load holds 3 cases but there are 2 samples"):
        lsml.load_path(problem, [three])
    one = lsml.plasticity(
        np.eye(3, dtype=int), phases()[:2], lsml.load(strain=[0, 0, 0])
    )
    with pytest.raises(ValueError, match="step 1 is for 3 samples, must be for 1"):
        lsml.load_path(one, [lsml.load(strain=[0.0, 0, 0]), three])
    with pytest.raises(ValueError, match="is prescribed in both"):
        lsml.load(strain=[1e-3, 0, 0], stress=[0.0, None, None])
    with pytest.raises(ValueError, match="load_path needs a problem made by a builder"):
        lsml.load_path(np.eye(3, dtype=int), pulled())
    with pytest.raises(ValueError, match=r"ConjugateGradient needs .*linear"):
        lsml.load_path(problem, pulled(), "cg")


def test_path_is_differentiable():
    """Theorem: internal variables carry the derivative from step to step.

    With respect to the yield stress, after a reversal, by central differences. Catches
    a step that forgets how the last one depends on the parameters.
    """
    labels = random_labels((3, 2), 2, seed=1)
    loads = [lsml.load(strain=[e, 0.0, 2e-4]) for e in (3e-3, 4e-3, -2e-3)]

    def last(sigma0):
        table = [
            phases()[0],
            lsml.j2(lsml.isotropic(E=200.0, nu=0.3), lsml.voce(sigma0, H=8.0)),
        ]
        images = np.broadcast_to(labels, (*(sigma0.shape or [1]), 3, 2))
        problem = lsml.plasticity(images, table, loads[0])
        return lsml.load_path(problem, loads, "newton", tol=1e-11).mean_stress[2, :, 0]

    sigma0 = torch.tensor(0.25, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(last(sigma0), sigma0)
    h = torch.tensor([1e-6, -1e-6], dtype=torch.float64)
    rise, fall = last(sigma0.detach() + h)
    assert float(found) == pytest.approx(float(rise - fall) / 2e-6, rel=1e-5)
