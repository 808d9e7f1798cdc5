"""Exact results against solves: identities, orders of convergence, tables, extremes.

Every number is recomputed here; ``lsml.exact`` holds the closed forms and series.
"""

import argparse
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from machine import description, now, write, write_json
from pages import sections

import lsml
from lsml import exact

RESULTS = Path(__file__).parent / "results"
SCHEMES = ["fourier", "rotated", "hex8", "staggered", "forward", "backward"]
PULL = lsml.load(strain=[1.0, 0, 0, 0, 0, 0])
RNG = np.random.default_rng(0)


def difference(found: Any, expected: Any) -> float:
    """Largest difference over the largest entry expected."""
    a, b = np.asarray(found), np.asarray(expected)
    return float(np.abs(a - b).max() / np.abs(b).max())


def stiffness(labels: np.ndarray, phases: Any, scheme: str) -> np.ndarray:
    """C* to rounding."""
    problem = lsml.elasticity(labels, phases, PULL, scheme)
    return np.asarray(lsml.homogenize(problem, tol=1e-13))


def conductivity(labels: np.ndarray, phases: Any, scheme: str) -> np.ndarray:
    """κ* to rounding."""
    problem = lsml.conductivity(labels, phases, np.eye(labels.ndim)[0], scheme)
    return np.asarray(lsml.homogenize(problem, tol=1e-13))[0]


def identities() -> Iterable[list[Any]]:
    """Errors of what holds on any image with odd numbers of voxels, per scheme."""
    shape = (7, 5, 3)
    noise, plane = RNG.integers(0, 2, shape), RNG.integers(0, 2, (9, 7))
    layers = np.broadcast_to(
        RNG.permutation([0, 1, 2, 2, 1, 0, 1])[:, None, None], shape
    )
    three = [lsml.isotropic(E=e, nu=n) for e, n in ((1, 0.1), (12, 0.4), (0.3, -0.2))]
    two = [lsml.isotropic(K=1.0, G=0.6), lsml.isotropic(K=10.0, G=7.0)]
    shear = [lsml.isotropic(K=k, G=0.7) for k in (0.3, 5.0)]
    grains, q = RNG.integers(0, 40, shape), np.linalg.qr(RNG.normal(size=(40, 3, 3)))[0]
    q = q * np.linalg.det(q)[:, None, None]
    crystals = lsml.polycrystal(lsml.cubic(3.0, 1.0, 1.5), q)
    shares = exact.volume_fractions
    for scheme in SCHEMES:
        c = stiffness(np.ascontiguousarray(layers), three, scheme)
        laminate = difference(c, exact.laminate(three, shares(layers, 3)))
        k = conductivity(np.ascontiguousarray(layers), [1, 10, 0.1], scheme)
        mean = exact.laminate_conductivity([1, 10, 0.1], shares(layers, 3))
        one = stiffness(noise, shear, scheme)[0]
        bulk = exact.hill([0.3, 5.0], 0.7, shares(noise, 2))
        hill = difference(one, lsml.isotropic(K=float(bulk), G=0.7).matrix())
        first, second = (conductivity(plane, p, scheme) for p in ([1, 10], [10, 1]))
        duality = difference(second, exact.dual(first, 10.0))
        pressure: float | None = None
        if scheme != "staggered":
            turned = stiffness(grains, crystals, scheme)[0][:3, :3].sum() / 9
            pressure = difference(turned, 5 / 3)
        levin = expansion(noise, two, scheme)
        yield [scheme, laminate, difference(k, mean), hill, duality, pressure, levin]


def expansion(labels: np.ndarray, phases: Any, scheme: str) -> float:
    """Levin's relation between α* and C*."""
    alpha = (1e-5, 3e-6)
    free = {"discretization": scheme, "tol": 1e-12}
    found = lsml.thermal_expansion(labels, phases, alpha, **free)
    c, shares = stiffness(labels, phases, scheme), exact.volume_fractions(labels, 2)
    expected = exact.levin_thermal_expansion(c, (1.0, 10.0), alpha, shares)
    return difference(found.strain, expected)


