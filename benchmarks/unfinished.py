"""Files of a run that may be interrupted: the next one goes on where it ended."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from machine import write, write_json


class Files(NamedTuple):
    """Results go to ``stem`` with a suffix; nowhere if it is None."""

    stem: Path | None
    machine: dict[str, Any]  # only a run on the same one is gone on with

    @property
    def partial(self) -> Path | None:
        """What is done, until the run ends."""
        return None if self.stem is None else self.named(".partial.json")

    def named(self, suffix: str) -> Path:
        """One of the files; a stem may hold dots."""
        assert self.stem is not None
        return self.stem.with_name(self.stem.name + suffix)

    def done(self) -> dict[str, Any]:
        """What an interrupted run on this machine has done."""
        if self.partial is None or not self.partial.exists():
            return {}
        saved = json.loads(self.partial.read_text())
        same = saved["machine"] == self.machine
        print("resuming" if same else "another machine or version: starting afresh")
        return saved["done"] if same else {}

    def keep(self, done: dict[str, Any]) -> None:
        """Replace what is kept."""
        if self.partial is not None:
            write_json(self.partial, {"machine": self.machine, "done": done})

    def finish(self, content: dict[str, Any], text: str) -> None:
        """Write the results in place of what is kept."""
        if self.partial is not None:
            write_json(self.named(".json"), content)
            write(self.named(".md"), text)
            self.partial.unlink(missing_ok=True)
