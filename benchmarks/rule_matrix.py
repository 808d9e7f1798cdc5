"""Which rule solves what: iterations, or the property that a problem lacks.

``python benchmarks/rule_matrix.py`` solves every cell of ``tests/test_rule_matrix.py``
(two minutes) and writes ``results/rule-matrix.md``, the table of ``docs/rules.md``.
"""

import sys
from pathlib import Path

from machine import write

HERE = Path(__file__).parent


def main() -> None:
    """Solve, print, and write."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    from rule_matrix import table

    text = table() + "\n"
    print(text)
    write(HERE / "results" / "rule-matrix.md", text)


if __name__ == "__main__":
    main()
