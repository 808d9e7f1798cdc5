"""What training makes small, for every iterate of a rule."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.learned.rule import completed
from lsml.learned.sample import Sample
from lsml.problem import Problem
from lsml.stop import RelativeResidual

Iterates = Float[Tensor, "b k o *n"]
PerIterate = Float[Tensor, " k"]


@runtime_checkable
class Loss(Protocol):
    """One number for each iterate, of a batch of samples."""

    def __call__(self, iterates: Iterates, samples: Sample) -> PerIterate:
        """Mean over the batch; strains are relative to the mean strain."""
        ...


def mse(iterates: Iterates, samples: Sample) -> PerIterate:
    """Mean square error (Kelly & Kalidindi 2021, equation 24)."""
    return _squares(iterates, samples).mean(0)


def rmse(iterates: Iterates, samples: Sample) -> PerIterate:
    """Root mean square error of the batch in percent, as in the authors' code."""
    return 100 * _squares(iterates, samples).mean(0).clamp_min(1e-30).sqrt()


@dataclass(frozen=True)
class Equilibrium:
    """Square of the certified error that a solve would state: needs no labels.

    Of a single component it is that of the least-energy field with this component,
    which is not the solution even where the component is; of all it is zero there.

    Attributes
    ----------
    problem : of a batch of labels (b, *n), in a form whose unknown is compatible, such
        as :class:`lsml.displacement_form.DisplacementForm`.
    components, load : of the rule.
    """

    problem: Callable[[Tensor], Problem]
    components: tuple[int, ...] = (0,)
    load: int = 0

    def __call__(self, iterates: Iterates, samples: Sample) -> PerIterate:
        """<step, C⁰ step> of the field of each iterate, over that at x̄."""
        problem = self.problem(samples.labels)
        specimen = problem.specimen()
        if specimen is None:
            raise ValueError("Equilibrium needs phases and a prescribed mean strain")
        mean = specimen.mean[:, self.load].reshape(-1, *[1] * (iterates.ndim - 2))
        norm = problem.norm(problem.residual(problem.start()))
        scale = RelativeResidual().scale(problem, norm)
        rows = []
        for k in range(iterates.shape[1]):
            x = completed(problem, iterates[:, k].to(mean) * mean, self.components)
            square = problem.square(problem.residual(x))
            rows.append((square / scale.square()).mean())
        return torch.stack(rows)


LOSSES: Mapping[str, Loss] = {"mse": mse, "rmse": rmse}


def name_of(loss: str | Loss) -> str:
    """The same in every process, unlike ``repr`` of a function."""
    if isinstance(loss, str):
        return loss
    return getattr(loss, "__qualname__", type(loss).__qualname__)


def shares(weights: str | Sequence[float], passes: int) -> Float[Tensor, " k"]:
    """Weight of each iterate, adding up to one.

    ``"uniform"``; ``"rising"``, in proportion to the number of the pass; ``"last"``; or
    one number for each.

    Raises
    ------
    ValueError
        Another name, another count, or numbers that are negative or all zero.
    """
    named = {
        "uniform": [1.0] * passes,
        "rising": [float(k + 1) for k in range(passes)],
        "last": [0.0] * (passes - 1) + [1.0],
    }
    if isinstance(weights, str):
        if weights not in named:
            raise ValueError(
                f"iterate weights {weights!r} are unknown; choose one of "
                f"{', '.join(named)} or give {passes} numbers"
            )
        weights = named[weights]
    values = torch.tensor([float(w) for w in weights])
    if len(values) != passes or bool((values < 0).any()) or not float(values.sum()) > 0:
        raise ValueError(
            f"iterate weights {list(weights)} must be {passes} numbers, none negative "
            "and not all zero"
        )
    return values / values.sum()


def _squares(iterates: Iterates, samples: Sample) -> Float[Tensor, "b k"]:
    error = iterates - samples.strain[:, None].to(iterates.dtype)
    return error.square().flatten(2).mean(2)
