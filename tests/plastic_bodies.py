"""Plasticity of one point in NumPy, with tensors and a bracketing root: an oracle."""

import numpy as np
from scipy.optimize import brentq

import lsml

YOUNG, POISSON = 200.0, 0.3
YIELD = {"sigma0": 0.25, "H": 8.0, "Q": 0.1, "b": 60.0}


def voce_stress(p, sigma0, H=0.0, Q=0.0, b=0.0):  # noqa: N803
    return sigma0 + H * p + Q * (1 - np.exp(-b * p))


def phases():
    """Elastic; J2 by Voce; power law; Ramberg-Osgood; J2 by Swift; J2 by a table."""
    soft = lsml.isotropic(E=YOUNG, nu=POISSON)
    return [
        lsml.isotropic(E=3 * YOUNG, nu=0.2),
        lsml.j2(soft, lsml.voce(YIELD["sigma0"], H=8.0, Q=0.1, b=60.0)),
        lsml.power_law(K=150.0, sigma0=0.3, epsilon0=1e-3, m=0.3),
        lsml.ramberg_osgood(soft, sigma0=0.3, n=5.0, alpha=0.4),
        lsml.j2(soft, lsml.swift(0.25, 1e-3, 0.3)),
        lsml.j2(soft, lsml.hardening_table([0, 1e-3, 4e-3], [0.2, 0.22, 0.45])),
    ]


def axial(strains, curve):
    """Stress of a bar under uniaxial stress, strain after strain."""
    plastic = total = 0.0
    stresses = []
    for strain in strains:
        trial = YOUNG * (strain - plastic)
        if abs(trial) > curve(total):
            most = abs(trial) / YOUNG
            flow = brentq(
                lambda f, t=trial, p=total: abs(t) - YOUNG * f - curve(p + f),
                0.0,
                most,
                xtol=1e-16,
                rtol=1e-14,
            )
            plastic, total = plastic + np.sign(trial) * flow, total + flow
        stresses.append(YOUNG * (strain - plastic))
    return np.array(stresses)


class Point:
    """Radial return of one point with tensors (3, 3)."""

    def __init__(self, young, nu, curve=None):
        self.lame = young * nu / ((1 + nu) * (1 - 2 * nu))
        self.shear = young / (2 * (1 + nu))
        self.curve = curve
        self.plastic, self.total = np.zeros((3, 3)), 0.0

    def step(self, strain):
        """Stress, plastic strain and accumulated plastic strain after a step."""
        elastic = strain - self.plastic
        mean = np.trace(elastic) / 3 * np.eye(3)
        bulk = (3 * self.lame + 2 * self.shear) * mean
        deviator = 2 * self.shear * (elastic - mean)
        size = np.sqrt(1.5) * np.linalg.norm(deviator)
        if self.curve is None or size <= self.curve(self.total):
            return bulk + deviator, self.plastic, self.total
        flow = brentq(
            lambda f: size - 3 * self.shear * f - self.curve(self.total + f),
            0.0,
            size / (3 * self.shear),
            xtol=1e-16,
            rtol=1e-14,
        )
        normal = 1.5 * deviator / size
        stress = bulk + deviator - 2 * self.shear * flow * normal
        return stress, self.plastic + flow * normal, self.total + flow

    def take(self, strain):
        """Make a step for good."""
        stress, self.plastic, self.total = self.step(strain)
        return stress


def tensor(mandel):
    """Symmetric (3, 3) of 11 22 33 23 13 12."""
    a, b, c, d, e, f = np.asarray(mandel) / np.array([1, 1, 1, 2, 2, 2]) ** 0.5
    return np.array([[a, f, e], [f, b, d], [e, d, c]])


def mandel(t):
    r = 2**0.5
    return np.array([t[0, 0], t[1, 1], t[2, 2], r * t[1, 2], r * t[0, 2], r * t[0, 1]])
