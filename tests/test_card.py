"""Material cards, read back by a parser that knows the manuals and not the writer."""

import numpy as np
import pytest
import torch
from cells import random_labels, random_stiffness

import lsml
from lsml.io import write_card
from lsml.mandel import from_mandel4

# Names of the constants, in the order of the manuals of both programs.
ELASTIC = [
    *("1111", "1122", "2222", "1133", "2233", "3333", "1112"),
    *("2212", "3312", "1212", "1113", "2213", "3313", "1213"),
    *("1313", "1123", "2223", "3323", "1223", "1323", "2323"),
]
EXPANSION = ["11", "22", "33", "12", "13", "23"]
SHEAR = {"calculix": 1, "abaqus": 2}  # tensor components, or angles
CONDUCTIVITY = {
    "calculix": EXPANSION,
    "abaqus": ["11", "12", "22", "13", "23", "33"],
}


def parse(path):
    """Keyword to parameters and numbers; comments aside."""
    found, key = {}, None
    for line in path.read_text().splitlines():
        if line.startswith("**"):
            continue
        if line.startswith("*"):
            key, *options = [part.strip() for part in line[1:].split(",")]
            found[key] = (dict(o.split("=") for o in options), [])
        else:
            fields = [f.strip() for f in line.split(",")]
            assert all(len(f) <= 20 for f in fields)  # the width of CalculiX's fields
            assert len(fields) <= 8
            assert len(line) <= 256  # Abaqus
            found[key][1].extend(float(f) for f in fields)
    return found


def tensor(names, values):
    """Full symmetric tensor from named constants."""
    rank = len(names[0])
    out = np.zeros((3,) * rank)
    for name, value in zip(names, values, strict=True):
        i = [int(k) - 1 for k in name]
        if rank == 2:
            out[i[0], i[1]] = out[i[1], i[0]] = value
            continue
        for a, b in ((i[:2], i[2:]), (i[2:], i[:2])):
            for p in (a, a[::-1]):
                for q in (b, b[::-1]):
                    out[p[0], p[1], q[0], q[1]] = value
    return out


@pytest.mark.parametrize("dialect", ["calculix", "abaqus"])
def test_what_is_written_is_read_back(tmp_path, dialect):
    """Every constant of a fully anisotropic material arrives at its own name.

    Catches 12 and 23 left in Mandel's places, √2 left on the shear, rows for columns.
    """
    c, kappa = random_stiffness(6, 3, 70.0), random_stiffness(3, 4)
    alpha = np.linspace(-1e-5, 3e-5, 6)
    path = write_card(
        tmp_path / "m.inp",
        "Ply-1",
        stiffness=c,
        expansion=alpha,
        conductivity=kappa,
        dialect=dialect,
    )
    found = parse(path)
    assert found["MATERIAL"][0] == {"NAME": "Ply-1"}
    assert found["ELASTIC"][0]["TYPE"].startswith("ANISO")
    full = from_mandel4(torch.as_tensor(c)).numpy()
    assert np.allclose(tensor(ELASTIC, found["ELASTIC"][1]), full, rtol=1e-11)
    strain = lsml.mandel.from_mandel(torch.as_tensor(alpha)).numpy()
    read = np.array(found["EXPANSION"][1])
    read[3:] /= SHEAR[dialect]
    assert np.allclose(tensor(EXPANSION, read), strain, rtol=1e-11)
    order = CONDUCTIVITY[dialect]
    assert np.allclose(tensor(order, found["CONDUCTIVITY"][1]), kappa, rtol=1e-11)


@pytest.mark.parametrize("dialect", ["calculix", "abaqus"])
def test_stress_computed_from_a_card_is_that_of_the_stiffness(tmp_path, dialect):
    """Theorem: σ = C (ε − α ΔT), in whatever components a program computes it.

    Both multiply the constants by angles γ = 2ε; the thermal strain of CalculiX is a
    tensor, that of Abaqus has angles as well. Catches factors 2 and √2.
    """
    rng = np.random.default_rng(5)
    c, alpha, strain = random_stiffness(6, 1, 70.0), *rng.normal(size=(2, 6))
    path = tmp_path / "m.inp"
    write_card(path, "M", stiffness=c, expansion=alpha, dialect=dialect)
    found = parse(path)
    d = np.zeros((6, 6))
    d[np.tril_indices(6)] = found["ELASTIC"][1]  # rows of the lower triangle
    d += np.tril(d, -1).T
    root = np.array([1, 1, 1, 2, 2, 2]) ** 0.5
    order = [0, 1, 2, 5, 4, 3]  # 11 22 33 12 13 23 among Mandel's components
    thermal = np.array(found["EXPANSION"][1])
    thermal[3:] *= 2 / SHEAR[dialect]
    stress = d @ (strain[order] * root - 40 * thermal)
    known = (c @ (strain - 40 * alpha))[order] / root
    assert np.allclose(stress, known, rtol=1e-10, atol=1e-10 * np.abs(known).max())


def test_effective_properties_can_be_written(tmp_path):
    """Results of the package go in as they are; units only if the user gives them."""
    labels = random_labels((3, 4, 2), 2)
    phases = [lsml.isotropic(E=1.0, nu=0.2), lsml.isotropic(E=5.0, nu=0.3)]
    c = lsml.homogenize(labels, phases=phases)
    alpha = lsml.thermal_expansion(labels, phases, [1e-5, 2e-6])
    k = lsml.homogenize(lsml.conductivity(labels, [1.0, 3.0], [1.0, 0, 0]))
    parts = {"stiffness": c, "expansion": alpha.strain, "conductivity": k}
    path = write_card(tmp_path / "m.inp", "RVE", **parts)
    found, text = parse(path), path.read_text()
    assert found["ELASTIC"][1][0] == pytest.approx(float(np.asarray(c)[0, 0, 0]))
    shear = float(np.asarray(c)[0, 5, 5]) / 2
    assert found["ELASTIC"][1][9] == pytest.approx(shear)  # D_1212, of Mandel's 12
    assert found["EXPANSION"][1][0] == pytest.approx(float(alpha.tensor[0, 0, 0]))
    assert "units" not in text
    write_card(path, "RVE", expansion=1e-5, units="1/K")
    assert path.read_text().splitlines()[1] == "** units: 1/K"
    assert parse(path)["EXPANSION"][1] == [1e-5] * 3 + [0.0] * 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "needs stiffness"),
        ({"stiffness": np.eye(3)}, r"\(6, 6\): one sample, in 3-D"),
        ({"stiffness": np.ones((2, 6, 6))}, "one sample"),
        ({"stiffness": np.triu(np.ones((6, 6)))}, "not symmetric"),
        ({"stiffness": np.eye(6) * np.nan}, "finite"),
        ({"conductivity": np.eye(3) * 1j}, "real"),
        ({"expansion": 1e-5, "dialect": "nastran"}, "calculix, abaqus"),
        ({"expansion": 1e-5, "units": "a\n*STEP"}, "one line"),
        ({"expansion": 1e-5, "units": "x" * 81}, "at most 80"),
        ({"expansion": 1e-5, "material": "1,2"}, "material '1,2'"),
    ],
)
def test_refusals_leave_nothing(tmp_path, given, message):
    """One sentence, before a file is touched."""
    path = tmp_path / "m.inp"
    path.write_text("kept")
    given = {"material": "M", **given}
    with pytest.raises(ValueError, match=message):
        write_card(path, **given)
    assert path.read_text() == "kept"
    assert [p.name for p in tmp_path.iterdir()] == ["m.inp"]
