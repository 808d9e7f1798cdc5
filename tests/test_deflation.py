"""Deflation against dense linear algebra; whatever the space, the answer is CG's."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import scipy.linalg
import torch
from cells import generator, random_labels, random_load, random_stiffness

import lsml
from lsml.bundle import pack, split
from lsml.displacement_form import DisplacementForm
from lsml.physics.coarse_space import coarse_space
from lsml.physics.rules.lanczos import RitzCG, ritz_vectors
from lsml.problem import Residual
from lsml.rule import Rule
from lsml.stop import Never, RelativeResidual
from lsml.testing import CASES, CHECKS
from lsml.testing.problems import in_strain
from lsml.unroll import unroll

FORMS = {"strain": in_strain, "displacement": DisplacementForm}
CG = lsml.ConjugateGradient()
CELLS = [("fourier", (5, 4)), ("rotated", (3, 4, 2)), ("hex8", (4, 3))]
TOL = 1e-7


def problem(scheme, shape, *, media=1, loads=None, form="displacement", contrast=100.0):
    """Random media of an isotropic and an anisotropic phase, some loads on each."""
    c = {2: 3, 3: 6}[len(shape)]
    labels = random_labels(shape, 2, media, seed=sum(shape))
    stiff = torch.as_tensor(random_stiffness(c, 1, contrast))
    phases = [torch.as_tensor(random_stiffness(c, 0)), stiff]
    field = random_load(c, 3, 1 if loads is None else loads)[None]
    built = lsml.elasticity(labels, phases, lsml.load(strain=field), scheme)
    return FORMS[form](built.referred(CG.reference))


def noise(p, k, media=1, seed=0):
    """Proposals without any meaning."""
    shape = (media, k, *p.start().shape[1:])
    return torch.randn(shape, generator=generator(seed), dtype=p.start().dtype)


def dense(p):
    """Matrices of A, of the preconditioner, and the first force, of a single sample."""
    size = p.start().numel()
    unit = torch.eye(size, dtype=torch.float64).reshape(size, *p.start().shape)
    a = torch.stack([p.hessian(p.start(), d).flatten() for d in unit], 1).numpy()
    n = torch.stack([p.precondition(d).flatten() for d in unit], 1).numpy()
    return a, n, p.force(p.start()).flatten().numpy()


def modes(a, n):
    """Eigenvalues of N A other than 0, ascending, and their vectors."""
    root = scipy.linalg.sqrtm((n + n.T) / 2).real
    values, q = np.linalg.eigh(root @ a @ root)
    keep = values > 1e-9 * values[-1]
    return values[keep], (root @ q)[:, keep]


def projected_norms(a, n, f, w, steps):
    """√<r, N r> of CG on the deflated system, written as a dense projected matrix."""
    project = np.eye(len(a)) - a @ w @ np.linalg.solve(w.T @ a @ w, w.T)
    r, b = project @ f, project @ a
    z = n @ r
    d, found = z.copy(), [np.sqrt(f @ n @ f), np.sqrt(r @ z)]
    for _ in range(steps):
        image = b @ d
        length = r @ z / (d @ image)
        after = r - length * image
        z_after = n @ after
        d = z_after + (after @ z_after) / (r @ z) * d
        r, z = after, z_after
        found.append(np.sqrt(max(r @ z, 0)))
    return np.array(found)


def histories(p, rule, steps):
    """Residual norms of the first iterates, relative to the first."""
    with torch.no_grad():
        state = unroll(p, rule, stop=Never(), max_iter=steps)
    return (state.history / state.history[0])[:, 0].numpy()


@pytest.mark.parametrize(("scheme", "shape"), CELLS)
def test_iterates_are_those_of_cg_on_the_projected_matrix(scheme, shape):
    """Theorem: after the coarse step, residual k is that of CG on (I − AWE⁻¹Wᵀ)A.

    Catches a wrong projection, a direction that is not conjugate, and a coarse step
    that does not solve the coarse problem. A third of the spectrum is deflated by
    vectors without meaning.
    """
    p = problem(scheme, shape)
    a, n, f = dense(p)
    k = len(modes(a, n)[0]) // 3
    w = noise(p, k)
    space = coarse_space(p, w)
    assert space.rank.tolist() == [k]
    flat = w[0].flatten(1).T.numpy()
    expected = projected_norms(a, n, f, flat, 7)
    found = histories(p, lsml.DeflatedCG(space), 8)
    np.testing.assert_allclose(found, expected / expected[0], rtol=1e-6)


@pytest.mark.parametrize(("scheme", "shape"), CELLS)
def test_exact_eigenvectors_leave_the_rest_of_the_spectrum(scheme, shape):
    """Theorem: with k eigenvectors W, N(I − AWE⁻¹Wᵀ)A has their eigenvalues at zero.

    All others stay where they were. Checked on the operator that the rule applies,
    taken column by column; catches a projection that works on one side only.
    """
    p = problem(scheme, shape)
    a, n, _ = dense(p)
    values, vectors = modes(a, n)
    k = 4
    w = torch.as_tensor(vectors[:, :k].T.copy()).reshape(1, k, *p.start().shape[1:])
    space, size = coarse_space(p, w), len(a)
    owner = torch.zeros(size, dtype=torch.int64)
    unit = torch.eye(size, dtype=torch.float64).reshape(size, *p.start().shape[1:])
    kept = unit - space.field(space.responses(unit, owner), owner)
    applied = n @ a @ kept.reshape(size, size).T.numpy()
    found = np.sort(np.linalg.eigvals(applied).real)
    zeros = size - len(values) + k
    assert np.abs(found[:zeros]).max() < 1e-8 * values[-1]
    np.testing.assert_allclose(found[zeros:], values[k:], rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_deflating_the_lowest_is_cg_at_the_rest_of_the_condition(form):
    """Theorem: error k of deflated CG obeys the bound of the condition that W leaves.

    2 √κ ((√κ' − 1)/(√κ' + 1))ᵏ in the residual norm, κ' without the k lowest modes;
    plain CG breaks that bound on this medium.
    """
    p = problem("rotated", (7, 6), form="displacement", contrast=1e4)
    a, n, _ = dense(p)
    values, vectors = modes(a, n)
    k = 16
    w = torch.as_tensor(vectors[:, :k].T.copy())[None]
    if form == "strain":
        form_p = p.strain
        fields = [p.increment(v[None])[0] for v in w[0]]
        p, w = form_p, torch.stack(fields)[None]
    steps = np.arange(25)
    root = np.sqrt(values[-1] / values[k])
    bound = 2 * np.sqrt(values[-1] / values[0]) * ((root - 1) / (root + 1)) ** steps
    deflated = histories(p, lsml.DeflatedCG(coarse_space(p, w)), 25)[1:]
    assert (deflated <= bound * deflated[0]).all()
    assert (histories(p, CG, 25)[:-1] > bound).any()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("scheme", "shape"), CELLS)
def test_space_is_orthonormal_and_spans_the_proposals(scheme, shape, form):
    """<A W_i, W_j> = δ_ij, images are A W, and every proposal is W <A W, w>.

    For three microstructures with two load cases each; in the strain form the span is
    that of the compatible parts.
    """
    p = problem(scheme, shape, media=3, loads=2, form=form)
    w = noise(p, 4, 3)
    space = coarse_space(p, w)
    owner = space.owners(p)
    assert owner.tolist() == [0, 0, 1, 1, 2, 2]
    for i in range(4):
        column = space.vectors[:, i][owner]
        gram = space.responses(column, owner)
        unit = torch.zeros_like(gram)
        unit[:, i] = 1.0
        torch.testing.assert_close(gram, unit, rtol=0, atol=1e-10)
        image = p.hessian(p.start(), column)
        torch.testing.assert_close(space.images[:, i][owner], image)
        given = p.project(w[:, i][owner])
        back = space.field(space.responses(given, owner), owner)
        gap = p.pairing(p.hessian(given, given - back), given - back)
        assert (gap <= 1e-18 * p.pairing(p.hessian(given, given), given)).all()


def apart(p, a, b):
    """C⁰ norm of N A (a − b) over the residual at the mean strain: errors' own unit."""
    force = p.hessian(p.start(), a.x - b.x)
    norm = p.pairing(force, p.precondition(force)).clamp_min(0).sqrt()
    return float((norm / a.scale).max())


