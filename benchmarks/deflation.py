"""Deflated conjugate gradients: recycled for other loads, proposed for the first.

Microstructures are those of the folder that ``LSML_REFERENCE_DATA`` names (31³, two
isotropic phases), else generated ones; a selection prints, a run of everything writes.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from coarse_proposals import PROPOSALS, block
from learned_coarse_space import Proposer, proposer
from machine import description, now, write, write_json
from pages import table
from torch import Tensor

import lsml
from lsml.gradients import Task
from lsml.native.form import NativeForm
from lsml.physics.rules.lanczos import RitzCG, ritz_vectors
from lsml.problem import Problem
from lsml.state import SolveState
from lsml.stop import RelativeResidual
from lsml.unroll import unroll

RESULTS = Path(__file__).parent / "results"
CG = lsml.ConjugateGradient()
CONTRAST = 1e3  # of the first loads, and of the training
RARE = 0.25  # share of a phase under which a structure is passed over
PRODUCTS = 2  # blocks of vectors that a deflated step reads
Proposal: TypeAlias = Callable[[np.ndarray, Problem], tuple[Tensor, float]]
Media: TypeAlias = dict[str, Any]
ELEMENT = {"hex8": 265, "rotated": 105}  # operations per voxel, as in roofline.py
PLAIN, DEFLATED = 30, 42  # the same of the vector updates and dot products of a step


class Case(NamedTuple):
    """Six loads of one medium, to be solved by CG and recycled."""

    medium: str
    contrast: float
    scheme: str
    tol: float


CASES = (
    Case("random", 1e3, "hex8", 1e-6),
    Case("random", 1e3, "hex8", 1e-10),
    Case("random", 1e4, "hex8", 1e-6),
    Case("random", 1e3, "rotated", 1e-6),
    Case("spheres", 1e3, "hex8", 1e-6),
    Case("spheres", 1e3, "rotated", 1e-6),
)


def spheres(size: int, count: int = 8) -> np.ndarray:
    """Stiff spheres that do not touch, a fifth of the cell wide."""
    rng, radius = np.random.default_rng(0), size / 5
    place, centres = np.indices((size,) * 3), []
    labels = np.zeros((size,) * 3, np.uint8)

    def away(x: np.ndarray, points: np.ndarray) -> np.ndarray:
        gap = (points - x.reshape(-1, *[1] * (points.ndim - 1)) + size / 2) % size
        return np.sqrt(((gap - size / 2) ** 2).sum(0))

    for x in rng.uniform(0, size, (5000, 3)):
        if len(centres) < count and all(away(x, c) > 2 * radius + 1 for c in centres):
            centres.append(x)
            labels[away(x, place) <= radius] = 1
    return labels


def structures(count: int, size: int) -> np.ndarray:
    """Labels (count, size, size, size) with neither phase rare."""
    folder = os.environ.get("LSML_REFERENCE_DATA")
    if folder is None or size != 31:
        grains = np.linspace(4, size // 2, count).round().astype(int)
        shape, each = (size,) * 3, np.repeat(grains[:, None], 3, 1)
        return lsml.data.microstructures(count, shape, each, seed=1)
    with np.load(Path(folder) / "data/rln_structures_31.npz") as file:
        labels = file["labels"].transpose(0, 3, 2, 1)
    share = labels.reshape(len(labels), -1).mean(1)
    return labels[(share > RARE) & (share < 1 - RARE)][:count].copy()


def problem(labels: np.ndarray, contrast: float, scheme: str) -> NativeForm:
    """One microstructure under all six unit strains."""
    phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=contrast, nu=0.3)]
    load = lsml.load(strain=torch.eye(6, dtype=torch.float64)[None])
    built = lsml.elasticity(labels[None], phases, load, scheme)
    return NativeForm(built.referred(CG.reference))


def solved(p: Problem, rule: Any, tol: float = 1e-6) -> SolveState:
    """To the tolerance, however long it takes."""
    with torch.no_grad():
        return unroll(p, rule, stop=RelativeResidual(tol), max_iter=5000)


def campaign(p: Problem, rule: lsml.Recycled, tol: float) -> SolveState:
    """All loads, as `lsml.solve` does it."""
    with torch.no_grad():
        return rule.campaign(Task(p, rule, None, RelativeResidual(tol), 5000))


def clocked(run: Callable[[], Any]) -> tuple[Any, float]:
    """Result and seconds of the processor, which a busy machine does not change."""
    started = time.process_time()
    found = run()
    return found, time.process_time() - started


def step_flops(scheme: str, voxels: int, vectors: int) -> float:
    """Operations per voxel of a step, with ``vectors`` deflated ones."""
    green = 6 * 2.5 * np.log2(float(voxels)) + 18
    own = PLAIN if vectors == 0 else DEFLATED + PRODUCTS * 6 * vectors
    return float(ELEMENT[scheme] + green + own)


def space_flops(scheme: str, vectors: int) -> float:
    """The same of a space: forces; Gram matrix and both blocks turned, twice."""
    return vectors * ELEMENT[scheme] + 2 * 3 * 6.0 * vectors**2


def window_flops(steps: int, rule: lsml.Recycled) -> float:
    """The same of the window: its restarts, and the Ritz vectors at the end."""
    k, m = rule.vectors, rule.kept
    restarts = max(0, (steps - 2 * k) // (m - 2 * k))
    return 6.0 * min(m, steps) * (2 * k * restarts + k)


def recycled(
    case: Case, labels: np.ndarray, counts: list[int]
) -> Iterator[dict[str, Any]]:
    """All six loads of one microstructure by CG and recycled, everything counted."""
    p, voxels = problem(labels, case.contrast, case.scheme), labels.size
    plain, seconds = clocked(lambda: solved(p, CG, case.tol))
    assert bool(plain.converged.all())
    step, n = step_flops(case.scheme, voxels, 0), 1e-9 * voxels
    taken = {"seconds": seconds, "gflop": n * int(plain.iterations.sum()) * step}
    yield case._asdict() | line(0, plain, taken, 0.0)
    for k in counts:
        rule = lsml.Recycled(k)
        found, seconds = clocked(lambda r=rule: campaign(p, r, case.tol))
        assert bool(found.converged.all())
        first, *rest = found.iterations.tolist()
        flops = window_flops(first, rule) + space_flops(case.scheme, k) + first * step
        flops += sum(rest) * step_flops(case.scheme, voxels, k)
        gap = difference(p, plain, found) / case.tol
        taken = {"seconds": seconds, "gflop": n * flops}
        yield case._asdict() | line(k, found, taken, gap)


def line(
    k: int, state: SolveState, taken: dict[str, float], gap: float
) -> dict[str, Any]:
    """What one way of solving all loads took."""
    return {
        "vectors": k,
        "iterations": state.iterations.tolist(),
        **taken,
        "difference_over_tol": gap,
    }


def difference(p: Problem, a: SolveState, b: SolveState) -> float:
    """Relative residual that the difference of two answers would have."""
    force = p.hessian(p.start(), a.x - b.x)
    norm = p.pairing(force, p.precondition(force)).clamp_min(0).sqrt()
    return float((norm / a.scale).max())


def first_loads(
    labels: np.ndarray, contrast: float, scheme: str, made: dict[str, Proposal]
) -> list[dict[str, Any]]:
    """One load beside each proposed space: iterations, seconds, operations."""
    p = problem(labels, contrast, scheme).select(torch.tensor([0]))
    assert p is not None
    plain, seconds = clocked(lambda: solved(p, CG))
    step, n = step_flops(scheme, labels.size, 0), 1e-9 * labels.size
    steps = int(plain.iterations)
    rows = [row("none: CG", 0, steps, seconds, n * steps * step)]
    for name, propose in made.items():
        (vectors, extra), inference = clocked(lambda f=propose: f(labels, p))
        space, setup = clocked(lambda w=vectors: lsml.coarse_space(p, w))
        found, taken = clocked(lambda s=space: solved(p, lsml.DeflatedCG(s)))
        k, steps = vectors.shape[1], int(found.iterations)
        flops = steps * step_flops(scheme, labels.size, k) + space_flops(scheme, k)
        free = name.startswith("ideal")
        total = taken + setup + (0.0 if free else inference)
        rows.append(row(name, k, steps, total, n * (flops + extra)))
    return rows


def row(name: str, k: int, steps: int, seconds: float, gflop: float) -> dict[str, Any]:
    """One line."""
    return {
        "space": name,
        "vectors": k,
        "iterations": steps,
        "seconds": seconds,
        "gflop": gflop,
    }


def ideal(vectors: int) -> Proposal:
    """The lowest modes of the problem itself, as if they were free: a bound."""

    def propose(labels: np.ndarray, p: Problem) -> tuple[Tensor, float]:
        none = lsml.coarse_space(p, p.start()[:, None][:, :0])
        draw = torch.Generator().manual_seed(0)
        x0 = torch.randn(p.start().shape, generator=draw, dtype=torch.float64)
        seen = RitzCG(lsml.DeflatedCG(none), vectors, 6 * vectors, 10**6)
        with torch.no_grad():
            state = unroll(p, seen, x0, stop=RelativeResidual(1e-8), max_iter=5000)
        return ritz_vectors(state.memory, vectors), 0.0

    return propose


def by_labels(name: str) -> Proposal:
    """A proposal that takes no operations worth counting."""

    def propose(labels: np.ndarray, p: Problem) -> tuple[Tensor, float]:
        return block(PROPOSALS[name](labels), p.start().shape[1]), 0.0

    return propose


def by_network(net: Proposer) -> Proposal:
    """The trained network; operations per voxel."""

    def propose(labels: np.ndarray, p: Problem) -> tuple[Tensor, float]:
        with torch.no_grad():
            return net(labels), net.flops(1)

    return propose


def named(rows: list[dict[str, Any]]) -> str:
    """Markdown, numbers to three digits."""
    names = list(rows[0])
    return table(names, ([cell(row[name]) for name in names] for row in rows))


def cell(value: object) -> str:
    """Numbers as a reader wants them."""
    if isinstance(value, list):
        return ", ".join(cell(v) for v in value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def options() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="11³ and little training")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--structures", type=int, default=1, help="random ones")
    parser.add_argument("--vectors", nargs="+", type=int, default=[8, 24])
    parser.add_argument("--training", type=float, default=30.0, help="seconds")
    parser.add_argument("--output", type=Path, default=None)
    return parser.parse_args()


def all_loads(given: argparse.Namespace, media: Media) -> dict[str, Any]:
    """Six loads of each medium."""
    rows = []
    for case in CASES:
        for number, labels in enumerate(media[case.medium]):
            for found in recycled(case, labels, given.vectors):
                rows.append({"number": number} | found)
                print(rows[-1], flush=True)
    return {"loads": rows}


def one_load(given: argparse.Namespace, media: Media) -> dict[str, Any]:
    """The first load beside every kind of space."""
    seconds = 2.0 if given.quick else given.training
    net, training = proposer(CONTRAST, "hex8", seconds)
    print(training, flush=True)
    made = {f"ideal, {k}": ideal(k) for k in given.vectors}
    made |= {name: by_labels(name) for name in PROPOSALS} | {"network": by_network(net)}
    rows = []
    for medium, cells in media.items():
        for number, labels in enumerate(cells):
            for found in first_loads(labels, CONTRAST, "hex8", made):
                rows.append({"medium": medium, "number": number} | found)
                print(rows[-1], flush=True)
    return {"first": rows, "training": training}


PARTS: dict[str, Callable[..., dict[str, Any]]] = {
    "loads": all_loads,
    "first": one_load,
}


def main() -> None:
    """Measure, print, and write; what is not measured anew is kept."""
    given = options()
    torch.set_num_threads(1)
    size = 11 if given.quick else 31
    about = description("cpu") | {"threads": 1, "edge": size}
    media = {"random": structures(given.structures, size), "spheres": [spheres(size)]}
    solved(problem(media["random"][0][:4, :4, :4], 2.0, "hex8"), CG)  # loads kernels
    found = [PARTS[name](given, media) | now() for name in given.parts]
    if given.output is None and given.quick:
        return
    stem = given.output or RESULTS / "deflation"
    path = stem.with_suffix(".json")
    whole = json.loads(path.read_text()) if path.exists() else {}
    whole |= {"machine": about} | dict(zip(given.parts, found, strict=True))
    write_json(path, whole)
    write(stem.with_suffix(".md"), report(whole))


def report(whole: dict[str, Any]) -> str:
    """Markdown of the parts that there are."""
    text = ["# Deflation", ""]
    if "loads" in whole:
        text += ["## Six loads, recycled", "", named(whole["loads"]["loads"])]
    if "first" in whole:
        text += [f"## The first load, contrast {CONTRAST:g}, hex8", ""]
        text += [named(whole["first"]["first"])]
        text += [f"Training of the network: {whole['first']['training']}", ""]
    return "\n".join(text)


if __name__ == "__main__":
    main()
