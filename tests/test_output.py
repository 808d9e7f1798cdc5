"""Results in every format: what is written is what was computed, and where from."""

import hashlib
import json
from xml.etree import ElementTree as Tree

import h5py
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import lsml
from lsml.cli import app
from lsml.io.hdf5 import write_solution, write_solutions
from lsml.io.saved import ENTRIES, groups, read_content, read_saved
from lsml.io.xdmf import convert_xdmf

# No axis like another, no symmetry: a swap or a flip of any axes shows.
SHAPE, SPACING = (5, 4, 3), (1.0, 2.0, 0.5)
LABELS = np.random.default_rng(1).integers(0, 3, SHAPE)
BATCH = np.stack([LABELS, LABELS[::-1]])
PHASES = [lsml.isotropic(E=float(k), nu=0.3) for k in (1, 4, 9)]


@pytest.fixture(scope="module")
def solution():
    return lsml.solve(BATCH, "anderson", phases=PHASES, spacing=SPACING, record=True)


@pytest.fixture(scope="module")
def plane():
    labels = np.random.default_rng(2).integers(0, 3, (2, 4, 3))
    return lsml.solve(labels, phases=PHASES, spacing=(1.0, 2.0), tol=1e-4)


def texts(path, group="/"):
    with h5py.File(path) as file:
        return {k: v.asstr()[()] for k, v in file[group]["provenance"].items()}


def test_provenance_tells_how_to_make_it_again(solution, tmp_path):
    """Theorem: the stored options, given to `solve`, give the stored fields."""
    path = write_solution(solution, tmp_path / "s.h5", job="s.job.toml")
    said = texts(path)
    assert set(said) == set(ENTRIES)
    assert said["lsml_version"] == lsml.__version__
    assert said["torch_version"] == torch.__version__
    assert said["created"].endswith("+00:00")
    assert said["rule"] == "Anderson(rule=Moulinec(), depth=5)"
    options = json.loads(said["options"])
    names = ("rule", "tol", "max_iter", "stop", "discretization", "spacing", "record")
    again = lsml.solve(BATCH, phases=PHASES, **{name: options[name] for name in names})
    with h5py.File(path) as file:
        assert np.array_equal(file["strain"][()], again.strain.numpy())
        assert np.array_equal(file["iterates"][()], again.iterates.numpy())
        assert file.attrs["job"] == "s.job.toml"
    assert float(said["certified_error"]) == pytest.approx(
        float(solution.error.max()), rel=1e-3
    )
    assert float(said["error_bound"]) >= float(said["certified_error"])
    assert list(read_saved(path).provenance) == list(ENTRIES)


def test_the_hash_is_that_of_the_labels_in_the_file(solution, tmp_path):
    """It can be computed from the file alone, and sees a turned image."""
    path, turned = solution.save(tmp_path / "s.h5"), tmp_path / "t.h5"
    with h5py.File(path) as file:
        labels = file["labels"][()]
    little = labels.astype(labels.dtype.newbyteorder("<"))
    text = f"{little.dtype.str} {labels.shape}\n".encode()
    expected = hashlib.sha256(text + little.tobytes()).hexdigest()
    assert texts(path)["labels_sha256"] == expected
    flat = BATCH.reshape(2, 4, 5, 3)  # the same bytes in another shape
    lsml.solve(flat, phases=PHASES, tol=1e-2).save(turned)
    assert texts(turned)["labels_sha256"] != expected


def test_a_rule_made_by_hand_and_arrays_are_spelled_out(tmp_path):
    rule = lsml.Schedule(lsml.Moulinec(), 3, lsml.ConjugateGradient())
    x0 = np.full((1, 6, *SHAPE), 1e-3)
    sol = lsml.solve(LABELS, rule, phases=PHASES, x0=torch.from_numpy(x0))
    said = texts(sol.save(tmp_path / "s.h5"))
    assert said["rule"].startswith("Schedule(first=Moulinec(), steps=3, then=Conjugat")
    options = json.loads(said["options"])
    assert options["rule"]["then"] == {"type": "ConjugateGradient"}
    assert options["x0"]["shape"] == [1, 6, *SHAPE]
    moduli = [phase["moduli"] for phase in options["phases"]]
    assert moduli == [phase.moduli.tolist() for phase in PHASES]


