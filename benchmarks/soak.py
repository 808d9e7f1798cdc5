"""Ten thousand solves in one process: whether memory stays where it was.

``python benchmarks/soak.py`` solves small cells of ever other shapes by all rules on
all discretizations in turn, with gradients, effective tensors, networks and refusals
among them, and measures after every hundred. Writes results/soak.json and .md.
"""

import argparse
import ctypes
import gc
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import description, entries, now, write, write_json
from pages import facts, put, table
from torch import Tensor

import lsml
from lsml.inputs import RULES

RESULTS = Path(__file__).parent / "results"
SCHEMES = ("rotated", "hex8", "fourier", "staggered", "hex8-bbar", "forward")
NAMES = tuple(name for name in RULES if name != "born")
WARM, EVERY = 100, 100
GROWTH = 0.01  # of the resident memory after the first solves


def image(k: int) -> np.ndarray:
    """Of two phases; 1615 shapes before one comes again."""
    shape = (2 + k % 17, 2 + k % 19, 1 + k % 5)[: 3 if k % 3 else 2]
    return np.random.default_rng(k).integers(0, 2, shape)


def elastic(k: int) -> None:
    """A field, by the rule and discretization whose turn it is."""
    labels, c = image(k), 6 if k % 3 else 3
    load = lsml.load(strain=[1e-3] + [0.0] * (c - 1))
    phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=5.0, nu=0.2)]
    dtype = (torch.float64, torch.float32)[k % 2]
    p = lsml.elasticity(labels, phases, load, SCHEMES[k % 6], dtype=dtype)
    solved(p, NAMES[k % len(NAMES)])


def solved(problem: lsml.Problem, rule: Any) -> None:
    """With all that a user may look at."""
    form = ("displacement", "strain")[problem.batch % 2]
    try:
        s = lsml.solve(problem, rule, tol=1e-3, max_iter=15, throw=False, form=form)
    except ValueError as refusal:
        if "needs a problem" not in str(refusal):
            raise
        return
    assert float(s.error_bound.max()) >= 0
    assert s.stress.isfinite().all() or not s.converged.all()


