"""Whether CONVERGED means converged: random pairs of a problem and a rule.

``python benchmarks/certified.py --pairs 10000`` goes on with what is recorded in
results/certified.jsonl, a line for each pair, and writes results/certified.json and
.md, all pairs in short to .csv.gz, and the tables of ``docs/trust.md``. Pair k is
drawn from seed k alone: ``--only K`` repeats one and prints it. ``--again`` repeats
those that are not clear, after something was mended.

A pair is held against what is documented: a sample marked CONVERGED has a finite field,
an `error` within the tolerance, a true C⁰-norm error of at most `error_bound` and, from
the default start with a contrast of at most 1000, of at most ten times the tolerance;
with pores its stress and effective tensor are. All other samples say what they are.
"""

import argparse
import json
import time
import traceback
from pathlib import Path
from typing import Any

import torch
from certified_pairs import Pair, draw
from certified_report import report
from certified_truth import Truth, truth_of
from pages import put

import lsml

RECORDS = Path(__file__).parent / "results" / "certified.jsonl"
PAGE = Path(__file__).parents[1] / "docs" / "trust.md"
TENFOLD, MODERATE = 10.0, 1e3
SHARPER = 1e-15  # residual of a reference where 1e-13 does not decide
CLEAR = {"held", "marked", "ended", "refused"}


def judged(pair: Pair, solution: lsml.Solution) -> dict[str, Any]:
    """What a record says of a solution."""
    states = [lsml.Status(int(code)).name for code in solution.status]
    found: dict[str, Any] = {
        "status": states,
        "iterations": int(solution.iterations.max()),
    }
    if any(lsml.Status[name].failed for name in states):
        found["verdict"] = "marked"
        if not raises(solution):
            return found | {"verdict": "not marked"}
    if not bool(solution.converged.any()):
        return {"verdict": "ended", **found}
    at = solution.converged
    finite = solution.strain[at].isfinite().all() & solution.stress[at].isfinite().all()
    if not bool(finite):
        return found | {"verdict": "not finite"}
    if not bool((solution.error[at] <= pair.settings["tol"]).all()):
        return found | {"verdict": "not within the tolerance"}
    told = compared(pair, solution, truth_of(solution))
    if told["verdict"] == "undecided":  # by a reference that is not the better one
        told = compared(pair, solution, truth_of(solution, SHARPER))
    return found | told


def raises(solution: lsml.Solution) -> bool:
    """Whether a failure cannot be overlooked."""
    try:
        solution.check()
    except lsml.ConvergenceError:
        return True
    return False


def compared(pair: Pair, solution: lsml.Solution, truth: Truth) -> dict[str, Any]:
    """Largest ratios of a true error to what it may be."""
    at, tol = solution.converged, pair.settings["tol"]
    error = solution.strain.to(truth.field) - truth.field
    mean = solution.mean_strain.to(truth.field)[:, None, :, None]
    whole = truth.size(mean)
    known = truth.ends[0] > 0
    found: dict[str, Any] = {"verdict": "held"}
    found["direct"] = truth.factorized is not None
    found["spread"] = float((truth.ends[1] / truth.ends[0]).max())
    ordinary = pair.told["start"] == "default" and moderate(pair, truth)
    found["ordinary"] = ordinary
    residual = pair.settings["stop"] == "residual"
    if not bool(known.all()):
        found |= stresses(solution, truth, tol)
        if ordinary and residual and found["stress"] > TENFOLD:
            found["verdict"] = "stress"
        return found
    true, own = truth.size(error), truth.error
    allowed = solution.error_bound * whole
    found["bound"] = worst(at, (true - own).clamp_min(0), allowed)
    found["certain"] = worst(at, true + own, allowed)
    scale = torch.maximum(whole, solution.state.scale / truth.ends[1])
    found["tolerances"] = worst(at, (true - own).clamp_min(0), tol * scale)
    if found["bound"] > 1:
        found["verdict"] = "bound"
    elif found["certain"] > 1:
        found["verdict"] = "undecided"
    elif ordinary and residual and found["tolerances"] > TENFOLD:
        found["verdict"] = "tenfold"
    if not residual:
        start = truth.points(truth.problem.field(truth.problem.start()))
        base = truth.energy(start - truth.field)
        base = torch.maximum(base, solution.state.scale)
        ratio = truth.energy(error) - own * truth.ends[1].sqrt()
        found["energy"] = worst(at, ratio.clamp_min(0), solution.error * base)
    return found


