"""HDF5 files of valid bytes with trees that nobody expects, by h5py alone."""

import io
from collections.abc import Callable, Mapping
from random import Random

import h5py
import numpy as np

LABELS = np.random.default_rng(5).integers(0, 2, (4, 3, 5)).astype(np.int32)
OUTSIDE = "/etc/passwd"


def plain(file: h5py.File) -> None:
    """One array."""
    file["labels"] = LABELS


def packed(file: h5py.File) -> None:
    """Compressed chunks with checksums."""
    file.create_dataset(
        "image", data=LABELS, chunks=(2, 3, 5), compression="gzip", fletcher32=True
    )


def fans(file: h5py.File) -> None:
    """The layout of FANS."""
    file["ms/image"] = LABELS
    file["ms/image"].attrs["permute_order"] = "zyx"


def own(file: h5py.File) -> None:
    """The layout of lsml."""
    file["labels"], file["spacing"] = LABELS[None], [1.0, 0.5, 2.0]
    file["origin"] = np.zeros(3)
    file.attrs["format"] = "lsml labels 1"


def dream3d(file: h5py.File) -> None:
    """The layout of DREAM.3D 6."""
    file["DataContainers/Image/CellData/FeatureIds"] = LABELS.T[..., None]
    geometry = file.create_group("DataContainers/Image/_SIMPL_GEOMETRY")
    geometry["DIMENSIONS"] = np.array(LABELS.shape)
    geometry["SPACING"], geometry["ORIGIN"] = np.ones(3), np.zeros(3)


def dream3d_nx(file: h5py.File) -> None:
    """The layout of DREAM.3D-NX."""
    file["DataStructure/Image/Cells/FeatureIds"] = LABELS.T[..., None]
    at = file["DataStructure/Image"].attrs
    at["_DIMENSIONS"], at["_SPACING"] = np.array(LABELS.shape), np.ones(3)
    at["_ORIGIN"] = np.zeros(3)


SEEDS: Mapping[str, Callable[[h5py.File], None]] = {
    "plain.h5": plain,
    "packed.h5": packed,
    "fans.h5": fans,
    "own.h5": own,
    "simpl.dream3d": dream3d,
    "nx.dream3d": dream3d_nx,
}

NAMES = ("labels", "image", "spacing", "origin", "_SIMPL_GEOMETRY", "DIMENSIONS")
NAMES += ("SPACING", "ORIGIN", "status", "provenance", "ms/image", "a/b/labels")
ATTRIBUTES = ("format", "permute_order", "_DIMENSIONS", "_SPACING", "_ORIGIN", "x")
VALUES: tuple[object, ...] = (
    "lsml labels 1",
    "lsml solution 1",
    "zyx",
    "xyz",
    b"zyx",
    b"\xff\xfe",
    [4, 3, 5],
    [5, 3, 4],
    [-4, -3, -5],
    [1.0, 2.0],
    [0.0, 1.0, 1.0],
    [np.nan] * 3,
    [1e308, 1e-320, np.inf],
    ["a", "b"],
    7,
    2**62,
    np.zeros((2, 2)),
    h5py.Empty("f8"),
    np.void(b"opaque"),
    True,
)


def arrays(rng: Random) -> object:
    """Anything that a dataset can hold."""
    return rng.choice(
        (
            LABELS,
            LABELS[None],
            LABELS.T[..., None],
            LABELS.astype(">i8"),
            LABELS > 0,
            LABELS.astype(float),
            LABELS.astype(complex),
            LABELS[0],
            np.zeros((0, 3), int),
            np.int32(5),
            "text",
            np.array([b"a", b"b"]),
            h5py.Empty("i4"),
            np.zeros((2, 2), [("a", "i4"), ("b", "f8")]),
            np.array([1.0, 0.5, 2.0]),
            np.array([[1.0, 0.5]]),
            np.full((2, 2), 2**63, "u8"),
            np.full((2, 2), -(2**63)),
        )
    )


