"""Training of learned rules, resumable at any moment.

Lightning Fabric places model and data and keeps the precision; the rule stays an
ordinary module. A run is a folder: ``last.ckpt`` to go on from, ``best.safetensors`` by
validation, ``log.csv``, and the files of TensorBoard where it is installed.

Several processes cut every batch into parts. Each has the iterates of the whole before
its loss, so that any :class:`~lsml.learned.losses.Loss` is that of the batch, and the
derivatives of its own part, which are added. Thus a step is that of one process.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from math import cos, pi
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from lsml.distributed.team import Alone, team
from lsml.extras import needed
from lsml.learned.batches import Sets, load, size
from lsml.learned.checks import check, check_same, identity
from lsml.learned.dropout import drawn_for_all
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
BACKENDS = {"cpu": "gloo", "cuda": "nccl"}  # of processes on such devices
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

    Under `torchrun` its processes train one rule together, each on a device of its own,
    with the result of one process up to rounding. `plan.batch` is of all of them.

    Parameters
    ----------
    dataset, validation : samples; without validation the training loss decides.
    folder : where to keep the run. One that was interrupted goes on where it was, with
        the result that it would have had; None keeps nothing.
    seconds : stop, resumably, when so many have passed.
    observe : called with (epoch, batch, batches, loss) after every step; if it returns
        True the run stops there, resumably. Of several processes the first calls it.

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
    lsml.distributed.LostError
        Another process has ended, or does not answer.
    """
    crew = team(BACKENDS.get(plan.accelerator))
    sets = Sets(dataset, validation)
    with crew.together():
        check(rule, sets, plan, crew)
        who = identity(rule, dataset, plan, folder is not None)
        journal = open_journal(folder if crew.leads else None, who)
    tested = {"validation": None if validation is None else len(validation)}
    with crew.together():
        crew.follow(lambda: who | tested, partial(check_same, who | tested))
    run = Training(rule, sets, plan, journal, observe, crew)
    run.until(None if seconds is None else time.monotonic() + seconds)
    return journal.rows


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
        sets: Sets,
        plan: Plan,
        journal: Journal,
        observe: Observe | None,
        crew: Alone,
    ) -> None:
        fabric = fabric_type()
        torch.manual_seed(plan.seed)
        self.rule, self.plan, self.journal, self.observe = rule, plan, journal, observe
        self.crew = crew
        kind, devices = crew.place(plan.accelerator)
        self.fabric = fabric(
            accelerator=kind, devices=devices, precision=plan.precision
        )
        self.fabric.launch()
        optimizer = torch.optim.Adam(rule.parameters(), lr=plan.learning_rate)
        if plan.compile:
            rule.compile()
        self.module, self.optimizer = self.fabric.setup(rule, optimizer)
        self.sets, self.order = sets, Shuffled(len(sets.training), plan.seed)
        self.train_set = load(sets.training, self.order, plan, crew, self.fabric)
        self.weights = shares(plan.iterate_weights, rule.passes).to(self.fabric.device)
        self.loss = LOSSES[plan.loss] if isinstance(plan.loss, str) else plan.loss
        self.epoch = self.batch = 0
        self.total = torch.zeros(2, dtype=torch.float64)  # loss times samples, samples
        with crew.together():
            journal.restore(self)
        crew.follow(partial(journal.packed, self), partial(journal.unpack, self))

    def until(self, deadline: float | None) -> None:
        """Train to the end, or to the first batch after a moment in time."""
        with drawn_for_all(self.rule, self.crew, lambda: self.size):
            while self.epoch < self.plan.epochs:
                if self._stopped(deadline):
                    return
                self._close_epoch()
        with self.crew.together():
            self.journal.best_into(self.rule)
        self.rule.eval()

    def _stopped(self, deadline: float | None) -> bool:
        """Whether the run stops before the end of the epoch, which is trained."""
        self.module.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        self.order.begin(self.epoch, self.batch * self.plan.batch)
        for samples in self.crew.each(self.train_set):
            told = self._step(Sample(*samples))
            if self.crew.lead(partial(self._kept, told, deadline)):
                return True
        return False

    def _kept(self, told: bool, deadline: float | None) -> bool:
        """Whether it is time to stop; what is done is kept then, and now and again."""
        late = told or (deadline is not None and time.monotonic() > deadline)
        if late or self.journal.due():
            self.journal.keep(self)
        return late

    def _step(self, samples: Sample) -> bool:
        """One batch; whether the observer wants to stop."""
        self.optimizer.zero_grad(set_to_none=True)
        with self.crew.together():
            iterates = self.module(samples.labels)
        count = self.size
        iterates = self.crew.whole(iterates, count)
        samples = Sample(*(self.crew.whole(part, count) for part in samples))
        with self.crew.together():
            value = self._backward(iterates, samples)
        self.crew.add(p.grad for p in self.rule.parameters() if p.grad is not None)
        norm = 2.0 * self.rule.passes if self.plan.clip is None else self.plan.clip
        self.fabric.clip_gradients(self.module, self.optimizer, max_norm=norm)
        self.optimizer.step()
        self.total += torch.tensor([value * count, count], dtype=torch.float64)
        self.batch += 1
        return self.crew.lead(partial(self._told, value))

    def _backward(self, iterates: Tensor, samples: Sample) -> float:
        """Loss of a batch, and its derivatives by the part of this process."""
        loss = (self.loss(iterates, samples) * self.weights).sum()
        value = float(loss.detach())
        if not value < float("inf"):
            raise FloatingPointError(
                f"the loss is {value} in batch {self.batch} of epoch {self.epoch}: "
                "lower the learning rate"
            )
        self.fabric.backward(loss)
        return value

    def _told(self, value: float) -> bool:
        """Whether the observer wants to stop."""
        if self.observe is None:
            return False
        return bool(self.observe(self.epoch, self.batch, self.batches, value))

    @property
    def size(self) -> int:
        """Samples of the batch, in all processes."""
        return size(self.order.count, self.plan.batch, self.batch)

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
        tested = self.sets.validation
        errors = None if tested is None else self._validate(tested)
        row = Row(self.epoch, mean, self.rate, errors)
        self.epoch, self.batch = self.epoch + 1, 0
        self.total = torch.zeros_like(self.total)
        with self.crew.together():
            self.journal.enter(self, row)

    @torch.no_grad()
    def _validate(self, dataset: Samples) -> float:
        """Mean MASE of the last iterate, in percent."""
        self.module.eval()
        crew, plan, errors = self.crew, self.plan, []
        loader = load(dataset, None, plan, crew, self.fabric)
        for k, samples in enumerate(crew.each(loader)):
            with crew.together():
                error = self._mase(Sample(*samples))
            errors.append(crew.whole(error, size(len(dataset), plan.batch, k)))
        return float(torch.cat(errors).mean())

    def _mase(self, samples: Sample) -> Tensor:
        last = self.module(samples.labels)[:, -1].float()
        place = self.rule.loaded
        return mase(last[:, place], samples.strain[:, place])

    def state(self) -> dict[str, Any]:
        """Everything that the next batch depends on."""
        device = self.fabric.device
        on_gpu = device.type == "cuda"
        return {
            "model": self.rule.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "batch": self.batch,
            "total": self.total,
            "random": torch.get_rng_state(),
            "cuda": [torch.cuda.get_rng_state(device)] if on_gpu else [],
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to it."""
        self.rule.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.batch = state["epoch"], state["batch"]
        self.total = state["total"].cpu()
        torch.set_rng_state(state["random"].cpu())
        if state["cuda"] and self.fabric.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"][0].cpu(), self.fabric.device)
