"""Run the notebooks of the examples, each in a fresh kernel and folder.

notebooks.py          all of examples/notebooks; exit status 1 if a cell fails
notebooks.py PATHS    these
"""

import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

LONGEST = 120  # seconds for a cell


def run(path: Path) -> bool:
    """Whether every cell of a notebook runs, and its file holds no outputs."""
    start, notebook = time.perf_counter(), nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    kept = [k for k, cell in enumerate(notebook.cells) if cell.get("outputs")]
    if kept:
        print(f"{path}: cells {kept} are stored with outputs; strip them.")
        return False
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        try:
            NotebookClient(notebook, timeout=LONGEST, resources=resources).execute()
        except CellExecutionError as error:
            print(f"{path}: {error}")
            return False
    print(f"{path}: {len(notebook.cells)} cells in {time.perf_counter() - start:.1f} s")
    return True


if __name__ == "__main__":
    given = [Path(path) for path in sys.argv[1:]]
    results = [
        run(p) for p in given or sorted(Path("examples/notebooks").glob("*.ipynb"))
    ]
    sys.exit(not (results and all(results)))
