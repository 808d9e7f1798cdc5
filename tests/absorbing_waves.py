"""Scalar waves in a periodic cell with absorption, as a Lippmann-Schwinger problem."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

import lsml
from lsml.law import Law, Uniform


@dataclass(frozen=True)
class Index(Law):
    """k² u, one number per voxel."""

    k2: torch.Tensor
    tags: ClassVar = frozenset({"linear", "absorbing"})

    def __call__(self, x):
        return self.k2 * x

    def tangent(self, x, v):
        return self.k2 * v

    def energy(self, x):
        return (self.k2 * x.abs() ** 2).real / 2

    def select(self, samples, batch):
        return Index(self.k2[samples])


@dataclass(frozen=True)
class Propagator:
    """(∇² + k₀²)⁻¹, one k₀² per sample."""

    grid: lsml.Grid
    k2: torch.Tensor

    def __call__(self, flux):
        sizes = zip(self.grid.shape, self.grid.spacing, strict=True)
        xi = [2 * torch.pi * torch.fft.fftfreq(n, h).double() for n, h in sizes]
        square = sum(k**2 for k in torch.meshgrid(*xi, indexing="ij"))
        k2 = self.k2.reshape(-1, *[1] * (flux.ndim - 1))
        axes = self.grid.axes
        return torch.fft.ifftn(torch.fft.fftn(flux, dim=axes) / (k2 - square), dim=axes)


def scattering(shape, batch=2, strength=3.0, absorption=0.05):
    """Random wells and a point source: (∇² + k²) u = −S, k² up to 1 + ``strength``."""
    draw = np.random.default_rng(sum(shape))
    k2 = 1 + strength * draw.random((batch, 1, *shape)) + absorption * 1j
    source = torch.zeros(batch, 1, *shape, dtype=torch.complex128)
    source.flatten(1)[:, 1] = 1.0
    grid = lsml.Grid(shape, (0.7, 0.9, 0.8)[: len(shape)])
    real = k2.real.reshape(batch, -1)
    middle = (real.max(1) + real.min(1)) / 2
    gap = np.abs(k2.reshape(batch, -1) - middle[:, None]).max(1)
    k0 = torch.from_numpy(middle + 1j * gap)
    green = Propagator(grid, k0)
    reference = Uniform(k0[:, None, None])
    return lsml.LippmannSchwinger(
        grid, Index(torch.from_numpy(k2)), reference, green, -green(source)
    ), source


def dense_answer(problem, source):
    """Solution of the discrete wave equation, sample by sample, by LU."""
    grid, fields = problem.grid, []
    unit = torch.eye(grid.size, dtype=torch.complex128)
    bare = Propagator(grid, torch.full((grid.size,), 1e6 + 0j))
    image = bare(unit.reshape(grid.size, 1, *grid.shape)).flatten(1).T
    laplace = torch.linalg.inv(image) - 1e6 * unit
    for k2, s in zip(problem.law.k2, source, strict=True):
        matrix = laplace + torch.diag(k2.flatten())
        fields.append(torch.linalg.solve(matrix, -s.flatten()).reshape(s.shape))
    return torch.stack(fields)
