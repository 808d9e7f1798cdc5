"""Training of learned rules, resumable at any moment.

Lightning Fabric places model and data and keeps the precision; the rule stays an
ordinary module. A run is a folder: ``last.ckpt`` to go on from, ``best.safetensors`` by
validation, ``log.csv``, and the files of TensorBoard where it is installed.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from math import cos, pi
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from lsml.extras import needed
from lsml.learned.checkpoint import described
from lsml.learned.journal import Journal, Row, open_journal
from lsml.learned.losses import LOSSES, shares
from lsml.learned.plan import Plan
from lsml.learned.rule import LearnedRule
from lsml.learned.sample import Sample, Samples
from lsml.learned.shuffle import Shuffled
from lsml.metrics import mase

if TYPE_CHECKING:
    from lightning.fabric import Fabric

FLOOR = 1e-8  # learning rate at the end
Observe: TypeAlias = Callable[[int, int, int, float], bool | None]


def train(  # noqa: PLR0913 (the public entry)
    rule: LearnedRule,
    dataset: Samples,
    validation: Samples | None = None,
    folder: str | Path | None = None,
    plan: Plan = Plan(),  # noqa: B008 (frozen)
    *,
    seconds: float | None = None,
    observe: Observe | None = None,
) -> list[Row]:
    """Train a rule in place; it ends with the weights of its best epoch.

    Parameters
    ----------
    dataset, validation : samples; without validation the training loss decides.
    folder : where to keep the run. One that was interrupted goes on where it was, with
        the result that it would have had; None keeps nothing.
    seconds : stop, resumably, when so many have passed.
    observe : called with (epoch, batch, batches, loss) after every step; if it returns
        True the run stops there, resumably.

    Returns
    -------
    list of Row
        One for each epoch that is complete.

    Raises
    ------
    ValueError
        No samples or some of other components, unknown names, a folder that holds
        another run, or a rule that cannot be saved there.
    FloatingPointError
        The loss is no longer finite.
    """
    check(rule, dataset, "training")
    if validation is not None:
        check(rule, validation, "validation")
    shares(plan.iterate_weights, rule.passes)
    who = identity(rule, dataset, plan)
    if folder is not None:
        made = described(rule)
        data = dict(made["record"].get("data") or {})
        who |= {name: made[name] for name in ("rule", "network", "contrast")}
        who |= {"data": data}
    journal = open_journal(folder, who)
    run = Training(rule, dataset, validation, plan, journal, observe)
    run.until(None if seconds is None else time.monotonic() + seconds)
    return journal.rows


def identity(rule: LearnedRule, dataset: Samples, plan: Plan) -> dict[str, Any]:
    """What must be the same for a run to go on."""
    count = sum(p.numel() for p in rule.parameters())
    return plan.described() | {"samples": len(dataset), "parameters": count}


def check(rule: LearnedRule, samples: Samples, use: str) -> None:
    """Refuse samples that a rule cannot learn from.

    Raises
    ------
    ValueError
        There are none, or they hold more or fewer components than it predicts.
    """
    if len(samples) == 0:
        raise ValueError(f"the {use} set has no samples")
    stored, wanted = samples[0].strain.shape[0], len(rule.components)
    if stored != wanted:
        raise ValueError(
            f"the {use} samples hold {stored} components of the strain; this "
            f"{type(rule).__name__} predicts {wanted}"
        )
    _ = rule.loaded


def fabric_type() -> "type[Fabric]":
    """Lightning's Fabric, imported when first needed: it takes seconds.

    Raises
    ------
    ImportError
        It is missing; the message names the extra.
    """
    with needed("training needs Lightning", "learn"):
        from lightning.fabric import Fabric
    return Fabric


class Training:
    """A run between two batches."""

    def __init__(
        self,
        rule: LearnedRule,
        dataset: Samples,
        validation: Samples | None,
        plan: Plan,
        journal: Journal,
        observe: Observe | None,
    ) -> None:
        fabric = fabric_type()
        torch.manual_seed(plan.seed)
        self.rule, self.plan, self.journal, self.observe = rule, plan, journal, observe
        self.fabric = fabric(
            accelerator=plan.accelerator, devices=1, precision=plan.precision
        )
        self.fabric.launch()
        optimizer = torch.optim.Adam(rule.parameters(), lr=plan.learning_rate)
        if plan.compile:
            rule.compile()
        self.module, self.optimizer = self.fabric.setup(rule, optimizer)
        self.order = Shuffled(len(dataset), plan.seed)
        self.train_set = self._loader(dataset, self.order)
        self.validation = None if validation is None else self._loader(validation)
        self.weights = shares(plan.iterate_weights, rule.passes).to(self.fabric.device)
        self.loss = LOSSES[plan.loss] if isinstance(plan.loss, str) else plan.loss
        self.epoch = self.batch = 0
        self.total = torch.zeros(2, dtype=torch.float64)  # loss times samples, samples
        journal.restore(self)

    def until(self, deadline: float | None) -> None:
        """Train to the end, or to the first batch after a moment in time."""
        while self.epoch < self.plan.epochs:
            self.module.train()
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate
            self.order.begin(self.epoch, self.batch * self.plan.batch)
            for samples in self.train_set:
                told = self._step(Sample(*samples))
                late = told or (deadline is not None and time.monotonic() > deadline)
                if late or self.journal.due():
                    self.journal.keep(self)
                if late:
                    return
            self._close_epoch()
        self.journal.best_into(self.rule)
        self.rule.eval()

    def _step(self, samples: Sample) -> bool:
        """One batch; whether the observer wants to stop."""
        self.optimizer.zero_grad(set_to_none=True)
        iterates = self.module(samples.labels)
        loss = (self.loss(iterates, samples) * self.weights).sum()
        value = float(loss.detach())
        if not value < float("inf"):
            raise FloatingPointError(
                f"the loss is {value} in batch {self.batch} of epoch {self.epoch}: "
                "lower the learning rate"
            )
        self.fabric.backward(loss)
        norm = 2.0 * self.rule.passes if self.plan.clip is None else self.plan.clip
        self.fabric.clip_gradients(self.module, self.optimizer, max_norm=norm)
        self.optimizer.step()
        count = len(samples.labels)
        self.total += torch.tensor([value * count, count], dtype=torch.float64)
        self.batch += 1
        if self.observe is None:
            return False
        return bool(self.observe(self.epoch, self.batch, self.batches, value))

    @property
    def rate(self) -> float:
        """Learning rate of the epoch, along half a cosine."""
        fall = (1 + cos(pi * self.epoch / self.plan.epochs)) / 2
        return FLOOR + (self.plan.learning_rate - FLOOR) * fall

    @property
    def batches(self) -> int:
        """Of an epoch."""
        return -(-self.order.count // self.plan.batch)

    def _close_epoch(self) -> None:
        mean = float(self.total[0] / self.total[1])
        errors = None if self.validation is None else self._validate(self.validation)
        row = Row(self.epoch, mean, self.rate, errors)
        self.epoch, self.batch = self.epoch + 1, 0
        self.total = torch.zeros_like(self.total)
        self.journal.enter(self, row)

    @torch.no_grad()
    def _validate(self, loader: Iterable[Sample]) -> float:
        """Mean MASE of the last iterate, in percent."""
        self.module.eval()
        errors = [self._mase(Sample(*samples)) for samples in loader]
        return float(torch.cat(errors).mean())

    def _mase(self, samples: Sample) -> Tensor:
        last = self.module(samples.labels)[:, -1].float()
        place = self.rule.loaded
        return mase(last[:, place], samples.strain[:, place])

    def _loader(
        self, dataset: Samples, order: Shuffled | None = None
    ) -> Iterable[Sample]:
        loader: DataLoader[Sample] = DataLoader(
            dataset,  # type: ignore[arg-type]
            batch_size=self.plan.batch,
            sampler=order,
            num_workers=self.plan.workers,
            generator=torch.Generator(),  # not the one that dropout draws from
            pin_memory=self.fabric.device.type == "cuda",
        )
        placed = self.fabric.setup_dataloaders(loader, use_distributed_sampler=False)
        return cast("Iterable[Sample]", placed)

    def state(self) -> dict[str, Any]:
        """Everything that the next batch depends on."""
        return {
            "model": self.rule.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "batch": self.batch,
            "total": self.total,
            "random": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to it."""
        self.rule.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.batch = state["epoch"], state["batch"]
        self.total = state["total"].cpu()
        torch.set_rng_state(state["random"].cpu())
        if state["cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])
