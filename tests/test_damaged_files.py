"""Files and values that the fuzzing campaign found to be answered badly, made small.

Each was a traceback of a library, an answer that did not hold, or a process that took
all memory; now it is one sentence. ``benchmarks/fuzz.py`` looks for more.
"""

import io
import json
import re
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import lsml
from lsml.brief import brief, spelled
from lsml.chain import parse
from lsml.cli.errors import sentence_of
from lsml.cli.read_job import Parameter as Option
from lsml.cli.read_job import converted, read_job
from lsml.data.layout import open_dataset
from lsml.inputs import check_limits
from lsml.io import read_image, read_saved
from lsml.learned import RLN, ThreeLayer, save

LABELS = np.random.default_rng(4).integers(0, 2, (4, 3, 5))


def refused(path, match=None, read=read_image):
    """One sentence about the file, which says what is wrong."""
    with pytest.raises(ValueError, match=match) as caught:
        read(path)
    sentence = str(caught.value)
    assert sentence.startswith(str(path))
    assert "\n" not in sentence
    assert sentence.isprintable()
    assert len(sentence) < 300 + len(str(path))


def npy(labels=LABELS, header=None):
    """Bytes of a file, with a header of one's own."""
    stream = io.BytesIO()
    np.save(stream, labels)
    data = stream.getvalue()
    if header is None:
        return data
    text = header.encode().ljust(118) + b"\n"
    return data[:8] + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<i8', 'fortran_order': False, 'shape': (4, 3, 5",  # no tokens
        "{'descr': '<i8', 'fortran_order': False, 'shape': (99999999999999999999, 2)}",
        "{'descr': '<i8', 'fortran_order': False, 'shape': (-4, 3)}",
        "{'descr': '\x01\x02', 'fortran_order': False, 'shape': (4, 3)}",
    ],
)
def test_headers_of_arrays(tmp_path, header):
    """Catches errors of Python's own parser, which are of many kinds."""
    path = tmp_path / "a.npy"
    path.write_bytes(npy(header=header))
    refused(path, "not a readable NumPy array")


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_packed_arrays_with_a_wrong_byte(tmp_path, packing):
    """Decoders have errors of their own."""
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", packing) as archive:
        archive.writestr("labels.npy", npy())
    data = bytearray(path.read_bytes())
    for place in range(60, 90):
        data[place] ^= 0xFF
    path.write_bytes(data)
    refused(path)


def test_members_that_are_no_arrays(tmp_path):
    """NumPy returns them as bytes."""
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme\r\n\x1b[31m", "text")
        archive.writestr("labels.npy", npy())
    with warnings.catch_warnings():
        np.testing.assert_array_equal(read_image(path).labels, LABELS)
        refused(path, "has no dataset 'none'", lambda p: read_image(p, "none"))


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_edges_of_another_number_of_axes(tmp_path, suffix):
    """Catches an image whose spacing fails far away from the file."""
    path = tmp_path / f"a{suffix}"
    for edges in ([1.0], [1.0, 2.0, 3.0, 4.0, 5.0]):
        if suffix == ".npz":
            np.savez(path, labels=LABELS, spacing=np.array(edges))
        else:
            with h5py.File(path, "w") as file:
                file["labels"], file["spacing"] = LABELS[None], edges
                file.attrs["format"] = "lsml labels 1"
        refused(path, f"voxel edges for {len(edges)} axes and an image of 3")


@pytest.mark.parametrize("read", [read_image, read_saved])
def test_hdf5_whose_tree_is_damaged(tmp_path, read):
    """Groups are looked through after the file has been opened."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["a/labels"], file["a"].attrs["format"] = LABELS, "x"
    data = path.read_bytes()
    for mark in (b"SNOD", b"TREE", b"HEAP"):
        path.write_bytes(data.replace(mark, b"XXXX"))
        refused(path, "not a readable HDF5 file", read)


def test_heaps_that_do_not_end(tmp_path):
    """HDF5 reads such a text forever, and nothing can interrupt it."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["labels"], file.attrs["format"] = LABELS, "a text of any length"
    assert read_image(path).labels.shape == LABELS.shape
    data = bytearray(path.read_bytes())
    heap = data.index(b"GCOL")
    free = heap + 16 + 16 + 24  # its head, and the text with a head and padding
    assert data[free : free + 2] == b"\0\0"
    data[free + 8 : free + 16] = bytes(8)
    path.write_bytes(data)
    for read in (read_image, read_saved, open_dataset):
        refused(path, "does not end", read)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_SPACING", "abc"),
        ("_SPACING", ["a", "b", "c"]),
        ("_DIMENSIONS", np.void(b"opaque")),
        ("_DIMENSIONS", b"\xff\xfe"),
    ],
)
def test_attributes_that_are_no_numbers(tmp_path, name, value):
    """Of DREAM.3D-NX."""
    path = tmp_path / "a.dream3d"
    with h5py.File(path, "w") as file:
        file["g/Image/Cells/Ids"] = LABELS.T[..., None]
        at = file["g/Image"].attrs
        at["_DIMENSIONS"], at["_SPACING"] = LABELS.shape, np.ones(3)
        at[name] = value
    refused(path)


