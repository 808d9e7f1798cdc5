"""Files of images and results: made by other libraries, mutated, and read by lsml."""

import io
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import h5py
import numpy as np

import lsml
from fuzzing.hdf5_trees import tree
from fuzzing.mutate import mutated
from fuzzing.outcome import WrongError
from lsml.data.layout import header_of, open_dataset
from lsml.io import read_image, read_saved
from lsml.io.array_files import raw_layout
from lsml.io.checkpoint import read_tensors
from lsml.io.image import Image, Raw
from lsml.io.renumber import fitting
from lsml.reduced.file import read_basis

SMALL = 60  # voxels of an image that is solved
SOLVED = 16  # one of so many, told by its checksum
LABELS = np.random.default_rng(5).integers(0, 2, (4, 3, 5))
Bytes = Mapping[str, bytes]
Made = Callable[[Random, str, Bytes], bytes]


class FileTarget(NamedTuple):
    """A kind of file.

    Attributes
    ----------
    seeds : valid files by name, with the extension that they are read under.
    act : reads one, checks the answer, and returns its kind.
    made : makes an input of the seed of a name.
    """

    seeds: Callable[[Path], Bytes]
    act: Callable[[Path], str]
    made: Made


def bytewise(rng: Random, name: str, seeds: Bytes) -> bytes:
    """Bytes exchanged, of a few seeds not at all."""
    if rng.random() < 0.02:
        return seeds[name]
    return mutated(rng, seeds[name], list(seeds.values()))


def image(path: Path, dataset: str | None = None, raw: Raw | None = None) -> str:
    """Read labels, hold them against another reader, and solve small ones."""
    found = read_image(path, dataset, raw)
    check_image(found)
    check_same(path, found)
    flat = found.batch or found.labels.ndim not in (2, 3)
    if flat or found.labels.size > SMALL or zlib.crc32(path.read_bytes()) % SOLVED:
        return "read"
    return solved(found)


def check_image(found: Image) -> None:
    """What is promised of an image."""
    labels = found.labels
    if labels.dtype.kind not in "iub" or 0 in labels.shape:
        raise WrongError(f"labels {labels.dtype} {labels.shape}")
    for edges in (found.spacing, found.origin):
        if edges is not None and len(edges) != len(found.shape):
            raise WrongError(f"{len(edges)} edges or origins, {found.shape} voxels")


def check_same(path: Path, found: Image) -> None:
    """The same numbers as another reader, in some order."""
    other = READERS.get(path.suffix, lambda *_: None)(path, found)
    if other is None:
        return
    if not np.array_equal(np.sort(found.labels.ravel()), np.sort(other.ravel())):
        raise WrongError("other labels than those in the file")


def by_numpy(path: Path, found: Image) -> Any:
    """Without the header's help: the last bytes of the file are the numbers."""
    labels = found.labels
    return np.frombuffer(path.read_bytes()[10:], np.uint8)[-labels.nbytes :].view(
        labels.dtype
    )[: labels.size]


def by_h5py(path: Path, found: Image) -> Any:
    """By the name that the reader says it took."""
    with h5py.File(path, "r") as file:
        return np.asarray(file[found.dataset][()])


def by_pillow(path: Path, found: Image) -> Any:
    """The pages of a picture; another opinion only where Pillow has one."""
    from PIL import Image as Pillow

    if found.labels.dtype != np.uint8:
        return None
    try:
        with Pillow.open(path) as picture:
            if picture.tile[0][0] != "raw":
                return None  # by libtiff, which writes to the terminal
            pages = []
            for k in range(getattr(picture, "n_frames", 1)):
                picture.seek(k)
                if ";I" in str(picture.tile[0]):
                    return None  # shown inverted, as a picture
                pages.append(np.asarray(picture))
    except Exception:  # what it does not read it does not contradict
        return None
    whole = np.concatenate([page.ravel() for page in pages])
    return whole if whole.size == found.labels.size else None


