"""Scattering and Stokes flow against closed forms, series and tables, under refinement.

Slabs and cylinders by ``lsml.exact``; square arrays of cylinders by Sangani & Acrivos
(1982, Int. J. Multiphase Flow 8, table 1), cubic arrays of spheres by Zick & Homsy
(1982, J. Fluid Mech. 115, table 2).
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import description, now
from pages import sections
from unfinished import Files

import lsml
from lsml import exact

RESULTS = Path(__file__).parent / "results"
CYLINDERS = {0.1: 24.83, 0.3: 102.90}
SPHERES = {0.027: 2.008, 0.064: 2.810, 0.125: 4.292, 0.216: 7.442, 0.343: 15.4}
FINEST = (0.027, 0.216)  # of spheres, on 128 voxels per edge: minutes each
Row = list[Any]


def slab(n: int) -> tuple[float, int]:
    """Error of R of a quarter-wave plate on n voxels per wavelength, and steps."""
    image = torch.ones(2 * n + n // 6, dtype=torch.float64)
    image[n:-n] = 1.5
    wave = lsml.plane_wave(image.shape, 1.0, [1.0], [1 / n])
    problem = lsml.helmholtz(image, 1.0, wave, [1 / n])
    solved = lsml.solve(problem, "bicgstab", tol=1e-8)
    power = solved.field[0, 0, : n // 2].abs().square().mean()
    known = exact.slab_reflectance(1.5, 1 / 6, 1.0)
    return float(power) - known, int(solved.iterations)


def disc(n: int, across: float) -> np.ndarray:
    """Share of each pixel of n × n that a disc covers."""
    x = (np.arange(8 * n) + 0.5) / 8 - n / 2
    inside = np.hypot(x[:, None], x[None]) < across / 2
    return inside.reshape(n, 8, n, 8).mean((1, 3))


def cylinder(size: float, across: int, layers: float) -> tuple[float, int]:
    """Relative error of Q for n = 1.2, from the power that leaves it, and steps."""
    h, k = 1 / across, 2 * size
    share = torch.from_numpy(disc(across + 4, across))
    medium = (1 + 0.44 * share).sqrt()
    wave = lsml.plane_wave(medium.shape, np.pi / size, [0.6, 0.8], [h, h])
    problem = lsml.helmholtz(medium, np.pi / size, wave, [h, h], layers=layers)
    solved = lsml.solve(problem, "bicgstab", tol=1e-6)
    found, contrast = solved.field[0, 0], k**2 * (medium.square() - 1)
    power = -(found.conj() * contrast * (found + wave)).imag.sum() * h**2
    known = exact.cylinder_scattering(1.2, size)
    return float(power) / k / known - 1, int(solved.iterations)


def waves(quick: bool) -> Iterable[Row]:
    """Slab and cylinders."""
    for n in (12, 24) if quick else (12, 24, 48, 96):
        yield ["slab, quarter wave: R", f"{n} per wavelength", 2.0, *slab(n)]
    for size in (1.0,) if quick else (1.0, 2.0):
        for layers in (1.0, 2.0, 3.0):
            for across in (4,) if quick else (4, 8, 16):
                name = f"cylinder, x = {size:g}: Q"
                found = cylinder(size, across, layers)
                yield [name, f"{across} across", layers, *found]


def ball(n: int, d: int, radius: float) -> np.ndarray:
    """Voxels whose centres lie in a disc or ball in the middle of the cell."""
    x = (np.arange(n) + 0.5) / n - 0.5
    square = sum(y**2 for y in np.meshgrid(*[x] * d))
    return (square < radius**2).astype(int)


def arrays(quick: bool) -> Iterable[tuple[str, float, int]]:
    """Kind, fraction and voxels per edge, the cheap ones first."""
    for f in CYLINDERS:
        for n in (16, 32) if quick else (32, 64, 128, 256):
            yield "cylinders", f, n
    for n in (8,) if quick else (16, 32, 64, 128):
        for f in FINEST if n == 128 else SPHERES:
            yield "spheres", f, n


def flow(quick: bool, files: Files) -> Iterable[Row]:
    """Relative errors of k; an interrupted run goes on where it was."""
    done = files.done()
    for kind, f, n in arrays(quick):
        name = f"{kind} {f:g} {n}"
        if name not in done:
            done[name] = permeable(kind, f, n)
            print(name, done[name], flush=True)
            files.keep(done)
        yield [kind, f, n, *done[name]]


def permeable(kind: str, f: float, n: int) -> tuple[float, float, int]:
    """Share of the voxels that is solid, error of k, steps."""
    if kind == "cylinders":
        image, known = ball(n, 2, (f / np.pi) ** 0.5), 1 / CYLINDERS[f]
    else:
        radius = (0.75 * f / np.pi) ** (1 / 3)
        image, known = ball(n, 3, radius), 1 / (6 * np.pi * radius * SPHERES[f])
    along = [1.0, 0.0, 0.0][: image.ndim]  # the cells are cubes: one load will do
    problem = lsml.stokes(image, along, spacing=[1 / n] * image.ndim)
    found = lsml.solve(problem, "cg", tol=1e-5)
    error = float(problem.power(found.state.x)[0, 0]) / known - 1
    return float(image.mean()), error, int(found.iterations)


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small cells, no file")
    quick = parser.parse_args().quick
    machine, started = description("cpu"), now()
    files = Files(None if quick else RESULTS / "waves-and-flow", machine)
    parts = {
        "Scattering, BiCGStab": (
            ["case", "voxels", "layers, wavelengths", "error", "steps"],
            list(waves(quick)),
        ),
        "Permeability of arrays, conjugate gradients to 1e-5": (
            ["array", "fraction", "voxels per edge", "of voxels", "error", "steps"],
            list(flow(quick, files)),
        ),
    }
    text = sections("Waves and flow", parts)
    print(text)
    content = {title: rows for title, (_, rows) in parts.items()}
    files.finish({"machine": machine, **started, **content}, text)


if __name__ == "__main__":
    main()