def proposals(p, media):
    """Spaces that a careless or malicious network might propose."""
    some = noise(p, 3, media)
    voxels = p.strain.grid.size
    dims = p.strain.grid.ndim
    translation = torch.zeros_like(some[:, :1]).flatten(2)
    translation[:, :, : dims * voxels] = 1.0
    translation = translation.reshape_as(some[:, :1])
    broken = some.clone()
    broken[0, 1].flatten()[-1] = torch.nan
    broken[-1, 2].flatten()[0] = torch.inf
    nearly = some[:, :1] + 1e-13 * some[:, 1:2]
    return {
        "nothing": some[:, :0],
        "zeros": torch.zeros_like(some),
        "twice": torch.cat([some, some], 1),
        "nearly twice": torch.cat([some, nearly, -some[:, :1]], 1),
        "broken": broken,
        "huge and tiny": some
        * torch.tensor([1e30, 1e-30, 1.0]).reshape(1, 3, *[1] * (some.ndim - 2)),
        "translation": torch.cat([translation, some], 1),
        "only translation": translation,
        "more than there are": noise(p, 2 * some[0, 0].numel(), media),
        "the answer": stationary(p, media),
    }


def stationary(p, media):
    """The answer itself: nothing is left to iterate on."""
    solved = unroll(p, CG, stop=RelativeResidual(1e-12)).x - p.start()
    return solved.unflatten(0, (media, -1))


