"""Run what the README and the documentation show, and compare what it prints.

docs.py run [PAGES…]         run all pages, or these, and compare
docs.py write PAGES…         run these and put in what they print
docs.py command NAME PAGE    print the shell block after <!-- command: NAME -->

The blocks of a page run in their order in a fresh folder, ```python in one namespace,
```bash line by line, if the first word is `lsml`. Just before a block may stand:

<!-- output -->              the next ```text is what the block before it prints:
                             numbers within 1 %, `…` anything, on a line of its
                             own any lines
<!-- output within 5 % -->   as above, with another tolerance
<!-- not run: reason -->     or <!-- fragment: reason -->: only compiled
# exit status 2              at the end of a command that is to fail

A block of another language with title="job.toml" is written to that file.
"""

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from pages import command

WORKERS = 2
QUIET = {
    "COLUMNS": "80",
    "MPLBACKEND": "Agg",
    "OMP_NUM_THREADS": "1",
    "PYTHONUTF8": "1",
    "PYVISTA_OFF_SCREEN": "true",
}


def run(pages: list[Path], write: bool) -> int:
    """Run pages side by side; the number of those that are not as they say."""
    from running import CONTEXT, run_page

    os.environ.update(QUIET)
    start, outcomes = time.perf_counter(), []
    with ProcessPoolExecutor(WORKERS, CONTEXT, max_tasks_per_child=1) as pool:
        for outcome in pool.map(run_page, pages):
            outcomes.append(outcome)
            print(
                f"{outcome.page}: {outcome.run} blocks in {outcome.seconds:.1f} s,"
                f" {outcome.skipped} not run",
                *(["slow:", ", ".join(outcome.slow)] if outcome.slow else []),
                flush=True,
            )
            if write:
                _put_in(outcome.page, outcome.edits)
            for wrong in outcome.wrong[len(outcome.edits) * write :]:
                print(wrong, flush=True)
    print(
        f"{len(pages)} pages, {sum(o.run for o in outcomes)} blocks run,"
        f" {sum(o.skipped for o in outcomes)} not run for a reason given,"
        f" {sum(o.elsewhere for o in outcomes)} run by CI itself:"
        f" {time.perf_counter() - start:.0f} s"
    )
    return sum(len(o.wrong) > len(o.edits) * write for o in outcomes)


def _put_in(page: Path, edits: list[tuple[tuple[int, int], str]]) -> None:
    text = page.read_text("utf-8")
    for (start, end), new in reversed(edits):
        text = text[:start] + new + text[end:]
    page.write_text(text, "utf-8")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["command", name, page]:
            print(command(name, Path(page)), end="")
        case ["run"]:
            every = [Path("README.md"), *sorted(Path("docs").rglob("*.md"))]
            sys.exit(run(every, write=False) > 0)
        case ["run" | "write" as mode, *names]:
            sys.exit(run([Path(name) for name in names], mode == "write") > 0)
        case _:
            sys.exit(__doc__)
