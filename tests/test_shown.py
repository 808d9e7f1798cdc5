"""Solutions draw any of their fields, and results show themselves in notebooks."""

import base64
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

import lsml
from lsml.rich_repr import number, numbers, table

pytest.importorskip("matplotlib", reason='needs pip install "lsml[plot]"')

LABELS = np.random.default_rng(3).integers(0, 2, (5, 4, 3))
AT = (4, 0, 2)


@pytest.fixture(scope="module")
def solution():
    return lsml.solve(np.stack([LABELS, 1 - LABELS]), spacing=(1.0, 2.0, 3.0))


@pytest.fixture(scope="module")
def effective():
    return lsml.homogenize(LABELS, tol=1e-3)


def images(figure):
    return [axes.images[0] for axes in figure.axes if axes.images]


def mises(s):
    """Of Mandel components (6, *n)."""
    normal = (s[0] - s[1]) ** 2 + (s[1] - s[2]) ** 2 + (s[2] - s[0]) ** 2
    return np.sqrt(normal / 2 + 1.5 * (s[3:] ** 2).sum(0))


def test_each_field_is_drawn_by_its_name(solution):
    """Through the chosen voxel of the chosen sample; catches sample 0 for all."""
    stress = solution.stress[1].numpy()
    expected = {
        "stress_22": stress[1],
        "stress 12": stress[5],
        "strain_33": solution.strain[1, 2].numpy(),
        "mises": mises(stress),
        "displacement_3": solution.displacement[1, 2].numpy(),
        "labels": 1 - LABELS,
    }
    for name, field in expected.items():
        shown = images(solution.plot(sample=1, field=name, at=AT))
        assert np.allclose(shown[0].get_array(), field[:, :, 2].T, rtol=1e-10), name
        assert np.allclose(shown[2].get_array(), field[4].T, rtol=1e-10), name


def test_a_field_with_components_shows_all_of_them(solution, tmp_path):
    path = tmp_path / "strain.png"
    figure = solution.plot(path, sample=1, field="strain", at=AT)
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in panels] == ["11", "22", "33", "23", "13", "12"]
    for k, image in enumerate(images(figure)):
        plane = solution.strain[1, k, :, :, 2].numpy()
        assert np.array_equal(image.get_array(), plane.T)
    assert path.stat().st_size > 0


def test_the_equivalent_stress_in_a_plane_counts_the_third_axis():
    """σ_33 = ν (σ_11 + σ_22); catches plane stress. Each image has its own labels."""
    labels = np.stack([LABELS[:, :, 0], 1 - LABELS[:, :, 0]])
    phases = [lsml.isotropic(E=1.0, nu=0.1), lsml.isotropic(E=8.0, nu=0.4)]
    load = lsml.load(strain=[1e-3, 0, 0])  # of a plane: two images, not a volume
    solved = lsml.solve(labels, phases=phases, load=load)
    s = solved.stress[1].numpy()
    third = np.array([0.1, 0.4])[labels[1]] * (s[0] + s[1])
    zero = np.zeros_like(third)
    expected = mises(np.stack([s[0], s[1], third, zero, zero, s[2]]))
    (image,) = images(solved.plot(sample=1, field="mises"))
    assert np.allclose(image.get_array(), expected.T, rtol=1e-10)


def test_conduction_has_its_own_names():
    problem = lsml.conductivity(LABELS, phases=[1.0, 5.0], load=[1.0, 0.0, 0.0])
    solved = lsml.solve(problem)
    shown = images(solved.plot(field="flux_2"))
    assert np.array_equal(shown[2].get_array(), solved.flux[0, 1, 2].numpy().T)
    assert len(images(solved.plot(field="potential"))) == 3
    with pytest.raises(ValueError, match=r"there are gradient .*, flux .*, potential"):
        solved.plot(field="stress")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"field": "pressure"}, r"unknown; there are strain \(_11, .*\), .* mises"),
        ({"field": "stress_44"}, "unknown; there are strain"),
        ({"field": "stress", "sample": 2}, "one of the solution's 2"),
        ({"field": "mises", "at": (5, 0, 0)}, "is no voxel of an image of"),
        ({"at": (0, 0, 0)}, "give its name too"),
    ],
)
def test_what_is_not_there_is_said(solution, options, words):
    with pytest.raises(ValueError, match=words):
        solution.plot(**options)


def test_an_effective_stiffness_draws_its_moduli(effective, tmp_path):
    path = tmp_path / "young.png"
    figure = effective.plot(path, unit="GPa")
    along = effective.engineering().E[0].numpy()
    curve = figure.axes[0].lines[0].get_ydata()
    assert curve[0] == pytest.approx(along[0], rel=1e-10)
    assert curve[90] == pytest.approx(along[1], rel=1e-10)
    assert path.stat().st_size > 0
    with pytest.raises(ValueError, match="sample = 1 must be one of 1"):
        effective.plot(sample=1)


