"""Pictures of learned rules show their numbers, comparably and legibly."""

from itertools import combinations

import numpy as np
import pytest
import torch
from cells import random_labels

from lsml.learned import Evaluation
from lsml.learned.journal import Row

matplotlib = pytest.importorskip("matplotlib", reason='needs pip install "lsml[plot]"')

from lsml.plot.learned import (  # noqa: E402
    plot_errors,
    plot_iterates,
    plot_learning,
    plot_microstructures,
    plot_prediction,
)

SHAPES = [(6, 4), (5, 4, 7)]


@pytest.fixture
def picture(tmp_path, monkeypatch):
    """A file; texts are then where they are in it, in pixels."""
    monkeypatch.setattr("lsml.plot.figure.DPI", matplotlib.rcParams["figure.dpi"])
    return tmp_path / "figure.png"


def sample(shape, passes=3, seed=0):
    """Labels, iterates that approach a truth of mean 1, and the truth."""
    rng = np.random.default_rng(seed)
    labels = random_labels(shape, seed=seed)[0]
    true = 1 + 0.5 * rng.normal(size=shape)
    true += 1 - true.mean()
    errors = rng.normal(size=(passes, *shape)) * 0.5 ** np.arange(passes).reshape(
        -1, *[1] * len(shape)
    )
    return labels, (true + 0.3 * errors).astype(np.float32), true.astype(np.float32)


def panels(figure):
    """What is seen in the axes with an image, by title."""
    return {axes.get_title(): axes.images[0] for axes in figure.axes if axes.images}


def bars(figure):
    return [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]


def worst(error):
    """The plane of the greatest mean error along the third axis, the slow way."""
    if error.ndim == 2:
        return ...
    means = [abs(error[:, :, k]).mean() for k in range(error.shape[2])]
    return np.s_[:, :, means.index(max(means))]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_prediction_is_shown_where_it_is_worst(shape):
    """The planes are those of the arrays, x_1 to the right; catches a middle slice."""
    labels, iterates, true = sample(shape)
    predicted = iterates[-1]
    figure = plot_prediction(labels, predicted, true)
    at = worst(predicted - true)
    shown = list(panels(figure).values())
    for image, field in zip(
        shown[1:], (true, predicted, predicted - true), strict=True
    ):
        assert np.array_equal(image.get_array(), field[at].T)
        assert image.get_extent() == [0, shape[0], 0, shape[1]]
        assert image.origin == "lower"
    shades = shown[0].get_array().T
    assert (shades[labels[at] == 1] > shades[labels[at] == 0].max()).all()
    title = next(iter(panels(figure)))
    where = "" if len(shape) == 2 else f"\n$x_3$ = {at[2] + 0.5:g}"
    assert title == f"microstructure{where}"


@pytest.mark.parametrize("shape", SHAPES)
def test_truth_and_prediction_have_one_scale_and_differences_are_centred(shape):
    """Colours of two panels can be compared; white is no difference.

    The prediction has half of the truth's range, and a bias. Catches limits taken
    panel by panel, and those of a difference from its own least and greatest value.
    """
    labels, _, true = sample(shape)
    figure = plot_prediction(labels, (0.5 * true + 0.9).astype(np.float32), true)
    _, solved, predicted, difference = panels(figure).values()
    assert solved.get_clim() == predicted.get_clim()
    assert solved.cmap.name == predicted.cmap.name != difference.cmap.name
    low, high = difference.get_clim()
    assert low == -high
    assert high > 0
    assert len(bars(figure)) == 2


@pytest.mark.parametrize("passes", [1, 5])
@pytest.mark.parametrize("shape", SHAPES)
def test_iterates_are_the_sum_of_their_increments(shape, passes):
    """1 + all increments is the last pass; last pass − error is what was solved.

    And each row has one scale. Catches increments from zero or to the wrong neighbour,
    and errors of another sign.
    """
    labels, iterates, true = sample(shape, passes)
    figure = plot_iterates(labels, iterates, true)
    shown = {title.split(":")[0]: image for title, image in panels(figure).items()}
    each = range(1, passes + 1)
    plane = {title: image.get_array() for title, image in shown.items()}
    increments = [plane[f"increment {k}"] for k in each]
    last = f"pass {passes}"
    np.testing.assert_allclose(1 + sum(increments), plane[last], rtol=1e-5)
    for k in each:
        error = plane[f"pass {k}"] - plane["solved"]
        np.testing.assert_allclose(plane[f"error {k}"], error, atol=1e-6)
    at = worst(iterates[-1] - true)
    assert np.array_equal(plane["solved"], true[at].T)
    for row in ("pass", "increment", "error"):
        limits = {shown[f"{row} {k}"].get_clim() for k in each}
        assert len(limits) == 1
        low, high = limits.pop()
        assert row == "pass" or low == -high
    assert shown["solved"].get_clim() == shown["pass 1"].get_clim()
    assert len(bars(figure)) == 3


