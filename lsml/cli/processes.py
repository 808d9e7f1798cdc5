"""A command that several processes run: the first one speaks, and all end alike."""

import os
import sys
from collections.abc import Iterator
from contextlib import (
    ExitStack,
    contextmanager,
    redirect_stderr,
    redirect_stdout,
    suppress,
)
from datetime import timedelta

import torch
import torch.distributed as dist
import typer
from torch.distributed import TCPStore  # type: ignore[attr-defined]
from torch.multiprocessing.spawn import ProcessExitedException, spawn

from lsml.cli.errors import LOST, leave
from lsml.cli.interrupt import interrupts

LOCAL = "127.0.0.1"
GRACE = 30.0  # seconds that the others have to end, once one has ended in failure
PATIENCE = 10.0  # seconds that they wait for the first one to say why
SAID = "lsml/said"


def leads() -> bool:
    """Whether this process is the first of those that `torchrun` has started."""
    return int(os.environ.get("RANK", "0")) == 0


def started() -> bool:
    """Whether this process is one of several that have been started together."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


@contextmanager
def peers() -> Iterator[None]:
    """Only the first process speaks; in a failure the others hear it out.

    For `torchrun` ends all processes when one has failed.
    """
    try:
        with ExitStack() as stack:
            if not leads():
                nowhere = stack.enter_context(open(os.devnull, "w"))
                stack.enter_context(redirect_stdout(nowhere))
                stack.enter_context(redirect_stderr(nowhere))
            yield
    except typer.Exit as end:
        if end.exit_code not in (0, LOST) and dist.is_initialized():
            _hear_out()
        raise


def _hear_out() -> None:
    """Say that all is said, or wait until it is."""
    store = dist.distributed_c10d._get_default_store()
    with suppress(RuntimeError):  # it was that of a process that has ended
        if leads():
            store.set(SAID, "")
        else:
            store.wait([SAID], timedelta(seconds=PATIENCE))


def run_by(count: int) -> None:
    """Have so many processes of this machine run this program, as `torchrun` would.

    Raises
    ------
    typer.Exit
        One has failed, with its status.
    """
    store = TCPStore(LOCAL, 0, is_master=True, wait_for_workers=False)
    running = spawn(_run, (count, store.port, sys.argv), count, join=False)
    with interrupts():  # which reaches the processes too, and they end by themselves
        try:
            while not running.join(grace_period=GRACE):
                pass
        except ProcessExitedException as error:
            first = running.processes[0].exitcode
            if first is not None and first < 0:
                leave(f"the first of {count} processes was ended from outside", LOST)
            raise typer.Exit(max(error.exit_code, 0) or LOST) from None


def _run(rank: int, count: int, port: int, words: list[str]) -> None:
    """One of the processes."""
    from lsml.cli import app

    numbers = {"RANK": rank, "LOCAL_RANK": rank, "MASTER_PORT": port}
    numbers |= {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    os.environ |= {name: str(number) for name, number in numbers.items()}
    os.environ |= {"MASTER_ADDR": LOCAL, "TORCHELASTIC_USE_AGENT_STORE": "True"}
    torch.set_num_threads(max(1, torch.get_num_threads() // count))
    sys.argv = words
    app(prog_name="lsml")