def fused(k: int) -> None:
    """On hand-written kernels, where numba is at hand."""
    compile = find_spec("numba") is not None
    labels = np.random.default_rng(k).integers(0, 2, (2 + k % 7, 2 + k % 5, 3 + k % 3))
    scheme, single = ("rotated", "hex8")[k // 13 % 2], k // 13 % 3 == 0
    dtype = torch.float32 if single else torch.float64
    lsml.solve(labels, tol=1e-3, discretization=scheme, dtype=dtype, compile=compile)


def conducting(k: int) -> None:
    """Heat, in a batch of two."""
    labels = np.stack([image(k), image(k)[::-1]])
    mean = np.eye(labels.ndim - 1)[0]
    scheme = SCHEMES[k % 4]
    if k % len(NAMES) and scheme != "staggered":
        solved(lsml.conductivity(labels, [1.0, 9.0], mean, scheme), "cg")
    else:
        solved(lsml.conductivity(labels, [1.0, 4.0 - 1.0j], mean, scheme), "bicgstab")


def effective(k: int) -> None:
    """All load cases."""
    found = lsml.homogenize(image(k), tol=1e-2, max_iter=30, throw=False)
    assert np.isfinite(np.asarray(found)).all()


def differentiated(k: int) -> None:
    """An effective modulus by those of the phases."""
    moduli = torch.tensor([1.0, 5.0], dtype=torch.float64, requires_grad=True)
    p = lsml.conductivity(image(k), moduli, np.eye(3 if k % 3 else 2)[0])
    flux = lsml.solve(p, tol=1e-4).mean_flux[0, 0]
    (gradient,) = torch.autograd.grad(flux, moduli)
    assert bool(gradient.isfinite().all())


@cache
def network() -> Any:
    """Trained weights, loaded once."""
    return lsml.load_rule("rln-t", "rln-t-c10")


def learned(k: int) -> None:
    """A network, safeguarded or before conjugate gradients."""
    labels = np.random.default_rng(k).integers(0, 2, (2 + k % 5, 3, 2 + k % 3))
    cg, net = lsml.ConjugateGradient(), network()
    rule = lsml.Safeguarded(net, cg) if k % 2 else lsml.Schedule(net, 2, cg)
    lsml.solve(labels, rule, tol=1e-3, max_iter=15, throw=False)


def failing(k: int) -> None:
    """What is refused, and what does not converge."""
    wrong: tuple[dict[str, Any], ...]
    wrong = ({"rule": "born"}, {"max_iter": 0}, {"tol": -1.0})
    for bad in wrong:
        try:
            lsml.solve(np.eye(2 + k % 7, 9, dtype=int), **{"tol": 1e-9, **bad})
        except (ValueError, lsml.ConvergenceError):
            continue
        raise AssertionError(f"{bad} passed")


TURNS: tuple[Callable[[int], None], ...]
TURNS = (elastic, elastic, elastic, conducting, elastic, effective, elastic)
TURNS = (*TURNS, differentiated, elastic, learned, conducting, failing, fused)


def soak(solves: int) -> Iterator[dict[str, Any]]:
    """What is found after each part, the first solves before all."""
    for k in range(solves):
        TURNS[k % len(TURNS)](k)
        done = k + 1
        if done == WARM or (done > WARM and done % EVERY == 0):
            yield {"solves": done, **measured()}


def measured() -> dict[str, Any]:
    """Bytes of the process, as it is and trimmed; objects that are alive."""
    resident = bytes_of("VmRSS")
    gc.collect()
    trim()
    objects = gc.get_objects()
    tensors = [each for each in objects if type(each) is Tensor]
    return {
        "resident": resident,
        "trimmed": bytes_of("VmRSS"),
        "objects": len(objects),
        "tensors": len(tensors),
        "cached": sum(cached().values()),
    }


def bytes_of(field: str) -> int:
    """Of this process; 0 on systems without /proc."""
    found = entries("self/status", rf"{field}:\s*(\d+) kB")
    return 1024 * int(found[0]) if found else 0


def trim() -> None:
    """Give back what the C library keeps of freed memory, where it can."""
    if sys.platform == "linux":
        give = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if give is not None:
            give(0)


def cached() -> dict[str, int]:
    """Entries of every cache of functions in the package, by name."""
    found = {}
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "lsml":
            for key, value in list(vars(module).items()):
                info = getattr(value, "cache_info", None)
                if info is not None:
                    found[f"{name}.{key}"] = info().currsize
    return found


def growth(samples: list[dict[str, Any]], what: str) -> float:
    """Of the last quarter's median over the first sample, relative."""
    last = samples[-max(1, len(samples) // 4) :]
    return float(np.median([s[what] for s in last])) / samples[0][what] - 1


def page(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    told = facts(result["machine"])
    return f"# Soak\n\n{told}\n\n{summary(result)}\n\n{parts(result)}"


def parts(result: dict[str, Any]) -> str:
    """Some of what was measured."""
    found, mega = result["samples"], 2**20
    rows = [
        [
            str(s["solves"]),
            f"{s['resident'] / mega:.1f}",
            f"{s['trimmed'] / mega:.1f}",
            *(str(s[k]) for k in ("objects", "tensors", "cached")),
        ]
        for s in [found[0], *found[9 :: max(1, len(found) // 10)]]
    ]
    head = ["solves", "resident, MiB", "trimmed, MiB", "objects", "tensors", "cached"]
    return table(head, rows, ["--:"] * len(head))


def summary(result: dict[str, Any]) -> str:
    """In one sentence."""
    done = result["samples"][-1]["solves"]
    return (
        f"{done} solves in one process in {result['seconds']:.0f} s: after the first "
        f"{WARM}, resident memory grew by {100 * result['growth']:.2f} % with what the "
        f"C library keeps, by {100 * result['trimmed growth']:.2f} % without, and live "
        f"objects by {100 * result['object growth']:.2f} %."
    )


def publish(output: Path, result: dict[str, Any]) -> None:
    """Write the results, and those of the whole run to the documentation."""
    write_json(output, result)
    write(output.with_suffix(".md"), page(result))
    if output == RESULTS / "soak.json":
        told = f"{summary(result)}\n\n{parts(result)}"
        put(RESULTS.parents[1] / "docs" / "trust.md", "soak", told)


def main() -> None:
    """Solve, measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--solves", type=int, default=10000)
    parser.add_argument("--output", type=Path, default=RESULTS / "soak.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    started, samples, began = now(), [], time.perf_counter()
    for sample in soak(given.solves):
        samples.append(sample)
        print(sample, flush=True)
    result = {
        "machine": description("cpu") | started,
        "seconds": time.perf_counter() - began,
        "growth": growth(samples, "resident"),
        "trimmed growth": growth(samples, "trimmed"),
        "object growth": growth(samples, "objects"),
        "caches": cached(),
        "samples": samples,
    }
    publish(given.output, result)
    print(summary(result))


if __name__ == "__main__":
    main()
