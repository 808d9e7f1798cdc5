"""Take commands and Python blocks out of a README, so that they can be run.

readme.py command NAME README.md    the block after <!-- command: NAME -->
readme.py python README.md          all Python blocks, one script
"""

import re
import sys
from pathlib import Path


def command(name: str, text: str) -> str:
    """The one shell block that follows the marker of this name."""
    marker = rf"<!-- command: {re.escape(name)} -->\s*```(?:bash|sh)\n(.*?)^```"
    found = re.findall(marker, text, re.DOTALL | re.MULTILINE)
    if len(found) != 1:
        raise SystemExit(f"README has {len(found)} blocks marked {name}; expected 1.")
    return found[0]


def python(text: str) -> str:
    """All Python blocks in their order, later ones see the names of earlier ones."""
    found = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    if not found:
        raise SystemExit("README has no Python block.")
    return "\n".join(found)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["command", name, path]:
            print(command(name, Path(path).read_text("utf-8")), end="")
        case ["python", path]:
            print(python(Path(path).read_text("utf-8")), end="")
        case _:
            raise SystemExit(__doc__)
