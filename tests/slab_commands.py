"""Command lines that several processes run together, for test_cli_slabs.

Each process runs this program with what torchrun would put into its environment, in the
folder of the test, on the commands of ``commands.json``: for each a port to meet at and
the words for each rank. What a process says and how it ends goes to ``RANK.json``. The
word SIGINT or SIGKILL has a process send itself that signal at its fifth iteration.
"""

import contextlib
import io
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from lsml.cli import app
from lsml.cli.interrupt import Interrupt

FIFTH = 5


@contextlib.contextmanager
def struck(names: list[str]) -> Iterator[None]:
    """Send the signals of these names to this process in the middle of a solve."""
    plain, steps = Interrupt.__call__, []

    def step(self: Interrupt, *told: object) -> bool:
        steps.append(None)
        if len(steps) == FIFTH:
            for name in names:
                os.kill(os.getpid(), signal.Signals[name])
        return plain(self, *told)

    Interrupt.__call__ = step
    try:
        yield
    finally:
        Interrupt.__call__ = plain


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
        mine = [word for word in words[rank] if not word.startswith("SIG")]
        with struck([word for word in words[rank] if word.startswith("SIG")]):
            found.append(run(mine))
        Path(f"{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
