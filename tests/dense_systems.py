"""Problems as dense matrices, and laws that are not linear: oracles for rules."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch

import lsml
from lsml.displacement_form import DisplacementForm
from lsml.law import Law
from lsml.numerics import per_sample
from lsml.rule import arithmetic
from lsml.strain_form import StrainForm
from lsml.testing import small_case
from lsml.testing.problems import Twisted


def columns(apply, size, like):
    """Dense matrix of a linear map of vectors shaped like a sample."""
    unit = torch.eye(size, dtype=like.dtype).reshape(size, 1, *like.shape[1:])
    return np.stack([apply(e).numpy().ravel() for e in unit], 1)


@dataclass(frozen=True)
class Dense:
    """A x = b with the preconditioner N, of one sample of a linear problem."""

    problem: lsml.Problem

    @cached_property
    def start(self):
        return self.problem.start()

    @cached_property
    def a(self):
        x = self.start
        return columns(lambda d: self.problem.hessian(x, d), x.numel(), x)

    @cached_property
    def n(self):
        x = self.start
        return columns(self.problem.precondition, x.numel(), x)

    @cached_property
    def b(self):
        return self.problem.force(self.start).numpy().ravel()

    @cached_property
    def operator(self):
        """N A, whose eigenvalues are those of the preconditioned problem."""
        return self.n @ self.a

    @cached_property
    def r(self):
        return self.n @ self.b

    @cached_property
    def metric(self):
        """Gram matrix of ``pairing`` between residual steps: N⁺."""
        return np.linalg.pinv(self.n, rcond=1e-12, hermitian=True)

    def dot(self, x, y):
        """C⁰ inner product of two steps."""
        return x @ self.metric @ y

    def norm(self, x):
        return self.dot(x, x) ** 0.5


def dense_case(scheme="rotated", shape=(4, 3), mixed=True):
    """One sample, unsymmetric and with mixed load, in the displacement form."""
    case = small_case(scheme, DisplacementForm, shape, 1, mixed=mixed)
    return Dense(case.problem(arithmetic))


def iterates(problem, rule, steps):
    """x₀ … of a rule, each as a flat array."""
    from lsml.stop import Never
    from lsml.unroll import unroll

    seen = []

    def observe(k, x, error, status):
        seen.append(x.clone().numpy().ravel())

    with torch.no_grad():
        unroll(problem, rule, stop=Never(), max_iter=steps, observe=observe)
    return seen


@dataclass(frozen=True)
class Saturating(Law):
    """σ = C x / √(1 + x·C x / s²): convex energy, softer the more it is strained.

    ``scale`` is s², an energy density.
    """

    law: Law
    scale: float
    tags: ClassVar = frozenset({"symmetric", "positive", "bounded"})

    def _work(self, x, y):
        c = self.law.components
        both = (x * y).unflatten(1, (-1, c)).sum(2, keepdim=True)
        return both.expand(-1, -1, c, *[-1] * (x.ndim - 2)).flatten(1, 2)

    def __call__(self, x):
        flux = self.law(x)
        return flux / (1 + self._work(x, flux) / self.scale).sqrt()

    def tangent(self, x, v):
        flux, other = self.law(x), self.law.tangent(x, v)
        root = (1 + self._work(x, flux) / self.scale).sqrt()
        return other / root - flux * self._work(flux, v) / self.scale / root**3

    def energy(self, x):
        c = self.law.components
        work = (x * self.law(x)).unflatten(1, (-1, c)).sum(2)
        return self.scale * ((1 + work / self.scale).sqrt() - 1)

    def select(self, samples, batch):
        return replace(self, law=self.law.select(samples, batch))


def saturating(problem, strength=2.0):
    """The problem with its law bent, so much that x·C x reaches s² at the load."""
    assert isinstance(problem, StrainForm)
    x = problem.start()
    energy = float(2 * problem.law.energy(x).max())

    def rebuild(mean):
        return saturating(problem.referred(mean), strength)

    law = Saturating(problem.law, energy / strength)
    return replace(problem, law=law, rebuild=rebuild)


@dataclass(frozen=True)
class Skewed(Twisted):
    """The twisted law of the conformance suite, with the one property that it has."""

    tags: ClassVar = frozenset({"linear", "bounded"})


def random_vector(like, seed):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(like.shape, generator=draw, dtype=torch.float64).to(like)


def weighted(scale, x):
    return per_sample(scale, x) * x
