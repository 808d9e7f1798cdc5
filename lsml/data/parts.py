"""The folder beside a dataset in which its parts wait until all of them are there.

A part is complete or absent, and the folder says of which recipe it is: a run that was
killed goes on as if nothing had happened.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

import h5py

from lsml.atomic import replacing
from lsml.data.layout import (
    CHUNKED,
    UNREADABLE,
    VERSION,
    Header,
    Table,
    allocate,
    describe,
    explained,
)
from lsml.data.recipe import Recipe, differences
from lsml.data.shards import solve_shard
from lsml.io.new_file import new_file

MANIFEST, LOCK, WHOLE = "recipe.json", "lock", "whole.h5"
RECIPE = "recipe"  # attribute of a part


def folder_beside(target: Path) -> Path:
    """Where the parts of a dataset are kept."""
    return target.with_name(f".{target.name}.parts")


@dataclass(frozen=True)
class Parts:
    """Parts of one recipe in a folder."""

    folder: Path
    recipe: Recipe

    @classmethod
    def prepare(cls, folder: Path, recipe: Recipe, resume: bool) -> "Parts":
        """The folder with what there is of this recipe, and nothing else.

        Raises
        ------
        ValueError
            It is of another recipe, and not to be started anew.
        """
        here = _manifest(recipe)
        there = _read(folder) if resume else None
        if there is not None and there != here:
            raise ValueError(
                f"{folder} holds parts of another dataset: its "
                f"{differences(there, here)}; resume=False (--no-resume) starts anew"
            )
        if there is None:
            _empty(folder)
            with replacing(folder / MANIFEST) as temporary:
                temporary.write_text(json.dumps(here), "utf-8")
        parts = cls(folder, recipe)
        parts.sweep()
        return parts

    def path(self, k: int) -> Path:
        """Of part k."""
        return self.folder / f"{k:06d}.h5"

    def complete(self) -> list[int]:
        """Parts that are there.

        Raises
        ------
        ValueError
            One is of another recipe, and cannot be put together with the others.
        """
        return [k for k in range(self.recipe.shards) if self._holds(k)]

    def keep(self, k: int, packed: bytes) -> None:
        """Write part k, as :func:`packed_part` has made it.

        Raises
        ------
        OSError
            It cannot be written.
        """
        with replacing(self.path(k)) as temporary:
            temporary.write_bytes(packed)

    def assemble(self) -> Path:
        """One file of all parts, in the folder.

        Raises
        ------
        OSError
            It cannot be written.
        """
        recipe, whole = self.recipe, self.folder / WHOLE
        room = recipe.samples, recipe.shape, len(recipe.components)
        with (
            replacing(whole) as temporary,
            new_file(temporary, VERSION) as (file, stream),
        ):
            allocate(file, *room)
            for k in range(recipe.shards):
                with h5py.File(self.path(k), "r") as part:
                    _copy(part, file, recipe.shard(k))
                stream.check()
            describe(file, _header(recipe), _table(recipe))
        return whole

    def sweep(self) -> None:
        """Remove what killed processes have left half done."""
        parts = {self.path(k).name for k in range(self.recipe.shards)}
        for file in self.folder.iterdir():
            if file.name not in parts | {MANIFEST, LOCK}:
                file.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove all parts; the manifest first, without which they are void."""
        _empty(self.folder)

    def _holds(self, k: int) -> bool:
        try:
            with h5py.File(self.path(k), "r") as part:
                there = dict(json.loads(part.attrs[RECIPE]))
                for name in part:
                    part[name][()]  # fails where a checksum does
                whole = bool(part["error"].shape == (len(self.recipe.shard(k)),))
        except UNREADABLE:
            return False
        unlike = differences(there, self.recipe.plain())
        if unlike:
            raise ValueError(
                f"{self.path(k)} is a part of another dataset: its {unlike}; "
                "resume=False (--no-resume) starts anew"
            )
        return whole


def packed_part(recipe: Recipe, device: str, k: int) -> bytes:
    """Part k of a dataset, solved, as an HDF5 file that says of which recipe it is.

    Raises
    ------
    SampleError, ImportError, MemoryError
        As :func:`lsml.data.shards.solve_shard`.
    """
    shard, stream = solve_shard(recipe, k, device), BytesIO()
    with h5py.File(stream, "w", libver=(VERSION, "latest")) as file:
        allocate(file, len(shard.labels), recipe.shape, len(recipe.components))
        for name, values in vars(shard).items():
            file[name][...] = values
        file.attrs[RECIPE] = json.dumps(recipe.plain())
    return stream.getvalue()


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """The folder, for this process alone; made if need be, removed if left empty.

    Raises
    ------
    ValueError
        Another process has it.
    """
    folder.mkdir(exist_ok=True)
    with (folder / LOCK).open("wb") as lock:
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(f"another process is at work in {folder}") from None
        try:
            yield
        finally:
            if {file.name for file in folder.iterdir()} <= {LOCK}:
                shutil.rmtree(folder)


def tidy(folder: Path, recipe: Recipe) -> None:
    """Remove what a process has left that was killed when the dataset was complete."""
    if not folder.is_dir():
        return
    with suppress(ValueError), claimed(folder):
        if _read(folder) in (None, _manifest(recipe)):
            _empty(folder)


def _empty(folder: Path) -> None:
    (folder / MANIFEST).unlink(missing_ok=True)
    for file in folder.iterdir():
        if file.name != LOCK:
            file.unlink()


def _manifest(recipe: Recipe) -> dict[str, object]:
    return recipe.plain() | {"lsml": version("lsml")}


def _read(folder: Path) -> dict[str, object] | None:
    """The manifest in a folder, if there is one."""
    file = folder / MANIFEST
    if not file.exists():
        return None
    with explained(f"{file} is not readable; resume=False (--no-resume) starts anew"):
        return dict(json.loads(file.read_text("utf-8")))


def _copy(part: h5py.File, file: h5py.File, samples: range) -> None:
    """Chunks as they are, without unpacking them."""
    for name in CHUNKED:
        source, target = part[name].id, file[name].id
        rest = (0,) * (source.rank - 1)
        for i, sample in enumerate(samples):
            mask, packed = source.read_direct_chunk((i, *rest))
            target.write_direct_chunk((sample, *rest), packed, mask)
    file["error"][samples.start : samples.stop] = part["error"]


def _header(recipe: Recipe) -> Header:
    return Header(
        recipe.contrast,
        recipe.nu,
        recipe.mean_strain,
        recipe.load,
        recipe.components,
        recipe.plain(),
    )


def _table(recipe: Recipe) -> Table:
    points = recipe.design_points()
    return Table(
        points,
        recipe.design.grain_size[points],
        recipe.design.volume_fraction[points],
        recipe.splits(),
    )
