"""Which rule solves what: iterations, or the property that a problem lacks.

``python benchmarks/rule_matrix.py`` solves every rule × physics × discretization in 2-D
and 3-D, writes ``results/rule-matrix.json`` and ``.md``, and puts the tables between
the marks of ``docs/rules.md`` (summary) and ``docs/conformance.md`` (every cell).
"""

import sys
from pathlib import Path
from typing import Any

from machine import description, now, write, write_json
from pages import put, table

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from rule_matrix import PHYSICS, assert_agrees, prepared, refusal, solved  # noqa: E402

from lsml.inputs import RULES  # noqa: E402

Found = dict[str, dict[str, dict[str, list[Any]]]]  # physics, rule, scheme: 2-D, 3-D


def cell(rule: str, physics: str, scheme: str, ndim: int) -> int | str:
    """Iterations of the slowest sample, or why there are none."""
    chosen, problem = prepared(rule, physics, scheme, ndim)
    reason = refusal(chosen, problem)
    if reason is not None:
        return reason
    state = solved(chosen, problem)
    if not state.converged.all():
        raise RuntimeError(f"{rule}, {physics}, {scheme}, {ndim}-D: {state.status}")
    assert_agrees(state, problem, physics, scheme, ndim)
    return int(state.iterations.max())


def measured() -> Found:
    """Every cell."""
    return {
        physics: {
            rule: {
                scheme: [cell(rule, physics, scheme, ndim) for ndim in (2, 3)]
                for scheme in schemes
            }
            for rule in RULES
        }
        for physics, (schemes, _) in PHYSICS.items()
    }


def span(cells: dict[str, list[Any]]) -> str:
    """Fewest and most iterations of a rule on a physics, and what it lacks."""
    of_all = [entry for pair in cells.values() for entry in pair]
    counts = [entry for entry in of_all if isinstance(entry, int)]
    why = sorted({entry for entry in of_all if isinstance(entry, str)})
    return "; ".join([*([f"{min(counts)}-{max(counts)}"] if counts else []), *why])


def summary(found: Found) -> str:
    """One table: rules × physics."""
    rows = [[f"`{r}`", *(span(found[p][r]) for p in found)] for r in RULES]
    return table(["rule", *found], rows)


def pair(two: int | str, three: int | str) -> str:
    """Entry of a scheme."""
    return str(two) if isinstance(two, str) and two == three else f"{two} / {three}"


def details(found: Found) -> str:
    """One table a physics: rules × discretizations, 2-D / 3-D."""
    text = ""
    for physics, rules in found.items():
        schemes = PHYSICS[physics].schemes
        head = ["rule", *(f"`{scheme}`" for scheme in schemes)]
        rows = [[f"`{r}`", *(pair(*rules[r][s]) for s in schemes)] for r in rules]
        text += f"\n## {physics[0].upper()}{physics[1:]}\n\n{table(head, rows)}"
    return text


def main() -> None:
    """Solve, print, and write."""
    found, docs = measured(), HERE.parent / "docs"
    print(summary(found))
    write_json(
        HERE / "results" / "rule-matrix.json",
        {"machine": description("cpu"), **now(), "iterations": found},
    )
    write(HERE / "results" / "rule-matrix.md", summary(found) + details(found))
    put(docs / "rules.md", "matrix", summary(found))
    put(docs / "conformance.md", "matrix", details(found))


if __name__ == "__main__":
    main()