NAMES = [
    "nothing", "zeros", "twice", "nearly twice", "broken", "huge and tiny",
    "translation", "only translation", "more than there are", "the answer",
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_no_space_changes_the_answer(name, form):
    """Whatever is proposed, the certified answer is CG's to 10 tol, per sample.

    Catches a singular coarse matrix, NaN that spreads, and a coarse space that is
    used without its own Galerkin projection.
    """
    p = problem("rotated", (5, 4), media=2, loads=2, form=form)
    space = coarse_space(p, proposals(p, 2)[name])
    assert space.vectors.isfinite().all()
    assert space.images.isfinite().all()
    stop = RelativeResidual(TOL)
    plain = unroll(p, CG, stop=stop)
    found = unroll(p, lsml.DeflatedCG(space), stop=stop)
    assert found.converged.all()
    assert apart(p, plain, found) <= 10 * TOL
    assert (found.error <= TOL).all()


def test_what_is_dropped_and_what_is_kept():
    """Rank counts directions: duplicates, kernels and NaN go, all others stay."""
    p = problem("hex8", (5, 4), media=2, loads=2)
    given = proposals(p, 2)
    expected = {
        "nothing": [0, 0],
        "zeros": [0, 0],
        "twice": [3, 3],
        "nearly twice": [3, 3],
        "broken": [2, 2],
        "huge and tiny": [3, 3],
        "translation": [3, 3],
        "only translation": [0, 0],
        "the answer": [2, 2],
    }
    ranks = {k: coarse_space(p, given[k]).rank.tolist() for k in expected}
    assert ranks == expected


def test_nothing_left_after_the_coarse_step_with_the_answer_inside():
    """A space that contains the solution ends after its first step."""
    p = problem("rotated", (4, 5), media=2, loads=2)
    space = coarse_space(p, stationary(p, 2))
    state = unroll(p, lsml.DeflatedCG(space), stop=RelativeResidual(1e-8))
    assert state.iterations.tolist() == [1] * 4


def test_without_vectors_it_is_conjugate_gradients():
    """No vector, or none that counts: the iterates of CG, and no step is lost."""
    p = problem("fourier", (4, 5))
    for w in (noise(p, 0), torch.zeros_like(noise(p, 2))):
        found = histories(p, lsml.DeflatedCG(coarse_space(p, w)), 6)
        np.testing.assert_allclose(found, histories(p, CG, 6), rtol=1e-9)


# The rule under the laws that every rule obeys.


@dataclass(frozen=True)
class Proposed(Rule):
    """Deflated by the first Krylov vectors, which any problem has, made anew."""

    requires = CG.requires

    def rule(self, p):
        with torch.no_grad():
            w = [p.precondition(p.force(p.start()))]
            w.append(p.precondition(p.hessian(p.start(), w[0])))
            return lsml.DeflatedCG(coarse_space(p, torch.stack(w, 1)))

    def init(self, p, x, k):
        return self.rule(p).init(p, x, k)

    def residual(self, p, x, memory, k):
        return Residual(memory.force, memory.step, memory.norm2)

    def step(self, p, it, memory):
        memory = memory._replace(owner=torch.arange(len(it.x)))
        return self.rule(p).step(p, it, memory)


@dataclass(frozen=True)
class Watched(Rule):
    """CG that keeps Ritz vectors, with a window so small that it restarts at once."""

    requires = CG.requires

    def rule(self, p):
        none = coarse_space(p, p.start()[:, None][:, :0])
        return RitzCG(lsml.DeflatedCG(none), 1, 3, 1000)

    def init(self, p, x, k):
        x, memory = self.rule(p).init(p, x, k)
        return x, memory

    def residual(self, p, x, memory, k):
        return self.rule(p).residual(p, x, memory, k)

    def step(self, p, it, memory):
        deflated, window = split(memory)
        deflated = deflated._replace(owner=torch.arange(len(it.x)))
        return self.rule(p).step(p, it, pack(deflated, window))


@pytest.mark.parametrize("law", CHECKS)
@pytest.mark.parametrize("name", ["proposed", "watched", "recycled"])
def test_obeys_the_laws(name, law):
    """Every law of `lsml.testing`, each rule on a case in 2-D and one in 3-D."""
    rule = {"proposed": Proposed(), "watched": Watched(), "recycled": lsml.Recycled(2)}
    first = {"proposed": 3, "watched": 5, "recycled": 1}[name]
    for case in CASES[first::5][:2]:
        CHECKS[law](rule[name], case)


# Ritz vectors of a solve, and what they do for other load cases.


def watched(p, vectors, window, x0=None, tol=1e-12, max_iter=1000):
    """Iterates of CG with the basis they leave behind."""
    none = coarse_space(p, p.start()[:, None][:, :0])
    rule = RitzCG(lsml.DeflatedCG(none), vectors, window, max_iter + 1)
    with torch.no_grad():
        return unroll(p, rule, x0, stop=RelativeResidual(tol), max_iter=max_iter)


@pytest.mark.parametrize(("scheme", "shape"), CELLS)
def test_ritz_vectors_are_those_of_the_krylov_space(scheme, shape):
    """Theorem: without a restart they are the Rayleigh-Ritz vectors of K_m(NA, Nf).

    Against a Krylov space orthonormalized by NumPy; catches a wrong sign or index in
    the tridiagonal matrix that the step lengths make.
    """
    p = problem(scheme, shape)
    a, n, f = dense(p)
    m, k = 8, 3
    state = watched(p, k, 20, tol=1e-30, max_iter=m)
    w = ritz_vectors(state.memory, k)[0].flatten(1).numpy()
    krylov = [n @ f]
    for _ in range(m - 1):
        v = n @ (a @ krylov[-1])
        krylov.append(v / np.linalg.norm(v))
    q = np.linalg.qr(np.stack(krylov, 1))[0]
    metric = np.linalg.pinv(n, rcond=1e-10)
    values, turn = scipy.linalg.eigh(q.T @ a @ q, q.T @ metric @ q)
    theta = [v @ a @ v / (v @ metric @ v) for v in w]
    np.testing.assert_allclose(theta, values[:k], rtol=1e-6)
    for v, u in zip(w, (q @ turn[:, :k]).T, strict=True):
        cosine = v @ metric @ u / np.sqrt((v @ metric @ v) * (u @ metric @ u))
        assert abs(abs(cosine) - 1) < 1e-6


def test_a_restarted_window_finds_the_lowest_modes():
    """Theorem (Stathopoulos & Orginos 2010): restarts hardly slow the lowest pair down.

    A window of 9 for 4 vectors, restarted at nearly every step, ends with the lowest
    Ritz value within 1 % of the lowest eigenvalue that the load can excite.
    """
    p = problem("rotated", (7, 6), contrast=1e3)
    draw = 1e-3 * torch.randn(p.start().shape, generator=generator(5)).double()
    a, n, _ = dense(p)
    values, _ = modes(a, n)
    state = watched(p, 4, 9, x0=draw)
    w = ritz_vectors(state.memory, 4)[0].flatten(1).numpy()
    metric = np.linalg.pinv(n, rcond=1e-10)
    lowest = w[0] @ a @ w[0] / (w[0] @ metric @ w[0])
    assert values[0] * (1 - 1e-9) <= lowest <= 1.01 * values[0]


@pytest.mark.parametrize("window", [5, 300])
def test_watching_changes_no_iterate(window):
    """Same iterations and answers as CG, in a batch, whether the window restarts."""
    p = problem("hex8", (5, 4), media=2, loads=2)
    stop = RelativeResidual(1e-8)
    plain, seen = unroll(p, CG, stop=stop), watched(p, 2, window, tol=1e-8)
    assert seen.iterations.tolist() == plain.iterations.tolist()
    torch.testing.assert_close(seen.x, plain.x, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("scheme", "shape"), CELLS)
def test_recycled_answers_are_those_of_cg(scheme, shape, form):
    """Every sample certified, equal to CG's, the first loads in CG's iterations.

    Two microstructures with four loads each. Catches samples put back in another
    order, and a history that is another sample's.
    """
    p = problem(scheme, shape, media=2, loads=4, form=form).strain
    options = {"tol": TOL, "form": form}
    plain = lsml.solve(p, "cg", **options)
    found = lsml.solve(p, lsml.Recycled(3), **options, record=True)
    assert found.converged.all()
    gap = (found.strain - plain.strain).norm()
    uniform = plain.mean_strain[(...,) + (None,) * len(shape)]
    assert gap <= 10 * TOL * 400 * (plain.strain - uniform).norm()
    assert apart(plain.problem, plain.state, found.state) <= 10 * TOL
    led = (found.iterations - plain.iterations)[::4]  # one at most, by rounding
    assert led.abs().max() <= 1
    for i, steps in enumerate(found.iterations.tolist()):
        assert found.history[i, steps] == found.error[i] <= TOL
        assert (found.history[i, :steps] > TOL).all()
    torch.testing.assert_close(found.iterates[:, -1], found.strain)
    start = uniform.expand_as(found.strain)
    torch.testing.assert_close(found.iterates[:, 0], start)


def stiff_grains(loads, **options):
    """A medium of contrast 1000 whose loads share slow modes."""
    labels = torch.zeros(1, 15, 16, dtype=torch.int64)
    for x, y in ((1, 1), (1, 9), (8, 4), (8, 12)):
        labels[0, x : x + 5, y : y + 5] = 1
    labels[0, 4, 4:14] = 1
    phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=1e3, nu=0.3)]
    return lsml.elasticity(labels, phases, loads, "hex8", **options)


