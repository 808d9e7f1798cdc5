"""What one of several processes measures for slabs.py, told by JSON.

The first process writes what it found; iterations wait for the slowest.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
import torch.distributed

import lsml
import lsml.distributed.transfers as transfers
from lsml.distributed import Slab, Slabs, join

SIZES = [2**k for k in range(10, 25, 2)]  # bytes that a process sends to all others
TRANSFORMS = (16, 24, 32, 48, 64)
REPEATED = 21
WARM = 3  # iterations that are not timed


def waited(device: str) -> float:
    """Time, once the device has done its work."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def rows_of(kind: str, edge: int, count: int) -> int:
    """Of a cell: edge of them in all, or half of that for each process."""
    return edge if kind == "strong" else edge // 2 * count


def labels(slabs: Slabs | None, rows: int, edge: int, device: str) -> Any:
    """Random phases of the rows that this process has."""
    mine = slice(0, rows) if slabs is None else slabs.rows(rows)
    draw = torch.Generator().manual_seed(mine.start + 1)
    shape = (mine.stop - mine.start, edge, edge)
    image = torch.randint(0, 2, shape, generator=draw).to(torch.uint8).to(device)
    return image if slabs is None else Slab(image, slabs, rows)


class Step(NamedTuple):
    """Wall and processor seconds of an iteration; of its transposes; what they send."""

    wall: float
    processor: float
    transposes: float
    calls: int
    sent: int


def solve(image: Any, scheme: str, steps: int, device: str) -> list[Step]:
    """Of each iteration."""
    clock: list[tuple[float, float, int]] = []

    with counted(device) as seen:

        def observe(*_: object) -> None:
            clock.append((waited(device), time.process_time(), len(seen)))

        lsml.solve(
            image,
            "cg",
            contrast=50,
            discretization=scheme,
            tol=1e-14,
            max_iter=WARM + steps,
            observe=observe,
            throw=False,
            compile=False,
        )
    found = []
    for before, after in pairwise(clock[WARM:]):
        each = seen[before[2] : after[2]]
        sums = sum(s for s, _ in each), len(each), sum(b for _, b in each)
        found.append(Step(after[0] - before[0], after[1] - before[1], *sums))
    return found


@contextmanager
def counted(device: str) -> Iterator[list[tuple[float, int]]]:
    """Processor seconds and bytes of every transpose in here."""
    seen: list[tuple[float, int]] = []
    plain = transfers.transposed

    def timed(v: torch.Tensor, *given: Any) -> torch.Tensor:
        start = time.process_time()
        found = plain(v, *given)
        seen.append((time.process_time() - start, v.nbytes))
        return found

    transfers.transposed = timed
    try:
        yield seen
    finally:
        transfers.transposed = plain


def solves(slabs: Slabs | None, task: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Strong and weak, of every discretization."""
    found = {}
    count, device = slabs.count if slabs else 1, task["device"]
    for kind in ("strong", "weak"):
        rows = rows_of(kind, task["edge"], count)
        for scheme in task["schemes"]:
            image = labels(slabs, rows, task["edge"], device)
            steps = solve(image, scheme, task["steps"], device)
            found[f"{kind} {scheme}"] = {
                "rows": rows,
                "edge": task["edge"],
                "wall": median(step.wall for step in steps),
                "fastest": min(step.wall for step in steps),
                "processor": most(slabs, [step.processor for step in steps]),
                "transposes": most(slabs, [step.transposes for step in steps]),
                "calls": median(step.calls for step in steps),
                "bytes": median(step.sent for step in steps),
            }
    return found


def most(slabs: Slabs | None, seconds: list[float]) -> float:
    """Of the processes, the longest median."""
    here = median(seconds)
    return here if slabs is None else max(slabs.told(here))


def often(work: Callable[[], object], device: str) -> dict[str, float]:
    """Seconds of something done repeatedly."""
    work()
    times = []
    for _ in range(REPEATED):
        start = waited(device)
        work()
        times.append(waited(device) - start)
    return {"median": median(times), "fastest": min(times)}


def messages(slabs: Slabs, sizes: list[int], device: str) -> dict[str, Any]:
    """Seconds of `all_to_all_single` by the bytes that each process sends."""
    found = {}
    for size in sizes:
        sent = torch.ones(size // 8 // slabs.count * slabs.count, dtype=torch.float64)
        sent = sent.to(device)
        got = torch.empty_like(sent)

        def once(got: torch.Tensor = got, sent: torch.Tensor = sent) -> None:
            torch.distributed.all_to_all_single(got, sent)

        found[str(size)] = often(once, device)
    return found


def transforms(sizes: tuple[int, ...], device: str) -> dict[str, Any]:
    """Seconds of a real transform of n³ voxels."""
    found = {}
    for n in sizes:
        field = torch.ones(n, n, n, dtype=torch.float64, device=device)

        def once(field: torch.Tensor = field) -> None:
            torch.fft.rfftn(field)

        found[str(n)] = often(once, device)
    return found


def main() -> None:
    """Measure, and write what the first process found."""
    task = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    alone = os.environ["WORLD_SIZE"] == "1"
    backend = "nccl" if task["device"] == "cuda" else "gloo"
    slabs = None if alone else join(backend)
    sizes = SIZES[:2] if task["quick"] else SIZES
    found: dict[str, Any] = {"solves": solves(slabs, task)}
    if slabs is None:
        edges = TRANSFORMS[:1] if task["quick"] else TRANSFORMS
        found["transforms"] = transforms(edges, task["device"])
    else:
        found["messages"] = messages(slabs, sizes, task["device"])
    if slabs is None or slabs.rank == 0:
        Path(task["out"]).write_text(json.dumps(found))
    if slabs is not None:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
