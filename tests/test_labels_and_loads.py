"""Bad input is a ValueError with one sentence: the argument, what it was, what to give.

Before any work is done, and by no other exception.
"""

import numpy as np
import pytest
import torch

import lsml

NAN, INF = float("nan"), float("inf")
IMAGE = np.random.default_rng(0).integers(0, 2, (5, 4, 3))
BATCH = np.stack([IMAGE] * 3)
PHASES = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=10.0, nu=0.3)]
PULL = lsml.load(strain=[1.0, 0, 0, 0, 0, 0])
PLANE = lsml.load(strain=[1.0, 0, 0])


def refused(call, *parts):
    """The call raises a ValueError of one sentence that contains every part."""
    with pytest.raises(ValueError, match=r".") as caught:
        call()
    assert type(caught.value) is ValueError
    message = str(caught.value)
    for part in parts:
        assert part in message, (part, message)
    assert "\n" not in message
    assert ". " not in message
    assert len(message) < 300  # the longest lists the names of all rules


@pytest.mark.parametrize(
    ("labels", "parts"),
    [
        (IMAGE * 3, ("labels", "contain 3", "2 phases", "0 to 1")),
        (-IMAGE, ("labels", "-1", "from 0")),
        (IMAGE * 1.0, ("labels", "float64", "integer or bool")),
        (torch.tensor(IMAGE).float(), ("labels", "float32", "integer or bool")),
        (IMAGE * 1j, ("labels", "complex", "integer or bool")),
        ("abc", ("labels", "integer or bool")),
        (None, ("labels", "object", "integer or bool")),
        ([[0, 1], [1]], ("labels", "differ in length")),
        (IMAGE[0, 0], ("labels", "(3,)", "3 or 4 axes")),
        (IMAGE[0], ("labels", "(4, 3)", "3 or 4 axes", "(nx, ny, nz) for 6")),
        (BATCH[None], ("labels", "(1, 3, 5, 4, 3)", "3 or 4 axes")),
        (IMAGE[:, :0], ("labels", "(5, 0, 3)", "empty axis")),
        (BATCH[:0], ("labels", "(0, 5, 4, 3)", "empty axis")),
        (IMAGE * 2**32, ("labels", str(2**32), "at most 2147483647")),
        (torch.tensor(IMAGE) * 2**32, ("labels", str(2**32), "at most 2147483647")),
        (IMAGE * (1 - 2**32), ("labels", "-4294967295", "from 0")),
    ],
)
def test_labels(labels, parts):
    """Catches labels cut to a narrow type before they are checked: 2³² became 0."""
    refused(lambda: lsml.elasticity(labels, PHASES, PULL), *parts)


@pytest.mark.parametrize(
    "dtype", [bool, np.uint8, np.int8, np.uint16, np.int32, np.uint32, np.int64, ">i4"]
)
def test_labels_of_any_integer_type_are_one_byte(dtype):
    """Statement: any integer or bool image will do, NumPy or torch, also read-only."""
    image = IMAGE.astype(dtype)
    image.setflags(write=False)
    law = lsml.elasticity(image, PHASES, PULL).law
    assert law.labels.dtype == torch.uint8
    assert np.array_equal(law.labels[0].numpy(), IMAGE)


@pytest.mark.parametrize(
    ("strain", "stress", "parts"),
    [
        (None, None, ("strain=", "stress=")),
        ([1.0] * 6, [1.0] + [None] * 5, ("component 0", "both", "exactly one")),
        ([1.0] * 5 + [None], None, ("component 5", "neither", "exactly one")),
        ([None] * 6, [1.0] * 3 + [NAN] + [1.0] * 2, ("component 3", "neither")),
        ([INF] + [0.0] * 5, None, ("strain", "infinite")),
        ([0.0] * 5 + [None], [None] * 5 + [-INF], ("stress", "infinite")),
        (1.0, None, ("strain", "()", "(c,), (b, c) or (b, l, c)")),
        (torch.zeros(1, 1, 1, 6), None, ("strain", "(1, 1, 1, 6)", "(b, l, c)")),
        (torch.zeros(0, 6), None, ("strain", "(0, 6)")),
        ([], None, ("strain", "(0,)")),
        ([[1.0, 2.0], [1.0]], None, ("strain", "numbers or None")),
        (["a"] * 6, None, ("strain", "numbers or None")),
        ([0.0] * 3 + [None] * 3, [None] * 3, ("(6,)", "(3,)", "do not fit")),
    ],
)
def test_load(strain, stress, parts):
    """Catches a component that is prescribed twice, or left out by a typing error."""
    refused(lambda: lsml.load(strain=strain, stress=stress), "load", *parts)


