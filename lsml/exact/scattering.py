"""Plane waves on a slab and on a circular cylinder, in an empty background."""

from math import pi, sin

import numpy as np
from scipy.special import h1vp, hankel1, jv, jvp


def slab_reflectance(index: float, thickness: float, wavelength: float) -> float:
    """Share of the power that a lossless slab reflects at normal incidence.

    R = F sin²δ/(1 + F sin²δ), F = ((n² − 1)/(2n))², δ = 2πnL/λ (Born & Wolf, Principles
    of Optics, section 7.6).

    Parameters
    ----------
    thickness, wavelength : L and the λ outside, in one unit.
    """
    finesse = ((index**2 - 1) / (2 * index)) ** 2
    sine = finesse * sin(2 * pi * index * thickness / wavelength) ** 2
    return sine / (1 + sine)


def cylinder_scattering(index: complex, size: float) -> float:
    """Scattering efficiency Q of a circular cylinder for a scalar wave.

    Q = (2/x) Σ |a_m|² with a_m = −[J'_m(x) J_m(nx) − n J'_m(nx) J_m(x)] /
    [H'_m(x) J_m(nx) − n J'_m(nx) H_m(x)] (Bohren & Huffman 1983, section 8.4).

    Parameters
    ----------
    size : x = 2π radius/λ.
    """
    orders = np.arange(-int(size + 4 * size ** (1 / 3) + 12), 0)
    orders = np.concatenate([orders, -orders - 1, [-orders[0]]])
    inner, slope = jv(orders, index * size), index * jvp(orders, index * size)
    above = jvp(orders, size) * inner - slope * jv(orders, size)
    below = h1vp(orders, size) * inner - slope * hankel1(orders, size)
    return float(2 / size * (np.abs(above / below) ** 2).sum())
