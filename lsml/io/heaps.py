"""Heaps of HDF5 files that do not end.

Text of any length lies in global heaps (HDF5 file format specification 3.0, III.E): a
head, and objects of an index, a size and their bytes. Free space has the index 0, and
if its size is 0 too, the library looks at it forever (seen in 2.0.0), where nothing can
interrupt it. Such files are refused before it sees them.
"""

import mmap
import struct
from pathlib import Path

MARK, HEAD, ENTRY = b"GCOL\x01\x00\x00\x00", 16, struct.Struct("<HHIQ")


def check_heaps(path: Path) -> None:
    """Refuse a file in which reading a text would not end.

    Raises
    ------
    ValueError
        There is such a heap.
    """
    if not path.stat().st_size:
        return
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        start = data.find(MARK)
        while start >= 0:
            if not _ends(data, start):
                raise ValueError(
                    f"{path} is not a readable HDF5 file (its heap at byte {start} "
                    "does not end)"
                )
            start = data.find(MARK, start + len(MARK))


def _ends(data: mmap.mmap, start: int) -> bool:
    """Whether each object of a heap is followed by another place, up to its end."""
    size = int.from_bytes(data[start + 8 : start + HEAD], "little")
    place, end = start + HEAD, min(start + size, len(data))
    while place + ENTRY.size <= end:
        index, _, _, length = ENTRY.unpack_from(data, place)
        step = ENTRY.size + -(-length // 8) * 8 if index else length
        if not step:
            return False
        place += step
    return True
