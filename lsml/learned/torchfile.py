"""The two formats of ``torch.save``: where the pickle is, and where the numbers are."""

import io
import math
import sys
import zipfile
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lsml.brief import brief
from lsml.learned.unpickler import RefusedError, Storage, Stream, Strided, load

ZIP, PICKLE = b"PK\x03\x04", "data.pkl"
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of the format before torch 1.6


class Contents(NamedTuple):
    """What the pickle describes, and how to read the bytes of a storage."""

    root: object
    raw: Callable[[Storage], bytes]
    byteorder: str


def contents(stream: Stream, length: int) -> Contents:
    """Of a file of so many bytes; storages are read later, as long as it is open.

    Raises
    ------
    RefusedError
        Another kind of file, or its parts do not fit each other.
    """
    zipped = stream.read(len(ZIP)) == ZIP
    stream.seek(0)
    return _zip(stream, length) if zipped else _legacy(stream, length)


def _zip(stream: Stream, length: int) -> Contents:
    """An archive of ``NAME/data.pkl``, ``NAME/byteorder`` and ``NAME/data/KEY``."""
    archive = zipfile.ZipFile(stream)
    names = set(archive.namelist())
    tops = [name.removesuffix(PICKLE) for name in names if name.endswith("/" + PICKLE)]
    if len(tops) != 1 or tops[0] + "constants.pkl" in names:
        raise RefusedError("is a zip archive, but not one of torch.save")

    def read(name: str) -> bytes:
        if tops[0] + name not in names:
            raise RefusedError(f"has no {brief(name)}")
        entry = archive.getinfo(tops[0] + name)
        # torch never compresses; what is compressed may be larger than the memory.
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > length:
            raise RefusedError(f"holds {brief(name)} compressed or cut off")
        return archive.read(entry)

    order = read("byteorder") if tops[0] + "byteorder" in names else b"little"
    if order not in (b"little", b"big"):
        raise RefusedError("has an unknown order of bytes")
    root = load(io.BytesIO(read(PICKLE)), {})
    return Contents(root, lambda storage: read(f"data/{storage.key}"), order.decode())


def _legacy(stream: Stream, length: int) -> Contents:
    """Five pickles, then each storage: how many numbers as int64, and the numbers."""
    storages: dict[str, Storage] = {}
    if load(stream, storages) != MAGIC or load(stream, storages) != PROTOCOL:
        raise RefusedError("is a pickle, but not one of torch.save")
    _system, root, keys = (load(stream, storages) for _ in range(3))
    places: dict[str, int] = {}
    for key in keys if isinstance(keys, list) else [keys]:
        storage = storages.get(key) if isinstance(key, str) else None
        count = stream.read(8)
        if storage is None or count != storage.numel.to_bytes(8, "little"):
            raise RefusedError("is cut off, or its storages are not those it describes")
        places[storage.key] = stream.tell()
        if stream.seek(_nbytes(storage), io.SEEK_CUR) > length:
            raise RefusedError("is cut off inside of a storage")

    def raw(storage: Storage) -> bytes:
        if storage.key not in places:
            raise RefusedError(f"has no storage {brief(storage.key)}")
        stream.seek(places[storage.key])
        return stream.read(_nbytes(storage))

    return Contents(root, raw, "little")


def _nbytes(storage: Storage) -> int:
    return storage.numel * storage.dtype.itemsize


class Tensors:
    """Makes tensors of descriptions; those with one storage share its memory."""

    def __init__(self, file: Contents, length: int) -> None:
        self.file, self.length = file, length
        self.storages: dict[str, Tensor] = {}

    def tensor(self, described: Strided) -> Tensor:
        """One tensor, after its bounds are checked.

        Raises
        ------
        RefusedError
            It reaches out of its storage, or the storage is not in the file.
        """
        storage, offset, size, stride = described
        last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
        inside = (offset if 0 in size else last + 1) <= storage.numel
        if min(offset, *size, *stride, 0) < 0 or not inside:
            raise RefusedError(
                f"describes a tensor outside of its storage: size {brief(size)}, "
                f"stride {brief(stride)}, offset {offset} in {storage.numel} numbers"
            )
        # Strides of zero repeat numbers: without a bound a few bytes fill the memory.
        if math.prod(n for n in size if n) > self.length:
            raise RefusedError(f"describes a tensor of absurd size {brief(size)}")
        if storage.key not in self.storages:
            self.storages[storage.key] = self._flat(storage)
        return self.storages[storage.key].as_strided(size, stride, offset)

    def _flat(self, storage: Storage) -> Tensor:
        expected = _nbytes(storage)
        raw = bytearray(self.file.raw(storage))
        if len(raw) != expected:
            raise RefusedError(
                f"has {len(raw)} bytes in storage {brief(storage.key)}, not {expected}"
            )
        if not raw:
            return torch.empty(0, dtype=storage.dtype, device="cpu")
        flat = torch.frombuffer(raw, dtype=storage.dtype)
        if self.file.byteorder != sys.byteorder and storage.dtype.itemsize > 1:
            flat.untyped_storage().byteswap(storage.dtype)
        return flat