def test_the_first_load_speeds_the_others_up():
    """On stiff grains in a soft matrix the other loads take a quarter less, or better.

    Catches a space that is built, paid for, and of no use.
    """
    eye = torch.eye(3, dtype=torch.float64)[None]
    p = stiff_grains(lsml.load(strain=eye))
    plain = lsml.solve(p, "cg").iterations
    found = lsml.solve(p, lsml.Recycled(12)).iterations
    assert found[0] == plain[0]
    assert (found[1:] <= 0.75 * plain[1:]).all()


def test_loads_with_other_free_components_get_spaces_of_their_own():
    """Mean strain and mean stress mixed: the unknowns differ, and so do the spaces.

    Catches a space of a strain-driven load that is used where the mean is unknown.
    """
    strain = torch.tensor([[1.0, 0, 0], [torch.nan] * 3, [0, 1.0, 0], [torch.nan] * 3])
    stress = torch.tensor([[torch.nan] * 3, [1.0, 0, 0], [torch.nan] * 3, [0, 1.0, 0]])
    loads = lsml.load(strain=strain[None].double(), stress=stress[None].double())
    p = stiff_grains(loads)
    plain, found = lsml.solve(p, tol=TOL), lsml.solve(p, lsml.Recycled(12), tol=TOL)
    assert found.iterations[:2].tolist() == plain.iterations[:2].tolist()
    assert (found.iterations[2:] < plain.iterations[2:]).all()
    torch.testing.assert_close(
        found.mean_stress, plain.mean_stress, rtol=1e-5, atol=1e-4
    )


