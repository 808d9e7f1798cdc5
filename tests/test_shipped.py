"""The weights that come with lsml are what their cards say."""

import json
from functools import cache
from pathlib import Path

import pytest
import torch

import lsml
from lsml.data import latin_hypercube, microstructures
from lsml.learned.loading import SHIPPED

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
CASES = [(name, contrast) for name in ("rln-t", "rln") for contrast in (10, 50)]
SHAPE, SAMPLES, SEED = (24, 24, 24), 4, 123


@cache
def fresh():
    """Microstructures of the recipe that no training has seen."""
    design = latin_hypercube(SAMPLES, SHAPE, seed=SEED)
    sizes, fractions = design.grain_size, design.volume_fraction
    return microstructures(SAMPLES, SHAPE, sizes, fractions, seed=SEED)


@cache
def true(contrast):
    """Their strain, ε₁₁ where the mean is 1e-3."""
    options = {"contrast": contrast, "discretization": "hex8-bbar", "tol": 1e-5}
    return lsml.solve(fresh(), "cg", **options).strain[:, 0]


@pytest.mark.parametrize(("name", "contrast"), CASES)
def test_errors_are_those_of_the_card(name, contrast):
    """On fresh microstructures; catches files exchanged, untrained, or of other axes.

    No sample is worse than the worst of the card's 80, and the mean is within four
    standard errors of the card's at the same size.
    """
    card = json.loads((RESULTS / f"shipped-{name}-c{contrast}.json").read_text())
    told = card["test"]["24³"]
    found = lsml.solve(fresh(), name, contrast=contrast)
    error = lsml.mase(found.predicted[:, 0].double(), true(contrast))
    assert float(error.max()) <= card["test"]["31³"]["mase_worst"]
    off = abs(float(error.mean()) - told["mase_mean"])
    assert off <= 4 * told["mase_std"] / SAMPLES**0.5


@pytest.mark.parametrize("name", ["rln-t", "rln"])
def test_weights_are_those_of_the_contrast(name):
    """Chosen by the problem; catches one file that serves, or is copied, for all."""
    rules = [lsml.load_rule(name, contrast=c) for c in (10.0, 50.0)]
    assert [rule.contrast for rule in rules] == [10.0, 50.0]
    first, second = (next(rule.parameters()) for rule in rules)
    assert not torch.equal(first, second)


def test_they_fit_into_the_package():
    """Less than 8 MB together."""
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 8e6
