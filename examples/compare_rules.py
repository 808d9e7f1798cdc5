"""Which rule is worth its price: errors per iteration, per second and per operation.

PyMKS microstructures (Kelly & Kalidindi 2021) at contrast 10 and 50, each rule against
the converged solution of the same discretization; writes compare_rules.png and
compare_rules.json. Learned rules join if their weights are given:

    python examples/compare_rules.py
    python examples/compare_rules.py --weights rln-t=RLN_t_c10.safetensors
"""

import argparse
from pathlib import Path

import lsml
from lsml.data import latin_hypercube, microstructures

RULES = {
    "Moulinec": "moulinec",
    "steepest descent": "steepest_descent",
    "CG": "cg",
}
CONTRASTS = (10.0, 50.0)
LOAD = lsml.load(strain=[1e-3, 0, 0, 0, 0, 0])


def options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--size", type=int, default=21)
    parser.add_argument("--weights", nargs="*", default=[], metavar="NAME=FILE")
    parser.add_argument("--quick", action="store_true", help="2 samples of 11³ voxels")
    parser.add_argument("--folder", type=Path, default=Path())
    given = parser.parse_args()
    if given.quick:
        given.samples, given.size = 2, 11
    return given


def learned(weights):
    """Each network alone, and as the start of conjugate gradients."""
    rules = {}
    for each in weights:
        name, _, path = each.partition("=")
        net = lsml.load_rule(name, path)
        rules[name] = net
        cg = lsml.ConjugateGradient()
        rules[f"{name}, then CG"] = lsml.Schedule(net, net.passes, cg)
    return rules


def problems(args):
    """One for each contrast, on the discretization of the networks' labels."""
    shape = (args.size,) * 3
    design = latin_hypercube(args.samples, shape, seed=1)
    labels = microstructures(
        args.samples, shape, design.grain_size, design.volume_fraction, seed=1
    )
    return {
        f"contrast {contrast:g}": lsml.elasticity(
            labels,
            [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=contrast, nu=0.3)],
            LOAD,
            "hex8-bbar",
        )
        for contrast in CONTRASTS
    }


def main():
    args = options()
    rules = RULES | learned(args.weights)
    found = lsml.compare(problems(args), rules, tol=1e-7, max_iter=300, repeats=1)
    print(f"{args.samples} samples of {args.size}³ voxels for each contrast\n")
    print(found.table())
    for name, write in (("png", found.plot), ("json", found.to_json)):
        path = args.folder / f"compare_rules.{name}"
        write(path)
        print(path)


if __name__ == "__main__":
    main()
