"""Rules of the campaign `certified.py`: by name, tuned, mixed, learned, and bad."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from certified_cells import Plan, Rng

import lsml
from lsml.inputs import RULES
from lsml.learned.cnn import ThreeLayer
from lsml.learned.vnet import VNet
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, Rule, UpdateRule
from lsml.typing import Vector

ANY = Plan()
SHIPPED = ("rln-c10", "rln-c50", "rln-t-c10", "rln-t-c50")


class Asked(NamedTuple):
    """A rule as it is given to ``solve``, and the problem that it wants.

    Attributes
    ----------
    family : under which it is counted.
    """

    family: str
    rule: UpdateRule[Any] | str
    plan: Plan = ANY
    weights: str | None = None


@dataclass(frozen=True)
class Relaxed(Rule):
    """A fixed point with a step that need not converge."""

    length: float

    def step(self, problem: Problem, it: Iterate, memory: Any) -> tuple[Vector, Any]:
        """Of that length."""
        return it.x + self.length * it.residual.step, memory


@dataclass(frozen=True)
class Noisy(Relaxed):
    """One that adds noise to its steps, of any size."""

    size: float = 0.0
    seed: int = 0

    def step(self, problem: Problem, it: Iterate, memory: Any) -> tuple[Vector, Any]:
        """Seeded by the number of the step."""
        x, memory = super().step(problem, it, memory)
        draw = torch.Generator().manual_seed(self.seed + it.k)
        noise = torch.randn(x.shape, generator=draw, dtype=x.dtype)
        return x + self.size * it.residual.step.abs().max() * noise, memory


@dataclass(frozen=True)
class Liar(Relaxed):
    """One that carries a residual of its own making."""

    share: float = 0.0

    def residual(self, problem: Problem, x: Vector, memory: Any, k: int) -> Residual:
        """Far too small."""
        found = problem.residual(x)
        return Residual(self.share**k * found.force, self.share**k * found.step)


@dataclass(frozen=True)
class Wild(Rule):
    """One that jumps anywhere, to infinity and NaN at times."""

    seed: int

    def step(self, problem: Problem, it: Iterate, memory: Any) -> tuple[Vector, Any]:
        """To a random point."""
        rng = np.random.default_rng([self.seed, it.k])
        size = rng.choice(
            [1e-3, 1.0, 1e12, np.inf, np.nan], p=[0.4, 0.4, 0.1, 0.05, 0.05]
        )
        return it.x + it.x.new_tensor(rng.normal(size=it.x.shape)) * size, memory


def by_name(rng: Rng) -> Asked:
    """One of those that have a name."""
    name = str(rng.choice(list(RULES)))
    return Asked(name, name)


def tuned(rng: Rng) -> Asked:
    """With parameters that are not the default."""
    made: list[tuple[str, Callable[[], UpdateRule[Any]]]] = [
        ("anderson", lambda: lsml.Anderson(depth=int(rng.integers(1, 9)))),
        ("polarization", lambda: lsml.Polarization(*rng.uniform(0.5, 2.0, 2))),
        ("heavy_ball", lambda: lsml.HeavyBall()),
        ("nesterov", lambda: lsml.Nesterov(float(rng.uniform(0, 1)))),
        (
            "nonlinear_cg",
            lambda: lsml.NonlinearCG("fletcher_reeves", float(rng.uniform(0.1, 1.5))),
        ),
        (
            "newton",
            lambda: lsml.Newton(RULES[str(rng.choice(["minres", "bicgstab"]))]()),
        ),
        ("relaxed", lambda: Relaxed(float(rng.uniform(0.0, 2.5)))),
        (
            "momentum",
            lambda: lsml.Momentum(*(rng.uniform(0, 2, n).tolist() for n in (4, 3))),
        ),
        ("recycled", lambda: lsml.Recycled(int(rng.integers(1, 5)))),
    ]
    name, make = made[rng.integers(len(made))]
    rule = make()
    return Asked(name, rule if rule.passes is None else chained(rng, rule))


def bad(rng: Rng) -> Asked:
    """What nobody should use."""
    seed, length = int(rng.integers(2**31)), float(rng.uniform(0, 2))
    size = float(10 ** rng.uniform(-6, 1))
    rules = (
        Noisy(length, size, seed),
        Liar(length, float(rng.uniform(0, 1))),
        Wild(seed),
    )
    rule = rules[rng.integers(3)]
    return Asked(type(rule).__name__.lower(), rule)


def chained(rng: Rng, first: UpdateRule[Any]) -> UpdateRule[Any]:
    """Before one that ends, one after the other or in turn."""
    then = RULES[str(rng.choice(["cg", "moulinec", "anderson", "minres"]))]()
    steps = int(rng.integers(1, 1 + (first.passes or 6)))
    if rng.random() < 0.3:
        return lsml.Alternate(first, then, int(rng.integers(2, 5)))
    return lsml.Schedule(first, steps, then)


def mixture(rng: Rng) -> Asked:
    """Two by name, or a text."""
    one, two = (str(name) for name in rng.choice(list(RULES), 2))
    if rng.random() < 0.5:
        return Asked("chain", f"{one}:{int(rng.integers(1, 9))} > {two}")
    return Asked("mixture", chained(rng, RULES[one]()))


def safeguarded(rng: Rng) -> Asked:
    """Any rule beside one that converges."""
    inner = (by_name, tuned, bad, network)[rng.integers(4)](rng)
    rule = RULES[inner.rule]() if isinstance(inner.rule, str) else inner.rule
    fallback = RULES[str(rng.choice(["cg", "moulinec", "steepest_descent"]))]()
    factor = float(rng.choice([0.5, 0.9, 0.999, 2.0]))
    guarded = lsml.Safeguarded(rule, fallback, factor, int(rng.choice([0, 3, 30, 100])))
    return Asked("safeguarded", guarded, inner.plan)


def network(rng: Rng) -> Asked:
    """A recurrent localization network with random weights, then another rule."""
    ndim, phases = int(rng.integers(2, 4)), int(rng.integers(2, 4))
    history, passes = int(rng.integers(0, 3)), int(rng.integers(1, 4))
    components = (0,) if rng.random() < 0.5 else tuple(range({2: 3, 3: 6}[ndim]))
    outputs, iterates = len(components), 1 + history
    inputs = phases * iterates * outputs
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        kinds = (
            lambda: ThreeLayer(inputs, outputs, ndim, 4),
            lambda: VNet(inputs, outputs, ndim),
        )
        net = kinds[int(rng.random() < 0.2)]()
        tied = bool(rng.random() < 0.5)
        rule = lsml.learned.RLN(
            net, passes, history, tied, phases=phases, components=components
        )
        gain = float(10 ** rng.uniform(-1, 3))
        with torch.no_grad():
            for p in list(rule.parameters())[-2:]:
                p.mul_(gain)
    rule = rule.double() if rng.random() < 0.5 else rule
    whole = rule if rng.random() < 0.1 else chained(rng, rule)
    return Asked("network", whole, Plan(ndim, phases, True))


def shipped(rng: Rng) -> Asked:
    """Trained weights, then another rule; also on contrasts they were not made for."""
    weights = str(rng.choice(SHIPPED))
    name, steps = weights.rsplit("-", 1)[0], int(rng.integers(1, 6))
    then = str(rng.choice(["cg", "moulinec", "minres", "barzilai_borwein"]))
    plan = Plan(3, 2, True)
    if rng.random() < 0.4:
        loaded = lsml.load_rule(name, weights)
        return Asked("trained", lsml.Safeguarded(loaded, RULES["cg"]()), plan)
    return Asked("trained", f"{name}:{steps} > {then}", plan, weights)


def preconditioned(rng: Rng) -> Asked:
    """Conjugate gradients with a trained second preconditioner."""
    return Asked("mpcg", "mpcg", Plan(3))


KINDS = (by_name, tuned, bad, mixture, safeguarded, network, shipped, preconditioned)
SHARES = (0.48, 0.09, 0.05, 0.12, 0.12, 0.07, 0.04, 0.03)


def drawn(rng: Rng) -> Asked:
    """A rule."""
    return KINDS[rng.choice(len(KINDS), p=SHARES)](rng)
