"""Label images of other programs: every voxel, axis and edge comes back."""

import h5py
import numpy as np
import pytest

import lsml
from lsml.io import Raw, read_image, read_labels
from lsml.io.array_files import raw_layout
from lsml.io.labels import READERS

SHAPE = (3, 4, 5)
LABELS = (7 * np.arange(60) % 53).reshape(SHAPE).astype(np.uint16)
PLANE = LABELS[:, :, 2].copy()
EDGES = (1.0, 2.0, 0.5)


def same(read, labels):
    """Bit for bit; an asymmetric image of different lengths shows any swap."""
    assert read.dtype == labels.dtype
    assert np.array_equal(read, labels)


# TIFF


@pytest.fixture
def tifffile():
    return pytest.importorskip("tifffile", reason='needs pip install "lsml[files]"')


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32])
@pytest.mark.parametrize("name", ["a.tif", "a.TIFF"])
def test_pages_are_layers_rows_are_y_columns_are_x(tmp_path, tifffile, name, dtype):
    path, labels = tmp_path / name, LABELS.astype(dtype)
    with tifffile.TiffWriter(path) as file:
        for k in range(SHAPE[2]):
            page = [[labels[i, j, k] for i in range(3)] for j in range(4)]
            file.write(np.array(page, dtype), photometric="minisblack")
    image = read_image(path)
    same(image.labels, labels)
    assert image.spacing is None


def test_a_stack_of_pillow_and_a_single_page(tmp_path, tifffile):
    pillow = pytest.importorskip("PIL.Image")
    path = tmp_path / "a.tif"
    pages = [pillow.fromarray(p.astype(np.uint8)) for p in LABELS.T]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    same(read_labels(path), LABELS.astype(np.uint8))
    pages[2].save(path)
    same(read_labels(path), PLANE.astype(np.uint8))
    pillow.fromarray(PLANE.T > 20).save(path)  # one bit for each pixel
    same(read_labels(path), PLANE > 20)


def test_a_missing_decoder_is_named(tmp_path, tifffile):
    pillow = pytest.importorskip("PIL.Image")
    path = tmp_path / "a.tif"
    page = pillow.fromarray(PLANE.T.astype(np.uint8))
    page.save(path, compression="tiff_lzw")
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        with pytest.raises(ImportError, match="wants imagecodecs; install it with"):
            read_labels(path)
    else:
        same(read_labels(path), PLANE.astype(np.uint8))


def test_edges_are_those_that_imagej_writes(tmp_path, tifffile):
    path = tmp_path / "a.tif"
    say = {"spacing": 0.5, "unit": "um", "axes": "ZYX"}
    tifffile.imwrite(path, LABELS.T, imagej=True, resolution=(1, 0.5), metadata=say)
    image = read_image(path)
    same(image.labels, LABELS)
    assert image.spacing == EDGES
    assert read_image(path, spacing=(3, 3, 3)).spacing == (3, 3, 3)
    tifffile.imwrite(path, PLANE.T, imagej=True, resolution=(1, 0.5))
    assert read_image(path).spacing == (1.0, 2.0)
    # Dots per inch are for printers, and do not tell the distance of layers.
    tifffile.imwrite(path, PLANE.T, resolution=(300, 300), resolutionunit="INCH")
    assert read_image(path).spacing is None


def test_colours_and_several_stacks_are_refused_by_name(tmp_path, tifffile):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((4, 5, 3), np.uint8), photometric="rgb")
    with pytest.raises(ValueError, match=r"holds colours .*one label for each pixel"):
        read_labels(path)
    with tifffile.TiffWriter(path) as file:
        for page in (PLANE.T, PLANE):
            file.write(page, photometric="minisblack", metadata=None)
    with pytest.raises(ValueError, match=r"2 integer datasets.*0 \(uint16 \(4, 3\)\)"):
        read_labels(path)
    same(read_labels(path, "1"), PLANE.T)
    with pytest.raises(ValueError, match="no dataset '2'; it has 0 "):
        read_labels(path, "2")
    tifffile.imwrite(path, np.zeros((2, 2, 3, 4), np.uint8), photometric="minisblack")
    with pytest.raises(ValueError, match=r"shape \(2, 2, 3, 4\); expected YX"):
        read_labels(path)
    tifffile.imwrite(path, np.ones((5, 4), np.float32))
    with pytest.raises(ValueError, match="holds float32 numbers"):
        read_labels(path)


# VTK


@pytest.fixture
def pyvista():
    return pytest.importorskip("pyvista", reason='needs pip install "lsml[plot]"')


