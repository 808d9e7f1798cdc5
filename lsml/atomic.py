"""Files that are complete or absent: a temporary name, renamed when all is written."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
    stays until the new file is complete, also if writing fails or is interrupted.

    Raises
    ------
    ValueError
        As :func:`check_target`.
    OSError
        Writing failed, in one sentence.
    """
    target = check_target(path)
    unique = f".{target.stem[:100]}.{secrets.token_hex(4)}{target.suffix}"
    temporary = target.with_name(unique)
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        reason = error.strerror or str(error).partition("\n")[0]
        raise OSError(f"cannot write {target}: {reason}") from error
    finally:
        temporary.unlink(missing_ok=True)