@pytest.mark.parametrize(
    ("labels", "load", "parts"),
    [
        (IMAGE, lsml.load(strain=[1.0, 0]), ("load", "2 components", "6", "3")),
        (IMAGE, lsml.load(strain=[1.0] * 9), ("load", "9 components", "6", "3")),
        (BATCH, lsml.load(strain=[[0.0] * 6] * 2), ("load", "2 cases", "3 samples")),
        (
            BATCH,
            lsml.load(strain=torch.zeros(2, 4, 6)),
            ("load", "(2, 4, 6)", "1 or 3"),
        ),
        (IMAGE, [1.0, 0, 0, 0, 0, 0], ("load", "list", "lsml.load")),
    ],
)
def test_load_of_a_problem(labels, load, parts):
    """Catches a load that is broadcast over components or samples by accident."""
    build = getattr(lsml.elasticity, "__wrapped__", lsml.elasticity)
    refused(lambda: build(labels, PHASES, load), *parts)


BAD_PHASES = [
    ([], ("phases", "one stiffness per label")),
    ([PHASES, PHASES[:1]], ("phases", "[1, 2]")),
    ([PHASES] * 2, ("phases 2 tables", "labels", "3 samples")),
    (np.eye(6), ("phases", "(6, 6)", "(p, c, c)")),
    ([np.eye(6), np.ones((6, 5))], ("stiffness", "(6, 5)", "(6, 6)")),
    ([np.eye(6), np.eye(4)], ("stiffness", "(4, 4)", "(6, 6)")),
    ([np.eye(3), np.eye(3)], ("(3, 3)", "3-D", "(6, 6)")),
    ([np.eye(6), -np.eye(6)], ("stiffness", "not positive definite", "-1")),
    ([np.eye(6), np.eye(6) * NAN], ("stiffness", "not finite")),
    ([np.eye(6), np.full((6, 6), INF)], ("stiffness", "not finite")),
    ([np.eye(6), np.triu(np.ones((6, 6)))], ("stiffness", "not symmetric")),
    ([np.eye(6), np.eye(6) * 1j], ("stiffness", "real", "complex")),
    ([np.zeros((6, 6))] * 2, ("every phase", "zero stiffness")),
]


