"""Cells beyond what was measured: bytes, messages and seconds, by model and by network.

Reads what slabs.py and learned.py have measured, and writes the tables of
docs/scaling.md. Bytes per voxel are those that lsml.footprint predicts, with what
transposes hold beside it.
"""

import argparse
import json
from collections.abc import Iterable, Mapping
from math import ceil, log2
from pathlib import Path
from typing import Any

import torch
from pages import put, table
from slabs import RESULTS, page

import lsml
from lsml.displacement_form import DisplacementForm
from lsml.footprint import problem_bytes, working_bytes

PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"
EDGES, SCHEMES = (1024, 2048, 4096), ("rotated", "hex8")
ROOM = 0.9 * 80e9  # bytes of a GPU that a solve can have
COPIES = 3  # spectra that a transpose holds beside its own: sent, received, joined
NUMBER = 16  # bytes of a complex number
MEMORY = 0.5 * 3.35e12  # bytes per second of a GPU's memory that transforms get
NETWORKS = (25e9, 50e9)  # bytes per second of each GPU, 200 and 400 Gb/s
PASSES = 2 * 3 * 2  # a spectrum there and back, three axes, read and written
NODES = (1, 10, 100, 1000)
SAMPLES = 10**6


def bytes_per_voxel(scheme: str) -> float:
    """Of float64, on one of many devices."""
    edge = 16
    image = torch.arange(edge**3).reshape(edge, edge, edge) % 2
    phases = [lsml.isotropic(E=e, nu=0.3) for e in (1.0, 50.0)]
    load = lsml.load(strain=[1e-3, 0, 0, 0, 0, 0])
    form = DisplacementForm(lsml.elasticity(image.byte(), phases, load, scheme))
    whole = working_bytes(form, "eager") + problem_bytes(form)
    return whole / edge**3 + COPIES * 3 * NUMBER / 2


def devices(edge: int, each: float) -> int:
    """Powers of two with room for a cell."""
    return int(2 ** ceil(log2(max(2, edge**3 * each / ROOM))))


def volumes() -> Iterable[list[str]]:
    """A row for each cell: where it fits, and what an iteration sends."""
    for edge in EDGES:
        for scheme in SCHEMES:
            each = bytes_per_voxel(scheme)
            count = devices(edge, each)
            own = 3 * edge * edge * (edge // 2 + 1) * NUMBER / count
            sent = 2 * own * (count - 1) / count
            times = [1e3 * sent / speed for speed in NETWORKS]
            yield [
                f"{edge}³",
                f"`{scheme}`",
                f"{each:.0f}",
                f"{edge**3 * each / 1e12:.2f}",
                str(count),
                f"{own / 2**20:.0f}",
                f"{own / count / 2**10:.0f}",
                *(f"{time:.0f}" for time in times),
                f"{1e3 * PASSES * own / MEMORY:.0f}",
            ]


def on_cores(fitted: Mapping[str, Any]) -> Iterable[list[str]]:
    """The same transforms and messages by what was measured on cores."""
    rate = fitted["seconds_per_voxel_and_log2"]
    count, sent = list(fitted["messages"].items())[-1]
    for edge in EDGES:
        voxels = edge**3
        transforms = 2 * 3 * rate * voxels * log2(voxels)
        carried = 2 * 3 * edge * edge * (edge // 2 + 1) * NUMBER
        seconds = carried * sent["seconds_per_byte"]
        yield [f"{edge}³", f"{transforms:.0f}", f"{seconds:.0f}", str(count)]


def campaign(rate: float) -> Iterable[list[str]]:
    """Days and hours of a million samples."""
    for nodes in NODES:
        seconds = SAMPLES / rate / nodes
        yield [str(nodes), f"{seconds / 86400:.2g} d", f"{seconds / 3600:.3g} h"]


def main() -> None:
    """Write the tables of the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path, help="JSON of slabs.py")
    parser.add_argument("--learned", type=Path, help="JSON of learned.py")
    given = parser.parse_args()
    learned = given.learned or next(iter(sorted(RESULTS.glob("learned-*.json"))))
    measured = json.loads(given.results.read_text())
    rate = json.loads(learned.read_text())["rates"]["generation"]
    heads = ["cell", "discretization", "B/voxel", "TB", "GPUs", "MiB each"]
    heads += ["KiB a peer", "ms at 25 GB/s", "ms at 50 GB/s", "ms transforms"]
    _, mark, parts = page(measured).replace("\n## ", "\n### ").partition("### ")
    put(PAGE, "slabs", mark + parts)
    put(PAGE, "volumes", table(heads, volumes(), ["---"] * 2 + ["--:"] * 8))
    heads = ["cell", "core-seconds of transforms", "core-seconds of messages", "of"]
    put(PAGE, "cores", table(heads, on_cores(measured["model"]), ["---"] + ["--:"] * 3))
    heads = ["machines", "days", "hours"]
    put(PAGE, "campaign", table(heads, campaign(rate), ["--:"] * 3))


if __name__ == "__main__":
    main()