def test_an_array_whose_place_a_type_has(tmp_path):
    """HDF5 has types with names, which are neither groups nor arrays."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["labels"], file["spacing"] = LABELS[None], np.dtype("f8")
        file.attrs["format"] = "lsml labels 1"
    assert read_image(path).spacing is None


def test_vtk_that_repeats_what_is_no_text(tmp_path):
    """Its message is bytes then."""
    pytest.importorskip("vtkmodules")
    path = tmp_path / "a.vtk"
    head = b"# vtk DataFile Version 3.0\nt\nASCII\nDATASET STRUCTURED_POINTS\n"
    path.write_bytes(head + b"DIMENSIONS 3 3 3\nSPACING 1 1 1\n\xff\xfe 1 2\n")
    refused(path)


def test_pages_that_differ_in_one_stack(tmp_path):
    """Of one bit, after those of a byte: all would be read as the first is."""
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "a.tif"
    stack = LABELS.astype(np.uint8)
    tifffile.imwrite(path, stack, photometric="minisblack", tile=(16, 16))
    with tifffile.TiffFile(path) as file:
        place = file.pages[1].tags["BitsPerSample"].valueoffset
    data = bytearray(path.read_bytes())
    data[place] = 1
    path.write_bytes(data)
    refused(path, "one stack, but has 2 kinds of pages")


@pytest.mark.parametrize("imagej", [False, True])
def test_pages_that_lie_elsewhere(tmp_path, imagej):
    """Stacks are read in one piece, so that a page of its own place was not seen."""
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "a.tif"
    kind = {"imagej": True} if imagej else {"photometric": "minisblack"}
    tifffile.imwrite(path, LABELS.astype(np.uint8), **kind)
    assert read_image(path).labels.T.tolist() == LABELS.tolist()
    with tifffile.TiffFile(path) as file:
        place = file.pages[1].tags["StripOffsets"].valueoffset
    data = bytearray(path.read_bytes())
    data[place : place + 4] = (8).to_bytes(4, "big" if data[:2] == b"MM" else "little")
    path.write_bytes(data)
    refused(path, "its page 1 is not behind the one before")


def test_pages_without_an_end(tmp_path):
    """The last one names the first as the next."""
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "a.tif"
    stack = LABELS.astype(np.uint8)
    tifffile.imwrite(path, stack, photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as file:
        first, last = file.pages[0], file.pages[-1]
        place = last.offset + 2 + 12 * len(last.tags)
    data = bytearray(path.read_bytes())
    data[place : place + 4] = first.offset.to_bytes(4, "little")
    path.write_bytes(data)
    refused(path, "TIFF file")


# Descriptions of learned rules.


@pytest.fixture
def rule(tmp_path):
    return save(RLN(ThreeLayer(4, 1, 2), 1, 1), tmp_path / "fln-c10.safetensors")


def described(path, change):
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        said = json.loads(file.metadata()["lsml"])
    change(said)
    save_file(tensors, path, metadata={"lsml": json.dumps(said)})


@pytest.mark.parametrize(
    ("part", "name", "value", "sentence"),
    [
        ("rule", "passes", 10**9, "passes = 1000000000 must be from 1 to 1000"),
        ("rule", "passes", 1000, "1000 layers cannot be made of"),
        ("rule", "passes", "5", "passes = 5 must be from 1"),
        ("network", "width", 10**5, "tensor .* this network needs"),
        ("network", "width", 2**62, "cannot be read"),
        ("network", "in_channels", 10**8, "100000000 input channels"),
    ],
)
def test_networks_larger_than_their_tensors_are_never_made(
    rule, part, name, value, sentence
):
    """A few bytes of text would take all memory, or years."""

    def change(said):
        (said[part] if part == "rule" else said[part]["arguments"])[name] = value

    described(rule, change)
    refused(rule, sentence, lambda path: lsml.load_rule("fln", path))


def test_a_tensor_whose_name_goes_on(rule):
    with safe_open(rule, "pt") as file:
        said = file.metadata()
    save_file({"x\n" * 500: torch.ones(1)}, rule, metadata=said)
    refused(rule, "another network", lambda path: lsml.load_rule("fln", path))


# Values.


@pytest.mark.parametrize(
    "labels",
    [
        torch.zeros(2, 2, 2, dtype=torch.int64).to_sparse(),
        torch.empty(2, 2, 2, dtype=torch.int64, device="meta"),
        np.ma.masked_array(LABELS, LABELS == 0),
    ],
)
def test_labels_that_are_not_there(labels):
    """Masked ones were solved as if nothing were masked."""
    with pytest.raises(ValueError, match=r"labels are (a tensor of|masked)"):
        lsml.solve(labels)


def test_a_masked_array_without_masks_is_one_of_labels():
    whole = lsml.solve(LABELS, tol=1e-3).energy
    assert torch.equal(lsml.solve(np.ma.masked_array(LABELS), tol=1e-3).energy, whole)


@pytest.mark.parametrize("tol", [np.array([1.0, 2.0]), 1j, torch.ones(2), "1", 10**400])
def test_tolerances_that_are_no_number(tol):
    with pytest.raises(ValueError, match=r"tol = .* must be positive and finite"):
        check_limits(tol, 10)


def test_chains_of_thousands():
    """They nest as deep as Python can."""
    with pytest.raises(ValueError, match="a rule of 3001 parts; at most 100"):
        parse("cg:1 > " * 3000 + "cg")


def test_numbers_of_run_files_that_no_float_holds(tmp_path):
    option = Option(float, False, 1.0)
    with pytest.raises(ValueError, match="tol must be a number below 1e308"):
        converted(10**400, option, "tol")
    path = tmp_path / "a.toml"
    path.write_text("command = 'solve'\nthreads = 1000000000\n")
    refused(path, "threads = 1000000000 must be from 0 to 1024", read_job)


# Words.


def test_a_sentence_does_not_move_the_cursor():
    """Names of files may hold anything but zero."""
    error = FileNotFoundError("a\x1b[2J\nb\x85.npy does not exist")
    assert sentence_of(error) == r"a\x1b[2J b .npy does not exist"


def test_values_are_spelled_in_bounded_time():
    """Eight lists of nine of the one before would be forty million entries."""
    value = ["x"]
    for _ in range(8):
        value = [value] * 9
    value.append(value)
    assert len(spelled(value)) <= 101
    assert brief(ValueError()) == "ValueError"
    assert brief("a" * 500) == "a" * 100 + "…"


def test_a_short_campaign_finds_nothing():
    """Every target, a few inputs, as ``benchmarks/fuzz.py`` tries them."""
    for name in ("hypothesis", "tifffile", "vtkmodules", "yaml", "PIL"):
        pytest.importorskip(name)
    script = Path(__file__).parents[1] / "benchmarks" / "fuzz.py"
    command = [sys.executable, script, "--scale", "0.003", "--seed", "1", "--only"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    told = re.findall(r"^([a-z0-9 ]+?) (\d+) \d+ \{", done.stdout, re.MULTILINE)
    assert len(told) == 18
    assert all(int(inputs) >= 15 for _, inputs in told)
