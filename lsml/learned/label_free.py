"""Training of a proposal without labels: by the energy that its steps release.

Of a linear problem the energy error is known up to one constant, the energy of the
solution. The loss is the logarithm of what h steps leave of the error, per step,

    1/h log (E_{k+h} − E*)/(E_k − E*),

on the rule's own iterates, to a depth drawn anew for every batch; h steps are
differentiated together, which bounds memory (truncated backpropagation).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from math import cos, pi
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lsml.learned.checkpoint import described
from lsml.learned.curriculum import Curriculum, Task
from lsml.learned.journal import Journal, Row, open_journal
from lsml.learned.multipreconditioned import Enlarged, Multipreconditioned
from lsml.problem import Problem
from lsml.rule import Iterate
from lsml.typing import PerSample, Vector

Observe: TypeAlias = Callable[[int, int, float], None]
DONE, SURE = 1e-4, 1e-6  # of the first energy error: enough, and how well it is known


def train_label_free(
    rule: Multipreconditioned,
    tasks: Sequence[Task],
    folder: str | Path | None = None,
    curriculum: Curriculum = Curriculum(),  # noqa: B008 (frozen)
    *,
    seconds: float | None = None,
    observe: Observe | None = None,
) -> list[Row]:
    """Train the proposal of a rule in place, up to the weights of its best epoch.

    Parameters
    ----------
    tasks : batches of problems.
    folder : where to keep the run. One that was interrupted goes on where it was, with
        the result that it would have had; None keeps nothing.
    seconds : stop, resumably, when so many have passed.
    observe : called with (epoch, task, loss) after every task.

    Returns
    -------
    list of Row
        One for each epoch that is complete; the loss is that of all tasks to full
        depth, with the weights at its end.

    Raises
    ------
    ValueError
        Nothing to train or to train on, or a folder that holds another run.
    """
    if not tasks:
        raise ValueError("there are no problems to train on")
    if not any(p.requires_grad for p in rule.parameters()):
        raise ValueError("the rule has no proposal with weights to train")
    who = {**asdict(curriculum), "tasks": len(tasks)}
    if folder is not None:
        made = described(rule)
        who |= {name: made[name] for name in ("rule", "network")}
        who |= {"gaps": float(torch.stack([t.gap.sum() for t in tasks]).sum())}
    run = LabelFree(rule, tasks, curriculum, open_journal(folder, who), observe)
    run.until(None if seconds is None else time.monotonic() + seconds)
    return run.journal.rows


class LabelFree:
    """A run between two tasks."""

    def __init__(
        self,
        rule: Multipreconditioned,
        tasks: Sequence[Task],
        curriculum: Curriculum,
        journal: Journal,
        observe: Observe | None,
    ) -> None:
        self.rule, self.tasks, self.curriculum = rule, tasks, curriculum
        self.journal, self.observe = journal, observe
        self.optimizer = torch.optim.Adam(rule.parameters(), curriculum.learning_rate)
        self.epoch = self.place = 0
        journal.restore(self)

    def until(self, deadline: float | None) -> None:
        """Train to the end, or to the first task after a moment in time."""
        while self.epoch < self.curriculum.epochs:
            order, depths = self._plan()
            while self.place < len(order):
                self._roll_out(self.tasks[order[self.place]], depths[self.place])
                self.place += 1
                late = deadline is not None and time.monotonic() > deadline
                if late or self.journal.due():
                    self.journal.keep(self)
                if late:
                    return
            self._close_epoch()
        self.journal.best_into(self.rule)

    @property
    def rate(self) -> float:
        """Learning rate, along half a cosine."""
        passed = self.epoch + self.place / len(self.tasks)
        fall = (1 + cos(pi * passed / self.curriculum.epochs)) / 2
        return self.curriculum.learning_rate * fall

    def _plan(self) -> tuple[list[int], list[int]]:
        """Order of the tasks in this epoch, and the depth of each rollout."""
        seed = self.curriculum.seed * 2**20 + self.epoch
        draw = torch.Generator().manual_seed(seed)
        count = len(self.tasks)
        order = torch.randperm(count, generator=draw)
        depths = torch.randint(1, self.curriculum.depth + 1, (count,), generator=draw)
        return order.tolist(), depths.tolist()

    def _roll_out(self, given: Task, depth: int) -> None:
        """Segments from the start on, the weights changed after each."""
        problem, gap, losses = given.problem, given.gap, []
        with torch.no_grad():
            x, memory = self.rule.init(problem, problem.start(), 0)
        for begin in range(0, depth, self.curriculum.horizon):
            learns = gap > DONE * given.gap
            if not bool(learns.any()):
                break
            steps = min(self.curriculum.horizon, depth - begin)
            x, memory, left = self._segment(problem, x, memory, gap, steps)
            share = torch.maximum(left, SURE * given.gap) / gap
            losses.append(self._descend(share[learns].log().mean() / steps))
            x, gap = x.detach(), left.detach()
            memory = Enlarged(*(t.detach() for t in memory))
        mean = sum(losses) / max(1, len(losses))
        if self.observe is not None:
            self.observe(self.epoch, self.place, mean)

    def _segment(
        self, problem: Problem, x: Vector, memory: Enlarged, gap: PerSample, steps: int
    ) -> tuple[Vector, Enlarged, PerSample]:
        """Some steps, recorded, and the energy error that they leave."""
        memory = memory._replace(prepared=self.rule.prepare(problem, memory.step)[0])
        for k in range(steps):
            it = Iterate(x, self.rule.residual(problem, x, memory, k), k)
            x, memory = self.rule.step(problem, it, memory)
            gap = gap - memory.decrease
        return x, memory, gap

    def _descend(self, loss: Tensor) -> float:
        value = float(loss.detach())
        if not abs(value) < float("inf"):
            raise FloatingPointError(
                f"the loss is {value} in epoch {self.epoch}: lower the learning rate"
            )
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        parameters = self.rule.parameters()
        torch.nn.utils.clip_grad_norm_(parameters, self.curriculum.clip)
        self.optimizer.step()
        return value

    @torch.no_grad()
    def _close_epoch(self) -> None:
        """Weigh the weights by all tasks to full depth: losses vary with the depth."""
        losses = []
        for problem, gap in self.tasks:
            x, memory = self.rule.init(problem, problem.start(), 0)
            depth = self.curriculum.depth
            left = self._segment(problem, x, memory, gap, depth)[2]
            share = torch.maximum(left, SURE * gap) / gap
            losses.append(float(share.log().mean()) / depth)
        row = Row(self.epoch, sum(losses) / len(losses), self.rate, None)
        self.epoch, self.place = self.epoch + 1, 0
        self.journal.enter(self, row)

    def state(self) -> dict[str, Any]:
        """Everything that the next task depends on."""
        return {
            "model": self.rule.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "place": self.place,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to it."""
        self.rule.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.place = state["epoch"], state["place"]
