"""Pictures show the numbers of the solution, in their place."""

import subprocess
import sys

import numpy as np
import pytest

import lsml

matplotlib = pytest.importorskip("matplotlib", reason='needs pip install "lsml[plot]"')

from lsml.plot import plot_comparison, plot_convergence, plot_solution  # noqa: E402

LABELS = np.random.default_rng(2).integers(0, 2, (6, 5, 4))


@pytest.fixture(scope="module")
def solution():
    return lsml.solve(np.stack([LABELS, 1 - LABELS]), spacing=(1.0, 2.0, 3.0))


def images(figure):
    return [axes.images[0] for axes in figure.axes if axes.images]


@pytest.mark.parametrize("sample", [0, 1])
def test_the_panels_are_the_middle_slices_with_axis_one_horizontal(solution, sample):
    figure = plot_solution(solution, sample=sample)
    labels = LABELS if sample == 0 else 1 - LABELS
    expected = [
        labels[:, :, 2],
        solution.strain[sample, 0, :, :, 2].numpy(),
        solution.stress[sample, 0, :, :, 2].numpy(),
    ]
    for image, plane in zip(images(figure), expected, strict=True):
        assert np.array_equal(image.get_array(), plane.T)
        assert image.get_extent() == [0, 6.0, 0, 10.0]
        assert image.origin == "lower"


def test_the_curve_is_the_history_up_to_where_the_sample_ended(solution):
    figure = plot_solution(solution, sample=1)
    (line,) = figure.axes[3].lines
    last = int(solution.iterations[1])
    assert np.array_equal(line.get_ydata(), solution.history[1, : last + 1].numpy())
    assert figure.axes[3].get_yscale() == "log"
    assert line.get_label() == "ConjugateGradient"


def test_colour_bars_count_in_the_power_that_they_name(solution):
    figure = plot_solution(solution)
    figure.canvas.draw()
    bars = [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]
    for bar in bars:
        assert bar.get_ylabel() == "×$10^{-3}$"
        low, high = bar.get_ylim()
        for tick, text in zip(bar.get_yticks(), bar.get_yticklabels(), strict=True):
            if low <= tick <= high:
                number = float(text.get_text().replace("−", "-"))
                assert number == pytest.approx(tick * 1e3, abs=1e-3)
    assert len(bars) == 2


def test_two_axes_homogeneous_and_many_phases_can_be_drawn(tmp_path):
    lsml.solve(LABELS[:, :, 0]).plot(tmp_path / "plane.png")
    figure = lsml.solve(np.zeros((3, 3, 3), int)).plot(tmp_path / "uniform.png")
    assert figure.axes[3].texts[0].get_text() == "exact from the start"
    labels = np.arange(60).reshape(5, 4, 3) % 12
    phases = [lsml.isotropic(E=1.0 + k, nu=0.3) for k in range(12)]
    lsml.solve(labels, phases=phases).plot(tmp_path / "many.png")
    assert len(list(tmp_path.iterdir())) == 3


def test_a_comparison_has_a_row_for_each_problem_and_a_curve_for_each_rule():
    rules = ("moulinec", "cg")
    solved = {
        f"contrast {c:g}": {r: lsml.solve(LABELS, r, contrast=c) for r in rules}
        for c in (2.0, 5.0)
    }
    figure = plot_comparison(solved, tol=1e-6)
    shown = images(figure)
    assert len(shown) == 1 + 2 * 2
    stress = solved["contrast 5"]["cg"].stress[0, 0, :, :, 2].numpy()
    assert np.array_equal(shown[-1].get_array(), stress.T)
    curves = [axes for axes in figure.axes if axes.get_yscale() == "log"]
    for axes, row in zip(curves, solved.values(), strict=True):
        for line, rule in zip(axes.lines, rules, strict=False):
            assert np.array_equal(line.get_ydata(), row[rule].history[0].numpy())


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg", ""])
def test_a_figure_is_written_in_the_format_of_its_name(tmp_path, suffix):
    path = tmp_path / f"curves{suffix}"
    plot_convergence({"CG": np.array([1.0, 0.1, 0.0])}, path, tol=1e-3)
    start = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml", "": b"\x89PNG"}
    assert path.read_bytes().startswith(start[suffix])
    assert len(list(tmp_path.iterdir())) == 1


def test_a_format_that_is_none_leaves_the_old_file(solution, tmp_path):
    path = tmp_path / "picture.xyz"
    path.write_text("old")
    with pytest.raises(ValueError, match="'xyz' is not supported"):
        solution.plot(path)
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_no_global_state_of_matplotlib_is_used():
    code = (
        "import sys, numpy as np, lsml\n"
        "lsml.solve(np.arange(8).reshape(2, 2, 2) % 2).plot()\n"
        "assert 'matplotlib' in sys.modules\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_matplotlib_the_error_names_the_extra(solution, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "lsml\[plot\]"'):
        solution.plot()


@pytest.mark.parametrize("ndim", [1, 2])
def test_waves_have_a_panel_for_each_part(tmp_path, ndim):
    """Catches a picture that needs phases, or shows one part under the other's name."""
    index = np.ones((2, *(9, 7)[:ndim]))
    source = np.zeros_like(index)
    source[:, 3] = 1.0
    problem = lsml.helmholtz(
        index, 4.0, source=source, layers=1.0, spacing=[1.0, 2.0][:ndim]
    )
    solution = lsml.solve(problem, "auto", tol=1e-4)
    figure = plot_solution(solution, tmp_path / "s.png", sample=1)
    assert (tmp_path / "s.png").stat().st_size > 0
    field = solution.field[1, 0].numpy()
    assert [axes.get_title() for axes in figure.axes[:2]] == ["Re field", "Im field"]
    for axes, part in zip(figure.axes, (field.real, field.imag), strict=False):
        drawn = axes.images[0].get_array().T if ndim == 2 else axes.lines[0].get_ydata()
        np.testing.assert_array_equal(drawn, part)


def test_a_distribution_has_the_share_of_each_phase(tmp_path):
    """Catches counts of all voxels, or curves under another phase's name."""
    from lsml.plot.distribution import BINS, plot_distribution

    labels = np.repeat([0, 4], [30, 90]).reshape(4, 5, 6)
    field = np.where(labels == 4, 2.0, -1.0)
    field[0, 0, 0] = 0.5
    figure = plot_distribution(field, labels, tmp_path / "d.png", title="a", unit="b")
    (axes,) = figure.axes
    assert axes.get_title() == "a (b)"
    steps = {patch.get_label(): patch.get_data() for patch in axes.patches}
    assert list(steps) == ["phase 0", "phase 4"]
    soft, stiff = (data.values for data in steps.values())
    assert soft[0] == pytest.approx(29 / 30)
    assert soft[BINS // 2] == pytest.approx(1 / 30)
    assert stiff[-1] == stiff.sum() == 1
    assert (tmp_path / "d.png").stat().st_size > 0
    with pytest.raises(ValueError, match="must be of the same voxels"):
        plot_distribution(field, labels[:2])
