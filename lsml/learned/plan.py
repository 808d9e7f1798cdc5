"""How to train: the numbers that a run is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from lsml.learned.losses import LOSSES, Loss, name_of

Precision: TypeAlias = Literal["32-true", "64-true", "16-mixed", "bf16-mixed"]


@dataclass(frozen=True)
class Plan:
    """How to train; the defaults are those of Kelly & Kalidindi (2021) and their code.

    Attributes
    ----------
    epochs : passes over the data; the learning rate falls to 1e-8 along a cosine.
    batch : samples of a step.
    learning_rate : of Adam, at first.
    loss : ``"mse"``, ``"rmse"`` or any :class:`Loss`.
    iterate_weights : of the iterates, see :func:`lsml.learned.losses.shares`.
    clip : largest norm of the gradient; None for 2·N.
    seed : of the order of the samples, and of dropout.
    precision : of Fabric: ``"32-true"``, ``"bf16-mixed"``, ...
    accelerator : of Fabric: ``"auto"``, ``"cpu"``, ``"cuda"``.
    compile : let PyTorch compile the rule.
    workers : processes that read samples.
    """

    epochs: int = 60
    batch: int = 32
    learning_rate: float = 2e-3
    loss: str | Loss = "mse"
    iterate_weights: str | Sequence[float] = "uniform"
    clip: float | None = None
    seed: int = 0
    precision: Precision = "32-true"
    accelerator: str = "auto"
    compile: bool = False
    workers: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} = {getattr(self, name)!r} must be positive")
        if isinstance(self.loss, str) and self.loss not in LOSSES:
            known = ", ".join(LOSSES)
            raise ValueError(f"loss {self.loss!r} is unknown; choose one of {known}")

    def described(self) -> dict[str, Any]:
        """What decides on the result, as JSON can hold it."""
        weights = self.iterate_weights
        return {
            "epochs": self.epochs,
            "batch": self.batch,
            "learning_rate": self.learning_rate,
            "loss": name_of(self.loss),
            "iterate_weights": weights if isinstance(weights, str) else list(weights),
            "clip": self.clip,
            "seed": self.seed,
            "precision": self.precision,
        }
