"""Seconds and bytes of one case, measured in a process of its own."""

import multiprocessing
import resource
import signal
import sys
import time
from contextlib import suppress
from itertools import pairwise
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
import torch
from machine import memory

import lsml
from lsml.acceleration import accelerate, refine
from lsml.inputs import as_rule, in_form
from lsml.stop import Never
from lsml.unroll import unroll

TOLERANCE = 1e-6  # of the solves whose iterations are timed
SHARE = 0.9  # of the memory available that a case may take


class Case(NamedTuple):
    """What is timed: ``batch`` cells of ``edge``³ voxels."""

    batch: int
    edge: int
    discretization: str
    rule: str
    dtype: str
    threads: int
    device: str

    @property
    def voxels(self) -> int:
        """Of all cells."""
        return self.batch * self.edge**3

    def __str__(self) -> str:
        """Name in results."""
        return " ".join([f"{self.batch}x{self.edge}", *map(str, self[2:])])


class Enough(Exception):  # noqa: N818 (not an error)
    """Raised by the observer after the last timed iteration."""


def in_a_process(case: Case, steps: int) -> dict[str, Any]:
    """Result of :func:`visit`, or ``{"failed": why}``."""
    context = multiprocessing.get_context("forkserver")  # imports torch once
    context.set_forkserver_preload(["measure"])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=visit, args=(case, steps, sender))
    process.start()
    sender.close()
    try:
        result: dict[str, Any] = receiver.recv()
    except EOFError:
        result = {}
    process.join()
    killed = process.exitcode == -signal.SIGKILL  # how Linux ends what does not fit
    why = "killed: out of memory?" if killed else f"exit status {process.exitcode}"
    return result or {"failed": why}


def visit(case: Case, steps: int, sender: Connection) -> None:
    """Body of the process."""
    torch.set_num_threads(case.threads)
    try:
        limit_memory(case.device)
        timed(case._replace(batch=1, edge=4), 1)  # load libraries before the baseline
        sender.send(timed(case, steps))
    except (MemoryError, RuntimeError) as error:
        if "memory" not in str(error) and not isinstance(error, MemoryError):
            raise
        sender.send({"failed": "out of memory"})


def limit_memory(device: str) -> None:
    """Fail by an exception, before the system kills a process of its choice."""
    available = memory("MemAvailable")
    if device == "cpu" and available and sys.platform == "linux":
        limit = int(SHARE * available)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def timed(case: Case, steps: int) -> dict[str, Any]:
    """Seconds of set-up and of each iteration after the first; peak bytes of both."""
    labels = np.random.default_rng(0).integers(
        0, 2, (case.batch, *[case.edge] * 3), dtype=np.uint8
    )
    before, clock = peak(case.device), [now(case.device)]
    strain_form = lsml.elasticity(
        torch.from_numpy(labels).to(case.device),
        phases=[lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=10.0, nu=0.3)],
        load=lsml.load(strain=[1e-3, 0, 0, 0, 0, 0]),
        discretization=case.discretization,
        dtype=getattr(torch, case.dtype),
    )
    rule = as_rule(case.rule, None, strain_form)
    given = in_form(strain_form, "displacement", rule)
    problem = refine(accelerate(given, True), TOLERANCE).problem
    clock.append(now(case.device))
    setup = peak(case.device) - before

    def observe(k: int, *_: torch.Tensor) -> None:
        clock.append(now(case.device))
        if k == steps + 1:
            raise Enough

    with suppress(Enough), torch.no_grad():  # as lsml.solve does
        unroll(problem, rule, stop=Never(), max_iter=steps + 2, observe=observe)
    seconds = [end - start for start, end in pairwise(clock)]
    return {
        "setup_seconds": seconds[0],
        "iteration_seconds": seconds[3:],  # after the start and one warm-up
        "setup_bytes": setup,
        "peak_bytes": peak(case.device) - before,
    }


def now(device: str) -> float:
    """Seconds, once the device has done its work."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def peak(device: str) -> int:
    """Most bytes held so far: resident in the process, or allocated on the GPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
