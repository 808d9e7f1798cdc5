"""Tables of the campaign `certified.py`."""

import csv
import gzip
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from machine import description, now, write, write_json
from pages import facts, table

Record = Mapping[str, Any]

VERDICTS = {
    "held": "marked CONVERGED, and all that is promised holds",
    "marked": "failed, and says so",
    "ended": "took its passes, or was stopped, and says so",
    "tenfold": "within its bound, but above ten times the tolerance",
    "stress": "stress of a cell with pores above ten times the tolerance",
    "undecided": "the reference is not accurate enough to tell",
    "bound": "**true error above the bound**",
    "not finite": "**CONVERGED with NaN or infinity**",
    "not within the tolerance": "**CONVERGED above its tolerance**",
    "not marked": "**failed without saying so**",
    "crashed": "**ended with an error that is no refusal**",
}
COLUMNS = ("pair", "rule", "verdict", "iterations", "bound", "tolerances", "stress")


def report(records: Sequence[Record], stem: Path, wanted: int) -> str:
    """Write the results beside the records; what they say."""
    solved = [r for r in records if r["verdict"] != "refused"]
    content = {
        "machine": description("cpu"),
        **now(),
        "complete": len(solved) >= wanted,
        "draws": len(records),
        "refused": len(records) - len(solved),
        "pairs": len(solved),
        "examined again": sum(r.get("again", False) for r in solved),
        "processor seconds": round(sum(r.get("seconds", 0.0) for r in solved)),
        "status": dict(Counter(s for r in solved for s in r.get("status", ()))),
        "verdicts": {v: sum(r["verdict"] == v for r in solved) for v in VERDICTS},
        "factorized references": sum(r.get("direct", False) for r in solved),
        "worst of the bound": largest(solved, "bound"),
        "ordinary": tenfold(solved),
        "ordinary with pores": porous(solved),
        "rules": families(solved),
    }
    text = page(content)
    write_json(stem.with_suffix(".json"), content)
    write(stem.with_suffix(".md"), text)
    pack(stem.with_suffix(".csv.gz"), records)
    return text


def largest(records: Iterable[Record], what: str) -> float:
    """The worst of a ratio."""
    return max((r[what] for r in records if what in r), default=0.0)


def ordinary(records: Iterable[Record], what: str) -> list[Record]:
    """From the default start at a contrast of at most 1000, stopped by residual."""
    chosen = (r for r in records if r.get("ordinary") and r["stop"] == "residual")
    return [r for r in chosen if what in r]


def tenfold(records: Iterable[Record]) -> dict[str, Any]:
    """How the error compares with the tolerance."""
    chosen = sorted(r["tolerances"] for r in ordinary(records, "tolerances"))
    return shares(chosen)


def porous(records: Iterable[Record]) -> dict[str, Any]:
    """How stress and effective tensor do, with pores."""
    chosen = ordinary(records, "stress")
    return {k: shares(sorted(r[k] for r in chosen)) for k in ("stress", "tensor")}


def shares(ratios: Sequence[float]) -> dict[str, Any]:
    """Pairs, median, and those above ten."""
    if not ratios:
        return {"pairs": 0}
    return {
        "pairs": len(ratios),
        "median": ratios[len(ratios) // 2],
        "above ten": sum(ratio > 10 for ratio in ratios),
        "largest": ratios[-1],
    }


def families(records: Sequence[Record]) -> dict[str, dict[str, Any]]:
    """What each rule did."""
    found = {}
    for name in sorted({r["rule"] for r in records if "rule" in r}):
        own = [r for r in records if r.get("rule") == name]
        near = ordinary(own, "tolerances")
        found[name] = {
            "pairs": len(own),
            "converged": sum("CONVERGED" in r.get("status", ()) for r in own),
            "error/bound": largest(own, "bound"),
            "ordinary": len(near),
            "above ten": sum(r["tolerances"] > 10 for r in near),
            "error/tol": largest(near, "tolerances"),
        }
    return found


def page(content: Mapping[str, Any]) -> str:
    """The result as Markdown."""
    told = {k: v for k, v in content.items() if not isinstance(v, dict)}
    verdicts = [[VERDICTS[v], str(n)] for v, n in content["verdicts"].items()]
    head = ["rule", *next(iter(content["rules"].values()))]
    rows = [
        [name, *(f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values())]
        for name, row in content["rules"].items()
    ]
    under = ["---", *["--:"] * (len(head) - 1)]
    return (
        f"# Certified means certified\n\n{facts(content['machine'], told)}\n\n"
        f"{table(['pairs that', 'number'], verdicts, ['---', '--:'])}\n"
        f"{sentences(content)}\n\n{table(head, rows, under)}"
    )


def sentences(content: Mapping[str, Any]) -> str:
    """The ratios in words."""
    free, pores = content["ordinary"], content["ordinary with pores"]
    worst = content["worst of the bound"]
    lines = [f"* Largest true error over its bound: {worst:.3f}."]
    named = {"strain": free, **{f"{k} with pores": v for k, v in pores.items()}}
    for name, found in named.items():
        if found["pairs"]:
            lines.append(
                f"* From the default start, contrast at most 1000, {name}: "
                f"{found['pairs']} pairs, median error {found['median']:.2g} "
                f"tolerances, {found['above ten']} above ten, largest "
                f"{found['largest']:.3g}."
            )
    return "\n".join(lines)


def pack(path: Path, records: Sequence[Record]) -> None:
    """One line for each pair, the same bytes for the same records."""
    text = io.StringIO()
    rows = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    rows.writeheader()
    rows.writerows(records)
    path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