def test_a_learned_rule_is_known_by_its_weights(tmp_path):
    """Catches a file that tells one network from another by its class only."""
    labels = np.random.default_rng(3).integers(0, 2, (8, 7, 6))
    said = []
    for scale in (1.0, 1.5):
        rule = lsml.load_rule("rln-t", "rln-t-c10")
        with torch.no_grad():
            next(rule.parameters()).mul_(scale)
        sol = lsml.solve(labels, rule)
        path = sol.save(tmp_path / f"{scale}.h5")
        said.append(texts(path)["rule"])
        saved = read_saved(path)
        assert np.array_equal(saved.fields["predicted"], sol.predicted.numpy())
        assert saved.components["predicted"] == ("",)
    assert "passes=5" in said[0]
    assert said[0] != said[1]


def test_the_content_is_the_same_every_time_but_for_the_date(tmp_path):
    """Catches time stamps of HDF5, random names, addresses of objects."""
    held = []
    for name in ("a.h5", "b.h5"):
        sol = lsml.solve(LABELS, phases=PHASES, tol=1e-3)
        with h5py.File(sol.save(tmp_path / name), "r+") as file:
            date = file["provenance/created"].asstr()[()]
            assert len(date) == len("2026-01-01T00:00:00+00:00")
            file["provenance/created"][()] = "then"
        held.append(read_content(tmp_path / name))
    first, second = held
    assert first.provenance == second.provenance
    assert first.attributes == second.attributes
    assert set(first.arrays) == set(second.arrays)
    for name, values in first.arrays.items():
        assert values.tobytes() == second.arrays[name].tobytes(), name


def read_xdmf(path):
    """Arrays with axes x, y, z by grid and name: h5py and the XDMF model alone.

    Of a 3DCoRectMesh all sizes are z y x, the x axis fastest.
    """
    grids = {}
    for grid in Tree.parse(path).iter("Grid"):
        if grid.get("GridType") != "Uniform":
            continue
        topology = grid.find("Topology")
        assert topology.get("TopologyType") == "3DCoRectMesh"
        corners = [int(n) for n in topology.get("Dimensions").split()]
        edges = [float(h) for h in grid.findall("Geometry/DataItem")[1].text.split()]
        arrays = {}
        for attribute in grid.iter("Attribute"):
            item = attribute.find("DataItem")
            file, _, name = item.text.partition(":")
            assert "/" not in file  # beside it, wherever both are moved
            with h5py.File(path.parent / file) as archive:
                values = archive[name][()]
            assert [int(n) for n in item.get("Dimensions").split()] == [*values.shape]
            assert int(item.get("Precision")) == values.dtype.itemsize
            assert item.get("NumberType") == "Float"
            assert values.dtype.kind == "f"
            node = attribute.get("Center") == "Node"
            assert list(values.shape[:3]) == [n - (not node) for n in corners]
            arrays[attribute.get("Name")] = np.moveaxis(values, (0, 1, 2), (2, 1, 0))
        grids[grid.get("Name")] = (edges[::-1], arrays)
    return grids


def check_xdmf(grids, solution, names, count):
    labels, spacing = solution.form.law.labels.numpy(), solution.form.grid.spacing
    for sample, (edges, arrays) in enumerate(list(grids.values())[:count]):
        assert tuple(edges[: len(spacing)]) == spacing
        image = arrays["labels"]
        assert np.array_equal(image.squeeze(), labels[sample])
        for name in ("strain", "stress"):
            values = getattr(solution, name)[sample].numpy()
            for c, (ij, letters) in enumerate(names.items()):
                plain = values[c] / (1 if ij[0] == ij[1] else 2**0.5)
                stored = arrays[f"{name}_{letters}"]
                assert np.array_equal(stored.reshape(plain.shape), plain), (name, ij)
        u = solution.displacement[sample].numpy()
        wrapped = np.pad(u, [(0, 0)] + [(0, 1)] * (u.ndim - 1), mode="wrap")
        stored = np.moveaxis(arrays["periodic_displacement"], 3, 0)[: len(u)]
        for layer in range(stored.shape[3] if u.ndim == 3 else 1):
            at = stored[..., layer] if u.ndim == 3 else stored
            assert np.array_equal(at, wrapped)


