"""Files from elsewhere: nothing in them is run, and no other file is read for them."""

import ast
import io
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

import lsml
from lsml.cli.read_job import read_job
from lsml.data.layout import open_dataset
from lsml.io import read_image, read_saved
from lsml.io.checkpoint import read_tensors
from lsml.reduced.file import read_basis

PACKAGE = Path(lsml.__file__).parent
LABELS = np.random.default_rng(2).integers(0, 2, (4, 3, 5))
RUNS = {  # functions that run what they are given, and where one is called for a reason
    "eval": set(),
    "exec": set(),
    "compile": set(),
    "__import__": set(),
    "os.system": set(),
    "os.popen": set(),
    "subprocess.run": set(),
    "subprocess.call": set(),
    "subprocess.check_output": set(),
    "subprocess.Popen": {
        "workers/processes.py"
    },  # this program's own workers, no shell
    "pickle.load": {"workers/processes.py"},  # what they answer, through a pipe
    "pickle.loads": {"distributed/team.py"},  # what it has just pickled itself
    "pickle.Unpickler": {"learned/unpickler.py"},  # its subclass admits by name
    "torch.load": {"learned/journal.py", "distributed/team.py"},
    "np.load": {"io/array_files.py"},
    "numpy.load": set(),
    "yaml.load": set(),
    "yaml.unsafe_load": set(),
    "marshal.loads": set(),
    "joblib.load": set(),
    "tarfile.open": set(),
}
CONDITIONS = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}


def calls():
    """Every call of the package by the name that it is written with."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield path.relative_to(PACKAGE).as_posix(), ast.unparse(node.func), node


def test_nothing_that_runs_what_it_reads_is_called():
    """Catches a new way of reading files that opens them by running them."""
    found = [
        f"{where}:{node.lineno} {name}"
        for where, name, node in calls()
        if where not in RUNS.get(name, {where})
    ]
    assert found == []


def test_what_could_unpickle_is_told_not_to():
    """Catches a default that runs a file, such as that of torch before 2.6."""
    seen = set()
    for where, name, node in calls():
        if name not in CONDITIONS:
            continue
        option, value = CONDITIONS[name]
        given = [ast.literal_eval(k.value) for k in node.keywords if k.arg == option]
        assert given == [value], f"{where}:{node.lineno}"
        seen.add(name)
    assert seen == set(CONDITIONS)


def test_no_shell_is_started():
    shells = [
        f"{where}:{node.lineno}"
        for where, _, node in calls()
        for keyword in node.keywords
        if keyword.arg == "shell"
    ]
    assert shells == []


# An HDF5 file can have its numbers, or all that is below a name, in other files.


@pytest.fixture
def secret(tmp_path):
    """Another file of the machine, as HDF5 and as bytes."""
    folder = tmp_path / "private"
    folder.mkdir()
    path = folder / "secret.h5"
    with h5py.File(path, "w") as file:
        file["labels"], file["spacing"] = LABELS, np.ones(3)
    return path


def by_link(file, name, secret):
    file[name] = h5py.ExternalLink(str(secret), "labels")


def by_soft_link(file, name, secret):
    """Through an external one."""
    file[f"{name} beside"] = h5py.ExternalLink(str(secret), "/")
    file[name] = h5py.SoftLink(f"/{name} beside/labels")


def by_virtual_array(file, name, secret):
    layout = h5py.VirtualLayout(LABELS.shape, LABELS.dtype)
    layout[:] = h5py.VirtualSource(str(secret), "labels", LABELS.shape)
    file.create_virtual_dataset(name, layout)


def by_foreign_bytes(file, name, secret):
    size = secret.stat().st_size // 8 * 8
    where = [(str(secret), 0, size)]
    file.create_dataset(name, (2, size // 8 // 2), "i4", external=where)


WAYS = [by_link, by_soft_link, by_virtual_array, by_foreign_bytes]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dataset", [None, "labels"])
def test_labels_in_another_file_are_not_read(tmp_path, secret, way, dataset):
    """By h5py they are: the file says which files of this machine to read."""
    path = tmp_path / "image.h5"
    with h5py.File(path, "w") as file:
        way(file, "labels", secret)
    with h5py.File(path, "r") as file:
        assert file["labels"][()].size > 2  # the way is one
    with pytest.raises(ValueError, match=r"image\.h5 (keeps|has)") as caught:
        read_image(path, dataset)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("way", [by_link, by_soft_link, by_virtual_array])
def test_edges_in_another_file_are_not_read(tmp_path, secret, way):
    """Beside labels that are there, under the names that lsml's layout has."""
    path = tmp_path / "image.h5"
    with h5py.File(path, "w") as file:
        file["labels"], file.attrs["format"] = LABELS[None], "lsml labels 1"
        way(file, "spacing", secret)
    with pytest.raises(ValueError, match=r"links are not followed|other files"):
        read_image(path)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "read",
    [
        read_saved,
        open_dataset,
        read_basis,
        lambda path: read_tensors(path, "lsml basis 1", "owner"),
    ],
)
def test_no_reader_of_hdf5_goes_to_another_file(tmp_path, secret, way, read):
    """Every array of the file lies elsewhere, whatever a reader asks for first."""
    path = tmp_path / "result.h5"
    for name in ("lsml solution 1", "lsml dataset 1", "lsml basis 1"):
        with h5py.File(path, "w") as file:
            file.attrs["format"] = name
            for key in ("labels", "spacing", "strain", "status", "error", "columns"):
                way(file, key, secret)
        with pytest.raises(ValueError, match=r"result\.h5"):
            read(path)