def test_the_percents_are_mean_magnitudes_over_the_whole_sample():
    """That of the error is the MASE; catches the mean of the slice only."""
    labels, iterates, true = sample((5, 4, 7))
    figure = plot_iterates(labels, iterates, true)
    for k, iterate in enumerate(iterates, 1):
        mase = 100 * abs(iterate - true).mean() / true.mean()
        assert f"error {k}: {mase:.2g} %" in panels(figure)
    step = 100 * abs(iterates[1] - iterates[0]).mean()
    assert f"increment 2: {step:.2g} %" in panels(figure)


def test_of_many_passes_the_first_and_the_last_are_among_those_shown():
    """Increments stay those of one pass; catches a difference to the panel before."""
    labels, iterates, true = sample((3, 3), 20)
    shown = panels(plot_iterates(labels, iterates, true))
    passes = [int(t.split()[1]) for t in shown if t.startswith("pass")]
    assert len(passes) == 8
    assert (passes[0], passes[-1]) == (1, 20)
    (title,) = (t for t in shown if t.startswith("increment 20:"))
    step = (iterates[19] - iterates[18]).T
    assert np.array_equal(shown[title].get_array(), step)


def test_one_phase_has_one_shade_in_all_microstructures():
    """Homogeneous ones too, and 0 % stiff is said of a soft one.

    Catches limits taken image by image, by which all-soft and all-stiff look alike.
    """
    labels = np.zeros((5, 4, 4, 3), dtype=np.uint8)
    labels[1:] = 1
    labels[2, :2] = 0
    figure = plot_microstructures(labels)
    images = [axes.images[0] for axes in figure.axes if axes.images]
    titles = [axes.get_title() for axes in figure.axes if axes.images]
    assert (
        titles
        == ["0 % stiff", *["100 % stiff"] * 1, "50 % stiff"] + ["100 % stiff"] * 2
    )
    assert len({image.get_clim() for image in images}) == 1
    soft, stiff = images[0].get_array(), images[1].get_array()
    assert np.unique(soft).size == np.unique(stiff).size == 1
    assert soft[0, 0] < stiff[0, 0]
    assert np.array_equal(np.unique(images[2].get_array()), [soft[0, 0], stiff[0, 0]])


def test_the_grid_has_one_legend_and_no_empty_frames():
    figure = plot_microstructures(random_labels((4, 5), batch=5))
    assert all(axes.get_legend() is None for axes in figure.axes)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.texts] == ["soft", "stiff"]
    assert [axes.axison for axes in figure.axes] == [True] * 5 + [False] * 3


def evaluation(errors):
    return Evaluation(torch.tensor(errors)[:, None], 0.1, 3)


def counts(figure):
    """Area under each step line, over the width of a bin."""
    found = []
    for patch in figure.axes[0].patches:
        x, y = patch.get_xy().T
        bins = np.unique(x)
        found.append(float(np.abs(np.trapezoid(y, x)) / (bins[1] - bins[0])))
    return found


def test_every_sample_is_in_the_histogram_of_its_rule():
    """The least, the greatest, and those of other rules' ranges; the same bins for all.

    Catches bins that end at the first rule's greatest error.
    """
    errors = {"fln": [9.0, 11.5, 20.0], "rln": [0.0, 1.0, 1.5, 30.0]}
    figure = plot_errors({name: evaluation(e) for name, e in errors.items()})
    assert sorted(counts(figure)) == pytest.approx([3, 4])
    texts = [text.get_text() for text in figure.legends[0].texts]
    assert texts[0].startswith("fln: 13.50 ± ")
    assert texts[1].startswith("rln: 8.12 ± ")


@pytest.mark.parametrize("errors", [[0.0, 0.0], [float("nan"), 2.0], [float("nan")]])
def test_errors_that_are_all_zero_or_no_numbers_can_be_drawn(errors, picture):
    plot_errors({"rule": evaluation(errors)}, picture)
    assert picture.stat().st_size > 0


def rows(count, fall=0.9, validation=True):
    return [
        Row(k, fall**k, 1e-3, 10 * fall**k + 1 if validation else None)
        for k in range(count)
    ]


