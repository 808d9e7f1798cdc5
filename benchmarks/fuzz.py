"""Inputs that nobody would give: solved with a certificate, or refused in one sentence.

``python benchmarks/fuzz.py`` tries all targets of ``fuzzing/worker.py``. A process of
its own tries the inputs of a target, with a limit of memory and time, and a canary that
hears what no input may cause; one that dies is a finding, and another one goes on.
Writes results/fuzz.json and .md as it goes; an interrupted run goes on from there if it
has the same seed. With ``--only`` it prints, and writes nothing.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzzing.guided import GUIDED, KINDS, THERE
from fuzzing.outcome import alike
from fuzzing.worker import serve
from machine import description, now, write, write_json

RESULTS = Path(__file__).parent / "results"
SAVED = 100  # inputs after which the result is written
KEPT = 12  # sentences of a target that the page shows
MOST = 200  # and that the result keeps
# Inputs of a whole run: more where one takes little.
PLAN = {
    "npy": 6000,
    "npz": 7000,
    "hdf5": 8000,
    "tiff": 6000,
    "vti": 6000,
    "vtk": 6000,
    "xdmf": 5500,
    "raw": 5500,
    "results": 6000,
    "safetensors": 6000,
    "torch": 6000,
    "toml": 5000,
    "yaml": 5000,
    "command line": 5000,
    "solve": 5000,
    "homogenize": 5000,
    "elasticity": 5000,
    "conductivity": 5000,
}
if THERE:
    PLAN |= {f"{GUIDED}{kind}": 1000 for kind in KINDS}
Save = Callable[[], None]


def whole(said: dict[str, Any], target: str, seed: int, last: int, save: Save) -> None:
    """Try a target up to an input; a process that dies is replaced by another one."""
    while said["inputs"] < last:
        begun = process(said, target, seed, last, save)
        if begun is not None:
            note(said, begun, {"kind": "finding", "words": "the process died"})
        elif said["inputs"] < last:
            said["inputs"] = last  # there are no more than these
    save()


def process(
    said: dict[str, Any], target: str, seed: int, last: int, save: Save
) -> dict[str, Any] | None:
    """One process; the input at which it died, if it did."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    begun: dict[str, Any] | None = None
    first = said["inputs"]
    with tempfile.TemporaryDirectory() as folder:
        given = (target, seed, first, last - first, Path(folder), theirs.send)
        worker = context.Process(target=serve, args=given)
        worker.start()
        theirs.close()
        while (heard := received(ours)) is not None:
            if "begin" in heard:
                begun = heard
            elif begun is not None:
                note(said, begun, heard)
                begun = None
                if said["inputs"] % SAVED == 0:
                    save()
        worker.join()
        log = (Path(folder) / "log").read_text(errors="replace")[-2000:]
        if worker.exitcode and begun is None:
            raise RuntimeError(f"{target}: the worker failed outside of inputs: {log}")
    ended = {"exitcode": worker.exitcode, "log": log}
    return None if begun is None else begun | ended


def received(end: Any) -> dict[str, Any] | None:
    """The next thing a process tells; None if it tells nothing more."""
    try:
        heard: dict[str, Any] = end.recv()
    except EOFError:
        return None
    return heard


def note(said: dict[str, Any], begun: dict[str, Any], ended: dict[str, Any]) -> None:
    """Count one outcome."""
    said["inputs"] = begun["begin"] + 1
    said["outcomes"][ended["kind"]] = said["outcomes"].get(ended["kind"], 0) + 1
    if ended["kind"] == "finding":
        said["findings"].append({**begun, **ended})
        print("  ", begun, ended["words"][:200], flush=True)
    elif ended["words"]:
        words = alike(ended["words"])
        said["sentences"][words] = said["sentences"].get(words, 0) + 1


def empty() -> dict[str, Any]:
    """Of a target that nothing was tried of."""
    return {
        "inputs": 0,
        "seconds": 0,
        "outcomes": {},
        "findings": [],
        "sentences": {},
    }


def run(result: dict[str, Any], wanted: dict[str, int], save: Save) -> None:
    """All targets, from where they are."""
    for target, last in wanted.items():
        said = result["targets"].setdefault(target, empty())
        if said["inputs"] >= last:
            continue
        began = time.perf_counter()
        whole(said, target, result["seed"], last, save)
        said["seconds"] += round(time.perf_counter() - began)
        print(target, said["inputs"], said["seconds"], said["outcomes"], flush=True)
        save()


def shortened(result: dict[str, Any], scale: float) -> dict[str, Any]:
    """With the most frequent sentences, and whether the plan is done."""
    done = {t: said["inputs"] for t, said in result["targets"].items()}
    complete = all(done.get(t, 0) >= n for t, n in scaled(scale).items())
    made = {
        **result,
        "ended": now(),
        "complete": complete and scale >= 1,
        "targets": {},
    }
    for name, said in result["targets"].items():
        ranked = Counter(said["sentences"]).most_common(MOST)
        made["targets"][name] = {**said, "sentences": dict(ranked)}
    return made


def scaled(scale: float) -> dict[str, int]:
    """The plan, or a part of it."""
    return {target: max(1, int(n * scale)) for target, n in PLAN.items()}


def page(result: dict[str, Any]) -> str:
    """As Markdown."""
    kinds = ("solved", "read", "refused", "not converged", "finding")
    head = ["target", "inputs", *kinds, "distinct sentences"]
    rows = [
        [
            name,
            sum(said["outcomes"].values()),
            *(said["outcomes"].get(kind, 0) for kind in kinds),
            len(said["sentences"]),
        ]
        for name, said in result["targets"].items()
    ]
    total = ["all", *(sum(row[k] for row in rows) for k in range(1, len(head)))]
    table = ["| " + " | ".join(map(str, row)) + " |" for row in (head, *rows, total)]
    table.insert(1, "|---" + "|--:" * (len(head) - 1) + "|")
    lines = ["# Inputs that nobody would give", ""]
    lines += [f"* {k}: {v}" for k, v in result["machine"].items() if v is not None]
    lines += [f"* started: {result['started']['date']}, seed {result['seed']}"]
    lines += [f"* complete: {result['complete']}", "", *table, ""]
    for name, said in result["targets"].items():
        lines += [f"## {name}", ""]
        lines += [f"* finding: {f['words']}" for f in said["findings"][:KEPT]]
        shown = list(said["sentences"].items())[:KEPT]
        lines += [f"* {count} × {sentence}" for sentence, count in shown]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Try, and write what became of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of the whole plan")
    parser.add_argument("--only", nargs="*", help="writes nothing; none named: all")
    parser.add_argument("--seed", type=int, default=8)
    given = parser.parse_args()
    result = {"machine": description("cpu"), "started": now(), "seed": given.seed}
    result["targets"] = {}
    wanted, target = scaled(given.scale), RESULTS / "fuzz.json"
    if given.only is not None:
        chosen = given.only or list(wanted)
        run(result, {t: wanted[t] for t in chosen}, lambda: None)
        sys.exit(any(said["findings"] for said in result["targets"].values()))
    if target.exists():
        old = json.loads(target.read_text())
        result = old if old["seed"] == given.seed else result

    def save() -> None:
        short = shortened(result, given.scale)
        write_json(target, short)
        write(target.with_suffix(".md"), page(short))

    run(result, wanted, save)
    save()


if __name__ == "__main__":
    main()