def grid_of(pyvista, labels, name, points):
    """VTK's image data, filled voxel by voxel through the place of each in space."""
    shape = labels.shape
    flat = 3 - len(shape)
    grid = pyvista.ImageData(
        dimensions=[n if points else n + 1 for n in shape] + [1] * flat,
        spacing=EDGES,
        origin=(7.0, 8.0, 9.0),
    )
    places = (grid if points else grid.cell_centers()).points - grid.origin
    shift = 0 if points else 0.5
    index = np.rint(places / EDGES - np.array([shift] * len(shape) + [0] * flat))
    data = grid.point_data if points else grid.cell_data
    data[name] = labels[tuple(index.astype(int)[:, : len(shape)].T)]
    data["field"] = np.ones(labels.size)
    return grid


@pytest.mark.parametrize("points", [False, True])
@pytest.mark.parametrize("labels", [LABELS, PLANE], ids=["3-D", "2-D"])
@pytest.mark.parametrize("suffix", [".vti", ".vtk"])
def test_voxels_of_vtk_are_found_where_they_lie(
    tmp_path, pyvista, suffix, labels, points
):
    path = tmp_path / f"a{suffix}"
    grid_of(pyvista, labels, "material", points).save(path)
    image = read_image(path)
    same(image.labels, labels)
    assert image.spacing == EDGES[: labels.ndim]
    assert image.origin == (7.0, 8.0, 9.0)[: labels.ndim]
    assert image.dataset == "material"


def test_ascii_vtk_and_flat_axes(tmp_path, pyvista):
    grid_of(pyvista, LABELS, "x", False).save(tmp_path / "a.vtk", binary=False)
    same(read_labels(tmp_path / "a.vtk"), LABELS)
    thin = LABELS[:, :1, :]
    grid_of(pyvista, thin, "x", False).save(tmp_path / "a.vti")
    same(read_labels(tmp_path / "a.vti"), thin)


def test_arrays_of_vtk_are_chosen_by_name(tmp_path, pyvista):
    path = tmp_path / "a.vti"
    grid = grid_of(pyvista, LABELS, "one", False)
    grid.cell_data["two"] = grid.cell_data["one"][::-1]
    grid.save(path)
    with pytest.raises(ValueError, match=r"2 integer datasets.*one \(uint16.*two \("):
        read_image(path)
    same(read_labels(path, "two"), LABELS[::-1, ::-1, ::-1])
    with pytest.raises(ValueError, match="holds float64 numbers"):
        read_labels(path, "field")
    with pytest.raises(ValueError, match="no dataset 'x'; it has "):
        read_labels(path, "x")
    grid.cell_data["material"] = grid.cell_data["one"]  # as DAMASK calls it
    grid.save(path)
    assert read_image(path).dataset == "material"
    empty = pyvista.ImageData(dimensions=(3, 3, 3))
    empty.save(path)
    with pytest.raises(ValueError, match=r"no integer dataset.*none at all"):
        read_labels(path)
    pyvista.Sphere().save(tmp_path / "a.vtk")
    with pytest.raises(ValueError, match="holds vtkPolyData; expected image data"):
        read_labels(tmp_path / "a.vtk")


@pytest.mark.parametrize("labels", [LABELS, PLANE], ids=["3-D", "2-D"])
@pytest.mark.parametrize("suffix", [".h5", ".vti"])
def test_what_lsml_writes_is_read_back(tmp_path, pyvista, suffix, labels):
    labels = (labels % 2).astype(np.uint8)
    path = tmp_path / f"a{suffix}"
    solution = lsml.solve(labels, spacing=EDGES[: labels.ndim], tol=1e-2)
    {".h5": solution.save, ".vti": solution.to_vtk}[suffix](path)
    image = read_image(path)
    same(image.labels, labels)
    assert image.spacing == EDGES[: labels.ndim]
    assert image.dataset == "labels"
    assert not image.batch


# HDF5 of other programs


def simpl(path, arrays, dimensions, spacing=EDGES):
    """The layout of DREAM.3D 6: SIMPLib writes (z, y, x, components)."""
    with h5py.File(path, "w") as file:
        file.attrs["FileVersion"] = np.bytes_("7.0")
        box = file.create_group("DataContainers/SyntheticVolume")
        geometry = box.create_group("_SIMPL_GEOMETRY")
        geometry["DIMENSIONS"] = np.array(dimensions, np.int64)
        geometry["SPACING"] = np.array(spacing, np.float32)
        geometry["ORIGIN"] = np.array([7, 8, 9], np.float32)
        for name, values in arrays.items():
            box[f"CellData/{name}"] = values
        box["CellFeatureData/Phases"] = np.ones((9, 1), np.int32)
        box["CellFeatureData/NumNeighbors"] = np.ones((9, 1), np.int32)


