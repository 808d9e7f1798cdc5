"""Label images and results from format to format: nothing moves, nothing is lost."""

import resource
import signal

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import lsml
from lsml.cli import app
from lsml.io import Image, read_image, read_saved
from lsml.io.label_files import WRITERS, write_image

# No axis like another, no symmetry: a swap or a flip of any axes shows. Edges that no
# binary number is, so that rounding on the way would show too.
SHAPE, EDGES = (7, 4, 3), (0.1, 0.2 + 1e-16, 1 / 3)
RNG = np.random.default_rng(5)
PACKED = {".npz", ".h5", ".hdf5", ".tif", ".tiff", ".vti"}  # that keep voxel edges
BATCHES = {".npy", ".npz", ".h5", ".hdf5", ".raw"}


def run(*arguments, status=0):
    done = CliRunner().invoke(app, ["convert", *map(str, arguments)])
    assert done.exit_code == status, done.output
    return done.output


def raw_of(labels):
    return ",".join(map(str, (*labels.shape, labels.dtype.str)))


def read_back(path, labels):
    raw = lsml.io.array_files.raw_layout(raw_of(labels))
    return read_image(path, raw=raw if path.suffix == ".raw" else None)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "i8", "?"])
@pytest.mark.parametrize("shape", [SHAPE, SHAPE[:2], (1, 4, 3), (7, 1)], ids=str)
@pytest.mark.parametrize("suffix", WRITERS)
def test_labels_come_back_with_their_edges(suffix, shape, dtype, tmp_path):
    """Theorem: reader after writer is the identity.

    Catches swapped axes, a lost axis of length 1, edges rounded to a rational.
    """
    if dtype == "?" and suffix == ".raw":
        pytest.skip("the raw layout of bool is that of bytes")
    labels = RNG.integers(0, 2 if dtype == "?" else 120, shape).astype(dtype)
    image = Image(labels, EDGES[: len(shape)])
    path = write_image(image, tmp_path / f"m{suffix}")
    found = read_back(path, labels)
    assert np.array_equal(found.labels, labels)
    assert found.labels.shape == shape
    same = dtype != "?" or suffix in {".npy", ".npz", ".h5", ".hdf5"}
    assert found.labels.dtype == (labels.dtype if same else np.uint8)
    assert found.spacing == (image.spacing if suffix in PACKED else None)
    assert not found.batch


@pytest.mark.parametrize("suffix", sorted(BATCHES - {".raw"}))
def test_a_batch_comes_back_as_a_batch(suffix, tmp_path):
    labels = RNG.integers(0, 3, (2, *SHAPE)).astype(np.uint8)
    image = Image(labels, EDGES, batch=True)
    found = read_image(write_image(image, tmp_path / f"m{suffix}"))
    assert np.array_equal(found.labels, labels)
    assert found.batch == (suffix != ".npy")


@pytest.mark.parametrize("suffix", sorted(set(WRITERS) - BATCHES))
def test_other_programs_have_no_room_for_a_batch(suffix, tmp_path):
    image = Image(np.zeros((2, *SHAPE), np.uint8), EDGES, batch=True)
    with pytest.raises(ValueError, match=r"a batch of 2: write \.npz or \.h5"):
        write_image(image, tmp_path / f"m{suffix}")
    assert not any(tmp_path.iterdir())


def test_edges_are_not_made_up(tmp_path):
    """A format that knows them says None where nobody knew them; VTK has always 1."""
    labels = RNG.integers(0, 3, SHAPE)
    for suffix in sorted(PACKED):
        path = write_image(Image(labels), tmp_path / f"m{suffix}")
        expected = (1.0, 1.0, 1.0) if suffix == ".vti" else None
        assert read_image(path).spacing == expected