def test_a_conductivity_has_no_modulus_to_draw_but_a_table():
    problem = lsml.conductivity(LABELS, phases=[1.0, 5.0], load=[1.0, 0.0, 0.0])
    found = lsml.homogenize(problem, tol=1e-3)
    with pytest.raises(ValueError, match="no Young's modulus"):
        found.plot()
    read = Read(found._repr_html_())
    assert read.captions == ["Effective conductivity, sample 0"]
    assert read.pictures == []


class Read(HTMLParser):
    """Cells, captions and pictures; fails on tags that do not match."""

    def __init__(self, html):
        super().__init__()
        self.open, self.rows, self.captions, self.pictures = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.pictures.append(dict(attributes))
            return
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1] == "caption":
            self.captions.append(data)
        else:
            assert self.open[-1] in ("th", "td")
            self.rows[-1].append(data)


def is_png(picture):
    kind, _, data = picture["src"].partition(",")
    start = base64.b64decode(data, validate=True)[:8]
    return (kind, start) == ("data:image/png;base64", b"\x89PNG\r\n\x1a\n")


def test_a_solution_shows_a_row_for_each_sample_and_a_picture(solution):
    read = Read(solution._repr_html_())
    head, *rows = read.rows
    assert head[:4] == ["sample", "status", "iterations", "certified error"]
    assert [row[:3] for row in rows] == [
        [str(k), "CONVERGED", str(int(solution.iterations[k]))] for k in (0, 1)
    ]
    assert all(len(row) == len(head) for row in rows)
    assert rows[1][4].startswith("0.001, 0, 0")
    assert "2 samples of 5 × 4 × 3 voxels" in read.captions[0]
    assert [is_png(picture) for picture in read.pictures] == [True]


def test_of_many_samples_the_first_are_shown():
    solved = lsml.solve(np.random.default_rng(0).integers(0, 2, (13, 3, 3, 2)))
    read = Read(solved._repr_html_())
    assert len(read.rows) == 1 + 10
    assert "13 samples" in read.captions[0]
    assert "first 10" in read.captions[0]


def test_a_stiffness_shows_its_matrix_and_certificate(effective):
    read = Read(effective._repr_html_())
    head, *rows = read.rows
    assert head == ["11", "22", "33", "23", "13", "12", "certified diagonal"]
    matrix = np.asarray(effective)[0]
    for k, row in enumerate(rows):
        assert row[1:7] == [number(value) for value in matrix[k]]
        low, high = float(effective.lower[0, k]), float(effective.upper[0, k])
        assert row[7] == f"{number(low)} to {number(high)}"
    assert [is_png(picture) for picture in read.pictures] == [True]


def test_a_comparison_shows_its_tables():
    rules = {"a<b>&": lsml.ConjugateGradient(), "moulinec": lsml.Moulinec()}
    found = lsml.compare(LABELS[:, :, 0], rules=rules, tol=1e-5)
    read = Read(found._repr_html_())
    cells = [cell for row in read.rows for cell in row]
    assert cells.count("a<b>&") == len(read.captions)
    assert [is_png(picture) for picture in read.pictures] == [True]


def test_everything_in_a_table_is_escaped():
    """Catches names that become tags."""
    html = table("<i>", ["a&b"], [["</td><script>"]])
    assert Read(html).rows == [["a&b"], ["</td><script>"]]
    assert "<script>" not in html


def test_rounding_is_shown_as_nothing():
    assert numbers(np.array([1e-3, 2.7e-21, -0.5])) == "0.001, 0, -0.5"
    assert numbers(np.zeros(2)) == "0, 0"


def test_without_matplotlib_the_table_remains(solution, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.setitem(sys.modules, name, None)
    read = Read(solution._repr_html_())
    assert len(read.rows) == 3
    assert read.pictures == []


def test_a_large_solution_is_not_drawn_unasked(solution, monkeypatch):
    monkeypatch.setattr("lsml.rich_repr.LARGEST", 2 * LABELS.size - 1)
    assert Read(solution._repr_html_()).pictures == []
    monkeypatch.setattr("lsml.rich_repr.LARGEST", 2 * LABELS.size)
    assert len(Read(solution._repr_html_()).pictures) == 1


def test_waves_show_both_parts_and_a_table():
    """Fields that have no labels and no strain."""
    index = np.ones((8, 6))
    index[2:4, 1:3] = 1.5
    incident = np.exp(1j * np.pi / 2 * np.arange(8.0))[:, None] * np.ones(6)
    problem = lsml.helmholtz(index, 4.0, incident, [1.0, 1.0])
    wave = lsml.solve(problem, "bicgstab", throw=False)
    real, imaginary = images(wave.plot(field="field"))
    values = wave.field[0, 0].numpy()
    assert np.array_equal(real.get_array(), values.real.T)
    assert np.array_equal(imaginary.get_array(), values.imag.T)
    read = Read(wave._repr_html_())
    assert "8 × 6 voxels" in read.captions[0]
    assert [is_png(picture) for picture in read.pictures] == [True]
    with pytest.raises(ValueError, match=r"unknown; there are field$"):
        wave.plot(field="stress")
