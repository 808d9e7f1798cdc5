"""Seconds of ``import lsml`` beside those of ``import torch``.

Each import is a process of its own, in turn, so that a machine that slows down does so
for both; the first of each is not counted, since it fills the file cache. Processor
seconds of the process count, and wall seconds are given beside them. Run ``python
benchmarks/import_time.py``; writes results/import-time.json and .md.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from machine import description, now, write, write_json

RESULTS = Path(__file__).parent / "results"
MODULES = ("torch", "lsml")


def seconds(module):
    """Processor and wall seconds of a process that imports one module."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = [getattr(after, t) - getattr(before, t) for t in ("ru_utime", "ru_stime")]
    return {"processor": sum(used), "wall": wall}


def measure(rounds):
    """Medians and ranges over the rounds, and the ratio of the medians."""
    visits = [{m: seconds(m) for m in MODULES} for _ in range(rounds + 1)][1:]
    found = {}
    for clock in ("processor", "wall"):
        times = {m: sorted(v[m][clock] for v in visits) for m in MODULES}
        found[clock] = {
            m: {"median": median(t), "range": [t[0], t[-1]]} for m, t in times.items()
        }
        found[clock]["ratio"] = median(times["lsml"]) / median(times["torch"])
    return found


def page(result):
    """The result as Markdown."""
    machine = [f"* {k}: {v}" for k, v in result["machine"].items() if v is not None]
    rows = [
        f"| {clock} | {x['torch']['median']:.2f} | {x['lsml']['median']:.2f} "
        f"| {x['ratio']:.2f} |"
        for clock, x in result["seconds"].items()
    ]
    head = ["| seconds | `import torch` | `import lsml` | ratio |", "|---|--:|--:|--:|"]
    note = f"Medians of {result['rounds']} processes each, in turn."
    return "\n".join(["# Import", "", *machine, "", note, "", *head, *rows, ""])


def main():
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, default=RESULTS / "import-time.json")
    given = parser.parse_args()
    result = {
        "machine": description("cpu") | now(),
        "rounds": given.rounds,
        "seconds": measure(given.rounds),
    }
    write_json(given.output, result)
    write(given.output.with_suffix(".md"), page(result))
    print(page(result))


if __name__ == "__main__":
    main()