def test_a_start_serves_every_sample():
    """x0 is split and put together again: from the answer no iteration is taken."""
    p = stiff_grains(lsml.load(strain=torch.eye(3, dtype=torch.float64)[None]))
    solved = lsml.solve(p, tol=1e-9, quadrature=True)
    again = lsml.solve(p, lsml.Recycled(4), tol=1e-6, x0=solved.strain)
    assert again.iterations.tolist() == [0, 0, 0]
    torch.testing.assert_close(again.strain, solved.strain.mean(1))


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_precision_and_kernels(dtype):
    """float32 is refined to 1e-9 through restarts, on both engines, ragged batches too.

    Catches a restart in a batch that has lost samples and takes another's space.
    """
    labels = random_labels((9, 8), 2, 3, seed=4)
    labels[1, :, :4] = 0
    phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=300.0, nu=0.3)]
    eye = torch.eye(3, dtype=torch.float64)[None]
    p = lsml.elasticity(labels, phases, lsml.load(strain=eye), "rotated", dtype=dtype)
    found = lsml.solve(p, lsml.Recycled(4), tol=1e-9, compile="auto")
    double = lsml.elasticity(labels, phases, lsml.load(strain=eye), "rotated")
    plain = lsml.solve(double, tol=1e-10)
    assert found.converged.all()
    scale = plain.strain.abs().max()
    assert (found.strain.double() - plain.strain).abs().max() <= 1e-6 * scale


