"""Slices, grids, differences, stiffness and 3-D views show what they say."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason='needs pip install "lsml[plot]"')

from lsml.plot import (
    given,
    plot_differences,
    plot_grid,
    plot_slices,
    plot_stiffness,
    plot_volume,
)

SHAPE, SPACING = (5, 4, 3), (1.0, 0.5, 2.0)
AT = (3, 1, 2)


def asymmetric(shape=SHAPE):
    """Every voxel has its own number."""
    return np.arange(1.0, np.prod(shape) + 1).reshape(shape)


def images(figure):
    return [axes.images[0] for axes in figure.axes if axes.images]


def bars(figure):
    return [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]


def panel(figure, k):
    return [axes for axes in figure.axes if axes.images][k]


def test_each_slice_is_the_plane_that_its_axes_and_title_name():
    """Catches a transposed plane, a flipped origin and a wrong index."""
    field = asymmetric()
    figure = plot_slices(field, SPACING, at=AT)
    planes = [field[:, :, 2], field[:, 1, :], field[3]]
    names = [("$x_1$", "$x_2$"), ("$x_1$", "$x_3$"), ("$x_2$", "$x_3$")]
    sizes = [(5.0, 2.0), (5.0, 6.0), (2.0, 6.0)]
    titles = ["$x_3$ = 5", "$x_2$ = 0.75", "$x_1$ = 3.5"]
    for k, image in enumerate(images(figure)):
        axes = panel(figure, k)
        assert np.array_equal(image.get_array(), planes[k].T)
        assert image.origin == "lower"
        assert image.get_extent() == [0, sizes[k][0], 0, sizes[k][1]]
        assert axes.get_aspect() == 1.0  # a unit is as long on either axis
        assert (axes.get_xlabel(), axes.get_ylabel()) == names[k]
        assert axes.get_title() == titles[k]
    assert len(images(figure)) == 3


def test_dashes_mark_where_the_other_planes_are():
    """At the centre of the chosen voxel; catches the edges of it, and voxel counts."""
    figure = plot_slices(asymmetric(), SPACING, at=AT)
    centre = [(k + 0.5) * h for k, h in zip(AT, SPACING, strict=True)]
    for k, (a, b) in enumerate([(0, 1), (0, 2), (1, 2)]):
        lines = panel(figure, k).lines
        x = {line.get_xdata()[0] for line in lines if len(set(line.get_xdata())) == 1}
        y = {line.get_ydata()[0] for line in lines if len(set(line.get_ydata())) == 1}
        assert centre[a] in x
        assert centre[b] in y


def test_the_three_slices_share_colours_that_cover_their_numbers():
    """One bar, with the unit and the power of ten; catches limits plane by plane."""
    field = 1e-5 * asymmetric()
    figure = plot_slices(field, SPACING, title="strain", unit="mm", at=AT)
    shown = images(figure)
    values = np.concatenate([np.asarray(i.get_array()).ravel() for i in shown])
    assert {i.get_clim() for i in shown} == {(values.min(), values.max())}
    (bar,) = bars(figure)
    assert bar.get_ylabel() == "×$10^{-6}$ mm"
    assert figure.get_suptitle() == "strain"


def test_labels_have_whole_numbers_at_their_bar():
    figure = plot_slices(asymmetric().astype(int) % 3, SPACING)
    figure.canvas.draw()
    ticks = [t.get_text() for t in bars(figure)[0].get_yticklabels()]
    assert ticks
    assert all(re.fullmatch(r"-?\d+", tick) for tick in ticks)


def test_a_complex_field_has_a_row_for_each_part():
    field = asymmetric((5, 4)) + 2j * asymmetric((5, 4)) ** 2
    figure = plot_slices(field, (1.0, 2.0))
    real, imaginary = images(figure)
    assert np.array_equal(real.get_array(), field.real.T)
    assert np.array_equal(imaginary.get_array(), field.imag.T)
    assert [panel(figure, k).get_ylabel() for k in (0, 1)] == [
        "Re\n$x_2$",
        "Im\n$x_2$",
    ]
    assert len(bars(figure)) == 2


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((5, 4), 1), ((5, 4, 1), 1), ((5, 1, 4), 1), ((1, 1, 1), 1), ((1, 1), 1)],
)
def test_planes_one_voxel_thin_are_left_out(shape, expected):
    field = asymmetric(shape)
    figure = plot_slices(field, (1.0,) * len(shape))
    assert len(images(figure)) == expected
    long = np.squeeze(field) if max(shape) > 1 else field.reshape(1, 1)
    assert np.array_equal(images(figure)[0].get_array(), long.T)


@pytest.mark.parametrize("shape", [(6,), (6, 1), (1, 6, 1), (1, 1, 6)])
def test_a_field_that_varies_along_one_axis_is_a_curve(shape):
    axis = shape.index(6)
    spacing = tuple(0.5 if k == axis else 3.0 for k in range(len(shape)))
    figure = plot_slices(asymmetric(shape), spacing, unit="K")
    (axes,) = figure.axes
    (line,) = axes.lines
    assert line.get_xdata().tolist() == [0.25, 0.75, 1.25, 1.75, 2.25, 2.75]
    assert line.get_ydata().tolist() == [1, 2, 3, 4, 5, 6]
    assert (axes.get_xlabel(), axes.get_ylabel()) == (f"$x_{axis + 1}$", "K")


@pytest.mark.parametrize("value", [0.0, -3.0, np.nan, np.inf])
def test_constant_fields_and_those_without_numbers_can_be_drawn(value, tmp_path):
    path = tmp_path / "slices.png"
    field = np.full(SHAPE, value)
    figure = plot_slices(field, SPACING, path)
    low, high = images(figure)[0].get_clim()
    assert low < high
    if np.isfinite(value):
        assert low <= value <= high
    assert path.stat().st_size > 0


def test_voxels_without_a_number_are_grey_and_do_not_count():
    """Catches colours that a single NaN or infinity takes away from all."""
    field = asymmetric((5, 4))
    field[1, 2], field[3, 0] = np.nan, np.inf
    figure = plot_slices(field, (1.0, 1.0))
    (image,) = images(figure)
    assert np.array_equal(np.ma.getmaskarray(image.get_array()).T, ~np.isfinite(field))
    assert image.get_clim() == (1.0, 20.0)


def test_differences_are_field_minus_reference_in_one_symmetric_scale():
    """On the plane with the greatest one; catches the opposite sign."""
    reference = asymmetric()
    fields = {"a": reference.copy(), "b": reference * 1.01}
    fields["a"][4, 0, 0] -= 3.0
    figure = plot_differences(fields, reference, SPACING, title="σ", unit="GPa")
    first, second = images(figure)
    assert np.allclose(first.get_array(), (fields["a"] - reference)[:, :, 0].T)
    assert np.allclose(second.get_array(), (fields["b"] - reference)[:, :, 0].T)
    assert first.get_clim() == second.get_clim() == (-3.0, 3.0)
    (bar,) = bars(figure)
    assert bar.get_ylabel() == "GPa"
    part = 100 * 3 / np.linalg.norm(reference)
    assert panel(figure, 0).get_title() == f"a\n{part:.2g} %, max 3 GPa"
    assert panel(figure, 1).get_title() == "b\n1 %, max 0.6 GPa"
    assert figure.get_suptitle() == "σ, $x_3$ = 1"


def test_differences_to_nothing_have_no_percents_and_equal_fields_a_scale():
    zero = np.zeros((4, 3))
    figure = plot_differences({"same": zero, "one": zero + 1}, zero, (1.0, 1.0))
    assert [panel(figure, k).get_title() for k in (0, 1)] == [
        "same\nmax 0",
        "one\nmax 1",
    ]
    same = plot_differences({"same": zero}, zero, (1.0, 1.0))
    low, high = images(same)[0].get_clim()
    assert low == -high < 0


def test_many_differences_go_to_a_second_row_without_empty_frames():
    field = asymmetric((4, 3))
    named = {f"rule_{k}$": field + k for k in range(5)}
    figure = plot_differences(named, field, (1.0, 1.0))
    frames = [axes.axison for axes in figure.axes if axes not in bars(figure)]
    assert frames == [True] * 5 + [False] * 3
    figure.canvas.draw()  # a dollar in a name is no formula


@pytest.mark.parametrize(("shared", "scales"), [("row", 2), ("grid", 1)])
def test_a_grid_shares_its_colours(shared, scales):
    """Rows in their order; columns by name, however a row orders them."""
    one, two = asymmetric(), 100 * asymmetric()
    fields = {"e": {"cg": one, "rln": 2 * one}, "s": {"rln": 3 * two, "cg": two}}
    figure = plot_grid(fields, SPACING, at=AT, shared=shared, unit="MPa")
    expected = [one, 2 * one, two, 3 * two]
    for image, field in zip(images(figure), expected, strict=True):
        assert np.array_equal(image.get_array(), field[:, :, 2].T)
    limits = [image.get_clim() for image in images(figure)]
    assert limits[0] == limits[1]
    assert limits[2] == limits[3]
    assert len(set(limits)) == len(bars(figure)) == scales
    assert limits[3][1] == 3 * two[:, :, 2].max()
    assert {bar.get_ylabel().split()[-1] for bar in bars(figure)} == {"MPa"}
    assert [panel(figure, k).get_title() for k in (0, 1)] == ["cg", "rln"]
    assert panel(figure, 2).get_ylabel().startswith("s\n")


BAD = {
    "text": (lambda: given.image(np.array(["a"])), "must hold numbers"),
    "batch": (lambda: plot_slices(np.zeros((2, 6, 4, 4, 4)), (1.0,) * 3), "1 to 3 axe"),
    "empty": (lambda: plot_slices(np.zeros((0, 3)), (1.0,) * 2), "at least one voxel"),
    "edges": (lambda: plot_slices(np.zeros((3, 3)), (1.0, 0.0)), "2 positive lengths"),
    "at": (lambda: plot_slices(asymmetric(), SPACING, at=(0, 4, 0)), "is no voxel of"),
    "at -1": (lambda: plot_slices(asymmetric(), SPACING, at=(0, -1, 0)), "is no voxel"),
    "at 2": (lambda: plot_slices(asymmetric(), SPACING, at=(0, 0)), "is no voxel of"),
    "shapes": (
        lambda: plot_differences({"a": np.zeros((3, 2))}, np.zeros((2, 3)), (1.0, 1.0)),
        "one shape",
    ),
    "none": (
        lambda: plot_differences({}, np.zeros((2, 3)), (1.0, 1.0)),
        "at least one",
    ),
    "complex": (
        lambda: plot_differences({"w": 1j * np.ones((2, 3))}, np.ones((2, 3)), (1, 1)),
        "w is complex; show its",
    ),
    "columns": (
        lambda: plot_grid(
            {"p": {"a": np.ones((2, 2))}, "q": {"b": np.ones((2, 2))}}, (1, 1)
        ),
        "row 'q' has the fields",
    ),
    "nothing": (lambda: plot_grid({}, (1, 1)), "at least one row"),
    "shared": (
        lambda: plot_grid({"p": {"a": np.ones((2, 2))}}, (1, 1), shared="all"),
        "'row' or 'grid'",
    ),
    "plane": (lambda: plot_volume(np.ones((2, 2)), (1, 1), "x.png"), "plot_slices"),
    "format": (lambda: plot_volume(asymmetric(), SPACING, "x.pdf"), r"end in \.png"),
    "where": (
        lambda: plot_volume(asymmetric(), SPACING, "x.png", where=asymmetric() > 99),
        "no voxel to show",
    ),
    "mask": (
        lambda: plot_volume(asymmetric(), SPACING, "x.png", where=np.ones(3, bool)),
        "true or false for each",
    ),
    "matrix": (lambda: plot_stiffness(np.eye(4)), r"\(3, 3\) or \(6, 6\)"),
    "singular": (lambda: plot_stiffness(np.diag([1.0, 1, 0])), "positive definite"),
    "unsymmetric": (
        lambda: plot_stiffness(np.eye(3) + np.triu(np.ones((3, 3)), 1)),
        "symmetric",
    ),
    "nan": (lambda: plot_stiffness(np.full((3, 3), np.nan)), "real, finite"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_one_sentence(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, words = BAD[name]
    with pytest.raises((ValueError, TypeError), match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


VIEW = """
import sys
import numpy as np
from lsml.plot import plot_volume
field = np.zeros((6, 5, 4)); field[:3] = 1.0
plot_volume(field, (1.0, 2.0, 1.5), sys.argv[1], title="E", unit="GPa")
plot_volume(field, (1.0, 2.0, 1.5), sys.argv[2], where=field == 1.0)
"""


def test_a_volume_is_drawn_without_a_display_and_silently(tmp_path):
    """Both phases are seen, and with a threshold one; catches VTK's warnings."""
    pillow = pytest.importorskip("PIL.Image")
    pytest.importorskip("pyvista")
    whole, part = tmp_path / "whole.png", tmp_path / "part.png"
    done = subprocess.run(
        [sys.executable, "-c", VIEW, str(whole), str(part)],
        capture_output=True, text=True, check=True,
        env={k: v for k, v in os.environ.items() if k != "DISPLAY"},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("", "")
    low, high = (68, 1, 84), (253, 231, 37)  # the ends of viridis
    left = np.s_[:, :700]  # without the bar
    seen = np.asarray(pillow.open(whole).convert("RGB"))[left].astype(int)
    counts = [int((abs(seen - c).max(-1) < 8).sum()) for c in (low, high)]
    assert min(counts) > 5000
    # x_1 points to the right: the stiff half is the left one.
    columns = [np.nonzero((abs(seen - c).max(-1) < 8).any(0))[0] for c in (low, high)]
    assert columns[1].mean() < columns[0].mean()
    alone = np.asarray(pillow.open(part).convert("RGB"))[left].astype(int)
    assert int((abs(alone - low).max(-1) < 8).sum()) < 50