@pytest.mark.parametrize(("phases", "parts"), BAD_PHASES)
def test_phases(phases, parts):
    """Catches torch's own errors on their way to the user."""
    refused(lambda: lsml.elasticity(BATCH, phases, PULL), *parts)


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: lsml.isotropic(E=1.0), ("isotropic", "(E, nu)", "['E']")),
        (lambda: lsml.isotropic(E=1.0, G=1.0), ("(K, G)", "['E', 'G']")),
        (lambda: lsml.isotropic(E=NAN, nu=0.3), ("E=nan", "not finite")),
        (lambda: lsml.isotropic(E=1.0, nu=0.5), ("nu=0.5", "not finite")),
        (lambda: lsml.isotropic(E=1.0, nu=0.6), ("nu=0.6", "not positive definite")),
        (lambda: lsml.isotropic(E=-1.0, nu=0.3), ("E=-1.0", "not positive definite")),
        (lambda: lsml.isotropic(K=1.0, G=0.0), ("G=0.0", "not positive definite")),
        (lambda: lsml.cubic(1.0, 2.0, 1.0), ("C12=2.0", "not positive definite")),
        (
            lambda: lsml.isotropic(E=torch.ones(2), nu=torch.ones(3) / 4),
            ("2 of E", "3 of nu", "one value per sample"),
        ),
        (lambda: lsml.isotropic(E=torch.ones(2, 2), nu=0.3), ("E", "(2, 2)")),
        (lambda: lsml.anisotropic("abc"), ("stiffness", "numbers", "'abc'")),
        (lambda: lsml.anisotropic(None), ("stiffness", "numbers", "None")),
        (lambda: lsml.anisotropic([[1.0, 2.0], [3.0]]), ("stiffness", "numbers")),
        (lambda: lsml.anisotropic(np.zeros((0, 6, 6))), ("stiffness", "(0, 6, 6)")),
    ],
)
def test_moduli(make, parts):
    """Catches moduli that only fail later, as a solve that does not converge."""
    refused(make, *parts)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"rule": "cgg"}, ("rule 'cgg'", "choose one of", "cg", "moulinec", "rln-t")),
        ({"weights": "x"}, ("weights='x'", "'cg'")),
        ({"form": "stress"}, ("form 'stress'", "displacement, strain")),
        ({"tol": 0.0}, ("tol = 0.0", "positive")),
        ({"tol": -1e-6}, ("tol = -1e-06", "positive")),
        ({"tol": NAN}, ("tol = nan", "positive")),
        ({"max_iter": -1}, ("max_iter = -1", "0 or more")),
        (
            {"x0": torch.zeros(1, 6, 5, 4, 2)},
            ("x0", "(1, 6, 5, 4, 2)", "(1, 6, 5, 4, 3)"),
        ),
        ({"x0": torch.zeros(6, 5, 4, 3)}, ("x0", "(6, 5, 4, 3)", "(1, 6, 5, 4, 3)")),
        (
            {"discretization": "hex9"},
            ("'hex9'", "fourier, hex8, hex8-bbar, quad4, rotated"),
        ),
        ({"spacing": (1.0, 0.0, 1.0)}, ("spacing", "0.0", "positive")),
        ({"spacing": (1.0, INF, 1.0)}, ("spacing", "inf", "finite")),
        ({"spacing": (1.0,) * 4}, ("spacing", "one entry", "3 axes")),
        ({"contrast": -1.0}, ("contrast = -1.0", "not negative")),
        ({"contrast": INF}, ("contrast = inf", "finite")),
        (
            {"contrast": 3.0, "phases": [lsml.isotropic(E=1.0, nu=0.3)] * 2},
            ("contrast = 3.0", "phases", "give one"),
        ),
        ({"dtype": torch.float16}, ("float16", "torch.float32 or torch.float64")),
        ({"elastic": True, "nu": 0.2}, ("['elastic', 'nu']", "contrast", "spacing")),
        (
            {"contrast": 0.0, "discretization": "fourier"},
            ("phase 1", "zero stiffness", "'fourier'", "use 'rotated' or 'hex8'"),
        ),
    ],
)
def test_solve(options, parts):
    """Statement: every argument of `solve` is checked before the first iteration."""
    refused(lambda: lsml.solve(IMAGE, **options), *parts)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"spacing": (1.0, 1.0)}, ("spacing", "(1.0, 1.0)", "3 axes")),
        ({"eigenstrain": [None]}, ("eigenstrain", "(1, 6)", "(2, 6)")),
        ({"eigenstrain": [[0.0] * 6, [0.0]]}, ("eigenstrain", "2 rows of 6")),
        ({"eigenstrain": ["a", "b"]}, ("eigenstrain", "2 rows of 6")),
        ({"eigenstrain": torch.zeros(2, 3)}, ("eigenstrain", "(2, 3)", "(2, 6)")),
        ({"eigenstrain": torch.full((2, 6), NAN)}, ("eigenstrain", "finite")),
        ({"eigenstrain": torch.zeros(2, 2, 6)}, ("eigenstrain 2", "3 samples")),
        ({"reference": lsml.isotropic(E=0.0, nu=0.3)}, ("reference", "zero stiffness")),
        (
            {"reference": lsml.isotropic(E=torch.ones(2), nu=0.3)},
            ("reference", "2 media", "3 samples"),
        ),
    ],
)
def test_elasticity(options, parts):
    """Statement: so is every argument of the builder."""
    refused(lambda: lsml.elasticity(BATCH, PHASES, PULL, **options), *parts)