def test_effective_stiffness_from_recycled_loads():
    """`homogenize` takes the rule; its interval holds CG's answer."""
    p = stiff_grains(lsml.load(strain=[1.0, 0.0, 0.0]))
    plain, found = lsml.homogenize(p, tol=1e-9), lsml.homogenize(p, lsml.Recycled(6))
    diagonal = torch.as_tensor(np.asarray(plain)).diagonal(dim1=1, dim2=2)
    assert (found.lower <= diagonal).all()
    assert (diagonal <= found.upper).all()


def test_the_adjoint_may_be_deflated_too():
    """Implicit derivatives by a deflated rule are those of CG."""
    gradients = []
    for deflated in (False, True):
        young = torch.tensor([1.0, 50.0], dtype=torch.float64, requires_grad=True)
        phases = [lsml.isotropic(E=e, nu=0.3) for e in young]
        p = lsml.elasticity(
            random_labels((5, 4), 2, 1), phases, lsml.load(strain=[1.0, 0.5, 0.2])
        )
        form = DisplacementForm(p.referred(CG.reference))
        space = coarse_space(form, noise(form, 4))
        rule = lsml.DeflatedCG(space) if deflated else CG
        energy = lsml.solve(form, rule, tol=1e-10).energy.sum()
        gradients.append(torch.autograd.grad(energy, young)[0])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-6, atol=1e-9)


# What is refused, in one sentence.


def test_a_space_of_another_problem_is_refused():
    """Another contrast, medium or grid: the space is not believed, at one hessian."""
    p = problem("rotated", (5, 4), media=2, loads=2)
    rule = lsml.DeflatedCG(coarse_space(p, noise(p, 3, 2)))
    for other in (
        problem("rotated", (5, 4), media=2, contrast=101.0),
        problem("hex8", (5, 4), media=2),
        replace(p, strain=problem("rotated", (5, 4), media=3).strain),
    ):
        with pytest.raises(ValueError, match="another medium"):
            unroll(other, rule)
    with pytest.raises(ValueError, match="make one for this problem"):
        unroll(problem("rotated", (4, 4)), rule)


def test_bad_numbers_are_refused():
    """Shapes, counts and windows that cannot be, each in one sentence."""
    p = problem("rotated", (5, 4), media=2, loads=2)
    with pytest.raises(ValueError, match="must have that of the problem's unknown"):
        coarse_space(p, torch.zeros(2, 3, 7, dtype=torch.float64))
    with pytest.raises(ValueError, match="3 microstructures do not fit"):
        coarse_space(p, noise(p, 2, 3))
    with pytest.raises(ValueError, match="greater than 48"):
        lsml.Recycled(24, window=48)
    with pytest.raises(ValueError, match="1 or more"):
        lsml.Recycled(0)
