"""Files that are complete or absent: a temporary name, renamed when all is written."""

import os
import platform
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

import psutil


def check_target(path: str | Path) -> Path:
    """The path, if a file can be put there.

    Raises
    ------
    ValueError
        The folder does not exist, cannot be written to, or the path is a folder.
    """
    target = Path(path)
    if target.is_dir():
        raise ValueError(f"cannot write {target}: it is a folder")
    if not target.parent.is_dir():
        raise ValueError(
            f"cannot write {target}: the folder {target.parent} does not exist"
        )
    if not os.access(target.parent, os.W_OK):
        raise ValueError(
            f"cannot write {target}: no permission to write in {target.parent}"
        )
    return target


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary name beside ``path``, which becomes ``path`` if all goes well.

    It ends as ``path`` does, for writers that look at the suffix. What is there before
    stays until the new file is complete, also if writing fails or is interrupted. What
    processes of this machine have left of it that were killed is removed.

    Raises
    ------
    ValueError
        As :func:`check_target`.
    OSError
        Writing failed, in one sentence.
    """
    target = check_target(path)
    start, end = f".{target.stem[:100]}.{_machine()}-", target.suffix
    unique = f"{start}{os.getpid()}-{secrets.token_hex(4)}{end}"
    temporary = target.with_name(unique)
    _sweep(target.parent, re.escape(start) + r"(\d+)-[0-9a-f]{8}" + re.escape(end))
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        reason = error.strerror or str(error).partition("\n")[0]
        raise OSError(f"cannot write {target}: {reason}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _machine() -> str:
    """Short for its name: processes are known by their numbers on one machine only."""
    return sha256(platform.node().encode()).hexdigest()[:6]


def _sweep(folder: Path, pattern: str) -> None:
    """Remove files of this pattern whose process, its first group, has ended."""
    with suppress(OSError):  # a folder that cannot be listed
        for file in folder.iterdir():
            found = re.fullmatch(pattern, file.name)
            if found and not psutil.pid_exists(int(found[1])):
                file.unlink(missing_ok=True)