def test_options_beside_a_problem():
    """Statement: what made a problem cannot be changed by `solve` or `homogenize`."""
    problem = lsml.elasticity(IMAGE, PHASES, PULL)
    for call in (lsml.solve, lsml.homogenize):
        refused(
            lambda call=call: call(problem, contrast=3.0, dtype=torch.float32),
            "['contrast', 'dtype']",
            "already a problem",
        )
    refused(lambda: lsml.homogenize(IMAGE, tol=0.0), "tol = 0.0", "positive")
    refused(lambda: lsml.homogenize(IMAGE, rule="cgg"), "rule 'cgg'", "moulinec")
    refused(lambda: lsml.homogenize(IMAGE, max_iter=-3), "max_iter = -3")


def test_numbers_of_samples():
    """Statement: labels, tables, eigenstrains and loads of one sample go with any
    number of the others, and mean what separate problems do.

    Catches an eigenstrain per sample that only goes with as many images.
    """
    draw = torch.Generator().manual_seed(1)
    eigen = 1e-3 * torch.randn(3, 2, 3, dtype=torch.float64, generator=draw)
    image = IMAGE[:, :, 0]
    batch = lsml.solve(lsml.elasticity(image, PHASES, PLANE, eigenstrain=eigen))
    assert batch.strain.shape == (3, 3, 5, 4)
    for b in range(3):
        one = lsml.solve(lsml.elasticity(image, PHASES, PLANE, eigenstrain=eigen[b]))
        assert torch.allclose(batch.strain[b], one.strain[0], rtol=0, atol=1e-14)
    moduli = lsml.isotropic(E=torch.tensor([2.0, 3.0, 4.0]).double(), nu=0.3)
    several = lsml.elasticity(
        image, [PHASES[0], moduli], PLANE, eigenstrain=eigen, reference=moduli
    )
    assert lsml.solve(several).strain.shape == (3, 3, 5, 4)
    cases = lsml.load(strain=torch.eye(3, dtype=torch.float64)[None])
    assert lsml.elasticity(np.stack([image] * 2), PHASES, cases).batch == 6


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64", "int8", "int64"])
@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy])
def test_every_integer_type_holds_labels(dtype, make):
    """Statement: the type of the labels does not matter; catches one torch lacks."""
    image = np.asarray(IMAGE)
    expected = lsml.solve(image.astype(bool)).mean_stress
    found = lsml.solve(make(image.astype(bool).astype(dtype))).mean_stress
    assert torch.equal(found, expected)


def test_spacing_may_be_an_array():
    """Statement: any sequence of numbers is a spacing; catches a truth value of it."""
    spacing = (1.0, 2.0, 0.5)
    expected = lsml.solve(IMAGE, spacing=spacing).mean_stress
    for given in (np.array(spacing), torch.tensor(spacing), list(spacing)):
        assert torch.equal(lsml.solve(IMAGE, spacing=given).mean_stress, expected)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"device": "bogus"}, ("device", "'bogus'")),
        ({"rule": lsml.Moulinec}, ("rule", "Moulinec", "object")),
        ({"max_iter": 20.0}, ("max_iter = 20.0", "whole number")),
    ],
)
def test_solve_refuses_what_only_looks_right(options, parts):
    """Statement: a class, a float count, no device: one sentence."""
    refused(lambda: unchecked_solve(IMAGE, **options), *parts)


def unchecked_solve(*arguments, **options):
    """`lsml.solve` as users have it, whose types nothing checks at run time."""
    return lsml.solve.__wrapped__(*arguments, **options)