def test_learning_curves_are_the_rows_from_epoch_one():
    """Both quantities of each run; names as they are, also with $ and _ in them."""
    runs = {"rln": rows(30), "_a$b$": rows(12, 0.8)}
    figure = plot_learning(runs)
    loss, error = figure.axes
    for axes, name in ((loss, "loss"), (error, "validation")):
        for line, run in zip(axes.lines, runs.values(), strict=True):
            assert line.get_xdata().tolist() == [row.epoch + 1 for row in run]
            assert line.get_ydata().tolist() == [getattr(row, name) for row in run]
    texts = [text.get_text() for text in error.get_legend().texts]
    assert texts == ["rln", r"a\$b\$"]


@pytest.mark.parametrize(("fall", "scale"), [(0.99, "linear"), (0.5, "log")])
def test_the_axis_is_logarithmic_where_values_span_a_power_of_ten(fall, scale):
    """Ticks are short numbers; catches 5.25 × 10^-1 beside 5.2 × 10^-1."""
    figure = plot_learning({"run": rows(12, fall)})
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert axes.get_yscale() == scale
    low, high = axes.get_ylim()
    ticks = [
        text.get_text()
        for value, text in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
        if low <= value <= high
    ]
    assert len(ticks) > 1
    assert all(len(text) <= 6 for text in ticks)


def test_a_single_epoch_is_seen_and_no_validation_takes_no_room():
    """Catches a line of one point, which is nothing, and an empty second panel."""
    figure = plot_learning({"run": rows(1, validation=False)})
    (axes,) = figure.axes
    assert axes.lines[0].get_marker() == "o"
    assert axes.get_ylabel() == "training loss"


@pytest.mark.parametrize("kind", ["equal", "not finite"])
def test_fields_without_contrast_can_be_drawn(kind, picture):
    """A perfect prediction of a uniform field, and one of weights that are NaN."""
    labels = np.zeros((4, 3, 2), dtype=np.uint8)
    true = np.ones(labels.shape, dtype=np.float32)
    predicted = true if kind == "equal" else np.full_like(true, np.nan)
    plot_prediction(labels, predicted, true, picture)
    plot_iterates(labels, predicted[None], true, picture.with_name("iterates.png"))
    assert len(list(picture.parent.iterdir())) == 2


def drawn(kind, shape, path):
    labels, iterates, true = sample(shape, 5)
    makers = {
        "prediction": lambda: plot_prediction(labels, iterates[-1], true, path),
        "iterates": lambda: plot_iterates(labels, iterates, true, path),
        "one pass": lambda: plot_iterates(labels, iterates[:1], true, path),
        "grid": lambda: plot_microstructures(random_labels(shape, batch=7), path),
        "errors": lambda: plot_errors(
            {f"a rule of some name {i}": evaluation([i + 1.0, 3.0]) for i in range(5)},
            path,
        ),
        "learning": lambda: plot_learning({"run": rows(60)}, path),
    }
    return makers[kind]()


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("prediction", (5, 5, 5)),
        ("prediction", (12, 4)),
        ("prediction", (4, 12, 3)),
        ("iterates", (5, 5, 5)),
        ("iterates", (4, 12, 3)),
        ("one pass", (6, 4)),
        ("grid", (5, 4, 7)),
        ("grid", (12, 4)),
    ],
)
def test_no_text_is_cut_or_lies_on_another(kind, shape, picture):
    """All titles, ticks and labels are inside of the figure and apart from each other.

    Catches titles cut off at the top, which squares in a constrained layout lead to.
    """
    check_texts(drawn(kind, shape, picture))


@pytest.mark.parametrize("kind", ["errors", "learning"])
def test_no_text_of_a_curve_is_cut(kind, picture):
    check_texts(drawn(kind, (4, 4), picture))


def check_texts(figure):
    from matplotlib.text import Text

    boxes = [
        (text.get_text(), text.get_window_extent())
        for axes in figure.axes
        for text in seen(axes)
        if isinstance(text, Text) and text.get_text()
    ]
    boxes += [
        (t.get_text(), t.get_window_extent()) for g in figure.legends for t in g.texts
    ]
    width, height = figure.bbox.size
    assert len(boxes) > 5
    for name, box in boxes:
        assert min(box.x0, box.y0) >= -0.5, name
        assert max(box.x1 - width, box.y1 - height) <= 0.5, name
    for (one, a), (two, b) in combinations(boxes, 2):
        apart = a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 or b.y1 <= a.y0
        assert apart, (one, two)


def seen(axes):
    """Texts of axes that are drawn."""
    if not axes.axison:
        return []
    texts = [axes.title]
    for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        low, high = sorted(limits)
        texts += [
            tick.label1 if tick.label1.get_visible() else tick.label2
            for tick in axis.get_major_ticks()
            if low <= tick.get_loc() <= high
            and (tick.label1.get_visible() or tick.label2.get_visible())
        ]
        texts.append(axis.label)
    return [text for text in texts if text.get_visible()]
