"""Which rule is fastest to which error: every rule, several contrasts, one and many.

    python benchmarks/compare.py --quick     # a smoke run
    python benchmarks/compare.py             # everything, on the GPU if there is one
    python benchmarks/compare.py --page      # the tables of docs/compare.md

Cells are of 31³ voxels (Kelly & Kalidindi 2021) on `hex8-bbar`, ν = 0.3, mean strain
along the first axis, float64. Networks join at the contrast that they were trained at:
those shipped with lsml, those of ``--weights NAME=FILE``, and the authors' in the
folder that ``LSML_REFERENCE_DATA`` names; each alone, and as the start of CG. An
interrupted run goes on where it was.
"""

import argparse
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import product
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import torch
from machine import description, now, slug
from pages import facts, put, table
from unfinished import Files

import lsml
from lsml.comparison import Comparison
from lsml.comparison.entrants import Learned
from lsml.data import latin_hypercube, microstructures
from lsml.inputs import RULES
from lsml.learned.loading import NAMES, load_rule, shipped

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = Path(__file__).parent / "results", ROOT / "docs" / "compare.md"
GOALS = (1e-1, 1e-2, 1e-3, 1e-6)
QUANTITIES = {
    "energy": "Field (energy norm of the strain error)",
    "effective": "Effective stiffness (mean stress)",
}
COSTS = ["cells", "contrast", "rule", "error", "ms", "CG, ms", "Mflop", "CG, Mflop",
         "training, s", "solves to pay it back"]  # fmt: skip
AUTHORS = {"FLN_c10": "fln", "RLN_t_c10": "rln-t"}
MARGIN = 1.1  # by which a learned rule must be faster: less may be noise
SEED = 11  # of microstructures that no network has seen
NEAR, FAR = 1.25, 4.0  # times the fastest on one cell, to be run on many; if learned


class Case(NamedTuple):
    """What is compared: ``batch`` cells of ``edge``³ voxels."""

    contrast: float
    batch: int
    edge: int
    device: str

    def __str__(self) -> str:
        """Name in results."""
        return f"{self.batch}x{self.edge} contrast {self.contrast:g} {self.device}"


def options() -> argparse.Namespace:
    """What to run, from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--contrasts", nargs="+", type=float, default=[2, 10, 50, 200, 1000])
    add("--batches", nargs="+", type=int, default=[1, 16])
    add("--edge", type=int, default=31)
    add("--rules", nargs="+", default=[name for name in RULES if name != "auto"])
    add("--weights", nargs="*", default=[], metavar="NAME=FILE")
    add("--tol", type=float, default=1e-7, help="certified residual of all rules")
    add("--max-iter", type=int, default=300)
    add("--repeats", type=int, default=3, help="timed solves; medians count")
    add("--threads", type=int, default=torch.get_num_threads())
    add("--device", choices=["cpu", "cuda"], help="by default cuda where there is one")
    add("--quick", action="store_true", help="small cells, one contrast, no file")
    add("--page", action="store_true", help="write the tables of docs/compare.md")
    add("--output", type=Path, help="file to write, less its suffix")
    given = parser.parse_args()
    given.device = given.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if given.quick:
        given.contrasts, given.batches, given.edge = [10], [1, 3], 11
        given.repeats, given.max_iter = 1, 40
    return given


def cases(given: argparse.Namespace) -> list[Case]:
    """Single cells first, then batches."""
    return [
        Case(contrast, batch, given.edge, given.device)
        for batch, contrast in product(sorted(given.batches), given.contrasts)
    ]


def networks(given: argparse.Namespace) -> dict[str, Learned]:
    """Weights of all sources, by name."""
    found = {stem: load_rule(stem.partition("-c")[0], stem) for stem in shipped()}
    for name in NAMES:
        with suppress(ValueError):  # those that need weights
            found.setdefault(name, load_rule(name))
    folder = Path(os.environ.get("LSML_REFERENCE_DATA", "")) / "published_rln"
    for stem, kind in AUTHORS.items():
        path = folder / f"{stem}.safetensors"
        if "LSML_REFERENCE_DATA" in os.environ and path.exists():
            found[f"{kind} of Kelly & Kalidindi"] = load_rule(kind, path)
    for each in given.weights:
        name, _, path = each.partition("=")
        found[f"{name} {Path(path).stem}"] = load_rule(name, path)
    return {name: net.to(given.device) for name, net in found.items()}


def rules(
    given: argparse.Namespace, case: Case, nets: Mapping[str, Learned]
) -> dict[str, Any]:
    """Analytic rules by name, networks of this contrast alone and before CG."""
    found: dict[str, Any] = {name: name for name in given.rules}
    for name, net in nets.items():
        if getattr(net, "contrast", None) not in (None, case.contrast):
            continue
        found[name] = net
        if net.passes is not None:
            cg = lsml.ConjugateGradient()
            found[f"{name} > cg"] = lsml.Schedule(net, net.passes, cg)
    return found


def problem(case: Case) -> lsml.Problem:
    """Microstructures of the paper's recipe; a single one is the first of many."""
    shape = (case.edge,) * 3
    design = latin_hypercube(16, shape, seed=SEED)
    sizes, fractions = design.grain_size, design.volume_fraction
    labels = microstructures(16, shape, sizes, fractions, seed=SEED)[: case.batch]
    return lsml.elasticity(
        torch.from_numpy(labels).to(case.device),
        [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=case.contrast, nu=0.3)],
        lsml.load(strain=[1e-3, 0, 0, 0, 0, 0]),
        "hex8-bbar",
    )


