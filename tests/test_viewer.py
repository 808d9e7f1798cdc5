"""What the viewer shows of results: the numbers of their slices and iterates."""

import shutil
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import lsml
from lsml.cli import app
from lsml.io.hdf5 import write_solutions
from lsml.viewer.columns import MOST, Choice, limits, read_columns, symmetric

LABELS = np.random.default_rng(8).integers(0, 2, (2, 8, 7, 6))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two rules on the same images, with their iterates."""
    folder = tmp_path_factory.mktemp("results")
    rules = {"cg": 1e-8, "moulinec": 1e-2}
    solutions = {
        rule: lsml.solve(LABELS, rule, tol=tol, record=True)
        for rule, tol in rules.items()
    }
    for rule, solution in solutions.items():
        solution.save(folder / f"{rule}.h5")
    columns = read_columns([folder / f"{rule}.h5" for rule in rules])
    return folder, solutions, columns


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_is_a_plane_of_the_array(results, axis):
    """First of the two remaining axes first: catches transposed and mirrored planes."""
    _, solutions, columns = results
    for position in (0, 4):
        choice = Choice("stress", "12", 1, axis, position, 99)
        for column, solution in zip(columns, solutions.values(), strict=True):
            volume = solution.stress[1, 5].numpy()
            expected = volume.take(position, axis)
            np.testing.assert_array_equal(column.plane(choice), expected)


def test_a_position_beyond_the_end_is_the_last_slice(results):
    """Axes are of different length: the page may still say what fits another."""
    column = results[2][0]
    last, beyond = (column.plane(Choice("strain", "11", 0, 2, k)) for k in (5, 7))
    np.testing.assert_array_equal(last, beyond)


def test_iterates_are_shown_by_their_number_up_to_the_last(results):
    """Each sample and each rule ends at its own iteration."""
    _, solutions, columns = results
    for column, solution in zip(columns, solutions.values(), strict=True):
        for sample, last in enumerate(solution.iterations.tolist()):
            for k in (0, 2, last, last + 5):
                choice = Choice("strain", "22", sample, 1, 3, k)
                shown = min(k, last)
                plane = solution.iterates[sample, shown, 1, :, 3].numpy()
                np.testing.assert_array_equal(column.plane(choice), plane)
                assert column.shown(choice) == shown
            ended = column.plane(choice, ended=True)
            final = solution.strain[sample, 1, :, 3].numpy()
            np.testing.assert_array_equal(ended, final)


def test_of_other_fields_the_end_is_shown(results):
    _, solutions, columns = results
    choice = Choice("stress", "11", 0, 2, 1, 0)
    assert columns[0].shown(choice) is None
    expected = solutions["cg"].stress[0, 0, :, :, 1].numpy()
    np.testing.assert_array_equal(columns[0].plane(choice), expected)


def test_the_curve_ends_where_the_sample_ended(results):
    _, solutions, columns = results
    for sample, last in enumerate(solutions["moulinec"].iterations.tolist()):
        expected = solutions["moulinec"].history[sample, : last + 1].numpy()
        np.testing.assert_array_equal(columns[1].curve(sample), expected)


def test_colours_leave_out_outliers_and_are_white_at_zero():
    ramp = np.arange(1001.0)
    assert limits([ramp], robust=False) == (0, 1000)
    assert limits([ramp[:500], ramp[500:]], robust=True) == pytest.approx((5, 995))
    assert symmetric([ramp - 900]) == pytest.approx((-895, 895))
    low, high = limits([np.full(4, 3.0)], robust=True)
    assert low < 3 < high
    assert limits([np.full(2, np.nan)], robust=True) == (0, 1)


def test_groups_are_results_with_names_of_their_own(results, tmp_path):
    _, solutions, _ = results
    path = tmp_path / "both.h5"
    write_solutions(solutions, path)
    assert [c.name for c in read_columns([path])] == ["cg", "moulinec"]
    (only,) = read_columns([path], ["moulinec"])
    assert only.saved.attributes["rule"] == "Moulinec"


def test_files_of_one_name_are_told_apart(results, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(results[0] / "cg.h5", tmp_path / folder)
    names = [c.name for c in read_columns([*tmp_path.glob("*/cg.h5")])]
    assert len(set(names)) == 2


def test_planes_and_lines_have_one_slice(tmp_path):
    lsml.solve(LABELS[0, :, :, 0]).save(tmp_path / "plane.h5")
    (column,) = read_columns([tmp_path / "plane.h5"])
    assert column.plane(Choice("strain", "12")).shape == (8, 7)
    problem = lsml.helmholtz(
        np.ones((1, 9)), 4.0, source=np.eye(1, 9), layers=1.0, spacing=[1.0]
    )
    lsml.solve(problem, "auto", tol=1e-3).save(tmp_path / "line.h5")
    (column,) = read_columns([tmp_path / "line.h5"])
    assert column.plane(Choice("Im field")).shape == (9, 1)


def test_of_an_effective_stiffness_the_phases_can_be_looked_at(tmp_path):
    lsml.homogenize(LABELS[0, :4, :3, :2], tol=1e-2).save(tmp_path / "c.h5")
    (column,) = read_columns([tmp_path / "c.h5"])
    plane = column.plane(Choice("labels", sample=5, axis=0, position=3))
    np.testing.assert_array_equal(plane, LABELS[0, 3, :3, :2])
    assert column.curve(0).size == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none.h5"], "none.h5 does not exist"),
        (["text.h5"], "not a readable HDF5 file"),
        (["cg.h5", "--group", "x"], "has no result in a group 'x'"),
        (["cg.h5", "other.h5"], "only results of one image stand beside each other"),
        (["cg.h5"] * (MOST + 1), f"name 1 to {MOST}"),
        (["cg.h5", "--port", "99999"], "port = 99999 must be from 1 to 65535"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(
    results, monkeypatch, arguments, sentence
):
    folder = results[0]
    monkeypatch.chdir(folder)
    (folder / "text.h5").write_text("no")
    if not (folder / "other.h5").exists():
        lsml.solve(LABELS[0, :4]).save(folder / "other.h5")
    done = CliRunner().invoke(app, ["view", *arguments])
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_panel_the_error_names_the_extra(results, monkeypatch):
    monkeypatch.setitem(sys.modules, "bokeh.server.server", None)
    done = CliRunner().invoke(app, ["view", str(results[0] / "cg.h5")])
    assert done.exit_code == 2
    assert 'pip install "lsml[view]"' in done.stderr