SPACE = {"11": "XX", "22": "YY", "33": "ZZ", "23": "YZ", "13": "XZ", "12": "XY"}
PLANE = {"11": "XX", "22": "YY", "12": "XY"}


def test_xdmf_puts_every_voxel_in_its_place(solution, plane, tmp_path):
    """Theorem: the numbers at z y x are the solution's at x y z.

    Catches any swap of axes, components or samples, and √2 left on shear. What is
    written was read by ParaView's own readers of XDMF 2 and 3 besides, bit for bit.
    """
    for made, names in ((solution, SPACE), (plane, PLANE)):
        path = made.save(tmp_path / f"{len(names)}.xdmf")
        grids = read_xdmf(path)
        assert list(grids) == ["sample 0", "sample 1"]
        check_xdmf(grids, made, names, 2)
        times = [t.get("Value") for t in Tree.parse(path).iter("Time")]
        assert times == ["0", "1"]
        saved = read_saved(path.with_suffix(".h5"))
        assert np.array_equal(saved.fields["strain"], made.strain)
        assert not any(name.startswith("xdmf") for name in saved.numbers)
        labels = lsml.io.read_labels(path.with_suffix(".h5"))
        assert np.array_equal(labels, made.form.law.labels)


def test_xdmf_of_a_file_is_that_of_the_solution(solution, plane, tmp_path):
    """Groups are grids; what the file held is kept, quadrature points included."""
    source = write_solutions({"b": solution, "deep/a": plane}, tmp_path / "s.h5")
    target = convert_xdmf(source, tmp_path / "t.xdmf")
    assert groups(tmp_path / "t.h5") == groups(source) == ["b", "deep/a"]
    grids = Tree.parse(target).findall("Domain/Grid")
    assert [grid.get("Name") for grid in grids] == ["b", "deep/a"]
    for name in groups(source):
        assert texts(source, name) == texts(tmp_path / "t.h5", name)
    solution.save(tmp_path / "one.h5")
    convert_xdmf(tmp_path / "one.h5", tmp_path / "one.xdmf")
    check_xdmf(read_xdmf(tmp_path / "one.xdmf"), solution, SPACE, 2)
    before = (tmp_path / "one.h5").stat().st_size
    convert_xdmf(tmp_path / "one.h5", tmp_path / "one.h5")  # not twice as large
    assert (tmp_path / "one.h5").stat().st_size == before


def test_complex_fields_are_two_arrays(tmp_path):
    index = 1.0 + 0.3 * torch.rand(1, 5, 4, dtype=torch.float64)
    source = torch.zeros_like(index)
    source[:, 2] = 1.0
    problem = lsml.helmholtz(index, 4.0, source=source, layers=1.0, spacing=(1.0, 1.2))
    sol = lsml.solve(problem, "auto", tol=1e-4)
    ((edges, arrays),) = read_xdmf(sol.save(tmp_path / "w.xdmf")).values()
    _, fields = problem.shown(sol.state.x)
    assert edges[:2] == [1.0, 1.2]
    field = arrays["Re field"] + 1j * arrays["Im field"]
    assert np.array_equal(field[..., 0], fields["field"][0, 0].numpy())


def test_npz_and_json_have_the_names_of_the_hdf5_file(solution, tmp_path):
    path = solution.save(tmp_path / "s.h5")
    with h5py.File(path) as file:
        names = {"labels", "load/strain", "strain", "history", "iterates", "phases"}
        arrays = {name: file[name][()] for name in names}
    archive = np.load(solution.save(tmp_path / "s.npz"), allow_pickle=False)
    for name, values in arrays.items():
        assert np.array_equal(archive[name], values, equal_nan=True)
    assert json.loads(str(archive["provenance"]))["call"] == "solve"
    said = json.loads(solution.save(tmp_path / "s.json").read_text("utf-8"))
    assert not {"strain", "labels", "iterates"} & set(said)
    assert said["mean_stress"] == solution.mean_stress.tolist()
    assert said["status"] == ["CONVERGED", "CONVERGED"]
    assert said["load/stress"] == [[None] * 6] * 2
    assert said["provenance"]["options"]["tol"] == 1e-6


