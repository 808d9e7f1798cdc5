"""Chunks of HDF5 arrays that hold fewer bytes than they should.

HDF5 takes what its filters make of a chunk for the whole of it, without looking how
long that is (seen in 2.0.0): what is missing is then whatever lay in the memory of the
process, and is read as numbers. A chunk is therefore measured before it is read.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import h5py

from lsml.brief import brief

CHECKSUM = 4  # bytes of fletcher32
LZF = 32000  # the number that h5py has registered


def check_chunks(dataset: h5py.Dataset, rows: Sequence[range] = ()) -> None:
    """Refuse an array with a chunk that is too short.

    Parameters
    ----------
    rows : of the first axes; only chunks with some of them are looked at.

    Raises
    ------
    ValueError
        There is one.
    """
    if dataset.chunks is None:
        return
    whole = prod(dataset.chunks) * dataset.dtype.itemsize
    chunks: list[Any] = []
    dataset.id.chunk_iter(chunks.append)
    plan = dataset.id.get_create_plist()
    filters = [plan.get_filter(k)[0] for k in range(plan.get_nfilters())]
    for chunk in (c for c in chunks if _meets(c.chunk_offset, dataset.chunks, rows)):
        used = [f for k, f in enumerate(filters) if not chunk.filter_mask >> k & 1]
        if _length(dataset, chunk, used, whole) != whole:
            raise ValueError(
                f"{dataset.file.filename} holds {brief(dataset.name)} with a chunk at "
                f"{chunk.chunk_offset} that does not have its {whole} bytes"
            )


def _meets(offset: Sequence[int], edges: Sequence[int], rows: Sequence[range]) -> bool:
    """Whether a chunk has some of the rows of every axis."""
    return all(
        own.start < start + edge and start < own.stop
        for start, edge, own in zip(offset, edges, rows, strict=False)
    )


def _length(dataset: h5py.Dataset, chunk: Any, filters: list[int], whole: int) -> int:
    """Bytes of a chunk after the filters that it went through, the last one first.

    Other filters than these say themselves how much they make.
    """
    if not set(filters) <= {*UNPACKED, h5py.h5z.FILTER_SHUFFLE, CHECKED}:
        return whole
    packed = [f for f in filters if f in UNPACKED]
    length = chunk.size - CHECKSUM * (CHECKED in filters)
    if not packed:
        return int(length)
    _, data = dataset.id.read_direct_chunk(chunk.chunk_offset)
    return UNPACKED[packed[0]](data[:length], whole)


def _inflated(data: bytes, whole: int) -> int:
    """Bytes that zlib makes, up to one more than there should be."""
    try:
        return len(zlib.decompressobj().decompress(data, whole + 1))
    except zlib.error:
        return -1


def _expanded(data: bytes, whole: int) -> int:
    """Bytes that LZF makes: runs of literals, and repetitions of what was before."""
    length, place = 0, 0
    while place < len(data) and length <= whole:
        control = data[place]
        if control < 32:
            length += control + 1
            place += control + 2
            continue
        more = control >> 5 == 7
        extra = data[place + 1] if more and place + 1 < len(data) else 0
        length += (control >> 5) + 2 + extra
        place += 3 if more else 2
    return length


CHECKED = h5py.h5z.FILTER_FLETCHER32
UNPACKED: Mapping[int, Callable[[bytes, int], int]] = {
    h5py.h5z.FILTER_DEFLATE: _inflated,
    LZF: _expanded,
}