def compared(
    given: argparse.Namespace, case: Case, chosen: Mapping[str, Any]
) -> dict[str, Any]:
    """Costs of every rule to every goal, and how it ended."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*was trained at contrast.*")
        found = lsml.compare(
            problem(case),
            chosen,
            tol=given.tol,
            max_iter=given.max_iter,
            goals=GOALS,
            repeats=given.repeats,
        )
    return {
        "case": case._asdict(),
        "setting": dict(found.setting),
        "rules": {rule: told(found, rule) for rule in found.rules},
    }


def told(found: Comparison, rule: str) -> dict[str, Any]:
    """What is kept of a rule."""
    (trial,) = found.of(rule)
    costs = {
        quantity: {f"{goal:g}": cost(found, rule, goal, quantity) for goal in GOALS}
        for quantity in QUANTITIES
    }
    return {
        "refusal": trial.refusal,
        "status": {s: trial.status.count(s) for s in dict.fromkeys(trial.status)},
        "error": ends(trial),
        "operations": {k: number(v) for k, v in trial.operations.items()},
        "training": found.training.get(rule),
        "learned": rule in found.training,
        "costs": costs,
    }


def ends(trial: Any) -> list[float | None]:
    """Energy error of each sample in the end."""
    return [number(trial.energy[i, k]) for i, k in enumerate(trial.iterations)]


def cost(found: Comparison, rule: str, goal: float, quantity: Any) -> dict[str, Any]:
    """One entry of the tables."""
    value = found.cost(rule, goal, quantity)._asdict()
    saved = found.payback(rule, goal, quantity)
    told = "never" if saved == float("inf") else number(saved)
    return {k: number(v) for k, v in value.items()} | {"payback": told}


def number(value: float) -> float | None:
    """What JSON can hold."""
    return float(f"{value:.6g}") if isfinite(value) else None


def worth_it(done: Mapping[str, Any], case: Case, rule: str) -> bool:
    """Whether a rule came near the fastest to some error on the single cell."""
    single = done.get(str(case._replace(batch=1))) if case.batch > 1 else None
    if rule == "cg" or single is None or rule not in single["rules"]:
        return True
    near = FAR if single["rules"][rule]["learned"] else NEAR
    for quantity, goal in product(QUANTITIES, GOALS):
        times = dict(ranked(single, goal, quantity))
        if rule in times and times[rule] <= near * min(times.values()):
            return True
    return False


def measure(given: argparse.Namespace, files: Files) -> dict[str, Any]:
    """Every case, kept as soon as it is done."""
    nets, done = networks(given), files.done()
    for case in cases(given):
        if str(case) in done:
            continue
        chosen = rules(given, case, nets)
        chosen = {r: v for r, v in chosen.items() if worth_it(done, case, r)}
        done[str(case)] = compared(given, case, chosen)
        print(f"{now()['date']} {case}: {len(chosen)} rules", flush=True)
        files.keep(done)
    return done


def stem(given: argparse.Namespace, machine: dict[str, Any]) -> Path | None:
    """Where results go; a smoke run is kept only where it is asked for."""
    if given.output is not None or given.quick:
        return given.output
    return RESULTS / f"compare-{slug(machine)}"


def ranked(case: dict[str, Any], goal: float, quantity: str) -> list[tuple[str, float]]:
    """Rules that get there, the fastest first, with milliseconds per cell."""
    found = {
        rule: 1e3 * value["costs"][quantity][f"{goal:g}"]["seconds"]
        for rule, value in case["rules"].items()
        if value["costs"][quantity][f"{goal:g}"]["seconds"] is not None
    }
    return sorted(found.items(), key=lambda item: item[1])


def fastest(done: Mapping[str, Any], quantity: str) -> Iterator[list[str]]:
    """Two fastest rules for each case and goal."""
    for case in done.values():
        what = case["case"]
        cells = []
        for goal in GOALS:
            best = ranked(case, goal, quantity)[:2]
            words = [f"{rule} {ms:.3g} ms" for rule, ms in best]
            cells.append(f"**{words[0]}**" + "".join(f", {w}" for w in words[1:])
                         if words else "none")  # fmt: skip
        size = f"{what['batch']} × {what['edge']}³"
        yield [size, f"{what['contrast']:g}", *cells]


def costly(done: Mapping[str, Any]) -> Iterator[list[str]]:
    """What networks cost beside CG, for every goal that they reach."""
    for case in done.values():
        what = case["case"]
        size = f"{what['batch']} × {what['edge']}³"
        theirs = case["rules"].get("cg")
        for rule, value in case["rules"].items():
            for goal in GOALS if value["learned"] and theirs else ():
                mine, cg = (v["costs"]["energy"][f"{goal:g}"] for v in (value, theirs))
                if mine["seconds"] is None or cg["seconds"] is None:
                    continue
                ms = [f"{1e3 * c['seconds']:.3g}" for c in (mine, cg)]
                work = [f"{1e-6 * c['flops']:.4g}" for c in (mine, cg)]
                spent = value["training"]
                cost = "not known" if spent is None else f"{spent:.0f}"
                saved = mine["payback"]
                if saved is None:
                    saved = "never" if mine["seconds"] >= cg["seconds"] else "-"
                saved = saved if isinstance(saved, str) else f"{saved:.0f}"
                yield [size, f"{what['contrast']:g}", rule, f"{goal:g}", *ms, *work,
                       cost, saved]  # fmt: skip


def iterations(done: Mapping[str, Any]) -> Iterator[list[str]]:
    """Mean iterations and operations of every rule on the largest batch."""
    batch = max((case["case"]["batch"] for case in done.values()), default=1)
    for case in done.values():
        if case["case"]["batch"] < batch:
            continue
        for rule, value in case["rules"].items():
            found = [value["costs"]["energy"][f"{goal:g}"] for goal in GOALS]
            cells = [
                "-" if c["flops"] is None
                else f"{c['iterations']:.1f} it, {1e-6 * c['flops']:.3g} Mflop"
                for c in found
            ]  # fmt: skip
            yield [f"{case['case']['contrast']:g}", rule, *cells]


def verdict(done: Mapping[str, Any]) -> str:
    """In a sentence: where a learned rule, alone or before CG, is the fastest."""
    wins, count = [], 0
    for case, quantity, goal in product(done.values(), QUANTITIES, GOALS):
        best = ranked(case, goal, quantity)
        count += bool(best)
        plain = [ms for rule, ms in best if not case["rules"][rule]["learned"]]
        if best and best[0][1] * MARGIN < min(plain, default=float("inf")):
            what = case["case"]
            wins.append(
                f"{best[0][0]} to {goal:g} of the {quantity} error "
                f"({what['batch']} × {what['edge']}³, contrast {what['contrast']:g})"
            )
    if not any(v["learned"] for case in done.values() for v in case["rules"].values()):
        return "No learned rule took part."
    if not wins:
        return (
            f"Learning does not pay here: in none of the {count} entries of the tables "
            "below is a learned rule, alone or as the start of CG, the fastest by more "
            "than a tenth."
        )
    return f"Learned rules are fastest in {len(wins)} of {count} entries: " + (
        "; ".join(wins) + ". In all others learning does not pay."
    )


def text(whole: dict[str, Any]) -> str:
    """Markdown of one machine."""
    done = whole["cases"]
    goals, left = [f"{goal:g}" for goal in GOALS], ["---"] * len(GOALS)
    parts = [facts(whole["machine"], whole["started"]) + "\n", verdict(done) + "\n"]
    for quantity, name in QUANTITIES.items():
        best = table(["cells", "contrast", *goals], fastest(done, quantity),
                     ["---", "--:", *left])  # fmt: skip
        parts += [f"**{name}**: fastest rule to each error, milliseconds per cell, and "
                  "the next\n", best]  # fmt: skip
    under = ["---", "--:", "---", *["--:"] * (len(COSTS) - 3)]
    parts += ["**Learned rules beside CG**, field\n",
              table(COSTS, costly(done), under)]  # fmt: skip
    parts += ["**Iterations and operations** per cell, field, largest batch\n",
              table(["contrast", "rule", *goals], iterations(done),
                    ["--:", "---", *left])]  # fmt: skip
    return "\n".join(parts)


def page() -> None:
    """Fill in docs/compare.md."""
    files = sorted(RESULTS.glob("compare-*.json"))
    found = [json.loads(p.read_text()) for p in files if ".partial" not in p.name]
    told = [
        f"### {w['machine']['accelerator'] or w['machine']['processor']}\n\n{text(w)}"
        for w in found
    ]
    put(PAGE, "results", "\n".join(told) or "Not measured yet.")


def main() -> None:
    """Compare, print, and write."""
    given = options()
    if given.page:
        page()
        return
    torch.set_num_threads(given.threads)
    machine = description(given.device) | {"threads": given.threads}
    started, files = now(), Files(stem(given, machine), machine)
    whole = {"machine": machine, "started": started, "cases": measure(given, files)}
    whole["ended"] = now()
    told = f"# Rules compared\n\n{text(whole)}"
    print("\n" + told)
    files.finish(whole, told)


if __name__ == "__main__":
    main()
