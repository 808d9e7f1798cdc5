"""How strain error and residual fall per iteration: three rules, contrast 10 and 50.

PyMKS microstructures of 31³ voxels (Kelly & Kalidindi 2021). The strain error is the
MASE of ε_11 (their equation 28, percent) against the solution converged to 1e-10 on the
same discretization; the residual is the certified one. Writes
convergence_per_iteration.png.
"""

import argparse

import torch

import lsml
from lsml.data import latin_hypercube, microstructures
from lsml.plot.convergence import draw_convergence
from lsml.plot.figure import new_figure, save_figure

RULES = {
    "Moulinec": lsml.Moulinec(),
    "steepest descent": lsml.SteepestDescent(),
    "CG": lsml.ConjugateGradient(),
}
CONTRASTS = (10.0, 50.0)
TABLE = (1, 2, 3, 4, 5, 7, 10, 15, 20)


def options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--discretization", default="rotated")
    parser.add_argument("--quick", action="store_true", help="2 samples of 15³ voxels")
    return parser.parse_args()


def errors(labels, rule, true, **problem):
    """Mean over the samples: MASE of ε_11 and residual, for iterates 0, 1, 2, ..."""
    steps = max(TABLE)
    sol = lsml.solve(
        labels, rule, tol=1e-10, max_iter=steps, record=True, throw=False, **problem
    )
    strain = torch.stack(
        [lsml.mase(x[:, 0], true[:, 0]) for x in sol.iterates.unbind(1)]
    )
    return strain.mean(1).numpy(), sol.history.mean(0).numpy()


def main():
    args = options()
    samples, edge = (2, 15) if args.quick else (args.samples, 31)
    design = latin_hypercube(samples, (edge,) * 3, seed=1)
    labels = microstructures(
        samples, (edge,) * 3, design.grain_size, design.volume_fraction, seed=1
    )
    figure = new_figure(9.0, 6.4)
    panels = figure.subplots(len(CONTRASTS), 2)
    print(f"mean MASE of ε_11 in percent, {samples} samples, {args.discretization}")
    print("contrast  rule            " + "".join(f"{k:>9}" for k in TABLE))
    for contrast, (left, right) in zip(CONTRASTS, panels, strict=True):
        problem = {"contrast": contrast, "discretization": args.discretization}
        true = lsml.solve(labels, "cg", tol=1e-10, **problem).strain
        strain, residual = {}, {}
        for name, rule in RULES.items():
            strain[name], residual[name] = errors(labels, rule, true, **problem)
            row = "".join(f"{strain[name][k]:>9.2g}" for k in TABLE)
            print(f"{contrast:<8g}  {name:<16}{row}")
        draw_convergence(left, strain, f"contrast {contrast:g}: MASE of strain 11, %")
        draw_convergence(right, residual, "certified residual, relative")
    print(save_figure(figure, "convergence_per_iteration.png"))


if __name__ == "__main__":
    main()
