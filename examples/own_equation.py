"""An equation of one's own: Poisson-Boltzmann, −∇²φ + m(x) sinh φ = ρ(x).

Of charged particles in a solvent: m is 0 inside, where no ions are, and 1 outside.
H = A + B with A φ = −∇²φ + c φ, which has a Green function, and a local B.
"""

import sys
from dataclasses import dataclass

import matplotlib.pyplot as plt
import torch

import lsml


@dataclass(frozen=True)
class Ions(lsml.Law):
    m: torch.Tensor
    tags = frozenset()  # nothing is promised: rules that rely on more will refuse

    def __call__(self, x):
        return self.m * x.sinh()

    def tangent(self, x, v):
        return self.m * x.cosh() * v

    def energy(self, x):
        return self.m * (x.cosh() - 1)


def particles(shape=(48, 40), h=0.2, c=1.2):
    grid = lsml.Grid(shape, (h, h))
    k = [t / h for t in grid.angles(torch.device("cpu"))]
    square = k[0][:, None] ** 2 + k[1] ** 2
    x, y = h * torch.arange(shape[0]).double()[:, None], h * torch.arange(shape[1])
    inside = [((x - a).hypot(y - 4) < 1)[None, None].double() for a in (3, 6.5)]
    m, rho = 1 - inside[0] - inside[1], 3 * inside[0] - 2 * inside[1]
    reference = lsml.law.Uniform(torch.full((1, 1, 1), c, dtype=torch.float64))

    def green(flux):
        return grid.ifft(grid.fft(flux) / (square + c))

    parts = Ions(m), reference, green, green(rho)
    return lsml.LippmannSchwinger(grid, *parts), rho, square


def main(picture="potential.png"):
    problem, rho, square = particles()
    for rule in ("moulinec", "anderson", "auto", lsml.Newton(lsml.BiCGStab())):
        solved = lsml.solve(problem, rule, tol=1e-9)
        u, grid = solved.field, problem.grid
        left = grid.ifft(square * grid.fft(u)) + problem.law(u)
        error = (left - rho).abs().max()
        print(f"{solved.rule}: {int(solved.iterations)} steps, residual {error:.1e}")
    plt.imsave(picture, u[0, 0].T, cmap="RdBu")


if __name__ == "__main__":
    main(*sys.argv[1:])
