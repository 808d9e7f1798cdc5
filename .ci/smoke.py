"""What an installed lsml must do, in the current folder; run by wheel.py."""

from importlib.metadata import metadata
from pathlib import Path

import h5py
import numpy as np
import pyvista

import lsml
from lsml.data import microstructures

assert ".." not in lsml.__file__
assert "site-packages" in lsml.__file__, lsml.__file__
assert metadata("lsml")["Version"] == lsml.__version__

labels = microstructures(1, shape=(9, 10, 11), grain_size=3, seed=1)
sol = lsml.solve(labels)
assert bool(sol.converged.all())

C = lsml.homogenize(labels, tol=1e-3)
assert bool((C.lower <= C.upper).all())
assert np.asarray(C).shape == (1, 6, 6)

sol.save("x.h5")
with h5py.File("x.h5") as file:
    assert len(file) > 0

sol.to_vtk("x.vti")
assert pyvista.read("x.vti").n_cells == labels.size

sol.plot("x.png")
assert Path("x.png").stat().st_size > 1000

network = lsml.solve(labels, "rln-t > cg", discretization="hex8-bbar")
assert bool(network.converged.all())
print(f"lsml {lsml.__version__} from {lsml.__file__}")