def test_a_vti_of_a_file_is_that_of_the_solution(tmp_path):
    """Also of plastic strain, whose 33 is there in the plane, and between walls."""
    pyvista = pytest.importorskip("pyvista", reason='needs pip install "lsml[plot]"')
    steel = lsml.j2(lsml.isotropic(E=50.0, nu=0.3), lsml.voce(0.02, H=0.5))
    hard = lsml.j2(lsml.isotropic(E=200.0, nu=0.3), lsml.voce(0.1, H=1.0))
    load = lsml.load(strain=[4e-3, 0, 1e-3])
    flow = lsml.plasticity(LABELS[:, :, 0] > 0, [steel, hard], load, spacing=(1.0, 2.0))
    walls = ("dirichlet", "periodic", "periodic")
    for k, made in enumerate(
        (
            lsml.solve(flow, "auto"),
            lsml.solve(LABELS, phases=PHASES, faces=walls, tol=1e-3),
            lsml.solve(LABELS, phases=PHASES, discretization="fourier", tol=1e-3),
        )
    ):
        one = pyvista.read(made.to_vtk(tmp_path / f"{k}.vti"))
        made.save(tmp_path / f"{k}.h5")
        run("convert", tmp_path / f"{k}.h5", tmp_path / f"{k}c.vti")
        two = pyvista.read(tmp_path / f"{k}c.vti")
        assert one.spacing == two.spacing
        for kind in ("cell_data", "point_data"):
            data = getattr(one, kind)
            assert set(data.keys()) == set(getattr(two, kind).keys())
            for name in data:
                assert np.array_equal(data[name], getattr(two, kind)[name]), name
        if k == 0:
            strain = made.internal["plastic_strain"][0].numpy()
            stored = one.cell_data["plastic_strain"].T.reshape(4, 4, 5)
            expected = strain / np.array([1, 1, 1, 2**0.5])[:, None, None]
            assert np.array_equal(stored.transpose(0, 2, 1), expected)


def run(*arguments, status=0):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == status, done.output
    return done.output


@pytest.mark.parametrize("physics", ["elastic", "conductive"])
def test_an_effective_tensor_is_saved_with_its_certificate(physics, tmp_path):
    if physics == "elastic":
        C = lsml.homogenize(BATCH, phases=PHASES, spacing=SPACING, tol=1e-2)  # noqa: N806
    else:
        problem = lsml.conductivity(BATCH, [1.0, 2.0, 5.0], [1.0, 0, 0])
        C = lsml.homogenize(problem, tol=1e-2)  # noqa: N806
    saved = read_saved(C.save(tmp_path / "c.h5"))
    for name in ("stiffness", "lower", "upper", "iterations"):
        assert np.array_equal(saved.numbers[name], getattr(C, name).numpy())
    assert np.array_equal(saved.labels, BATCH)
    assert saved.status == ("CONVERGED",) * C.iterations.numel()
    assert saved.provenance["call"] == "homogenize"
    assert json.loads(saved.provenance["options"])["tol"] == 1e-2
    elastic = physics == "elastic"
    assert saved.attributes["coefficient"] == (
        "stiffness" if elastic else "conductivity"
    )
    if elastic:
        constants = C.engineering()
        for name in ("E", "nu", "G"):
            expected = getattr(constants, name).numpy()
            assert np.array_equal(saved.numbers[name], expected, equal_nan=True)
    assert set(saved.numbers) >= {"phases", "reference"}
    assert json.loads(C.save(tmp_path / "c.json").read_text())["status"]
    with pytest.raises(ValueError, match=r"extension '\.vti'; expected one of \.h5"):
        C.save(tmp_path / "c.vti")


def test_save_refuses_what_it_cannot_write_before_it_writes(solution, tmp_path):
    with pytest.raises(ValueError, match=r"extension '\.foo'; expected one of \.h5, "):
        solution.save(tmp_path / "s.foo")
    with pytest.raises(ValueError, match=r"the folder .*none does not exist"):
        solution.save(tmp_path / "none" / "s.xdmf")
    (tmp_path / "s.xdmf").mkdir()
    with pytest.raises(ValueError, match=r"cannot write .*s\.xdmf: it is a folder"):
        lsml.io.xdmf.write_xdmf(solution, tmp_path / "s.h5")
    assert [p.name for p in tmp_path.iterdir()] == ["s.xdmf"]
