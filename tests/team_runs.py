"""What each of two processes sees of the training that they share, for test_team.

Run as a program by each: a folder, where runs are kept and what was seen is written.
The environment is that of torchrun.
"""

import os
import signal
import sys
import time
from pathlib import Path

import torch
from test_training import samples

from lsml.distributed import LostError
from lsml.learned import RLN, Plan, VNet, train
from lsml.learned.journal import Row

RANK = int(os.environ.get("RANK", "0"))
FINE = Plan(3, 3, 1e-2, loss="rmse", precision="64-true", accelerator="cpu")
COARSE = Plan(3, 2, 1e-2, accelerator="cpu")
HALF = Plan(2, 2, 1e-2, precision="64-true", accelerator="cpu")
Seen = tuple[torch.Tensor, list[Row]]


class Gentle(torch.nn.Module):
    """Every weight matters, so that Adam makes no steps of rounding.

    In the networks of lsml it does so of biases that the rule subtracts again.
    """

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        around = {"kernel_size": 3, "padding": 1, "padding_mode": "circular"}
        self.first = torch.nn.Conv2d(4, 5, **around)
        self.drop = torch.nn.Dropout1d(dropout)
        self.last = torch.nn.Conv2d(5, 1, bias=False, **around)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        inner = self.first(features).tanh()
        return self.last(self.drop(inner.flatten(2)).view_as(inner))


def dropping(seed: int = 0) -> RLN:
    """A rule that draws random numbers at every step."""
    torch.manual_seed(seed)
    return RLN(Gentle(0.3), 2, 1, tied=True).double()


def smooth(seed: int = 0) -> RLN:
    """One in float32, of two networks."""
    torch.manual_seed(seed)
    return RLN(Gentle, 2, 1)


def deep(seed: int = 0) -> RLN:
    """A network of lsml."""
    torch.manual_seed(seed)
    return RLN(VNet(4, 1, 2, dropout=0.3), 2, 1, tied=True).double()


def predicted(rule: RLN) -> torch.Tensor:
    """What a rule makes of three microstructures."""
    with torch.no_grad():
        return rule(torch.stack([s.labels for s in samples(3, seed=4)]))


def learned(rule: RLN, plan: Plan, folder: Path | None = None, stop: int = 0) -> Seen:
    """Weights and curve of a run on seven samples; up to its batch ``stop``."""
    steps: list[float] = []

    def observe(epoch: int, batch: int, batches: int, loss: float) -> bool:
        assert RANK == 0
        steps.append(loss)
        return len(steps) == stop

    rows = train(rule, samples(7), samples(3, seed=9), folder, plan, observe=observe)
    return torch.cat([p.detach().flatten() for p in rule.parameters()]), rows


class Torn(list):
    """Samples of which the first process can read all, and the others not all."""

    def __getitem__(self, i: int) -> object:
        if RANK == 1 and i == 4:
            raise ValueError("sample 4 of torn.h5 cannot be read")
        return super().__getitem__(i)


class Deadly(list):
    """Samples at one of which the second process is killed."""

    def __getitem__(self, i: int) -> object:
        if RANK == 1 and i == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(i)


def refused(data: list, folder: Path | None = None, rule: RLN | None = None) -> str:
    """The words in which a run ends."""
    try:
        train(rule or smooth(), data, None, folder, COARSE)
    except (ValueError, FloatingPointError) as error:
        return f"{type(error).__name__}: {error}"
    return "not at all"


def unlike() -> str:
    """Of processes that have different data."""
    return refused(samples(7 + RANK))


def infinite() -> str:
    """Of data that are not finite in one of the parts."""
    data = samples(2)
    bad = data[1]._replace(strain=torch.full_like(data[1].strain, torch.nan))
    return refused([data[0], bad])


def mixing() -> str:
    """Of a network in which the samples of a batch matter to each other."""
    rule = smooth()
    rule.networks[0].add_module("norm", torch.nn.BatchNorm2d(3))
    return refused(samples(2), rule=rule)


def main(folder: Path) -> None:
    """Everything that needs two processes; the last case ends the second one."""
    trained = deep(RANK)
    seen: dict[str, object] = {
        "deep": (learned(trained, FINE)[1], predicted(trained)),
        # Other weights at first in each process: those of the first count.
        "fine": learned(dropping(RANK), FINE),
        "coarse": learned(smooth(RANK), COARSE),
        "half": learned(dropping(), HALF, folder / "from-two", stop=6),
        "rest": learned(dropping(5 + RANK), HALF, folder / "from-one"),
        "torn": refused(Torn(samples(7))),
        "newer": refused(samples(7), folder / "newer"),
        "unlike": unlike(),
        "infinite": infinite(),
        "mixing": mixing(),
    }
    seen["log"] = (folder / "from-one" / "log.csv").read_text("utf-8")
    torch.save(seen, folder / f"seen-{RANK}.pt")
    began = time.monotonic()
    try:
        train(smooth(), Deadly(samples(7)), None, folder / "killed", COARSE)
    except LostError as error:
        seen |= {"lost": str(error), "seconds": time.monotonic() - began}
    torch.save(seen, folder / f"seen-{RANK}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
