"""What a training run leaves on disk: where it is, its best weights, its curve."""

import csv
import json
import time
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from lsml.atomic import replacing
from lsml.learned.checkpoint import Savable, save

LAST, BEST, LOG = "last.ckpt", "best.safetensors", "log.csv"
FORMAT = 1  # of checkpoints
INTERVAL = 60.0  # seconds between two checkpoints
UNREADABLE = (  # what a damaged checkpoint makes of torch.load, and what follows
    RuntimeError,
    KeyError,
    TypeError,
    OSError,
    EOFError,
    ValueError,
    UnpicklingError,
)


class Row(NamedTuple):
    """One epoch: mean loss, learning rate, and MASE of the validation in percent."""

    epoch: int
    loss: float
    learning_rate: float
    validation: float | None

    @property
    def score(self) -> float:
        """What the best epoch has least of."""
        return self.loss if self.validation is None else self.validation


@runtime_checkable
class Resumable(Protocol):
    """The part of a training run that is kept."""

    @property
    def rule(self) -> Savable:
        """What is trained."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything that the next batch depends on."""
        ...

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to it."""
        ...


class Journal:
    """Epochs and best weights of a run, in memory."""

    def __init__(self, identity: Mapping[str, Any]) -> None:
        self.identity = dict(identity)
        self.rows: list[Row] = []
        self.best: dict[str, Tensor] | None = None

    def restore(self, run: Resumable) -> None:
        """Nothing is left of an earlier run."""

    def packed(self, run: Resumable) -> dict[str, Any]:
        """All that is needed to go on, as tensors and plain values."""
        return {
            "run": run.state(),
            "rows": [tuple(row) for row in self.rows],
            "best": self.best,
        }

    def unpack(self, run: Resumable, packed: Mapping[str, Any]) -> None:
        """Go on from it."""
        run.load_state(packed["run"])
        self.rows = [Row(*values) for values in packed["rows"]]
        self.best = packed["best"]

    def due(self) -> bool:
        """Whether it is time to keep the state."""
        return False

    def keep(self, run: Resumable) -> None:
        """Keep the state between two batches."""

    def enter(self, run: Resumable, row: Row) -> None:
        """An epoch is complete."""
        better = all(row.score < earlier.score for earlier in self.rows)
        self.rows.append(row)
        if better or self.best is None:
            state = run.rule.state_dict()
            self.best = {name: value.detach().clone() for name, value in state.items()}

    def best_into(self, rule: Savable) -> None:
        """Give a rule the weights of the best epoch, and note how it came to them."""
        assert self.best is not None
        rule.load_state_dict(self.best)
        best = min(self.rows, key=lambda row: row.score)
        training = self.identity | {
            "best_epoch": best.epoch,
            "validation_mase": best.validation,
        }
        rule.record = dict(rule.record) | {"training": training}


class FolderJournal(Journal):
    """The same in a folder, so that a run can be interrupted at any moment."""

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        super().__init__(identity)
        self.folder, self.kept = folder, time.monotonic()
        self.writer: Any = None

    def restore(self, run: Resumable) -> None:
        """Go on where the folder says, or keep the beginning; refuse another run's."""
        path = self.folder / LAST
        if not path.exists():
            self.keep(run)
            return
        try:
            state = torch.load(path, weights_only=True, map_location="cpu")
            identity = json.loads(state["identity"])
        except UNREADABLE as error:
            reason = type(error).__name__
            raise ValueError(f"{path} is no checkpoint of lsml ({reason})") from None
        if state.get("format", FORMAT) != FORMAT:
            raise ValueError(
                f"{path} has format {state['format']!r} of checkpoints; lsml "
                f"{version('lsml')} reads format {FORMAT}: go on with the lsml that "
                "wrote it, or choose another folder"
            )
        wanted = json.loads(json.dumps(self.identity))
        for name in sorted(set(wanted) | set(identity)):
            if identity.get(name) != wanted.get(name):
                raise ValueError(
                    f"{self.folder} holds a run with {name} = {identity.get(name)!r}, "
                    f"not {wanted.get(name)!r}: choose another folder"
                )
        self.unpack(run, state)

    def due(self) -> bool:
        """A minute after the last time."""
        return time.monotonic() - self.kept > INTERVAL

    def keep(self, run: Resumable) -> None:
        """Replace the checkpoint."""
        identity = {"format": FORMAT, "identity": json.dumps(self.identity)}
        stream = BytesIO()  # so that a full disk is an error of the system's
        torch.save(identity | self.packed(run), stream)
        with replacing(self.folder / LAST) as temporary:
            temporary.write_bytes(stream.getvalue())
        self.kept = time.monotonic()

    def enter(self, run: Resumable, row: Row) -> None:
        """Keep curve and state."""
        super().enter(run, row)
        with replacing(self.folder / LOG) as path, path.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(Row._fields)
            writer.writerows(self.rows)
        self._to_tensorboard(row)
        self.keep(run)  # last: the epoch of a run killed before is done once more

    def best_into(self, rule: Savable) -> None:
        """Also as a file."""
        super().best_into(rule)
        save(rule, self.folder / BEST)

    def _to_tensorboard(self, row: Row) -> None:
        if find_spec("tensorboard") is None:
            return
        if self.writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(self.folder))
        self.writer.add_scalar("loss/train", row.loss, row.epoch)
        if row.validation is not None:
            self.writer.add_scalar("mase/validation", row.validation, row.epoch)
        self.writer.flush()


def open_journal(folder: str | Path | None, identity: Mapping[str, Any]) -> Journal:
    """In a folder, which is made if its parent exists; in memory for None.

    Raises
    ------
    ValueError
        The parent does not exist, or the path is a file.
    """
    if folder is None:
        return Journal(identity)
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file; a training run needs a folder")
    if not path.parent.is_dir():
        raise ValueError(f"cannot make {path}: the folder {path.parent} does not exist")
    path.mkdir(exist_ok=True)
    return FolderJournal(path, identity)
