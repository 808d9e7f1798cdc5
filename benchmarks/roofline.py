"""How near each kernel of a CG iteration is to what memory can deliver.

Bytes and operations per voxel are counted by hand: every vector, spectrum and label
once for each pass that cannot do without it. The floor is the time to move those bytes
at the copy bandwidth measured in the same run. Run ``python benchmarks/roofline.py``.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from machine import description, now, slug, write, write_json
from pages import table

import lsml
from lsml.inputs import in_form
from lsml.native.form import NativeForm, in_pieces

RESULTS = Path(__file__).parent / "results"
COLUMNS = ["edge", "dtype", "kernel", "bytes", "flops", "ms", "floor_ms", "share"]


class Kernel(NamedTuple):
    """What one application moves, in numbers per voxel, computes, and how to run it."""

    name: str
    numbers: float
    labels: int
    flops: float
    run: Callable[[], object]


def kernels(edge: int, dtype: torch.dtype, scheme: str) -> list[Kernel]:
    """Those of an iteration, on vectors that are kept."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(2, (edge, edge, edge), generator=draw)
    load = lsml.load(strain=[1e-3, 0, 0, 0, 0, 0])
    phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=50.0, nu=0.3)]
    built = lsml.elasticity(labels, phases, load, scheme, dtype=dtype)
    rule = lsml.ConjugateGradient()
    form = NativeForm(in_form(built, "strain", rule))
    x = torch.randn(form.start().shape, dtype=dtype, generator=draw)
    y, one = torch.empty_like(x), torch.ones(1, dtype=torch.float64)
    transforms = 6 * 2.5 * np.log2(float(edge) ** 3)
    flops = {"hex8": 265, "rotated": 105}[scheme]
    return [
        Kernel(f"{scheme} element", 6, 1, flops, lambda: form.hessian(x, x, y)),
        Kernel("N", 21, 0, transforms + 18, lambda: form.precondition(x, y)),
        Kernel("dot", 6, 0, 6, lambda: form.pairing(x, y)),
        Kernel("x + a d", 9, 0, 6, lambda: form.combine(x, one, y, x)),
    ]  # fmt: skip


def copy_bandwidth(edge: int, dtype: torch.dtype) -> float:
    """Bytes per second of a copy of one displacement on the threads of the kernels."""
    a = np.zeros((1, 3 * edge**3), str(dtype).removeprefix("torch."))
    b = np.ones_like(a)

    def work(i: int, part: slice) -> None:
        np.copyto(b[i, part], a[i, part])

    return 2 * a.nbytes / seconds(lambda: in_pieces(work, *a.shape))


def seconds(run: Callable[[], object], visits: int = 15) -> float:
    """Median time of a call."""
    run()
    times = []
    for _ in range(visits):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return median(times)


def rows(edge: int, dtype: torch.dtype) -> list[dict[str, Any]]:
    """One for each kernel."""
    speed, voxels = copy_bandwidth(edge, dtype), edge**3
    found = []
    schemes = [kernels(edge, dtype, "hex8"), kernels(edge, dtype, "rotated")[:1]]
    with torch.no_grad():
        for kernel in [k for scheme in schemes for k in scheme]:
            moved = kernel.numbers * dtype.itemsize + kernel.labels
            taken = 1e9 * seconds(kernel.run) / voxels
            floor = 1e9 * moved / speed
            values = (edge, str(dtype)[6:], kernel.name, moved, kernel.flops)
            share = floor / taken
            found.append(
                dict(zip(COLUMNS, (*values, taken, floor, share), strict=True))
            )
    return found


def page(found: list[dict[str, Any]]) -> str:
    """Markdown."""
    cells = (
        [f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values()]
        for row in found
    )
    return table(COLUMNS, cells)


def main() -> None:
    """Measure, print, and write beside the other results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edges", nargs="+", type=int, default=[32, 64, 128])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    machine = description("cpu") | {"threads": given.threads}
    found = [
        row
        for edge in given.edges
        for dtype in (torch.float64, torch.float32)
        for row in rows(edge, dtype)
    ]
    stem = RESULTS / f"roofline-{slug(machine)}"
    write_json(stem.with_suffix(".json"), {"machine": machine, **now(), "rows": found})
    write(stem.with_suffix(".md"), page(found))
    print(page(found))


if __name__ == "__main__":
    main()
