"""One cell over 1, 2, 4 processes: seconds per iteration, of transposes, and a model.

Each visit starts so many processes, one thread each, as torchrun does; the counts of
processes are visited in turn, ``--rounds`` times over, so that a machine that slows
down does so for all of them. A process takes the labels of its slab, iterates with
conjugate gradients and times every step. Processor seconds, of all threads of a
process, do not count the waiting that other work on the machine makes; wall seconds do.
Writes results/slabs-<machine>.json and .md; an interrupted run goes on where it ended.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from machine import description, now, slug
from pages import facts, table
from unfinished import Files

RESULTS = Path(__file__).parent / "results"
WORKER = Path(__file__).with_name("slab_worker.py")
SCHEMES = ("rotated", "hex8")
SMALLEST = 32  # voxels along an edge from which transforms are fitted
Row = list[Any]


def free_port() -> int:
    """One that nobody listens to."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def visit(count: int, task: Mapping[str, Any]) -> dict[str, Any]:
    """What the first of so many processes measures."""
    with tempfile.TemporaryDirectory() as folder:
        out, port = Path(folder) / "found.json", free_port()
        given = json.dumps({**task, "out": str(out)})
        running = []
        for rank in range(count):
            known = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count}
            known |= {"LOCAL_WORLD_SIZE": count, "MASTER_PORT": port}
            env = os.environ | {name: str(value) for name, value in known.items()}
            env |= {"MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"}
            command = [sys.executable, str(WORKER), given]
            running.append(subprocess.Popen(command, env=env))
        ended = [process.wait() for process in running]
        if any(ended):
            raise RuntimeError(f"{count} processes ended with {ended}")
        found: dict[str, Any] = json.loads(out.read_text())
        return found


def measured(given: argparse.Namespace, files: Files) -> dict[str, Any]:
    """All visits, by round and number of processes."""
    task = {"edge": given.edge, "steps": given.steps, "device": given.device}
    task |= {"schemes": SCHEMES, "quick": given.quick}
    done = files.done()
    for turn, count in product(range(given.rounds), given.processes):
        key = f"{turn} {count}"
        if key not in done:
            done[key] = visit(count, task) | {"load": os.getloadavg()[0]}
            files.keep(done)
            print(f"round {turn}, {count} processes", flush=True)
    return done


def medians(done: Mapping[str, Any], count: int, part: str) -> dict[str, dict]:
    """Over the rounds, of each number of each case."""
    visits = [v[part] for key, v in done.items() if key.split()[1] == str(count)]
    return {
        case: {n: median(v[case][n] for v in visits) for n in visits[0][case]}
        for case in visits[0]
    }


def scaling(done: Mapping[str, Any], counts: Sequence[int]) -> Iterable[Row]:
    """Rows of strong and weak scaling: seconds, efficiency, share of transposes."""
    found = {count: medians(done, count, "solves") for count in counts}
    for case in found[counts[0]]:
        kind, scheme = case.split()
        alone = found[counts[0]][case]["processor"]
        for count in counts:
            each = found[count][case]
            ideal = alone / count if kind == "strong" else alone
            row = [kind, scheme, int(each["rows"]), int(each["edge"]), count]
            own, share = each["processor"], each["transposes"] / each["processor"]
            times = 1e3 * each["wall"], 1e3 * each["fastest"], 1e3 * own
            yield [*row, *times, ideal / own, share]


def line(sizes: Sequence[float], seconds: Sequence[float]) -> tuple[float, float]:
    """Latency and seconds per byte, neither below 0, of least relative error."""
    size, time = np.array(sizes, float), np.array(seconds, float)
    rows = np.stack([1 / time, size / time], 1)
    latency, slope = np.linalg.lstsq(rows, np.ones(len(time)), rcond=None)[0]
    if slope <= 0:
        return float(np.median(time)), 0.0
    return max(0.0, float(latency)), float(slope)


def model(done: Mapping[str, Any], counts: Sequence[int]) -> dict[str, Any]:
    """What an iteration takes: messages, transforms, and the rest of one process."""
    messages = {}
    for count in counts[1:]:
        found = medians(done, count, "messages")
        sizes = sorted(found, key=int)
        times = [found[size]["fastest"] for size in sizes]
        latency, slope = line([int(size) for size in sizes], times)
        messages[str(count)] = {
            "latency": latency,
            "seconds_per_byte": slope,
            "sizes": [int(size) for size in sizes],
            "seconds": times,
        }
    found = medians(done, counts[0], "transforms")
    rates = [
        each["fastest"] / (int(n) ** 3 * np.log2(int(n) ** 3))
        for n, each in found.items()
        if int(n) >= SMALLEST or len(found) == 1
    ]
    return {
        "messages": messages,
        "transforms": {n: each["fastest"] for n, each in found.items()},
        "seconds_per_voxel_and_log2": float(median(rates)),
    }


