"""Iterations against contrast: the orders and the counts of the literature."""

import numpy as np
import pytest
import torch

import lsml

CONTRASTS = (10, 100, 1000)
# 64² conduction, square inclusion of a quarter of the cell, relative residual 1e-6; CG
# on `fourier` between a code that keeps the Nyquist modes and one that has them not.
KNOWN = {
    ("fourier", "moulinec"): (40, 367, 3290),
    ("fourier", "eyre_milton"): (22, 70, 220),
    ("rotated", "moulinec"): (15, 18, 19),
    ("rotated", "cg"): (9, 9, 9),
}
FOURIER_CG = ((14, 31, 58), (16, 37, 72))


def inclusion(n):
    labels = np.zeros((n, n), int)
    labels[n // 4 : 3 * n // 4, n // 4 : 3 * n // 4] = 1
    return labels


def iterations(rule, scheme, contrast, n=64, max_iter=5000):
    problem = lsml.conductivity(
        inclusion(n), [1.0, float(contrast)], [1.0, 0.0], scheme
    )
    with torch.no_grad():
        solved = lsml.solve(problem, rule, tol=1e-6, max_iter=max_iter)
    return int(solved.iterations)


@pytest.mark.parametrize(("scheme", "rule"), KNOWN)
def test_iterations_are_the_known_ones(scheme, rule):
    """Within 10 % of counts that an independent code gives.

    Catches another reference medium, a residual relative to something else, and a
    step of the wrong length.
    """
    found = [iterations(rule, scheme, c) for c in CONTRASTS]
    for count, known in zip(found, KNOWN[scheme, rule], strict=True):
        assert abs(count - known) <= max(1, 0.1 * known), (found, KNOWN[scheme, rule])


def test_conjugate_gradients_on_the_spectral_grid():
    """Between the two counts that the Nyquist modes leave open, within 10 %."""
    for contrast, low, high in zip(CONTRASTS, *FOURIER_CG, strict=True):
        assert 0.9 * low <= iterations("cg", "fourier", contrast) <= 1.1 * high


# Slope in a doubly logarithmic plot: at least and at most. Bounds from above are what
# is proved of the accelerated rules; the basic scheme is no better than its own.
ORDERS = {
    "moulinec": (0.9, 1.05),
    "eyre_milton": (0.4, 0.55),
    "monchiet_bonnet": (0.0, 0.55),
    "augmented_lagrangian": (0.0, 0.55),
    "nesterov": (0.0, 0.55),
    "heavy_ball": (0.4, 0.55),
    "cg": (0.0, 0.55),
}


@pytest.mark.parametrize("rule", ORDERS)
def test_iterations_grow_with_the_contrast_as_proved(rule):
    """Theorem: O(κ) for the basic scheme, at most O(√κ) for accelerated ones.

    Between κ = 20 and 500. Catches a reference medium that spoils the order, and
    momentum that does not act.
    """
    low, high = (iterations(rule, "fourier", c, 32) for c in (20, 500))
    slope = np.log(high / low) / np.log(500 / 20)
    least, most = ORDERS[rule]
    assert least < slope < most, (low, high, slope)
