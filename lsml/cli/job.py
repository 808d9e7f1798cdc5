"""Run files: what `lsml run` needs to make a result again, written beside it.

TOML with the command, every option with its value, the sha256 of every file that was
read, the number of threads, and the versions. Paths are relative to the run file.
"""

import hashlib
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import torch
import typer

from lsml.atomic import check_target, replacing
from lsml.cli.context import Context
from lsml.cli.errors import BAD_INPUT
from lsml.cli.team import team

Scalar: TypeAlias = str | int | float | bool
Value: TypeAlias = Scalar | Sequence[Scalar]

# Where commands write: a run file takes the name of the first that is given.
OUTPUTS: Mapping[str, tuple[str, ...]] = {
    "solve": ("out",),
    "homogenize": ("out",),
    "compare": ("out", "plot"),
    "train": ("folder",),
    "evaluate": ("figures",),
    "data generate": ("out",),
}
TRANSIENT = ("as_json", "overwrite")  # options that say nothing of the result
LISTED = ("weights",)  # lists that may name files, as FILE or NAME=FILE
SUFFIX = ".job.toml"
# Other results are folders.
FILES = (
    *(".h5", ".hdf5", ".xdmf", ".vti", ".npz", ".json", ".jsonl", ".csv"),
    *(".png", ".pdf", ".svg"),
)
FIRST_LINE = "# lsml run {name} makes {result} again."
VERSIONED = ("lsml", "torch", "numpy")


@dataclass(frozen=True)
class Job:
    """A command to be run.

    Attributes
    ----------
    command : its words, such as ``"data generate"``.
    options : values by the names of its parameters, paths as the run file has them.
    sha256 : of each file that is read, by its path.
    """

    command: str
    options: Mapping[str, Value]
    sha256: Mapping[str, str]
    versions: Mapping[str, str]
    threads: int

    def plain(self) -> dict[str, object]:
        """As TOML has it."""
        return {
            "command": self.command,
            "threads": self.threads,
            "options": dict(self.options),
            "sha256": dict(self.sha256),
            "versions": dict(self.versions),
        }


def words(ctx: Context) -> str:
    """Of a command, without the name of the program."""
    names: list[str] = []
    here: Context | None = ctx
    while here is not None and here.parent is not None:
        names.insert(0, str(here.info_name))
        here = here.parent  # type: ignore[assignment]
    return " ".join(names)


@contextmanager
def job_beside(ctx: Context) -> Iterator[None]:
    """Write the run file of a command beside what it has written, however it ended.

    Not of a command that has refused its input.

    Raises
    ------
    ValueError
        A file of that name is there, and it is no run file.
    """
    outputs = OUTPUTS.get(words(ctx), ())
    given = [ctx.params[name] for name in outputs if ctx.params.get(name)]
    if not given:
        yield
        return
    result, here = Path(given[0]), team()
    target, job = place_of(result), None
    with here.agreed():
        if here.first:
            check_place(target, bool(ctx.params.get("overwrite")))
            job = job_of(ctx, target.parent, outputs)
    try:
        yield
    except typer.Exit as end:
        if job is not None and end.exit_code != BAD_INPUT and result.exists():
            write_job(job, target, result)
        raise
    if job is not None:
        write_job(job, target, result)


def place_of(result: Path) -> Path:
    """The run file of a file or a folder: beside it."""
    if result.suffix in FILES:
        return result.with_suffix(SUFFIX)
    whole = result if result.name not in ("", "..") else Path(os.path.abspath(result))
    return whole.with_name(whole.name + SUFFIX)


def check_place(target: Path, overwrite: bool) -> None:
    """Refuse to replace a file that is no run file, or one that cannot be written."""
    if target.parent.is_dir():
        check_target(target)
    if overwrite or not target.is_file():
        return
    start = FIRST_LINE.partition("{")[0].encode()
    with target.open("rb") as file:
        if file.read(len(start)) != start:
            raise ValueError(
                f"{target} exists already and is no run file; --overwrite replaces it"
            )


def job_of(ctx: Context, folder: Path, outputs: Sequence[str]) -> Job:
    """What runs now, seen from the folder of its run file."""
    options: dict[str, Value] = {}
    hashes: dict[str, str] = {}
    for name, value in ctx.params.items():
        empty = value is None or (isinstance(value, list | tuple) and not value)
        if empty or name in TRANSIENT:
            continue
        options[name] = _seen_from(folder, name, value)
        if name not in outputs:
            hashes |= dict(_hashed(folder, name, value))
    return Job(words(ctx), options, hashes, versions(), torch.get_num_threads())


def versions() -> dict[str, str]:
    """What the numbers of a result may depend on."""
    found = {name: version(name) for name in VERSIONED}
    return {"python": platform.python_version(), **found}


def sha256_of(path: Path) -> str:
    """Of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def split_name(entry: str) -> tuple[str, str]:
    """NAME= and FILE of NAME=FILE; an empty name of FILE alone."""
    name, equals, file = entry.rpartition("=")
    return f"{name}{equals}", file


def _seen_from(folder: Path, name: str, value: Any) -> Value:
    """A value as a run file in that folder has it."""
    if isinstance(value, Path):
        return _relative(value, folder)
    if not isinstance(value, list | tuple):
        return value
    if name not in LISTED:
        return [_seen_from(folder, name, each) for each in value]  # type: ignore[misc]
    parts = [split_name(entry) for entry in value]
    return [
        prefix + (_relative(Path(file), folder) if Path(file).is_file() else file)
        for prefix, file in parts
    ]


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # on another drive
        return path.absolute().as_posix()


def _hashed(folder: Path, name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Path and hash of each file that a value names."""
    among = value if isinstance(value, list | tuple) else [value]
    paths = [each for each in among if isinstance(each, Path)]
    if name in LISTED and isinstance(value, list | tuple):
        paths = [Path(split_name(entry)[1]) for entry in value]
    for path in paths:
        if path.is_file():
            yield _relative(path, folder), sha256_of(path)


def write_job(job: Job, path: Path, result: Path) -> None:
    """Write a run file."""
    import tomli_w

    head = FIRST_LINE.format(name=path.name, result=_relative(result, path.parent))
    with replacing(path) as temporary:
        temporary.write_text(f"{head}\n{tomli_w.dumps(job.plain())}", "utf-8")
