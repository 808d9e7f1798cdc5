"""From visits to rows: medians, agreement of the answers, ratios, Markdown."""

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

import numpy as np
from pages import table

from peers.codes import Case, Result

# Largest distance from the tight answer, relative, at which a time counts.
AGREE = {"float64": 1e-6, "float32": 1e-5}
COLUMNS = {
    "discretization": "discretization",
    "contrast": "contrast",
    "cell": "cell",
    "code": "code",
    "dtype": "precision",
    "threads": "threads",
    "seconds": "s",
    "range": "range",
    "iterations": "iterations",
    "seconds_per_iteration": "s/iteration/10⁶ voxels",
    "solves_per_second": "solves/s",
    "cold_seconds": "cold s",
    "peak_mib": "peak MiB",
    "error": "error",
    "ratio": "lsml / it",
    "ratio_one_thread": "lsml, 1 thr. / it",
}
NUMBERS = {
    "contrast": "g",
    "seconds": ".3f",
    "seconds_per_iteration": ".4f",
    "solves_per_second": ".3g",
    "cold_seconds": ".1f",
    "peak_mib": ".0f",
    "error": ".1e",
    "ratio": ".3g",
    "ratio_one_thread": ".3g",
}


def summary(case: Case, visits: list[Result], exact: Result) -> Result:
    """One row: medians over the visits, and the distance from the tight answer."""
    row = {
        "cell": str(case.cell),
        "contrast": case.contrast,
        "discretization": case.code.discretization,
        "code": case.code.name,
        "dtype": case.code.dtype,
        "threads": case.threads,
    }
    failed = [visit["failed"] for visit in [exact, *visits] if "failed" in visit]
    if failed or not visits:
        return {**row, "failed": failed[0] if failed else "not measured"}
    seconds = [visit["seconds"] for visit in visits]
    steps = visits[0]["iterations"]
    return {
        **row,
        "seconds": median(seconds),
        "seconds_range": [min(seconds), max(seconds)],
        "visits": len(visits),
        "iterations": max(steps),
        "seconds_per_iteration": median(seconds) / sum(steps) / case.cell.voxels * 1e6,
        "solves_per_second": case.cell.batch / median(seconds),
        "cold_seconds": median(visit["cold_seconds"] for visit in visits),
        "peak_mib": max(visit["peak_bytes"] for visit in visits) / 2**20,
        "error": max(distance(visit, exact) for visit in visits),
        "residual": visits[0]["residual"],
        "versions": visits[0]["versions"],
    }


def distance(visit: Result, exact: Result) -> float:
    """Of the mean stress from the tight one, relative; the largest of a batch."""
    stress, true = np.array(visit["stress"]), np.array(exact["stress"])
    error = np.linalg.norm(stress - true, axis=-1) / np.linalg.norm(true, axis=-1)
    return float(error.max())


def compare(rows: list[Result]) -> None:
    """Add to each row the times of lsml over its own, where the answers agree."""
    ours = {}
    for row in rows:
        if row["code"] == "lsml" and agrees(row):
            ours[*key(row), row["threads"]] = row["seconds"]
    for row in rows:
        times = {t: s for (*of, t), s in ours.items() if tuple(of) == key(row)}
        if not times or "failed" in row:
            continue
        if not agrees(row):
            row["ratio"] = row["ratio_one_thread"] = f"disagrees: {row['error']:.1e}"
            continue
        row["ratio"] = times[max(times)] / row["seconds"]
        if 1 in times:
            row["ratio_one_thread"] = times[1] / row["seconds"]


def agrees(row: Result) -> bool:
    """Whether a time counts."""
    return "error" in row and row["error"] <= AGREE[row["dtype"]]


def key(row: Mapping[str, Any]) -> tuple[str, float, str, str]:
    """Rows that solve the same equations with the same precision."""
    return row["cell"], row["contrast"], row["discretization"], row["dtype"]


def page(rows: Iterable[Result]) -> str:
    """Markdown: one line per row."""
    cells = ([text_of(row, name) for name in COLUMNS] for row in rows)
    return table(list(COLUMNS.values()), cells)


def text_of(row: Result, name: str) -> str:
    """One field of the table; a failure stands where the time would."""
    if name == "seconds" and "failed" in row:
        return str(row["failed"])
    if name == "range":
        return "–".join(f"{s:.3f}" for s in row.get("seconds_range", []))
    value = row.get(name, "")
    return format(value, "" if isinstance(value, str) else NUMBERS.get(name, ""))


def residuals(rows: Iterable[Result]) -> str:
    """Which residual each code drives below the tolerance, and its version."""
    found = {row["code"]: row for row in rows if "residual" in row}
    lines = []
    for code, row in found.items():
        versions = ", ".join(f"{k} {v}" for k, v in row["versions"].items())
        lines.append(f"* {code}: {row['residual']} ({versions})")
    return "\n".join(lines)