def test_zeros_that_do_not_fit_are_refused_with_their_number(tmp_path):
    """A file of two kilobytes, of which nothing is written; catches an allocation."""
    path = tmp_path / "zeros.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("labels", (2**20,) * 3, "i1", chunks=(2**20, 1, 1))
    assert path.stat().st_size < 10_000
    with pytest.raises(MemoryError, match=r"zeros\.h5: .* needs .* GB"):
        read_image(path)


CHUNKS = [
    ({"compression": "gzip"}, zlib.compress(b"abcd" * 3), 0),
    ({"compression": "gzip"}, b"abcd", 1),
    ({"compression": "gzip", "shuffle": True}, zlib.compress(b"abcd" * 3), 0),
    ({"compression": "gzip", "fletcher32": True}, b"abcd", 0b11),
    ({"compression": "lzf"}, b"\x02abc", 0),
    ({"shuffle": True}, b"abcdefgh", 0),
    ({}, b"abcdefgh", 0),
]


@pytest.mark.parametrize(("packing", "data", "mask"), CHUNKS)
def test_what_is_missing_is_not_read_from_memory(tmp_path, packing, data, mask):
    """HDF5 fills a short chunk with what lay there before: a secret, or nonsense."""
    path = tmp_path / "image.h5"
    with h5py.File(path, "w") as file:
        made = file.create_dataset("labels", (4, 50), "i4", chunks=(4, 50), **packing)
        made.id.write_direct_chunk((0, 0), data, mask)
    with pytest.raises(ValueError, match=r"chunk at \(0, 0\) .* its 800 bytes"):
        read_image(path)


@pytest.mark.parametrize("compression", [None, "gzip", "lzf"])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("fletcher32", [False, True])
def test_whole_chunks_are_read(tmp_path, compression, shuffle, fletcher32):
    """Of every filter, random and constant, with parts of chunks at the ends."""
    rng, path = np.random.default_rng(0), tmp_path / "image.h5"
    for labels in (rng.integers(0, 2**31, (5, 70, 3)), np.zeros((5, 700), np.int16)):
        with h5py.File(path, "w") as file:
            file.create_dataset(
                "labels",
                data=labels,
                chunks=(2, 30) + (2,) * (labels.ndim - 2),
                compression=compression,
                shuffle=shuffle,
                fletcher32=fletcher32,
            )
        np.testing.assert_array_equal(read_image(path).labels, labels)


# Text that names other files.

XDMF = '<Xdmf><Domain><DataItem Format="HDF">{}</DataItem></Domain></Xdmf>'


