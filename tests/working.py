"""Items of which each says what becomes of the process that works on it."""

import os
import signal
import sys
import time
from pathlib import Path


class OddError(Exception):
    """Not an error that anybody expects."""


def answer(item):
    """What an item says: with the process that did it."""
    what, *rest = item
    sys.stdout.write("what a library prints\n")
    sys.stdout.flush()
    if what == "raise":
        raise {"value": ValueError, "odd": OddError}[rest[0]]("as told")
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "once":  # dies, but for the second time
        mark = Path(rest[0])
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    if what == "hang":
        with Path(rest[0]).open("a") as log:
            log.write(f"{os.getpid()}\n")
        time.sleep(600)
    if what == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    return what, os.getpid(), os.environ.get("OMP_NUM_THREADS")


def answers(workers, items, task):
    """By item; each is answered once."""
    told = list(workers.answers(task, items))
    assert len({each.item for each in told}) == len(told)
    return {each.item: each for each in told}
