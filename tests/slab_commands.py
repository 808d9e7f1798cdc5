"""Command lines that several processes run together, for test_cli_slabs.

Each process runs this program with what torchrun would put into its environment, in the
folder of the test, on the commands of ``commands.json``: for each a port to meet at and
the words for each rank. What a process says and how it ends goes to ``RANK.json``. The
word DIES has a process kill itself at its fifth iteration.
"""

import contextlib
import io
import json
import os
import signal
import time
from pathlib import Path

import torch

from lsml.cli import app
from lsml.cli.interrupt import Interrupt

DIES = "dies"


def deadly(limit: int) -> None:
    """Have the next solve end in the middle of an iteration, and this process too."""
    alive, steps = Interrupt.__call__, []

    def step(self: Interrupt, *told: object) -> bool:
        steps.append(None)
        if len(steps) == limit:
            os.kill(os.getpid(), signal.SIGKILL)
        return alive(self, *told)

    Interrupt.__call__ = step


def run(words: list[str]) -> dict[str, object]:
    """How a command ends, what it says, and the seconds that it takes."""
    started, out, err = time.perf_counter(), io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            app(words, prog_name="lsml")
        except SystemExit as end:
            status = end.code
    seconds = time.perf_counter() - started
    said = {"out": out.getvalue(), "err": err.getvalue()}
    return {"status": status, "seconds": seconds, **said}


def main() -> None:
    torch.set_num_threads(1)
    rank, found = int(os.environ["RANK"]), []
    for port, words in json.loads(Path("commands.json").read_text()):
        os.environ["MASTER_PORT"] = str(port)
        mine = list(words[rank])
        if DIES in mine:
            mine.remove(DIES)
            deadly(5)
        found.append(run(mine))
        Path(f"{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