def square(n: int) -> np.ndarray:
    """A square that fills a quarter of the cell."""
    image = np.zeros((n, n), int)
    image[: n // 2, : n // 2] = 1
    return image


def board(n: int) -> np.ndarray:
    """Two white and two black fields."""
    half = np.indices((n, n)) // (n // 2)
    return half.sum(0) % 2


CLOSED = {
    "square inclusion, 10": (square, (1.0, 10.0), exact.obnosov),
    "square inclusion, 1/10": (square, (1.0, 0.1), exact.obnosov),
    "checkerboard, 2": (board, (1.0, 2.0), exact.checkerboard),
    "checkerboard, 10": (board, (1.0, 10.0), exact.checkerboard),
}


def orders(sizes: list[int]) -> Iterable[list[Any]]:
    """Errors of κ*_11 on finer and finer grids, and the order from the last two."""
    for name, (draw, phases, closed) in CLOSED.items():
        for scheme in SCHEMES:
            errors = []
            for n in sizes:
                p = lsml.conductivity(draw(n), phases, [1.0, 0.0], scheme)
                found = float(lsml.solve(p, tol=1e-9).mean_flux[0, 0])
                errors.append(abs(found / closed(*phases) - 1))
            order = np.log2(errors[-2] / errors[-1])
            yield [name, scheme, *errors, float(order)]


def ball(shape: tuple[int, ...], fraction: float) -> np.ndarray:
    """A disc or a sphere of a volume fraction in the middle."""
    axes = [(np.arange(n) + 0.5) / n - 0.5 for n in shape]
    square = sum(x**2 for x in np.meshgrid(*axes, indexing="ij", sparse=True))
    planar, spatial = (fraction / np.pi) ** 0.5, (3 * fraction / (4 * np.pi)) ** (1 / 3)
    radius = planar if len(shape) == 2 else spatial
    return (square <= radius**2).astype(int)


def tables(planar: int, spatial: int) -> Iterable[list[Any]]:
    """Arrays of cylinders and spheres, κ_i/κ_m = 10, by labels and laminate voxels."""
    for fraction in (0.1, 0.3, 0.5, 0.7):
        yield array("cylinders", (planar, planar), fraction, exact.cylinder_array)
    for fraction in (0.1, 0.3, 0.5):
        yield array("spheres", (spatial,) * 3, fraction, exact.sphere_array)


def array(name: str, shape: tuple[int, ...], fraction: float, series: Any) -> list[Any]:
    """One row."""
    labels = ball(shape, fraction)
    truth = series(10.0, float(labels.mean()))
    axis = np.eye(len(shape))[0]
    row: list[Any] = [name, shape[0], fraction, series(10.0, fraction)]
    for scheme in ("rotated", "hex8", "staggered"):
        p = lsml.conductivity(labels, [1.0, 10.0], axis, scheme)
        row.append(float(lsml.solve(p, tol=1e-6).mean_flux[0, 0]) / truth - 1)
    coarse = lsml.coarsen(labels, 4, spacing=(1.0,) * len(shape))
    mixed = lsml.conductivity(coarse.labels, coarse.conductivity([1.0, 10.0]), axis)
    row.append(float(lsml.solve(mixed, tol=1e-6).mean_flux[0, 0]) / truth - 1)
    return row


def extremes(n: int) -> Iterable[list[Any]]:
    """Iterations of CG to 1e-5 on a smooth two-phase image, pores to rigid."""
    x = np.indices((n,) * 3) / n
    wave = np.cos(2 * np.pi * x).sum(0) + 0.6 * np.sin(
        4 * np.pi * np.roll(x, 1, 0)
    ).sum(0)
    image = (wave > -0.5).astype(int)
    for scheme in ("rotated", "hex8"):
        for soft in (0.0, 1e-6, 1e6):
            phases = [lsml.isotropic(E=soft, nu=0.3), lsml.isotropic(E=1.0, nu=0.3)]
            began = time.perf_counter()
            p = lsml.elasticity(image, phases, PULL, scheme)
            s = lsml.solve(p, tol=1e-5, max_iter=5000)
            took = time.perf_counter() - began
            stress = float(s.mean_stress[0, 0])
            yield [scheme, n, soft, int(s.iterations[0]), stress, took]


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small cells, no file")
    parser.add_argument("--spheres", type=int, default=128, help="voxels per edge")
    parser.add_argument("--extremes", type=int, default=64, help="voxels per edge")
    given = parser.parse_args()
    machine, started = description("cpu"), now()
    sizes = [16, 32] if given.quick else [16, 32, 64, 128]
    flat, deep = (32, 16) if given.quick else (128, given.spheres)
    parts = {
        "Identities, relative error": (
            [
                "scheme",
                "laminate C*",
                "laminate κ*",
                "Hill",
                "Keller-Dykhne",
                "cubic grains K*",
                "Levin α*",
            ],
            list(identities()),
        ),
        "Convergence to closed forms, relative error of κ*": (
            ["cell, contrast", "scheme", *map(str, sizes), "order"],
            list(orders(sizes)),
        ),
        "Arrays with κ_i/κ_m = 10, relative error of κ*": (
            [
                "array",
                "voxels per edge",
                "fraction",
                "series",
                "rotated",
                "hex8",
                "staggered",
                "laminate voxels, a quarter per edge",
            ],
            list(tables(flat, deep)),
        ),
        "Conjugate gradients to 1e-5, E of the second phase 1": (
            [
                "scheme",
                "voxels per edge",
                "E of the first",
                "iterations",
                "<σ_11>",
                "s",
            ],
            list(extremes(16 if given.quick else given.extremes)),
        ),
    }
    text = sections("Exact results", parts)
    print(text)
    if not given.quick:
        content = {title: rows for title, (_, rows) in parts.items()}
        write(RESULTS / "exact.md", text)
        write_json(RESULTS / "exact.json", {"machine": machine, **started, **content})


if __name__ == "__main__":
    main()