READERS: Mapping[str, Callable[[Path, Image], Any]] = {
    ".h5": by_h5py,
    ".dream3d": by_h5py,
    ".tif": by_pillow,
}


def solved(found: Image) -> str:
    """With a certificate that holds."""
    phases = fitting(found.labels, 2)
    edges = {} if found.spacing is None else {"spacing": found.spacing}
    solution = lsml.solve(phases.labels, tol=1e-4, max_iter=300, **edges)
    if not bool(solution.strain.isfinite().all()):
        raise WrongError("a strain that is not finite, marked converged")
    if not bool((solution.error <= 1e-4).all() and solution.converged.all()):
        raise WrongError(f"error {float(solution.error.max())} marked converged")
    return "solved"


def npy_seeds(folder: Path) -> Bytes:
    """By NumPy."""
    kinds = {"u1": "|u1", "big": ">i4", "bool": "?", "wide": "<u8", "float": "<f8"}
    found = {}
    for name, kind in kinds.items():
        stream = io.BytesIO()
        np.save(stream, LABELS.astype(kind), allow_pickle=False)
        found[f"{name}.npy"] = stream.getvalue()
    for name, given in {
        "plane": LABELS[0],
        "fortran": np.asfortranarray(LABELS),
        "object": np.array([1, "os.system", {}], object),
        "record": np.zeros(6, [("a", "i4"), ("b", "f8")]),
    }.items():
        stream = io.BytesIO()
        np.save(stream, given, allow_pickle=True)
        found[f"{name}.npy"] = stream.getvalue()
    return found


def npz_seeds(folder: Path) -> Bytes:
    """By NumPy, stored and compressed."""
    found = {}
    edges = {"spacing": np.array([1, 0.5, 2.0]), "origin": np.zeros(3)}
    for name, save in {"plain": np.savez, "packed": np.savez_compressed}.items():
        for more, held in {
            "": {"labels": LABELS},
            "-edges": {"labels": LABELS.astype("u1"), **edges},
            "-two": {"a": LABELS, "b": LABELS > 0},
        }.items():
            stream = io.BytesIO()
            save(stream, **held)  # type: ignore[arg-type]
            found[f"{name}{more}.npz"] = stream.getvalue()
    return found


MEMBERS = ("../../x.npy", "/tmp/x.npy", "labels.npy", "a/b.npy", "C:\\x.npy", "", "x")
MEMBERS += ("labels", "spacing.npy", "é\x00.npy", "a" * 200 + ".npy")


def rezipped(rng: Random, name: str, seeds: Bytes) -> bytes:
    """Members of other names, mutated inside of a sound archive, or twice."""
    if rng.random() < 0.5:
        return bytewise(rng, name, seeds)
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(seeds[name])) as old:
        members = {n: old.read(n) for n in old.namelist()}
    kinds = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
    with zipfile.ZipFile(stream, "w", rng.choice((*kinds, zipfile.ZIP_LZMA))) as new:
        for member, content in members.items():
            called = rng.choice(MEMBERS) if rng.random() < 0.2 else member
            inside = mutated(rng, content) if rng.random() < 0.6 else content
            new.writestr(called or "n", inside)
    made = stream.getvalue()
    return mutated(rng, made) if rng.random() < 0.2 else made


def hdf5_seeds(folder: Path) -> Bytes:
    """FANS, DREAM.3D and lsml's own layout, by h5py."""
    from fuzzing.hdf5_trees import SEEDS

    found = {}
    for name, write in SEEDS.items():
        path = folder / f"seed-{name}"
        with h5py.File(path, "w") as file:
            write(file)
        found[name] = path.read_bytes()
    return found


def planted(rng: Random, name: str, seeds: Bytes) -> bytes:
    """Mutated bytes, or a file of valid bytes with an unheard-of tree."""
    return bytewise(rng, name, seeds) if rng.random() < 0.6 else tree(rng)


