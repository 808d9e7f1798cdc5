"""Labels, phases, loads and limits of every kind, for the functions that solve.

Strategies of hypothesis; the images are tiny, so that a solve takes milliseconds and
its error can be held against a direct solution.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

import lsml
from fuzzing.dense import check_solution
from fuzzing.outcome import WrongError

Call = tuple[str, Callable[[], str]]
INTEGERS = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", ">i2", ">u4", ">i8", "?"]
OTHERS = ["f2", "f4", "f8", ">f8", "c8", "c16", "O", "S1", "U1", "M8[s]", "V4", "m8"]
TORCH = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool]
TORCH += [torch.uint16, torch.uint32, torch.uint64, torch.float32, torch.float64]
TORCH += [torch.complex64, torch.float16, torch.bfloat16]
ODD: list[Any] = [None, "", "abc", 3, 3.5, True, {}, [], [[]], [[1, 2], [3]], object()]
ODD += [b"\x00\x01", {"a": 1}, lambda: 0, int, np.nan, [[None]], [["a"]], {1, 2}]
ODD += [np.array(3), np.zeros((0,), int), np.zeros((2, 0, 3), int), torch.zeros(())]
ODD += [torch.zeros(2, 2, 2).to_sparse(), torch.empty(2, 2, 2, device="meta")]
NUMBERS: list[Any] = [0, 1, -1, 0.5, 2, 10, 1e3, 1e-3, 1e6, 1e-12, 1e12, 1e300, 1e-300]
NUMBERS += [float("nan"), float("inf"), -float("inf"), 5e-324, 2**70, True, None]
NUMBERS += ["1", "x", 1j, [1], (), np.float32(2), np.array([1.0, 2.0]), torch.ones(1)]
RULES = ["cg", "moulinec", "steepest_descent", "anderson", "barzilai_borwein", "auto"]
RULES += ["eyre_milton", "augmented_lagrangian", "nesterov", "newton", "minres"]
RULES += ["bicgstab", "chebyshev", "heavy_ball", "monchiet_bonnet", "nonlinear_cg"]
RULES += ["moulinec:2 > cg", "cg:1>cg", "born"]
BAD_RULES: list[Any] = ["", ">", "cg >", "cg:0 > cg", "cg:2", "no", None, 3, "rln:3>cg"]
BAD_RULES += [lsml.ConjugateGradient, lsml.ConjugateGradient(), "cg" * 500, "é\n"]
SCHEMES = ["rotated", "hex8", "fourier", "staggered", "hex8-bbar", "forward", "quad4"]
BAD_SCHEMES: list[Any] = ["", "no", None, 3, "Rotated", b"hex8"]


def rarely(draw: Any, percent: int) -> bool:
    """True in so many of a hundred draws: numbers would be drawn near their ends."""
    return bool(draw(st.sampled_from(range(100))) < percent)


@st.composite
def one_of(draw: Any, good: list[Any], bad: list[Any], percent: int = 6) -> Any:
    """A value that is taken, or now and then one that is not."""
    return draw(st.sampled_from(bad if rarely(draw, percent) else good))


def labels(draw: Any, axes: int) -> object:
    """Mostly images of two phases, in every way that arrays come."""
    if rarely(draw, 5):
        return draw(st.sampled_from(ODD))
    ndim = draw(st.integers(0, 5)) if rarely(draw, 5) else axes
    shape = draw(st.lists(st.integers(1, 4), min_size=ndim, max_size=ndim))
    seed, high = draw(st.integers(0, 2**20)), draw(st.sampled_from([2, 2, 2, 2, 3, 1]))
    made = np.random.default_rng(seed).integers(0, high, shape)
    kind = draw(st.sampled_from(INTEGERS * 12 + OTHERS))
    try:
        array = made.astype(kind)
    except (TypeError, ValueError):
        array = made.astype("O")
    return draw(st.sampled_from(WAYS))(array, draw(st.integers(0, 2**16)))


def extreme(array: np.ndarray, seed: int) -> object:
    """One number that is no phase."""
    if array.size == 0 or array.dtype.kind not in "iuf":
        return array
    found = array.copy()
    limits = np.iinfo(array.dtype) if array.dtype.kind in "iu" else None
    most = float("nan") if limits is None else limits.max
    least = -float("inf") if limits is None else limits.min
    found.flat[seed % array.size] = (most, least, 2, 100)[seed % 4]
    return found


def as_torch(array: np.ndarray, seed: int) -> object:
    """A tensor of any type."""
    if array.dtype.kind not in "iufb":
        return array
    plain = torch.from_numpy(np.ascontiguousarray(array).astype(np.int64))
    return plain.to(TORCH[seed % len(TORCH)])


def masked(array: np.ndarray, seed: int) -> object:
    """Numbers that are said not to be there."""
    return np.ma.masked_array(array, np.arange(array.size).reshape(array.shape) == 0)


def strided(array: np.ndarray, seed: int) -> object:
    """The same numbers, elsewhere in memory."""
    wide = np.repeat(array, 2, -1) if array.ndim else array
    return wide[..., ::-2] if array.ndim else wide


WAYS: list[Callable[[np.ndarray, int], object]] = [
    *[lambda a, s: a] * 4,
    extreme,
    as_torch,
    as_torch,
    strided,
    masked,
    lambda a, s: np.asfortranarray(a),
    lambda a, s: a.T,
    lambda a, s: a.tolist(),
    lambda a, s: tuple(a.tolist()) if a.ndim else a,
    lambda a, s: np.broadcast_to(a, (2, *a.shape)),
    lambda a, s: torch.as_tensor(a.astype(np.int64)).mT if a.ndim > 1 and s % 2 else a,
    lambda a, s: memoryview(np.ascontiguousarray(a)) if a.dtype.kind in "iu" else a,
    lambda a, s: np.asmatrix(a) if a.ndim == 2 else a,
]


def moduli(draw: Any) -> object:
    """A stiffness, by numbers that may be none."""
    numbers = st.sampled_from([1.0, 0.1, 10.0, 1e3, 1e-3, 0.0, 1.0, 5.0, 2.0, 3.0])
    first, second = draw(numbers), draw(st.sampled_from([0.3, 0.2, 0.0, -0.5, 0.45]))
    if rarely(draw, 3):
        first, second = (draw(st.sampled_from(NUMBERS)) for _ in "12")
    kind = draw(st.sampled_from(range(30)))
    if kind < 26:
        return lsml.isotropic(E=first, nu=second)
    if kind == 26:
        return lsml.isotropic(K=first, G=second)
    if kind == 27:
        return lsml.cubic(first, second, first)
    size = draw(st.sampled_from([6, 3, 2]))
    matrix = np.eye(size) * (first if isinstance(first, float) else 1.0)
    return matrix if kind == 28 else draw(st.sampled_from([*NUMBERS, matrix.tolist()]))


def vector(draw: Any, components: int) -> Any:
    """Components, some of them none or no numbers."""
    size = draw(st.integers(0, 7)) if rarely(draw, 4) else components
    plain = [1e-3, 0.0, 0.0, 1.0, -2.0, 0.5]
    most = NUMBERS if rarely(draw, 4) else plain
    return [draw(st.sampled_from(most)) for _ in range(size)]


def load(draw: Any, names: tuple[str, str], components: int) -> object:
    """A mean field, or a mix of it and a mean flux."""
    field = vector(draw, components)
    if draw(st.integers(0, 3)):
        return lsml.load(**{names[0]: field})
    free = [draw(st.booleans()) for _ in field]
    field, flux = (
        [v if keep != where else None for v, keep in zip(field, free, strict=True)]
        for where in (True, False)
    )
    return lsml.load(**{names[0]: field, names[1]: flux})


def limits(draw: Any) -> dict[str, Any]:
    """What solvers take beside the problem."""
    said = {
        "tol": one_of([1e-6, 1e-3, 1e-9, 1e-2], NUMBERS),
        "max_iter": one_of([200, 50, 5, 1, 0], [-1, 1.5, None, "3", True], 4),
        "rule": one_of(RULES, BAD_RULES, 4),
        "form": one_of(["displacement", "strain"], ["", None, 3], 3),
        "stop": one_of(["residual", "energy"], ["", None, 3, "predict"], 3),
        "compile": one_of(["auto", False], ["x", None], 3),
        "x0": one_of([None], [0, "x", torch.zeros(1), np.zeros((1, 6, 2, 2, 2))]),
        "quadrature": st.booleans(),
        "record": st.booleans(),
    }
    return {name: draw(kind) for name, kind in said.items() if draw(st.booleans())}


def cell(draw: Any, axes: int) -> dict[str, Any]:
    """What builders take beside labels, phases and load."""
    edges = one_of(
        [(1, 1, 1)[:axes], (1.0, 0.5, 2.0)[:axes], [1e-6] * axes, np.ones(axes)],
        [(), (1,), (0, 1, 1), (-1, 1, 1), (1, np.nan, 1), "ab", 3, (1e300, 1e-300, 1)],
    )
    said = {
        "discretization": one_of(SCHEMES, BAD_SCHEMES, 3),
        "spacing": edges,
        "dtype": one_of([torch.float64, torch.float32], [torch.int8, "f8", 3], 4),
        "device": one_of(["cpu", None], ["cuda", "x", 3], 4),
        "faces": one_of(["periodic", "dirichlet", "neumann"], ["x", 3, ["periodic"]]),
    }
    return {name: draw(k) for name, k in said.items() if draw(st.integers(0, 3)) == 0}


@st.composite
def solving(draw: Any) -> Call:
    """Labels alone, with a contrast."""
    axes = draw(st.sampled_from([2, 3, 3]))
    image, options = labels(draw, axes), limits(draw) | cell(draw, axes)
    if draw(st.booleans()):
        options["contrast"] = draw(one_of([10.0, 2, 1, 100.0, 0.01, 0.0], NUMBERS))

    def act() -> str:
        return check_solution(image, lsml.solve(image, **bounded(options)))

    return f"solve {told(image)} {options}", act


@st.composite
def homogenizing(draw: Any) -> Call:
    """All load cases."""
    axes = draw(st.sampled_from([2, 3, 3]))
    image = labels(draw, axes)
    wanted = {"tol", "max_iter", "rule"}
    options = {k: v for k, v in limits(draw).items() if k in wanted}
    options |= cell(draw, axes)
    if draw(st.integers(0, 2)) == 0:
        options["contrast"] = draw(one_of([2, 100.0, 0.01], NUMBERS))

    def act() -> str:
        found = lsml.homogenize(image, **bounded(options, 60))
        check_interval(found)
        return "solved"

    return f"homogenize {told(image)} {options}", act


@st.composite
def elastic(draw: Any) -> Call:
    """Phases, load and options of elasticity, then a solve."""
    axes = draw(st.sampled_from([2, 3, 3]))
    image, options, how = labels(draw, axes), cell(draw, axes), limits(draw)
    phases = parts(draw, moduli)
    loaded = guarded(lambda: load(draw, ("strain", "stress"), (3, 6)[axes - 2]))

    def act() -> str:
        problem = lsml.elasticity(image, phases(), loaded(), **options)
        return check_solution(image, lsml.solve(problem, **bounded(how)))

    return f"elasticity {told(image)} {options} {how}", act


@st.composite
def conducting(draw: Any) -> Call:
    """The same of conduction, whose phases are numbers or matrices."""
    axes = draw(st.sampled_from([2, 3, 3]))
    image, options, how = labels(draw, axes), cell(draw, axes), limits(draw)
    odd: list[Any] = [1 + 1j, 0.0, *NUMBERS]
    good: list[Any] = [1.0, 10.0, 0.1, 2, 1.0, 5.0, 10.0, np.eye(axes)]
    count = draw(st.sampled_from([2, 3, 3, 3, 3, 1, 0]))
    phases = [draw(one_of(good, odd)) for _ in range(count)]
    kind = draw(st.integers(0, 3))
    loaded: Callable[[], Any] = guarded(lambda: load(draw, ("gradient", "flux"), axes))
    if kind == 0:
        given = vector(draw, axes)
        loaded = lambda: given  # noqa: E731

    def act() -> str:
        problem = lsml.conductivity(image, phases, loaded(), **options)
        return check_solution(image, lsml.solve(problem, **bounded(how)))

    return f"conductivity {told(image)} {phases} {options} {how}", act


def parts(draw: Any, make: Callable[[Any], object]) -> Callable[[], object]:
    """Phases, made when they are asked for, so that their refusal is counted."""
    count = draw(st.sampled_from([2, 3, 3, 3, 3, 1]))
    made = [guarded(lambda: make(draw)) for _ in range(count)]
    return lambda: [each() for each in made]


def guarded(make: Callable[[], Any]) -> Callable[[], Any]:
    """Drawn now; what is raised is raised when it is asked for."""
    try:
        value = make()
    except (ValueError, TypeError, OverflowError) as refusal:
        return partial(again, refusal)
    return lambda: value


def again(error: Exception) -> Any:
    """Raise what was raised before."""
    raise error


def bounded(options: Mapping[str, Any], most: int = 200) -> dict[str, Any]:
    """With so many iterations unless others were drawn."""
    return {"max_iter": most, **options}


def told(image: object) -> str:
    """In short."""
    kind = getattr(image, "dtype", "")
    return f"{type(image).__name__} {kind} {image!r:.80}".replace("\n", " ")


def check_interval(found: Any) -> None:
    """The diagonal lies in its certified interval, and all is finite."""
    diagonal = found.stiffness.diagonal(dim1=-2, dim2=-1)
    if not bool(found.stiffness.isfinite().all()):
        raise WrongError("an effective tensor that is not finite")
    low, high = found.lower, found.upper
    size = diagonal.abs().amax() * 1e-9
    if not bool(((low <= diagonal + size) & (diagonal <= high + size)).all()):
        raise WrongError("a diagonal outside of its certified interval")


ARRAYS: Mapping[str, Any] = {
    "solve": solving(),
    "homogenize": homogenizing(),
    "elasticity": elastic(),
    "conductivity": conducting(),
}