def test_other_programs_find_every_voxel_in_its_place(tmp_path):
    """TIFF by PIL: page z, row y, column x. VTK by its own reader: x fastest."""
    pil = pytest.importorskip("PIL.Image", reason='needs pip install "lsml[plot]"')
    vtk = pytest.importorskip(
        "vtkmodules.vtkIOXML", reason='needs pip install "lsml[plot]"'
    )
    labels = RNG.integers(0, 200, SHAPE).astype(np.uint8)
    image = Image(labels, EDGES, origin=(1.0, -2.0, 0.5))
    with pil.open(write_image(image, tmp_path / "m.tif")) as pages:
        assert pages.n_frames == SHAPE[2]
        for z in range(SHAPE[2]):
            pages.seek(z)
            assert np.array_equal(np.asarray(pages), labels[:, :, z].T)
    reader = vtk.vtkXMLImageDataReader()
    reader.SetFileName(str(write_image(image, tmp_path / "m.vti")))
    reader.Update()
    grid = reader.GetOutput()
    assert grid.GetSpacing() == EDGES
    assert grid.GetOrigin() == image.origin
    stored = grid.GetCellData().GetArray("labels")
    for x, y, z in np.ndindex(SHAPE):
        cell = x + SHAPE[0] * (y + SHAPE[1] * z)
        assert stored.GetTuple(cell) == (labels[x, y, z],)
    assert read_image(tmp_path / "m.vti").origin == image.origin


def test_convert_goes_round_through_every_format(tmp_path):
    """From npz through all formats that keep edges, and back: bit for bit."""
    labels = RNG.integers(0, 9, SHAPE).astype(np.uint8)
    last = write_image(Image(labels, EDGES), tmp_path / "start.npz")
    for suffix in [*sorted(PACKED), ".npz"]:
        path = tmp_path / f"next{last.suffix[1:]}{suffix}"
        said = run(last, path)
        assert "7 × 4 × 3 voxels, edges 0.1 × 0.2 × 0.333333" in said
        last = path
    found = read_image(last)
    assert np.array_equal(found.labels, labels)
    assert found.spacing == EDGES
    run(last, tmp_path / "m.raw")
    run(tmp_path / "m.raw", tmp_path / "m.npy", "--raw", raw_of(labels))
    assert np.array_equal(np.load(tmp_path / "m.npy"), labels)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """Two samples between the points of quadrature, and a file of two results."""
    folder = tmp_path_factory.mktemp("results")
    labels = RNG.integers(0, 2, (2, *SHAPE))
    sol = lsml.solve(labels, discretization="hex8", quadrature=True, spacing=EDGES)
    sol.save(folder / "r.h5")
    lsml.io.hdf5.write_solutions({"a": sol, "b": sol}, folder / "two.h5")
    return folder, sol


def test_results_are_converted_whole(result, tmp_path):
    """Quadrature points, provenance and labels survive in what has room for them."""
    folder, sol = result
    run(folder / "r.h5", tmp_path / "r.npz")
    archive = np.load(tmp_path / "r.npz")
    assert np.array_equal(archive["strain"], sol.strain)
    run(folder / "r.h5", tmp_path / "r.xdmf")
    with h5py.File(tmp_path / "r.h5") as file:
        assert np.array_equal(file["strain"][()], sol.strain)
    old, new = read_saved(folder / "r.h5"), read_saved(tmp_path / "r.h5")
    assert old.provenance == new.provenance
    assert old.attributes == new.attributes
    run(folder / "r.h5", tmp_path / "r.json")
    run(folder / "two.h5", tmp_path / "b.npz", "--dataset", "b")
    pyvista = pytest.importorskip("pyvista", reason='needs pip install "lsml[plot]"')
    run(folder / "r.h5", tmp_path / "r.vti", "--sample", 1)
    one, two = tmp_path / "r.vti", sol.to_vtk(tmp_path / "s.vti", sample=1)
    one, two = pyvista.read(one), pyvista.read(two)
    assert set(one.array_names) == set(two.array_names)
    for name in one.array_names:
        # Averages over points, which NumPy and PyTorch sum in another order.
        np.testing.assert_allclose(one[name], two[name], 1e-13, 1e-17, err_msg=name)
    run(folder / "r.h5", tmp_path / "labels.npy")
    assert np.array_equal(np.load(tmp_path / "labels.npy"), old.labels)


