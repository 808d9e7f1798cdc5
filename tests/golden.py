"""Thumbnails of the main pictures, made from closed forms: `python tests/golden.py`.

They are compared blurred, so that fonts, hinting and resolution do not count.
"""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from lsml.plot import (
    plot_convergence,
    plot_costs,
    plot_differences,
    plot_grid,
    plot_slices,
    plot_stiffness,
    plot_volume,
)
from lsml.plot.costs import Curves

FOLDER = Path(__file__).parent / "golden"
WIDTH = 160  # pixels
BLUR = 2.0  # pixels, standard deviation
# Of the greatest blurred difference, 1 being black beside white. Measured: another font
# is at most 0.04 away, twice the resolution 0.07; the least of the faults of
# test_golden.py, curves that change places, 0.12, a missing colour bar 0.35.
TOLERANCE = 0.08
SHAPE, SPACING = (24, 16, 12), (1.0, 0.5, 2.0)


def bump(shape=SHAPE, centre=(0.25, 0.7, 0.3), width=0.3):
    """A Gaussian off the centre: no symmetry of the box is one of it."""
    places = np.meshgrid(*[(np.arange(n) + 0.5) / n for n in shape], indexing="ij")
    far = sum((x - c) ** 2 for x, c in zip(places, centre, strict=False))
    return np.exp(-far / width**2)


def curves(rate):
    errors = rate ** np.arange(12.0)
    steps = np.arange(12.0)
    return Curves(errors, 0.5 * errors, 2 * errors, 1e-3 * steps, 1e6 * steps)


def slices():
    return plot_slices(bump(), SPACING, title="field", unit="MPa", at=(6, 11, 3))


def differences():
    exact = bump()
    fields = {"too wide": bump(width=0.32), "moved": bump(centre=(0.3, 0.7, 0.3))}
    return plot_differences(fields, exact, SPACING, title="field", unit="MPa")


def grid():
    wide, narrow = bump(width=0.5), bump(width=0.2)
    rows = {"one": {"a": wide, "b": narrow}, "ten": {"a": 10 * wide, "b": 10 * narrow}}
    return plot_grid(rows, SPACING, unit="MPa", at=(0, 0, 3))


ORTHOTROPIC = np.diag([1.0, 2.0, 4.0, 1.0, 1.0, 1.0])
PLANE = np.diag([3.0, 1.0, 1.0])


def stiffness(matrix=ORTHOTROPIC):
    return plot_stiffness(matrix, unit="GPa")


def plane_stiffness():
    return stiffness(PLANE)


def convergence(fast=0.4, slow=0.8):
    steps = np.arange(30.0)
    return plot_convergence({"cg": fast**steps, "moulinec": slow**steps}, tol=1e-6)


def costs(fast=0.4, slow=0.8):
    rules = {"cg": curves(fast), "moulinec": curves(slow)}
    return plot_costs({"contrast 10": rules}, quantity="error of the field")


FIGURES: dict[str, Callable] = {
    "slices": slices,
    "differences": differences,
    "grid": grid,
    "stiffness": stiffness,
    "plane-stiffness": plane_stiffness,
    "convergence": convergence,
    "costs": costs,
}


def of_figure(figure, dpi=100):
    """Thumbnail of a figure."""
    figure.draw_without_rendering()
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return small(Image.open(buffer))


def of_volume(field=None):
    """Thumbnail of the 3-D view."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "volume.png"
        values = bump() if field is None else field
        plot_volume(values, SPACING, path, title="field", unit="MPa")
        with Image.open(path) as image:
            return small(image)


def small(image):
    plain = image.convert("RGB")
    height = round(plain.height * WIDTH / plain.width)
    return plain.resize((WIDTH, height), Image.Resampling.BOX)


def distance(one, other):
    """Greatest difference of the blurred colours, 0 to 1; 1 for another shape."""
    if max(abs(a - b) for a, b in zip(one.size, other.size, strict=True)) > 2:
        return 1.0
    a, b = (np.asarray(i.resize(one.size), dtype=float) / 255 for i in (one, other))
    blurred = gaussian_filter(a - b, (BLUR, BLUR, 0), mode="nearest")
    return float(np.abs(blurred).max())


def main():
    FOLDER.mkdir(exist_ok=True)
    made = {name: of_figure(draw()) for name, draw in FIGURES.items()}
    for name, image in {**made, "volume": of_volume()}.items():
        image.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