def stresses(solution: lsml.Solution, truth: Truth, tol: float) -> dict[str, float]:
    """Of cells with pores: by tolerances of the stress of the uniform field x̄."""
    at, scale = solution.converged, tol * truth.problem.magnitude()
    exact = truth.points(truth.problem.flux(truth.x))
    gap = solution.stress.to(exact) - exact
    mean = gap.flatten(3).mean(3).mean(1)[:, None, :, None]
    gaps = {"stress": gap, "tensor": mean}
    return {k: worst(at, truth.size(g, inverse=True), scale) for k, g in gaps.items()}


def moderate(pair: Pair, truth: Truth) -> bool:
    """Whether no two phases, pores apart, are further than 1000 from each other."""
    low, high = truth.ends
    if bool((low > 0).all()):
        return bool((high / low <= MODERATE * (1 + 1e-9)).all())
    return 1 / MODERATE <= pair.told["contrast"] <= MODERATE


def worst(at: torch.Tensor, part: torch.Tensor, whole: torch.Tensor) -> float:
    """Largest ratio among some samples; 0/0 is 0."""
    ratio = torch.where(part == 0, 0.0, part / whole)
    return float(ratio[at].max())


def examined(k: int) -> dict[str, Any]:
    """Record of pair k."""
    began = time.process_time()
    try:
        pair = draw(k)
        solution = pair.solve()
    except ValueError as refusal:
        return {"pair": k, "verdict": "refused", "why": str(refusal)[:160]}
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        why = f"{error!r:.160} in {Path(place.filename).name}, {place.lineno}"
        return {"pair": k, "verdict": "crashed", "why": why}
    told = {"pair": k, **pair.told, **judged(pair, solution)}
    return told | {"seconds": round(time.process_time() - began, 3)}


def short(record: dict[str, Any]) -> dict[str, Any]:
    """With few digits."""
    return {
        k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in record.items()
    }


def recorded(path: Path) -> list[dict[str, Any]]:
    """What there is, without a last line that was cut off."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def run(path: Path, pairs: int) -> list[dict[str, Any]]:
    """Go on until so many pairs have been solved."""
    records = recorded(path)
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    solved = sum(r["verdict"] != "refused" for r in records)
    with path.open("a") as file:
        k = 1 + max((r["pair"] for r in records), default=-1)
        while solved < pairs:
            record = short(examined(k))
            records.append(record)
            file.write(json.dumps(record) + "\n")
            file.flush()
            solved, k = solved + (record["verdict"] != "refused"), k + 1
    return records


def again(path: Path) -> list[dict[str, Any]]:
    """Repeat the pairs that are not clear, and those with pores or free faces."""
    records, repeated = recorded(path), []
    for record in records:
        clear = record["verdict"] in CLEAR and "stress" not in record
        if clear and "neumann" not in record.get("faces", ""):
            repeated.append(record)
        else:
            repeated.append(short(examined(record["pair"])) | {"again": True})
    path.write_text("".join(json.dumps(r) + "\n" for r in repeated))
    return repeated


def main() -> None:
    """Examine, record, and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=10000)
    parser.add_argument("--only", type=int, nargs="+", help="numbers to repeat")
    parser.add_argument("--again", action="store_true", help="repeat what is not clear")
    parser.add_argument("--records", type=Path, default=RECORDS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.only:
        for k in given.only:
            print(json.dumps(short(examined(k))))
        return
    records = again(given.records) if given.again else run(given.records, given.pairs)
    text = report(records, given.records.with_suffix(""), given.pairs)
    print(text)
    if given.records == RECORDS:
        found = text.partition("| pairs that")
        put(PAGE, "certified", "".join(found[1:]))


if __name__ == "__main__":
    main()