@pytest.mark.parametrize("folder", ["private/", "./private/../private/", "{}/"])
def test_xdmf_leads_to_files_beside_it_only(tmp_path, secret, folder):
    """Up, down and from the root."""
    path = tmp_path / "image.xdmf"
    path.write_text(XDMF.format(f"{folder.format(secret.parent)}secret.h5:/labels"))
    with pytest.raises(ValueError, match=r"image\.xdmf names .* not beside it"):
        read_image(path)
    beside = secret.parent / "image.xdmf"
    beside.write_text(XDMF.format("secret.h5:/labels"))
    np.testing.assert_array_equal(read_image(beside).labels, LABELS)


def test_xml_does_not_include_files_and_does_not_explode(tmp_path, secret):
    """External entities, XInclude, and a billion laughs."""
    start = '<?xml version="1.0"?><!DOCTYPE x [{}]>'
    laughs = '<!ENTITY a0 "ha">' + "".join(
        f'<!ENTITY a{k + 1} "{f"&a{k};" * 10}">' for k in range(12)
    )
    texts = (
        start.format(f'<!ENTITY e SYSTEM "{secret}">') + XDMF.format("&e;.h5:/labels"),
        start.format(laughs) + XDMF.format("&a12;.h5:/labels"),
        XDMF.format(
            f'<include href="{secret}" xmlns="http://www.w3.org/2001/XInclude"/>'
        ),
    )
    path = tmp_path / "image.xdmf"
    for text in texts:
        path.write_text(text)
        with pytest.raises(ValueError, match=r"image\.xdmf (is not|names no)"):
            read_image(path)


@pytest.mark.parametrize("kind", ["PImageData", "ImageData"])
def test_vti_names_no_other_files(tmp_path, kind):
    """Pieces of parallel files are files of their own."""
    pytest.importorskip("vtkmodules")
    path = tmp_path / "image.vti"
    path.write_text(
        f'<VTKFile type="{kind}" version="1.0"><{kind} WholeExtent="0 2 0 2 0 2">'
        f'<Piece Extent="0 2 0 2 0 2" Source="/etc/passwd"/></{kind}></VTKFile>'
    )
    with pytest.raises(ValueError, match=r"image\.vti"):
        read_image(path)


@pytest.mark.parametrize("name", ["../../escaped.npy", "/tmp/escaped.npy", "..\\x.npy"])
def test_members_of_archives_are_never_written(tmp_path, monkeypatch, name):
    """Whatever their names say: arrays are read from the archive itself."""
    stream = io.BytesIO()
    np.save(stream, LABELS)
    path = tmp_path / "inner" / "image.npz"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, stream.getvalue())
    monkeypatch.chdir(path.parent)
    before = sorted(tmp_path.rglob("*"))
    np.testing.assert_array_equal(read_image(path).labels, LABELS)
    assert sorted(tmp_path.rglob("*")) == before


# Run files.


def test_yaml_makes_no_objects_and_does_not_explode(tmp_path):
    """Tags of Python; aliases that are a billion entries once they are written out."""
    pytest.importorskip("yaml")
    canary, path = tmp_path / "canary", tmp_path / "job.yaml"
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    texts = {
        f"!!python/object/apply:os.system ['touch {canary}']": "not readable YAML",
        "command: !!python/name:os.system": "not readable YAML",
        f"{bomb}command: solve": "unknown key 'a'",
        "command: solve\nsha256: &s {x: *s}": "sha256 must be a table of texts",
        "[" * 5000: "not readable YAML",
        "command: solve\noptions: {1: 2}": "options must be a table",
    }
    for text, sentence in texts.items():
        path.write_text(text)
        with pytest.raises(ValueError, match=sentence) as caught:
            read_job(path)
        assert len(str(caught.value)) < 300 + len(str(path))
    assert not canary.exists()


def test_toml_that_nests_without_end_is_one_sentence(tmp_path):
    path = tmp_path / "job.toml"
    path.write_text("a = " + "[" * 5000 + "]" * 5000)
    with pytest.raises(ValueError, match="not readable TOML"):
        read_job(path)