def test_what_cannot_be_converted_is_one_sentence(result, tmp_path):
    folder, _ = result
    source, two = folder / "r.h5", folder / "two.h5"
    for arguments, expected in {
        (tmp_path / "none.h5", tmp_path / "a.vti"): "none.h5 does not exist",
        (folder, tmp_path / "a.vti"): "is a folder; expected a file",
        (source, tmp_path / "a.foo"): "has the extension '.foo'; labels are written as",
        (source, tmp_path / "none" / "a.vti"): "none does not exist",
        (source, source): "exists already; --overwrite replaces it",
        (source, tmp_path / "a.vti", "--sample", 2): "must be one of the 2 in",
        (source, tmp_path / "a.tif"): "has room for one image, and this is a batch",
        (two, tmp_path / "a.npz"): "holds 2 results, name one of the groups a, b",
        (two, tmp_path / "a.npz", "--dataset", "c"): "no result in a group 'c'",
    }.items():
        said = run(*arguments, status=2)
        assert expected in said, said
        assert said.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_nothing_is_overwritten_unasked(result, tmp_path):
    """The HDF5 file beside an `.xdmf` counts; the source itself only gains by it."""
    folder, _ = result
    source = tmp_path / "r.h5"
    source.write_bytes((folder / "r.h5").read_bytes())
    (tmp_path / "a.h5").write_text("mine")
    said = run(source, tmp_path / "a.xdmf", status=2)
    assert "a.h5 exists already; --overwrite replaces it" in said
    assert (tmp_path / "a.h5").read_text() == "mine"
    run(source, tmp_path / "a.xdmf", "--force")
    before = read_saved(source)
    run(source, tmp_path / "r.xdmf")
    assert "exists already" in run(source, tmp_path / "r.xdmf", status=2)
    assert np.array_equal(read_saved(source).fields["strain"], before.fields["strain"])


@pytest.mark.parametrize("name", ["a.xdmf", "a.npz", "a.vti", "a.json"])
def test_a_full_disk_leaves_nothing(result, tmp_path, name):
    folder, _ = result
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, hard))
    try:
        said = run(folder / "r.h5", tmp_path / name, status=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert "cannot write" in said
    assert not any(tmp_path.iterdir())


def test_solve_and_homogenize_write_what_the_name_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    labels = RNG.integers(0, 2, (4, 3, 5))
    np.save("m.npy", labels)

    def command(line, status=0):
        done = CliRunner().invoke(app, line.split())
        assert done.exit_code == status, done.output
        return done.output

    command("solve m.npy --out r.h5")
    assert {p.name for p in tmp_path.glob("r.*")} == {
        "r.h5",
        "r.job.toml",
        "r.xdmf",
    }
    assert "r.h5 exists already" in command("solve m.npy --out r.h5", 2)
    (tmp_path / "r.h5").unlink()
    assert "r.xdmf exists already" in command("solve m.npy --out r.h5", 2)
    command("solve m.npy --out r.h5 --force")
    assert "expected one of .h5, .hdf5, .xdmf" in command("solve m.npy --out r.foo", 2)
    for suffix in ("npz", "json", "vti", "png"):
        if suffix in ("vti", "png"):
            module = {"vti": "pyvista", "png": "matplotlib"}[suffix]
            pytest.importorskip(module, reason='needs pip install "lsml[plot]"')
        command(f"solve m.npy --out o.{suffix}")
        assert (tmp_path / f"o.{suffix}").stat().st_size > 100
    command("homogenize m.npy --tol 1e-2 --out c.h5")
    saved = read_saved("c.h5")
    assert saved.numbers["stiffness"].shape == (1, 6, 6)
    assert "c.h5 exists already" in command("homogenize m.npy --out c.h5", 2)
