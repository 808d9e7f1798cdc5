"""The page about a result holds its numbers, and needs nothing from elsewhere."""

import base64
import io
import re
import sys
from html.parser import HTMLParser

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import lsml
from lsml.cli import app
from lsml.io.hdf5 import write_solutions

pytest.importorskip("matplotlib", reason='needs pip install "lsml[report]"')
pytest.importorskip("jinja2", reason='needs pip install "lsml[report]"')

from lsml.report import write_report
from lsml.report.page import render

LABELS = np.random.default_rng(6).integers(0, 2, (8, 7, 6))


class Page(HTMLParser):
    """Elements with their attributes, rows of tables, and text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.rows, self.text = [], [], []
        self.in_cell = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag):
        self.in_cell = self.in_cell and tag not in ("td", "th")

    def handle_data(self, data):
        self.text.append(data)
        if self.in_cell:
            self.rows[-1][-1] += data

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    path = tmp_path_factory.mktemp("results") / "r.h5"
    solution = lsml.solve(LABELS, spacing=(1.0, 2.0, 3.0))
    solution.save(path)
    text = render(path)
    return path, solution, Page(text), text


@pytest.fixture
def without_figures(monkeypatch):
    """Of samples, which take most of the time."""
    monkeypatch.setattr("lsml.report.page.DRAWN", 0)


def test_nothing_is_fetched_from_elsewhere(result):
    """A link, a script, a font or a picture of another place would need a network."""
    page = result[2]
    for _, attrs in page.elements:
        for name, value in attrs.items():
            if name in ("src", "href", "srcset", "action", "data", "poster"):
                assert value.startswith(("data:", "#"))
    assert page.all("script") == page.all("iframe") == page.all("object") == []
    (style,) = re.findall(r"<style>(.*?)</style>", result[3], re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style


def test_pictures_are_whole_and_not_blank(result):
    from PIL import Image

    pictures = result[2].all("img")
    # convergence; phases; of strain and stress three planes, components, distribution
    assert len(pictures) == 1 + 1 + 2 * 3
    for attrs in pictures:
        kind, text = attrs["src"].split(",", 1)
        assert kind == "data:image/png;base64"
        image = Image.open(io.BytesIO(base64.b64decode(text))).convert("L")
        assert np.unique(np.asarray(image)).size > 20
        assert image.width / image.height == pytest.approx(
            int(attrs["width"]) / int(attrs["height"]), rel=0.01
        )
        assert attrs["alt"]


def test_tables_hold_the_numbers_of_the_file(result):
    _, solution, page, _ = result
    rows = [tuple(row) for row in page.rows]
    error, bound, energy = (
        f"{float(values[0]):.5g}"
        for values in (solution.error, solution.error_bound, solution.energy)
    )
    steps = str(int(solution.iterations[0]))
    assert ("0", "CONVERGED", steps, error, bound, energy) in rows
    stress = [f"{value:.5g}" for value in solution.mean_stress[0].tolist()]
    assert ("stress", "0", *stress) in rows
    assert ("mean strain", "0", "0.001", *["0"] * 5) in rows
    stiff = LABELS.sum()
    assert ("1", str(stiff), f"{stiff / LABELS.size:.4f}", "10", "0.3") in rows


def test_statistics_are_those_of_each_phase(result):
    """Catches a mean over all voxels, or phases that trade places."""
    _, solution, page, _ = result
    for field in (solution.strain, solution.stress):
        for phase in (0, 1):
            inside = field[0, 0].numpy()[phase == LABELS]
            told = (inside.mean(), inside.std(), inside.min(), inside.max())
            fraction = f"{inside.size / LABELS.size:.4f}"
            row = [str(phase), fraction, *(f"{value:.5g}" for value in told)]
            assert row in page.rows


def test_all_of_the_provenance_is_there(result):
    path, _, page, _ = result
    with h5py.File(path) as file:
        stored = {k: v.asstr()[()] for k, v in file["provenance"].items()}
    assert stored
    rows = {row[0]: row[1] for row in page.rows if len(row) == 2}
    for key, value in stored.items():
        assert " ".join(rows[key.replace("_", " ")].split()) == " ".join(value.split())


def test_text_of_the_file_is_no_markup(result, tmp_path, without_figures):
    """A name or an attribute could hold a script."""
    path = tmp_path / "<b>&.h5"
    path.write_bytes(result[0].read_bytes())
    with h5py.File(path, "a") as file:
        file.attrs["rule"] = "<script>alert('x')</script>"
    page = Page(render(path))
    assert page.all("script") == page.all("b") == []
    text = "".join(page.text)
    assert "<script>alert('x')</script>" in text
    assert "<b>&.h5" in text


def test_a_batch_has_figures_of_the_first_samples_and_rows_of_all(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("lsml.report.page.DRAWN", 1)
    labels = np.stack([np.roll(LABELS[:4, :3, :2], k, 0) for k in range(4)])
    lsml.solve(labels).save(tmp_path / "b.h5")
    page = Page(render(tmp_path / "b.h5"))
    assert len(page.all("img")) == 1 + (1 + 2 * 3)
    ended = [row[0] for row in page.rows if row[1:2] == ["CONVERGED"]]
    assert ended == ["0", "1", "2", "3"]
    assert "3 more samples are in the tables only." in "".join(page.text)


def test_each_group_is_a_section(tmp_path, without_figures):
    flat = lsml.solve(LABELS[:, :, 0])
    write_solutions({"soft": flat, "stiff": flat}, tmp_path / "g.h5")
    page = Page(render(tmp_path / "g.h5"))
    assert [part["id"] for part in page.all("section")] == ["part-1", "part-2"]
    assert {link["href"] for link in page.all("a")} == {"#part-1", "#part-2"}
    assert len(Page(render(tmp_path / "g.h5", ["stiff"])).all("section")) == 1


def test_an_effective_stiffness_has_its_matrix_interval_and_surface(tmp_path):
    effective = lsml.homogenize(LABELS[:4, :3, :2], tol=1e-3)
    effective.save(tmp_path / "c.h5")
    page = Page(render(tmp_path / "c.h5"))
    matrix = effective.stiffness[0].tolist()
    for name, row in zip(("11", "22", "33", "23", "13", "12"), matrix, strict=True):
        assert ["0", name, *(f"{value:.5g}" for value in row)] in page.rows
    ends = (effective.lower[0, 0], effective.upper[0, 0])
    assert ["0", "11", *(f"{float(end):.8g}" for end in ends)] in page.rows
    assert ["load case", "status", "iterations"] in page.rows
    constants = effective.engineering()
    told = (constants.E[0, 1], constants.nu[0, 1, 0], constants.nu[0, 1, 2])
    young, *ratios = (f"{float(value):.5g}" for value in told)
    assert ["0", "2", young, ratios[0], "–", ratios[1]] in page.rows
    pictures = [attrs["alt"] for attrs in page.all("img")]
    assert len(pictures) == 2  # the phases once, not for every load case
    assert pictures[0] == "Young's modulus by direction, image 0."


def test_waves_on_a_line_and_flow_have_a_page(tmp_path):
    """Nothing in a page may need labels, three axes or real numbers."""
    problem = lsml.helmholtz(
        np.ones((1, 9)), 4.0, source=np.eye(1, 9), layers=1.0, spacing=[1.0]
    )
    lsml.solve(problem, "auto", tol=1e-3).save(tmp_path / "w.h5")
    page = Page(render(tmp_path / "w.h5"))
    assert len(page.all("img")) == 1 + 2
    assert "Re field" in "".join(page.text)


def test_uniform_and_broken_fields_have_a_page(tmp_path):
    """No width for the bins of a histogram; nothing finite to draw at all."""
    lsml.solve(np.zeros((3, 2, 2), int)).save(tmp_path / "u.h5")
    assert len(Page(render(tmp_path / "u.h5")).all("img")) == 8
    with h5py.File(tmp_path / "u.h5", "a") as file:
        for name in ("strain", "stress"):
            file[name][...] = np.nan
        file["status"][...] = 6
    page = Page(render(tmp_path / "u.h5"))
    assert len(page.all("img")) == 6
    assert "NONFINITE" in page.rows[1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none.h5"], "none.h5 does not exist"),
        (["text.h5"], "not a readable HDF5 file"),
        (["r.h5", "--group", "x"], "has no result in a group 'x'"),
        (["r.h5", "--out", "there.html"], "exists already; --overwrite replaces it"),
        (["r.h5", "--out", "no/where.html"], "the folder no does not exist"),
    ],
)
def test_bad_input_is_one_sentence(result, monkeypatch, arguments, sentence):
    folder = result[0].parent
    monkeypatch.chdir(folder)
    (folder / "text.h5").write_text("no")
    (folder / "there.html").write_text("mine")
    done = CliRunner().invoke(app, ["report", *arguments])
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert (folder / "there.html").read_text() == "mine"
    assert not (folder / "text.html").exists()


def test_the_page_stands_beside_the_result_by_default(result, without_figures):
    folder = result[0].parent
    done = CliRunner().invoke(app, ["report", str(result[0]), "--force"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert (folder / "r.html").read_text("utf-8").startswith("<!DOCTYPE html>")


def test_without_jinja_the_error_names_the_extra(result, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r'pip install "lsml\[report\]"'):
        write_report(result[0], tmp_path / "r.html")
    assert list(tmp_path.iterdir()) == []
