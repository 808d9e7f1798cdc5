"""A command that several processes run: the first speaks, and all end alike.

`torchrun` starts the command in every process. The first failure is said once, by the
process that has it, and its status is that of all.
"""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import torch.distributed
import typer

from lsml.cli.context import Context
from lsml.cli.errors import (
    BAD_INPUT,
    INTENDED,
    INTERRUPTED,
    LOST,
    failures,
    leave,
    plain_errors,
    sentence_of,
)
from lsml.cli.job import words
from lsml.cli.processes import leads, peers, started
from lsml.cli.team import Alone, Together, run_by
from lsml.distributed import LostError, Slabs, join
from lsml.distributed.group import TIMEOUT

SHARED = ("solve", "homogenize")  # commands that processes can share
BACKENDS: Mapping[object, str] = {"cpu": "gloo", "cuda": "nccl"}
GRACE = 5.0  # seconds that a process which has failed waits for the others


@contextmanager
def together(ctx: Context) -> Iterator[None]:
    """Share a command with the processes that torchrun has started, if it has."""
    if not started():
        yield
        return
    if words(ctx) not in SHARED:
        with peers(), failures(), run_by(Alone(first=leads())):
            yield
        return
    slabs = _joined(ctx.params.get("device"))
    quiet, here = _hushed(slabs.rank > 0), run_by(Together(slabs))
    try:
        with _alike(slabs), quiet, plain_errors(), here:
            yield
    finally:
        torch.distributed.destroy_process_group()


def _joined(device: object) -> Slabs:
    """The processes; what hinders all of a machine is said by its first."""
    try:
        if device not in (None, *BACKENDS):
            raise ValueError(
                f"--device {device} is one device; several processes take "
                f"{' or '.join(map(str, BACKENDS))}"
            )
        return join(BACKENDS.get(device))
    except INTENDED as error:
        status = LOST if isinstance(error, LostError) else BAD_INPUT
        if os.environ.get("LOCAL_RANK", os.environ["RANK"]) != "0":
            raise typer.Exit(status) from None
        leave(sentence_of(error), status)


@contextmanager
def _alike(slabs: Slabs) -> Iterator[None]:
    """End with the status of the process that failed first, which alone says why."""
    try:
        yield
    except typer.Exit as end:
        _settled(slabs, f"{end.exit_code}", TIMEOUT)
        raise
    except LostError as error:
        status, sentence = LOST, sentence_of(error)
    except INTENDED as error:
        status, sentence = BAD_INPUT, sentence_of(error)
    except KeyboardInterrupt:
        status, sentence = INTERRUPTED, "interrupted"
    else:
        return
    mine = f"{status} {slabs.rank}"
    first = _settled(slabs, mine, GRACE)
    if first == mine:
        leave(sentence, status)
    raise typer.Exit(int(first.split()[0]))


def _settled(slabs: Slabs, word: str, patience: float) -> str:
    """What the first has said; all of them may now end, and by themselves."""
    first = slabs.settle(word, patience)
    # As soon as one has ended with a failure, torchrun would end the others.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return first


@contextmanager
def _hushed(wanted: bool) -> Iterator[None]:
    """Nothing that is said in here is seen, if so wanted."""
    with open(os.devnull, "w") as nowhere:
        if not wanted:
            yield
            return
        with redirect_stdout(nowhere), redirect_stderr(nowhere):
            yield