def tif_seeds(folder: Path) -> Bytes:
    """By tifffile and Pillow."""
    import tifffile
    from PIL import Image as Pillow

    found = {}
    small = LABELS.astype(np.uint8)
    options: Mapping[str, dict[str, Any]] = {
        "stack": {"photometric": "minisblack"},
        "imagej": {"imagej": True, "metadata": {"spacing": 2.0}},
        "zlib": {"photometric": "minisblack", "compression": "zlib"},
        "big": {"photometric": "minisblack", "bigtiff": True, "byteorder": ">"},
        "tiled": {"photometric": "minisblack", "tile": (16, 16)},
    }
    for name, how in options.items():
        stream = io.BytesIO()
        tifffile.imwrite(stream, small, resolution=(2.0, 2.0), **how)
        found[f"{name}.tif"] = stream.getvalue()
    for name, how in {"pillow": {}, "lzw": {"compression": "packbits"}}.items():
        stream = io.BytesIO()
        pages = [Pillow.fromarray(page) for page in small]
        pages[0].save(stream, "TIFF", save_all=True, append_images=pages[1:], **how)
        found[f"{name}.tif"] = stream.getvalue()
    return found


def vti_seeds(folder: Path) -> Bytes:
    """By VTK: ASCII, base64, raw appended, compressed."""
    from vtkmodules.vtkIOXML import vtkXMLImageDataWriter

    found = {}
    for mode, words in enumerate(("ascii", "binary", "appended")):
        for packed in (False, True):
            writer = vtkXMLImageDataWriter()
            writer.SetInputData(vtk_image())
            writer.SetDataMode(mode)
            writer.SetEncodeAppendedData(packed)
            if not packed:
                writer.SetCompressorTypeToNone()
            writer.WriteToOutputStringOn()
            writer.Write()
            said = writer.GetOutputString()  # bytes where it is no text
            whole = said.encode() if isinstance(said, str) else said
            found[f"{words}{'-packed' * packed}.vti"] = whole
    return found


def vtk_seeds(folder: Path) -> Bytes:
    """Legacy files by VTK, ASCII and binary."""
    from vtkmodules.vtkIOLegacy import vtkDataSetWriter

    found = {}
    for name, binary in {"ascii": False, "binary": True}.items():
        path = folder / f"seed-{name}.vtk"
        writer = vtkDataSetWriter()
        writer.SetInputData(vtk_image())
        writer.SetFileName(str(path))
        writer.SetFileType(2 if binary else 1)
        writer.Write()
        found[f"{name}.vtk"] = path.read_bytes()
    return found


def vtk_image() -> Any:
    """Cell and point data on a grid."""
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData

    made = vtkImageData()
    made.SetDimensions(*(n + 1 for n in LABELS.shape))
    made.SetSpacing(1, 0.5, 2)
    for data, name, size in (
        (made.GetCellData(), "material", LABELS.size),
        (made.GetPointData(), "nodes", int(np.prod([n + 1 for n in LABELS.shape]))),
    ):
        values = np.arange(size, dtype=np.int32) % 2
        array = numpy_to_vtk(values, deep=True)
        array.SetName(name)
        data.AddArray(array)
    return made


