"""Parameters of a phase, as a user gives them: checked, and put side by side."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.physics.moduli import Modulus, as_tensors

Parameter = Float[Tensor, "*b"]


def rows(law: str, given: Mapping[str, Modulus]) -> list[Tensor]:
    """Numbers, or one per sample, of the same length and finite.

    Raises
    ------
    ValueError
        They are not.
    """
    values = as_tensors([(f"{law}: {name}", value) for name, value in given.items()])
    for name, value in zip(given, values, strict=True):
        if not bool(value.detach().isfinite().all()):
            raise ValueError(f"{law}: {name} is not finite")
    return list(values)


def together(values: list[Tensor]) -> Float[Tensor, "*b g"]:
    """One row of parameters, or one per sample."""
    return torch.stack(values, -1)


def positive(law: str, name: str, value: Parameter) -> None:
    """Refuse zero and less."""
    _require(law, name, value, value.detach() > 0, "positive")


def not_negative(law: str, name: str, value: Parameter) -> None:
    """Refuse less than zero."""
    _require(law, name, value, value.detach() >= 0, "0 or more")


def share(law: str, name: str, value: Parameter) -> None:
    """Refuse what is not above 0 and at most 1."""
    inside = (value.detach() > 0) & (value.detach() <= 1)
    _require(law, name, value, inside, "above 0 and at most 1")


def at_least_one(law: str, name: str, value: Parameter) -> None:
    """Refuse less than 1."""
    _require(law, name, value, value.detach() >= 1, "1 or more")


def _require(law: str, name: str, value: Tensor, good: Tensor, what: str) -> None:
    if not bool(good.all()):
        worst = value.detach().reshape(-1)[~good.reshape(-1)][0]
        raise ValueError(f"{law}: {name} = {float(worst):g} must be {what}")
