"""Young's modulus by direction: closed forms, and its pictures."""

import numpy as np
import pytest
import torch

import lsml
from lsml.engineering import youngs_modulus
from lsml.mandel import rotation

DRAW = np.random.default_rng(4)


def directions(count, ndim):
    n = torch.from_numpy(DRAW.normal(size=(count, ndim)))
    return n / n.norm(dim=1, keepdim=True)


def stiffness(count, c):
    a = torch.from_numpy(DRAW.normal(size=(count, c, c)))
    return a @ a.mT + 0.3 * torch.eye(c, dtype=torch.float64)


def test_an_isotropic_material_has_one_modulus():
    matrix = lsml.isotropic(E=7.0, nu=0.2).matrix()[None]
    found = youngs_modulus(matrix, directions(20, 3))
    assert found.numpy() == pytest.approx(7.0, rel=1e-13)


def test_plane_strain_stiffens_by_the_closed_form():
    """E/(1 − ν²)."""
    parts = [0, 1, 5]
    matrix = lsml.isotropic(E=7.0, nu=0.2).matrix()[parts][:, parts][None]
    found = youngs_modulus(matrix, directions(20, 2))
    assert found.numpy() == pytest.approx(7.0 / (1 - 0.2**2), rel=1e-13)


def test_a_cubic_crystal_obeys_nyes_formula():
    """1/E = s11 − 2 (s11 − s12 − s44/2)(n1²n2² + n2²n3² + n3²n1²), with Voigt's s44.

    Nye (1957), Physical Properties of Crystals, §8.6. Catches a lost √2 of shear.
    """
    c11, c12, c44 = 168.4, 121.4, 75.4
    matrix = lsml.cubic(C11=c11, C12=c12, C44=c44).matrix()[None]
    n = directions(30, 3)
    s11 = (c11 + c12) / ((c11 - c12) * (c11 + 2 * c12))
    s12 = -c12 / ((c11 - c12) * (c11 + 2 * c12))
    x, y, z = (n**2).T
    crossed = x * y + y * z + z * x
    expected = 1 / (s11 - 2 * (s11 - s12 - 0.5 / c44) * crossed)
    found = youngs_modulus(matrix, n)
    assert torch.allclose(found[0], expected, rtol=1e-12)
    assert float(found.max() / found.min()) > 1.5


@pytest.mark.parametrize("ndim", [2, 3])
def test_it_turns_with_the_material(ndim):
    """E of Q C Qᵀ along R n is E of C along n, of a batch; catches a swapped axis."""
    matrix, n = stiffness(3, {2: 3, 3: 6}[ndim]), directions(9, ndim)
    r = torch.linalg.qr(torch.from_numpy(DRAW.normal(size=(ndim, ndim))))[0]
    q = rotation(r)
    turned = youngs_modulus(q @ matrix @ q.T, n @ r.T)
    assert torch.allclose(turned, youngs_modulus(matrix, n), rtol=1e-10)


@pytest.mark.parametrize("ndim", [2, 3])
def test_along_the_axes_it_is_the_engineering_constant(ndim):
    matrix = stiffness(2, {2: 3, 3: 6}[ndim])
    along = youngs_modulus(matrix, torch.eye(ndim, dtype=torch.float64))
    constants = lsml.engineering.engineering_constants(matrix)
    assert torch.allclose(along, constants.E, rtol=1e-12)


def test_the_curves_are_the_moduli_in_the_planes_that_they_name():
    """Of an orthotropic material; catches planes in another order."""
    pytest.importorskip("matplotlib")
    from lsml.plot import plot_stiffness

    matrix = np.diag([1.0, 2.0, 4.0, 1.0, 1.0, 1.0])
    figure = plot_stiffness(matrix, unit="GPa")
    curves = [axes for axes in figure.axes if axes.name == "polar"]
    moduli = [(1.0, 2.0), (1.0, 4.0), (2.0, 4.0)]
    for axes, (first, second) in zip(curves, moduli, strict=True):
        angles, values = axes.lines[0].get_data()
        at = {round(float(a), 6): v for a, v in zip(angles, values, strict=True)}
        assert at[0.0] == pytest.approx(first)
        assert at[round(np.pi / 2, 6)] == pytest.approx(second)
    assert [axes.get_title() for axes in curves] == [
        "plane $x_1$, $x_2$",
        "plane $x_1$, $x_3$",
        "plane $x_2$, $x_3$",
    ]
    assert len({axes.get_rmax() for axes in curves}) == 1
    assert figure.get_suptitle() == "Young's modulus E(n), GPa"


def test_axes_and_bar_of_the_surface_cover_the_moduli():
    pytest.importorskip("matplotlib")
    from lsml.plot import plot_stiffness

    matrix = np.diag([1.0, 2.0, 4.0, 1.0, 1.0, 1.0])
    figure = plot_stiffness(matrix, unit="GPa")
    (space,) = (axes for axes in figure.axes if axes.name == "3d")
    limits = (space.get_xlim(), space.get_ylim(), space.get_zlim())
    assert all(low <= -4.0 < 4.0 <= high for low, high in limits)
    assert len(set(limits)) == 1  # a sphere is round
    (bar,) = (axes for axes in figure.axes if axes.get_label() == "<colorbar>")
    assert bar.get_ylim() == pytest.approx((1.0, 4.0))
    assert bar.get_ylabel() == "GPa"


def test_in_the_plane_one_curve_says_plane_strain():
    pytest.importorskip("matplotlib")
    from lsml.plot import plot_stiffness

    (axes,) = plot_stiffness(np.diag([3.0, 1.0, 1.0])).axes
    values = axes.lines[0].get_ydata()
    assert values[0] == pytest.approx(3.0)
    assert "plane strain" in axes.get_title()
