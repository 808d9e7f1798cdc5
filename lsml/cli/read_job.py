"""Run files read, and held against what the command takes."""

import inspect
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from lsml.brief import brief, spelled
from lsml.cli.job import LISTED, Job, Value, sha256_of, split_name
from lsml.extras import needed

SECTIONS = {
    "command": str,
    "threads": int,
    "options": dict,
    "sha256": dict,
    "versions": dict,
}
TEXTS = ("sha256", "versions")
MOST_THREADS = 1024
CALLED: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "the path of a file, as a text",
    dict: "a table",
}


class Parameter(NamedTuple):
    """What a command takes under one name; ``many``: a list of them."""

    kind: type
    many: bool
    default: object

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is inspect.Parameter.empty


def read_job(path: Path) -> Job:
    """A run file, whose tables are known.

    Raises
    ------
    FileNotFoundError
        There is none.
    ValueError
        It is no TOML (or YAML), or a key is unknown, missing or of the wrong type.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(
            f"{path} has the extension {path.suffix!r}; expected one of "
            f"{', '.join(READERS)}"
        )
    if path.is_dir():
        raise ValueError(f"{path} is a folder; expected a run file")
    said = reader(path)
    check_sections(said, path)
    threads = int(said.get("threads", 0))
    options, sha256, versions = (
        said.get(name, {}) for name in ("options", "sha256", "versions")
    )
    return Job(said["command"], options, sha256, versions, threads)


def check_sections(said: Mapping[str, Any], path: Path) -> None:
    """Refuse a key at the top that is unknown, missing or of the wrong type.

    Raises
    ------
    ValueError
        Which.
    """
    refuse_unknown(said, SECTIONS, str(path))
    for name, kind in SECTIONS.items():
        if name in said and not fits(said[name], kind):
            raise ValueError(f"{path}: {name} must be {CALLED[kind]}")
    for name in TEXTS:
        if not all(isinstance(text, str) for text in said.get(name, {}).values()):
            raise ValueError(f"{path}: {name} must be a table of texts")
    if "command" not in said:
        raise ValueError(f"{path}: command is missing, such as command = 'solve'")
    if not 0 <= said.get("threads", 0) <= MOST_THREADS:
        told = spelled(said["threads"])
        raise ValueError(f"{path}: threads = {told} must be from 0 to {MOST_THREADS}")


def arguments(job: Job, path: Path, command: Callable[..., object]) -> dict[str, Any]:
    """What to call a command with, its defaults included.

    Raises
    ------
    ValueError
        A key is unknown, missing or of the wrong type, or a file is another one.
    """
    known = parameters(command)
    refuse_unknown(job.options, known, f"{path}: [options]")
    check_files(job, path)
    found: dict[str, Any] = {}
    for name, parameter in known.items():
        if name in job.options:
            given = job.options[name]
            found[name] = converted(given, parameter, f"{path}: {name}")
            found[name] = placed(found[name], name, path.parent)
        elif parameter.required:
            raise ValueError(f"{path}: {name} is missing from [options]")
        else:
            found[name] = parameter.default
    return found


def parameters(command: Callable[..., object]) -> dict[str, Parameter]:
    """Of a command, by name."""
    hints = get_type_hints(command)
    defaults = inspect.signature(command).parameters
    return {
        name: _parameter(hint, defaults[name].default)
        for name, hint in hints.items()
        if name != "return"
    }


def _parameter(hint: Any, default: object) -> Parameter:
    if get_origin(hint) in (Union, UnionType):
        (hint,) = [kind for kind in get_args(hint) if kind is not NoneType]
    many = get_origin(hint) is list
    return Parameter(get_args(hint)[0] if many else hint, many, default)


def refuse_unknown(given: Iterable[str], known: Iterable[str], where: str) -> None:
    """Refuse a key that nobody knows, and name the nearest."""
    names = list(known)
    for key in given:
        if key not in names:
            near = get_close_matches(key.replace("-", "_"), names, 1, 0.4)
            hint = (
                f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
            )
            raise ValueError(f"{where} has the unknown key {spelled(key)}; {hint}")


def fits(value: object, kind: type) -> bool:
    """Whether a value of a run file can be of that type."""
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is dict:
        return isinstance(value, dict) and all(isinstance(key, str) for key in value)
    return isinstance(value, str if kind is Path else kind)


def converted(value: Value, parameter: Parameter, where: str) -> Any:
    """A value as the command takes it."""
    kind = parameter.kind
    if not parameter.many:
        if not fits(value, kind):
            raise ValueError(f"{where} must be {CALLED[kind]}, not {spelled(value)}")
        return _as(kind, value, where)
    if kind is Path and fits(value, kind):  # one, as where a command takes one only
        value = [value]  # type: ignore[list-item]
    if not isinstance(value, list) or not all(fits(each, kind) for each in value):
        raise ValueError(
            f"{where} must be a list, each {CALLED[kind]}, not {spelled(value)}"
        )
    return [_as(kind, each, where) for each in value]


def _as(kind: type, value: Any, where: str) -> Any:
    try:
        return kind(value)
    except OverflowError:
        raise ValueError(f"{where} must be {CALLED[kind]} below 1e308") from None


def placed(value: Any, name: str, folder: Path) -> Any:
    """With paths from here, where the run file has them from its folder."""
    if isinstance(value, Path):
        return _from_here(value, folder)
    if isinstance(value, list) and name not in LISTED:
        return [placed(each, name, folder) for each in value]
    if name in LISTED and isinstance(value, list):
        parts = [split_name(entry) for entry in value]
        files = [
            (prefix, _from_here(Path(file), folder), file) for prefix, file in parts
        ]
        return [f"{prefix}{p if p.is_file() else file}" for prefix, p, file in files]
    return value


def _from_here(path: Path, folder: Path) -> Path:
    return Path(os.path.normpath(folder / path))


def check_files(job: Job, path: Path) -> None:
    """Refuse files that are not those that the run file was written for."""
    for name, expected in job.sha256.items():
        file = _from_here(Path(name), path.parent)
        if not file.is_file():
            raise FileNotFoundError(f"{path}: {file} does not exist")
        found = sha256_of(file)
        if found != expected:
            raise ValueError(
                f"{path}: {file} is not the file that was read then (sha256 "
                f"{found[:12]}…, not {str(expected)[:12]}…): bring that one back, or "
                "take its line out of [sha256]"
            )


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:  # of letters, or of TOML
        raise ValueError(f"{path} is not readable TOML ({brief(error)})") from None


def _yaml(path: Path) -> dict[str, Any]:
    with needed("run files in YAML need PyYAML", "files"):
        import yaml
    try:
        said = yaml.safe_load(path.read_text("utf-8"))
    except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(f"{path} is not readable YAML ({brief(error)})") from None
    if not isinstance(said, dict) or not fits(said, dict):
        raise ValueError(f"{path} must be a table of names and values")
    return said


READERS: Mapping[str, Callable[[Path], dict[str, Any]]] = {
    ".toml": _toml,
    ".yaml": _yaml,
    ".yml": _yaml,
}