def predictions(
    done: Mapping[str, Any], counts: Sequence[int], fitted: Mapping[str, Any]
) -> Iterable[Row]:
    """Seconds that transposes take: those measured, and by the line of messages."""
    for count in counts[1:]:
        sent = fitted["messages"][str(count)]
        for case, each in medians(done, count, "solves").items():
            expected = each["calls"] * sent["latency"]
            expected += each["bytes"] * sent["seconds_per_byte"]
            told = [each["bytes"] / 2**20, 1e3 * each["transposes"], 1e3 * expected]
            yield [case, count, each["calls"], *told]


def page(result: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    counts = result["processes"]
    done, fitted = result["visits"], result["model"]
    names = ("case", "discretization", "rows", "edge", "processes")
    columns = [*names, "ms", "fastest", "processor ms"]
    columns += ["efficiency", "transposes"]
    shown = [
        [
            *map(str, row[:5]),
            *(f"{value:.3g}" for value in row[5:8]),
            f"{row[8]:.2f}",
            f"{row[9]:.0%}",
        ]
        for row in scaling(done, counts)
    ]
    columns_of_model = [
        "case",
        "processes",
        "messages",
        "MiB",
        "processor ms",
        "model ms",
    ]
    expected = [
        [row[0], str(row[1]), f"{row[2]:.1f}", *(f"{x:.3g}" for x in row[3:])]
        for row in predictions(done, counts, fitted)
    ]
    lines = [
        [
            str(count),
            f"{1e6 * each['latency']:.0f}",
            f"{1e-9 / each['seconds_per_byte']:.2f}"
            if each["seconds_per_byte"]
            else "-",
            f"{min(each['sizes'])} to {max(each['sizes'])}",
        ]
        for count, each in fitted["messages"].items()
    ]
    loads = [v["load"] for v in done.values()]
    about = {
        "rounds": result["rounds"],
        "iterations timed in a visit": result["steps"],
        "load average of the machine": f"{min(loads):.1f} to {max(loads):.1f}: more "
        "than the processes of a visit is other work",
    }
    rate = fitted["seconds_per_voxel_and_log2"]
    heads = ["processes", "latency µs", "GB/s", "bytes to all"]
    return "\n".join(
        [
            "# Slabs\n",
            facts(result["machine"], about),
            "\n## One iteration of conjugate gradients\n",
            "One thread each. Strong: one cell of rows × edge × edge voxels; weak: as "
            "many rows for each process. *ms* is the median wall time, *fastest* the "
            "least; *processor ms* the median processor time of the busiest process, "
            "the threads that carry messages included, which other work disturbs "
            "least: efficiency and the share of transposes are of that. Medians of the "
            "rounds.\n",
            table(columns, shown, ["---"] * 2 + ["--:"] * 8),
            "## Messages\n",
            "`all_to_all_single` of so many bytes from each process, fastest of "
            "many; latency and bandwidth by least relative error.\n",
            table(heads, lines, ["--:"] * 4),
            "## Transposes of an iteration, and what the line says\n",
            "Beside the messages a transpose cuts and joins arrays.\n",
            table(columns_of_model, expected, ["---"] + ["--:"] * 5),
            f"A real transform of N voxels takes {rate:.2e} N log2 N s on a core.\n",
        ]
    )


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--edge", type=int, default=64, help="voxels")
    parser.add_argument("--steps", type=int, default=4, help="iterations timed")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--quick", action="store_true", help="tiny cells, no file")
    parser.add_argument("--output", type=Path, help="without an extension")
    given = parser.parse_args()
    if given.quick:
        given.edge, given.steps, given.rounds = 8, 3, 1
    machine = description(given.device)
    stem = given.output or RESULTS / f"slabs-{slug(machine)}"
    files = Files(None if given.quick else stem, machine)
    started = now()
    done = measured(given, files)
    fitted = model(done, given.processes)
    result = {
        "machine": machine | started,
        "processes": given.processes,
        "rounds": given.rounds,
        "steps": given.steps,
        "complete": True,
        "model": fitted,
        "visits": done,
    }
    files.finish(result, page(result))
    print(page(result))


if __name__ == "__main__":
    main()
