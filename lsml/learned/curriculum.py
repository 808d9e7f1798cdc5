"""What training without labels is made of: problems, and how to go through them."""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from lsml.learned.multipreconditioned import Multipreconditioned
from lsml.problem import Problem
from lsml.stop import RelativeResidual
from lsml.typing import PerSample
from lsml.unroll import unroll


class Task(NamedTuple):
    """A batch of problems, and the energy error of each at its start.

    Attributes
    ----------
    problem : in the form and on the reference medium that the rule shall learn on.
    gap : energy per unit volume above that of the solution.
    """

    problem: Problem
    gap: PerSample


@dataclass(frozen=True)
class Curriculum:
    """How to train.

    Attributes
    ----------
    epochs : passes over the tasks; the learning rate falls to zero along a cosine.
    depth : most steps of a rollout.
    horizon : steps that are differentiated together, so that a step is good for those
        that follow, and not for itself only.
    learning_rate : of Adam, at first.
    clip : largest norm of the gradient of a step.
    seed : of the depths and the order of the tasks.
    """

    epochs: int = 20
    depth: int = 8
    horizon: int = 4
    learning_rate: float = 3e-3
    clip: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "depth", "horizon", "learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} = {getattr(self, name)!r} must be positive")


def task(problem: Problem, tol: float = 1e-6, exact: Problem | None = None) -> Task:
    """A task, by conjugate gradients to a certified residual of ``tol``.

    E(x) − E* = ½ <force(x), x* − x>, with an error of the order of tol².

    Parameters
    ----------
    exact : the same problem in float64, if ``problem`` is float32.

    Raises
    ------
    ValueError
        They did not converge.
    """
    with torch.no_grad():
        solved = exact or problem
        state = unroll(
            solved, Multipreconditioned(), stop=RelativeResidual(tol), max_iter=5000
        )
        if not bool(state.converged.all()):
            raise ValueError(f"a problem to train on was not solved to {tol:g}")
        start = solved.start()
        work = solved.pairing(solved.force(start), state.x - start)
    return Task(problem, work / 2)
