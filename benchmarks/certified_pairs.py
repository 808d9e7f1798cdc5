"""Pairs of the campaign `certified.py`: number k is drawn from seed k alone."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import certified_cells as cells
import certified_rules as rules
import numpy as np
import torch
from certified_truth import softest, truth_before
from torch import Tensor

import lsml
from lsml.inputs import as_rule
from lsml.strain_form import StrainForm

Rng = np.random.Generator

STARTS = {
    "default": 0.56,
    "zero": 0.04,
    "huge": 0.08,
    "garbage": 0.06,
    "other": 0.06,
    "near": 0.06,
    "soft": 0.14,
}


@dataclass(frozen=True)
class Pair:
    """A problem and how it is to be solved; ``told`` is what the record says of it."""

    cell: cells.Cell
    asked: rules.Asked
    settings: dict[str, Any]
    told: dict[str, Any]

    def solve(self) -> lsml.Solution:
        """Whatever comes of it."""
        a = self.asked
        options = {"throw": False, "quadrature": True, **self.settings}
        return lsml.solve(self.cell.problem, a.rule, weights=a.weights, **options)


def like(problem: StrainForm) -> Tensor:
    """The background field at the points in float64."""
    start = problem.start()
    return start.to(torch.complex128 if start.is_complex() else torch.float64)


def zero(rng: Rng, problem: StrainForm, tol: float) -> Tensor:
    """No field at all."""
    return torch.zeros_like(like(problem))


def huge(rng: Rng, problem: StrainForm, tol: float) -> Tensor:
    """Incompatible, far larger than the answer."""
    start = like(problem)
    size = float(start.abs().max()) or 1.0
    noise = torch.from_numpy(rng.normal(size=start.shape)).to(start)
    return start + size * float(10 ** rng.uniform(0, 9)) * noise


def garbage(rng: Rng, problem: StrainForm, tol: float) -> Tensor:
    """Numbers of any size, finite in the precision of the problem."""
    start = like(problem)
    top = 37 if problem.start().real.dtype == torch.float32 else 300
    powers = rng.uniform(-top, top if rng.random() < 0.5 else 0, start.shape)
    signs = rng.choice([-1.0, 0.0, 1.0], start.shape)
    return torch.from_numpy(signs * 10.0**powers).to(start)


def other(rng: Rng, problem: StrainForm, tol: float) -> Tensor:
    """The answer to another microstructure."""
    start = like(problem)
    shift = tuple(int(rng.integers(n)) for n in problem.grid.shape)
    rule = "cg" if "positive" in problem.tags else "bicgstab"
    found = lsml.solve(
        problem, rule, tol=1e-8, max_iter=60, throw=False, quadrature=True
    )
    field = found.strain.flatten(1, 2).to(start)
    return field.roll(shift, tuple(range(2, field.ndim)))


def near(rng: Rng, problem: StrainForm, tol: float) -> Tensor:
    """The answer, with noise about as large as the tolerance."""
    truth = truth_before(problem)
    if not truth.small:
        return other(rng, problem, tol)
    field = truth.field.flatten(1, 2)
    noise = torch.from_numpy(rng.normal(size=field.shape)).to(field)
    return field + tol * float(10 ** rng.uniform(-2, 1)) * field.abs().mean() * noise


def soft(rng: Rng, problem: StrainForm, tol: float) -> Tensor:
    """The answer, with the error of which the residual shows least.

    Its size is such that the residual is a little below or above the tolerance.
    """
    truth = truth_before(problem)
    found = softest(truth)
    if found is None:
        return near(rng, problem, tol)
    mode, value = found
    p = truth.problem
    scale = float(p.norm(p.residual(p.start())))
    size = tol * scale / value * float(rng.uniform(0.3, 1.5))
    return (truth.field + size * mode).flatten(1, 2)


MADE: dict[str, Callable[[Rng, StrainForm, float], Tensor]] = {
    "zero": zero,
    "huge": huge,
    "garbage": garbage,
    "other": other,
    "near": near,
    "soft": soft,
}


def tolerance(rng: Rng, single: bool) -> float:
    """From 1e-2 to 1e-10, to 1e-6 in float32 or, at times, beyond."""
    least = -6 if single and rng.random() < 0.9 else -10
    return float(10 ** rng.uniform(least, -2))


def limit(rng: Rng, voxels: int) -> int:
    """Iterations that can be afforded; very few at times."""
    if rng.random() < 0.05:
        return int(rng.integers(0, 6))
    most = int(rng.choice([80, 250, 1000], p=[0.7, 0.26, 0.04]))
    return int(min(most, max(40, 2e5 / voxels)))


def draw(k: int) -> Pair:
    """Pair number k.

    Raises
    ------
    ValueError
        The toolkit refuses the problem.
    """
    rng = np.random.default_rng(k)
    asked = rules.drawn(rng)
    cell = cells.drawn(rng, asked.plan)
    problem = cell.problem
    voxels = problem.batch * prod(problem.grid.shape)
    single = problem.start().real.dtype == torch.float32
    tol, start = (
        tolerance(rng, single),
        str(rng.choice(list(STARTS), p=list(STARTS.values()))),
    )
    settings: dict[str, Any] = {"tol": tol, "max_iter": limit(rng, voxels)}
    settings["stop"] = str(rng.choice(["residual", "energy"], p=[0.9, 0.1]))
    settings["form"] = str(rng.choice(["displacement", "strain"], p=[0.8, 0.2]))
    if rng.random() < 0.04:
        settings["compile"] = bool(rng.random() < 0.5)
    told = {
        "rule": asked.family,
        **cell.told,
        "contrast": cell.contrast,
        "start": start,
    }
    told |= settings
    if start != "default":
        rule = as_rule(asked.rule, asked.weights, problem)
        referred = problem.referred(rule.reference)
        settings["x0"] = MADE[start](rng, referred, tol)
    return Pair(cell, asked, settings, told)