XDMF = """<?xml version="1.0" ?>
<Xdmf Version="3.0"><Domain><Grid Name="g" GridType="Uniform">
<Attribute Name="labels" Center="Cell"><DataItem Dimensions="4 3 5" Format="HDF">
image.h5:/labels</DataItem></Attribute></Grid></Domain></Xdmf>
"""
ENTITY = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "%s">
<!ENTITY c "%s"><!ENTITY d "%s"><!ENTITY e SYSTEM "file:///etc/passwd">]>
<Xdmf><DataItem>%s</DataItem></Xdmf>"""
POINTED = ("../image.h5:/labels", "/etc/passwd.h5:/x", "a.h5:/x b.h5:/y", "&e;.h5:/l")
POINTED += ("&d;.h5:/x", "image.h5:/none", "image.h5:", "\n", "file:///x.h5:/l")


def xdmf_seeds(folder: Path) -> Bytes:
    """As text, with an HDF5 file beside it."""
    with h5py.File(folder / "image.h5", "w") as file:
        file["labels"] = LABELS
    bombs = ENTITY % ("&a;" * 40, "&b;" * 40, "&c;" * 4000, "%s")
    made = {f"entity-{k}.xdmf": (bombs % p).encode() for k, p in enumerate(POINTED)}
    plain = {
        f"to-{k}.xdmf": XDMF.replace("image.h5:/labels", p.replace("&", "")).encode()
        for k, p in enumerate(POINTED)
    }
    return {"good.xdmf": XDMF.encode(), **made, **plain}


LAYOUTS = ("4,3,5,uint8", "4,3,5,<u2,F", "5,3,4,>i4", "4,3,-5,uint8", "60,uint8")
LAYOUTS += ("4,3,5,float64", "9999999999,99999999,9,u8", "4,3,5,O", "2,2,2,2,u1")
LAYOUTS += ("4,3,5,S3", "4,3,5,?", "", ",", "4,3,5,(2,)u1", "a,b,c", "4,3,5,u1,F,C")


def raw_image(path: Path) -> str:
    """The layout is the first line of what was made."""
    text, _, rest = path.read_bytes().partition(b"\n")
    path.write_bytes(rest)
    return image(path, None, raw_layout(text.decode("latin-1")))


def raw_seeds(folder: Path) -> Bytes:
    """Bytes that fit one of the layouts."""
    whole = LABELS.astype(np.uint8).tobytes()
    return {
        f"{k}.raw": f"{layout}\n".encode() + whole * (1 + k % 3)
        for k, layout in enumerate(LAYOUTS)
    }


def saved_seeds(folder: Path) -> Bytes:
    """Results, data and a basis as lsml writes them: they have no other writer."""
    labels = LABELS.astype(np.uint8)
    files = {name: folder / f"seed-{name}.h5" for name in ("solution", "stiffness")}
    lsml.solve(labels, tol=1e-3, record=True).save(files["solution"])
    lsml.homogenize(labels[0], tol=1e-2).save(files["stiffness"])
    return {f"{name}.h5": path.read_bytes() for name, path in files.items()}


def results(path: Path) -> str:
    """Whatever of lsml reads HDF5 results."""
    found = read_saved(path)
    cell = found.labels.shape[-len(found.spacing) :] if found.labels is not None else ()
    for name, values in found.fields.items():
        if cell and values.shape[-len(cell) :] != cell:
            raise WrongError(f"{name} of shape {values.shape} on {cell}")
    return "read"


def others(path: Path) -> str:
    """A result is neither data, nor a reduced basis, nor a checkpoint of a path."""
    last = None
    for read in (
        lambda: header_of(open_dataset(path)),
        lambda: read_basis(path),
        lambda: read_tensors(path, "form", "owner"),
    ):
        try:
            read()
        except ValueError as error:
            last = error
    raise last or WrongError("read as what it is not")


FILES: Mapping[str, FileTarget] = {
    "npy": FileTarget(npy_seeds, image, bytewise),
    "npz": FileTarget(npz_seeds, image, rezipped),
    "hdf5": FileTarget(hdf5_seeds, image, planted),
    "tiff": FileTarget(tif_seeds, image, bytewise),
    "vti": FileTarget(vti_seeds, image, bytewise),
    "vtk": FileTarget(vtk_seeds, image, bytewise),
    "xdmf": FileTarget(xdmf_seeds, image, bytewise),
    "raw": FileTarget(raw_seeds, raw_image, bytewise),
    "results": FileTarget(saved_seeds, results, bytewise),
}
