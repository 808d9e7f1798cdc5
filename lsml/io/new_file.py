"""New HDF5 files that survive a full disk.

HDF5 leaves a file that it cannot write in a state that crashes the process when it
ends. It is therefore not told: it writes to a stream that keeps the error for later.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

import h5py


class Patient(FileIO):
    """A file that writes nothing more after its first error, which it keeps."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        """All of the data, or as much of it as there was room for."""
        left = memoryview(data).cast("B")
        length = len(left)
        try:
            while self.error is None and len(left):
                left = left[super().write(left) :]
        except OSError as error:
            self.error = error
        return length

    def truncate(self, size: int | None = None) -> int:
        """Cut or lengthened to ``size`` bytes."""
        if self.error is None:
            try:
                return super().truncate(size)
            except OSError as error:
                self.error = error
        return size or 0

    def check(self) -> None:
        """Raise the error, if there was one."""
        if self.error is not None:
            raise self.error


@contextmanager
def new_file(
    path: Path, version: str = "earliest"
) -> Iterator[tuple[h5py.File, Patient]]:
    """An HDF5 file to write, and the stream, to be checked now and then.

    Parameters
    ----------
    version : the oldest one of HDF5 whose format may be used, as h5py names it.

    Raises
    ------
    OSError
        It cannot be written.
    """
    with Patient(path, "w+") as stream:
        with h5py.File(stream, "w", libver=(version, "latest")) as file:
            yield file, stream
        stream.check()
