"""The main pictures look as they did, to a tolerance that faults are beyond.

`python tests/golden.py` makes the thumbnails anew; look at them before they are kept.
"""

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason='needs pip install "lsml[plot]"')
pytest.importorskip("pyvista", reason='needs pip install "lsml[plot]"')

import golden
from PIL import Image


def stored(name):
    path = golden.FOLDER / f"{name}.png"
    assert path.stat().st_size <= 15_000
    with Image.open(path) as image:
        return image.convert("RGB")


def away(name, figure, **options):
    return golden.distance(stored(name), golden.of_figure(figure, **options))


@pytest.mark.parametrize("name", golden.FIGURES)
def test_a_picture_looks_like_its_thumbnail(name):
    assert away(name, golden.FIGURES[name]()) < golden.TOLERANCE


def test_resolution_does_not_count():
    for dpi in (72, 200):
        assert away("slices", golden.slices(), dpi=dpi) < golden.TOLERANCE


def test_a_volume_looks_like_its_thumbnail_and_a_mirrored_one_does_not():
    """Any axis reversed is seen."""
    thumbnail, field = stored("volume"), golden.bump()
    assert golden.distance(thumbnail, golden.of_volume(field)) < golden.TOLERANCE
    for axis in range(3):
        other = golden.of_volume(np.flip(field, axis))
        assert golden.distance(thumbnail, other) > golden.TOLERANCE, axis


def maps(figure):
    return [axes.images[0] for axes in figure.axes if axes.images]


def transposed(figure):
    for image in maps(figure):
        image.set_data(image.get_array().T)


def upside_down(figure):
    for image in maps(figure):
        image.set_data(image.get_array()[::-1])


def without_bars(figure):
    for axes in figure.axes:
        if axes.get_label() == "<colorbar>":
            axes.set_visible(False)


@pytest.mark.parametrize("fault", [transposed, upside_down, without_bars])
@pytest.mark.parametrize("name", ["slices", "differences", "grid"])
def test_faults_of_maps_are_beyond_the_tolerance(name, fault):
    """Catches a comparison that would let anything pass."""
    figure = golden.FIGURES[name]()
    fault(figure)
    assert away(name, figure) > golden.TOLERANCE


FAULTS = {
    "stiffness": lambda: golden.stiffness(np.diag([2.0, 1.0, 4.0, 1.0, 1.0, 1.0])),
    "plane-stiffness": lambda: golden.stiffness(np.diag([1.0, 3.0, 1.0])),
    "convergence": lambda: golden.convergence(0.8, 0.4),
    "costs": lambda: golden.costs(0.8, 0.4),
}


@pytest.mark.parametrize("name", FAULTS)
def test_swapped_axes_and_curves_are_beyond_the_tolerance(name):
    assert away(name, FAULTS[name]()) > golden.TOLERANCE