def simplnx(path, arrays, dimensions, spacing=EDGES):
    """The layout of DREAM.3D-NX: the geometry stands in attributes."""
    with h5py.File(path, "w") as file:
        file.attrs["FileVersion"] = "8.0"
        geometry = file.create_group("DataStructure/DataContainer")
        geometry.attrs["ObjectType"] = "ImageGeom"
        geometry.attrs["_DIMENSIONS"] = np.array(dimensions, np.uint64)
        geometry.attrs["_SPACING"] = np.array(spacing, np.float32)
        geometry.attrs["_ORIGIN"] = np.array([7, 8, 9], np.float32)
        for name, values in arrays.items():
            geometry[f"Cell Data/{name}"] = values
        geometry["Cell Feature Data/Active"] = np.ones((9, 1), np.uint8)


@pytest.mark.parametrize("write", [simpl, simplnx])
@pytest.mark.parametrize("suffix", [".dream3d", ".h5"])
def test_dream3d_stores_z_first(tmp_path, write, suffix):
    """Catches a swap of axes, colours or grain tables taken for labels."""
    path = tmp_path / f"a{suffix}"
    grains = np.zeros((5, 4, 3, 1), np.int32)
    for x, y, z in np.ndindex(SHAPE):
        grains[z, y, x, 0] = LABELS[x, y, z]
    arrays = {"FeatureIds": grains, "IPFColor": np.zeros((5, 4, 3, 3), np.uint8)}
    write(path, arrays | {"Quats": np.ones((5, 4, 3, 4), np.float32)}, SHAPE)
    image = read_image(path)
    same(image.labels, LABELS.astype(np.int32))
    assert image.spacing == EDGES
    assert image.origin == (7.0, 8.0, 9.0)
    assert image.layout.startswith("DREAM.3D")
    write(path, arrays | {"Phases": grains[::-1] % 2}, SHAPE)
    with pytest.raises(ValueError, match=r"2 integer datasets.*FeatureIds.*Phases"):
        read_image(path)
    assert np.array_equal(read_labels(path, "FeatureIds"), LABELS)
    whole = read_image(path, "FeatureIds").dataset
    assert np.array_equal(read_labels(path, f"/{whole}"), LABELS)
    with pytest.raises(ValueError, match=r"IPFColor.*not one label for each of 3 × 4"):
        read_labels(path, "IPFColor")


@pytest.mark.parametrize("order", ["zyx", "xyz", b"zyx"])
def test_fans_says_which_axis_is_first(tmp_path, order):
    path = tmp_path / "a.h5"
    stored = LABELS if order == "xyz" else LABELS.T
    with h5py.File(path, "w") as file:
        file["dset_0/image"] = stored
        file["dset_0/image"].attrs["permute_order"] = order
    same(read_labels(path), LABELS)
    same(read_labels(path, "image"), LABELS)
    same(read_labels(path, "dset_0"), LABELS)
    with h5py.File(path, "a") as file:
        file["dset_0/image"].attrs["permute_order"] = "yxz"
    with pytest.raises(ValueError, match="'yxz', not zyx or xyz"):
        read_labels(path)


def test_several_results_in_one_file_are_chosen_by_their_group(tmp_path):
    path = tmp_path / "a.h5"
    plane = PLANE % 2
    solutions = {
        name: lsml.solve(labels, tol=1e-2)
        for name, labels in {"a": plane, "b": plane[::-1].copy()}.items()
    }
    lsml.io.hdf5.write_solutions(solutions, path)
    with pytest.raises(ValueError, match=r"2 integer datasets.*a/labels .*b/labels"):
        read_labels(path)
    assert np.array_equal(read_labels(path, "b"), plane[::-1])


def test_an_xdmf_file_leads_to_its_hdf5(tmp_path):
    (tmp_path / "sub").mkdir()
    with h5py.File(tmp_path / "sub" / "a.h5", "w") as file:
        file["labels"] = LABELS
    path = tmp_path / "sub" / "a.xdmf"
    item = '<Attribute><DataItem Format="HDF">{}</DataItem></Attribute>'
    text = "<Xdmf><Domain><DataItem>1 2 3</DataItem>{}</Domain></Xdmf>"
    path.write_text(text.format(item.format(" a.h5:/labels ") * 2))
    same(read_labels(path), LABELS)
    path.write_text(text.format(""))
    with pytest.raises(ValueError, match="names no HDF5 files; expected one"):
        read_labels(path)
    path.write_text(text.format(item.format("b.h5:/labels")))
    with pytest.raises(FileNotFoundError, match=r"names .*b\.h5, which does not exist"):
        read_labels(path)


# Raw bytes


