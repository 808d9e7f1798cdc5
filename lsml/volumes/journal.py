"""Rows of a batch as they come: a line of JSON for each, which a crash cannot undo.

The first line says which settings the rows are of. A line that a killed process has
left half written is the last one, and void.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lsml.atomic import replacing
from lsml.data.recipe import differences
from lsml.io.plain import plain
from lsml.volumes.effective import Settings
from lsml.volumes.found import Volume
from lsml.volumes.row import Row, row_of

NAME = "images.jsonl"


@dataclass(frozen=True)
class Journal:
    """Rows of one batch in a folder."""

    file: Path

    @classmethod
    def prepare(cls, folder: Path, settings: Settings, overwrite: bool) -> "Journal":
        """The journal of these settings; an empty one if there is none.

        Raises
        ------
        ValueError
            It is of other settings or not readable, and not to be overwritten.
        """
        journal, here = cls(folder / NAME), settings.plain() | _version()
        try:
            journal._check(here)
        except ValueError:
            if not overwrite:
                raise
            journal.file.unlink()
        if not journal.file.exists():
            with replacing(journal.file) as temporary:
                temporary.write_text(json.dumps(here) + "\n", "utf-8")
        return journal

    def rows(self, volumes: list[Volume]) -> dict[str, Row]:
        """Rows of these images that are there, and whose files are the same still."""
        stamps = {volume.name: volume.stamp for volume in volumes}
        found = {}
        for line in self._lines()[1:]:
            row = row_of(line["row"])
            if stamps.get(row.image) == line["stamp"]:
                found[row.image] = row
        return found

    def add(self, volume: Volume, row: Row) -> None:
        """Keep a row, on the disk when this returns.

        Raises
        ------
        OSError
            It cannot be written.
        """
        line = json.dumps({"stamp": volume.stamp, "row": plain_row(row)}) + "\n"
        try:
            with self.file.open("r+b") as file:
                file.seek(self._end())
                file.truncate()
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OSError(f"cannot write {self.file}: {error.strerror}") from error

    def _check(self, here: Mapping[str, object]) -> None:
        there = self._lines()[0] if self.file.exists() else here
        if there != here:
            raise ValueError(
                f"{self.file} holds images of another batch: its "
                f"{differences(there, here)}; overwrite=True (--overwrite) starts anew"
            )

    def _end(self) -> int:
        """Where the last line that is complete ends."""
        with self.file.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            step = min(size, 1)
            file.seek(size - step)
            if file.read(step) == b"\n":
                return size
        return self.file.read_bytes().rfind(b"\n") + 1

    def _lines(self) -> list[dict[str, Any]]:
        whole = self.file.read_bytes()[: self._end()]
        try:
            lines = [dict(json.loads(line)) for line in whole.decode().splitlines()]
            if not lines:
                raise ValueError("it is empty")
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{self.file} is not readable ({error}); overwrite=True (--overwrite) "
                "starts anew"
            ) from None
        return lines


def plain_row(row: Row) -> dict[str, object]:
    """As JSON has it, null where a number is not finite."""
    return {name: _finite(value) for name, value in row.plain().items()}


def _finite(value: object) -> object:
    if isinstance(value, tuple):
        return [_finite(each) for each in value]
    return plain(value)


def _version() -> dict[str, object]:
    return {"lsml": version("lsml")}
