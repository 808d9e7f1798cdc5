"""Write the tables of docs/models.md from the results of other benchmarks.

    python benchmarks/model_cards.py

Reads ``results/shipped-*.json`` and ``results/out-of-distribution-*.json``.
"""

import json
from pathlib import Path
from typing import Any

from pages import put, table

ROOT = Path(__file__).parents[1]
PAGE, RESULTS = ROOT / "docs" / "models.md", Path(__file__).parent / "results"


def found(pattern: str) -> dict[str, Any]:
    """Contents of the result files of a pattern, by name."""
    paths = sorted(RESULTS.glob(pattern))
    return {path.stem: json.loads(path.read_text()) for path in paths}


def errors() -> str:
    """Test errors of the shipped weights."""
    rows, cards = [], found("shipped-*.json")
    if not cards:
        return "Not trained yet: `python benchmarks/shipped_weights.py`."
    for stem, card in cards.items():
        small, whole = card["test"].values()
        training = card["training"]
        rows.append(
            [
                f"`{stem.removeprefix('shipped-')}`",
                f"{whole['parameters']:,}",
                percent(small),
                percent(whole),
                f"{whole['mase_worst']:.1f}",
                f"{training['samples']} × {training['epochs']}",
                f"{training['seconds'] / 60:.0f}",
            ]
        )
    sizes = tuple(next(iter(cards.values()))["test"])
    at = [f"MASE % at {size}" for size in sizes]
    head = "weights", "parameters", *at, f"worst at {sizes[1]}"
    curves = [curve(stem.removeprefix("shipped-")) for stem in cards]
    every = table([*head, "samples × epochs", "minutes"], rows)
    return "\n".join([every, *curves])


def curve(weights: str) -> str:
    """Picture of a training."""
    return f"![Training of {weights}](images/learning-{weights}.png)"


def percent(summary: dict[str, Any]) -> str:
    """Mean ± standard deviation."""
    return f"{summary['mase_mean']:.2f} ± {summary['mase_std']:.2f}"


def elsewhere() -> str:
    """MASE of problems that the weights were not trained for, CG iterations beside."""
    files = list(found("out-of-distribution-*.json").values())
    if not files:
        return "Not measured yet: `python benchmarks/out_of_distribution.py`."
    results = files[0]["results"]
    names = list(next(iter(results.values())))
    rows = [
        [name, *(cell(results[weights][name]) for weights in results)] for name in names
    ]
    return table(["problem", *(f"`{weights}`" for weights in results)], rows)


def cell(result: dict[str, Any]) -> str:
    """MASE and the iterations of CG to the same."""
    if "refused" in result:
        return "refused"
    iterations = result["cg_iterations"]
    return f"{result['mase']:.1f} ({'never' if iterations is None else iterations})"


def main() -> None:
    """Fill in the page."""
    put(PAGE, "errors", errors())
    put(PAGE, "elsewhere", elsewhere())


if __name__ == "__main__":
    main()