@pytest.mark.parametrize("labels", [LABELS, PLANE], ids=["3-D", "2-D"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["uint8", "<u2", ">i4"])
def test_raw_bytes_need_shape_type_and_order(tmp_path, labels, order, dtype):
    path = tmp_path / "a.raw"
    labels = labels.astype(dtype)
    path.write_bytes(labels.tobytes(order))
    sizes = ",".join(map(str, labels.shape))
    text = f"{sizes},{dtype}" + (",F" if order == "F" else "")
    same(read_image(path, raw=raw_layout(text)).labels, labels)


def test_raw_layouts_that_do_not_fit_are_one_sentence(tmp_path):
    path = tmp_path / "a.raw"
    path.write_bytes(b"\0" * 59)
    with pytest.raises(ValueError, match="has no header: give shape and type"):
        read_image(path)
    with pytest.raises(
        ValueError, match="has 59 bytes; 3 × 4 × 5 voxels of uint8 take"
    ):
        read_image(path, raw=Raw(SHAPE, np.dtype("u1")))
    for text in ("3,4,5", "uint8", "3,4,uint8,Q", "3,4,float32", "3,0,u1", "3,u1", ""):
        with pytest.raises(
            ValueError, match=r"the raw layout .*such as 64,64,32,uint8"
        ):
            raw_layout(text)
    np.save(tmp_path / "a.npy", LABELS)
    with pytest.raises(ValueError, match="says itself what it holds"):
        read_image(tmp_path / "a.npy", raw=Raw(SHAPE, np.dtype("u1")))


# What is wrong with any format


def stored(path, labels, request):
    """The labels in the format of the path's extension, large enough to be cut."""
    suffix = path.suffix
    if suffix in (".tif", ".tiff"):
        tifffile = request.getfixturevalue("tifffile")
        tifffile.imwrite(path, labels.T, photometric="minisblack", metadata=None)
    elif suffix in (".vti", ".vtk"):
        grid_of(request.getfixturevalue("pyvista"), labels, "m", False).save(path)
    elif suffix in (".npy", ".npz"):
        with path.open("wb") as file:
            {".npy": np.save, ".npz": np.savez}[suffix](file, labels)
    elif suffix == ".dream3d":
        simpl(path, {"FeatureIds": labels.T[..., None]}, labels.shape)
    elif suffix == ".xdmf":
        item = "<DataItem>a.h5:/labels</DataItem>"
        path.write_text(f"<Xdmf><Domain>{item}</Domain></Xdmf>")
    elif suffix == ".raw":
        path.write_bytes(labels.tobytes())
    else:
        with h5py.File(path, "w") as file:
            file["labels"] = labels


@pytest.mark.parametrize("suffix", READERS)
def test_a_truncated_file_is_one_sentence(tmp_path, suffix, request, capfd):
    """Catches readers that return what was left, and libraries that speak up."""
    path = tmp_path / f"a{suffix}"
    labels = np.random.default_rng(0).integers(0, 9, (9, 8, 7)).astype(np.int64)
    stored(path, labels, request)
    whole = path.read_bytes()
    raw = Raw(labels.shape, labels.dtype) if suffix == ".raw" else None
    for kept in (0, 7, len(whole) // 2, len(whole) - len(whole) // 5):
        path.write_bytes(whole[:kept])
        with pytest.raises((ValueError, OSError), match=str(path)) as caught:
            read_image(path, raw=raw)
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", READERS)
def test_missing_files_and_folders(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_image(path)
    path.mkdir()
    with pytest.raises(ValueError, match="is a folder"):
        read_image(path)


def test_every_known_extension_is_named(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(ValueError, match=r"extension '\.jpg'") as caught:
        read_image(tmp_path / "a.jpg")
    assert all(suffix in str(caught.value) for suffix in READERS)


@pytest.mark.parametrize("edge", [0.0, -1.0, np.nan, np.inf])
def test_voxel_edges_that_are_none(tmp_path, edge):
    path = tmp_path / "a.dream3d"
    simpl(path, {"FeatureIds": LABELS.T[..., None]}, SHAPE, (1.0, edge, 1.0))
    with pytest.raises(ValueError, match=r"has voxel edges \(1, .*expected positive"):
        read_image(path)
    assert read_image(path, spacing=(1.0, 1.0, 1.0)).spacing == (1.0, 1.0, 1.0)


def test_empty_axes(tmp_path):
    np.save(tmp_path / "a.npy", LABELS[:, :0])
    with pytest.raises(ValueError, match=r"shape \(3, 0, 5\): no voxels"):
        read_image(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("suffix", "module", "extra"),
    [
        (".tif", "tifffile", "files"),
        (".vti", "vtkmodules.vtkIOXML", "plot"),
        (".vtk", "vtkmodules.vtkIOLegacy", "plot"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(
    tmp_path, monkeypatch, suffix, module, extra
):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    (tmp_path / f"a{suffix}").touch()
    with pytest.raises(ImportError, match=rf'pip install "lsml\[{extra}\]"'):
        read_image(tmp_path / f"a{suffix}")