def put_array(rng: Random, file: h5py.File, name: str) -> None:
    """An array."""
    file[name] = arrays(rng)


def put_huge(rng: Random, file: h5py.File, name: str) -> None:
    """Room for more than there is, of which nothing is written."""
    shape = rng.choice(((2**20, 2**20), (2**11,) * 3, (2**31, 2**31, 2), (1, 2**40)))
    file.create_dataset(name, shape, rng.choice(("i1", "i8")), chunks=(1,) * len(shape))


def put_odd(rng: Random, file: h5py.File, name: str) -> None:
    """A type that NumPy has not."""
    kind = rng.choice(
        (
            h5py.vlen_dtype("i4"),
            h5py.enum_dtype({"A": 0, "B": 1}, "i4"),
            h5py.string_dtype(),
            h5py.ref_dtype,
            np.dtype("(2,)i4"),
            np.dtype("f2"),
        )
    )
    file.create_dataset(name, (4, 3, 5), kind)


def put_external_link(rng: Random, file: h5py.File, name: str) -> None:
    """A name for something in another file."""
    file[name] = h5py.ExternalLink(rng.choice((OUTSIDE, "image.h5")), "labels")


def put_soft_link(rng: Random, file: h5py.File, name: str) -> None:
    """A name for another name, which may be its own."""
    file[name] = h5py.SoftLink(rng.choice(("/labels", "/none", "/", f"/{name}")))


def put_hard_link(rng: Random, file: h5py.File, name: str) -> None:
    """A group that contains itself."""
    file[name] = file["/"]


def put_virtual(rng: Random, file: h5py.File, name: str) -> None:
    """An array that lies in another file."""
    layout = h5py.VirtualLayout((4, 3, 5), "i4")
    source = rng.choice((OUTSIDE, "image.h5", "none.h5", "."))
    layout[:] = h5py.VirtualSource(source, "labels", (4, 3, 5))
    file.create_virtual_dataset(name, layout)


def put_foreign_bytes(rng: Random, file: h5py.File, name: str) -> None:
    """An array whose numbers are the bytes of another file."""
    where = rng.choice((OUTSIDE, "image.h5", "none.bin"))
    file.create_dataset(name, (4, 3, 5), "i1", external=[(where, 0, 60)])


def put_type(rng: Random, file: h5py.File, name: str) -> None:
    """A type with a name, which is neither an array nor a group."""
    file[name] = np.dtype("i4")


PLANTS = (
    *[put_array] * 6,
    put_huge,
    put_odd,
    put_external_link,
    put_soft_link,
    put_hard_link,
    put_virtual,
    put_foreign_bytes,
    put_type,
)


def tree(rng: Random) -> bytes:
    """Some of that, in or beside a known layout."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        if rng.random() < 0.6:
            rng.choice(list(SEEDS.values()))(file)
        groups = ["", *[n for n in ("DataContainers/Image", "ms") if n in file]]
        for _ in range(rng.randrange(1, 4)):
            place(rng, file, f"{rng.choice(groups)}/{rng.choice(NAMES)}".lstrip("/"))
        for _ in range(rng.randrange(3)):
            item = file[rng.choice(groups) or "/"] if rng.random() < 0.5 else file
            owner = rng.choice([item, *hard(item)])
            owner.attrs[rng.choice(ATTRIBUTES)] = rng.choice(VALUES)
    return stream.getvalue()


def hard(group: h5py.Group) -> list[h5py.Group]:
    """What is really there."""
    named = [n for n in group if isinstance(group.get(n, getlink=True), h5py.HardLink)]
    return [i for n in named if isinstance(i := group[n], h5py.Group | h5py.Dataset)]


def place(rng: Random, file: h5py.File, name: str) -> None:
    """Put something under a name, in the place of what was there."""
    try:
        if name in file or file.get(name, getlink=True) is not None:
            del file[name]
        rng.choice(PLANTS)(rng, file, name)
    except (ValueError, KeyError, OSError, TypeError, RuntimeError):
        return  # a name inside of what is no group
