"""Scenarios in which processes are killed, or stop to answer."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random

import psutil
from fault_bench import RANKS, Bench, Trial, told
from fault_work import (
    LIMIT,
    PATIENCE,
    WORKS,
    Crew,
    Work,
    results_or_nothing,
    same_result,
    share,
)
from killing import Ended, HangError, Operations, command, gone, hit

import lsml

ENDS = 10.0  # seconds in which the processes of one that was killed must have ended
JOINS = 5.0  # seconds in which those end who shared a cell with one that was killed
HANGS = 20.0  # seconds given to a part, after which its worker hangs
MARGIN = 40.0  # seconds, beside these, for the rest of a run on a busy machine


def at_moments(name: str, bench: Bench, chance: Random) -> Trial:
    """The main process killed once to three times, at any moment of its run."""
    work, reference, folder = WORKS[name], bench.reference(name), bench.fresh()
    trial, wanted = Trial(), chance.randint(1, 3)
    while trial.kills < wanted:
        moment = chance.uniform(0, reference.seconds)
        child = work.start(folder)
        if not child.pause(moment):
            folder = bench.fresh()  # it was over; another one
            continue
        others = child.others()
        child.send(signal.SIGKILL)
        trial.hit("main process", moment / reference.seconds)
        child.wait(LIMIT)
        if others:
            began = time.monotonic()
            trial.must(gone(others, ENDS), "workers outlive the main process")
            trial.ended = max(trial.ended or 0, time.monotonic() - began)
        trial.must(*told(work.sound(folder, reference.folder)))
    trial.must(*told(work.finish(folder, reference)))
    return trial


def at_operations(name: str, bench: Bench, chance: Random) -> Trial:
    """The main process killed just before a random operation on files."""
    work, reference, folder = WORKS[name], bench.reference(name), bench.fresh()
    trial = Trial()
    for _ in range(chance.randint(1, 3)):
        last = chance.randrange(reference.operations)
        ended = work.start(folder, Operations(str(folder), last)).wait(LIMIT)
        if ended.status == -signal.SIGKILL:
            trial.hit("file operation", last)
        trial.must(*told(work.sound(folder, reference.folder)))
    trial.must(*told(work.finish(folder, reference)))
    return trial


def of_workers(
    number: signal.Signals, everyone: bool, bench: Bench, chance: Random
) -> Trial:
    """A signal to one of the workers of a generation, or to all and the main process.

    The command may go on by itself, or end in one sentence, and go on when it is given
    again.
    """
    name = "generate, 2 workers"
    work, reference, folder = WORKS[name], bench.reference(name), bench.fresh()
    trial, moment = Trial(), chance.uniform(0.2, 1) * reference.seconds
    if number == signal.SIGSTOP:
        work = limited(work)
    child = work.start(folder)
    while child.pause(moment) and not child.others():
        moment = 0.02
    others = child.others()
    if everyone:
        child.kill_all()
        trial.hit("all processes", moment)
        trial.must(gone(others, ENDS), "processes that were killed live")
    elif others:
        hit(chance.choice(others), number)
        trial.hit(f"worker {number.name}", moment)
        began = time.monotonic()
        ended = child.wait(HANGS + MARGIN + 4 * reference.seconds)
        trial.ended = time.monotonic() - began
        trial.must(ended.status == 0 or ended.sentence, ended.said[-500:])
        trial.faults.append("went on" if ended.status == 0 else ended.said.strip())
    child.pause(LIMIT)
    trial.must(*told(work.sound(folder, reference.folder)))
    trial.must(*told(work.finish(folder, reference)))
    return trial


def limited(work: Work) -> Work:
    """With a limit for each part, and the same for a worker's start."""
    words = (*work.words, "--limit", f"{HANGS:g}")
    return Work(words, work.whole, work.sound, work.again, setup=impatient)


def solved(folder: Path) -> Callable[[], None]:
    """What `torchrun -m lsml solve` has each process do."""
    words = [w.format(folder) for w in (*WORKS["solve"].words, "--overwrite")]
    return command(words)


def shared(folder: Path) -> Callable[[], None]:
    """The same as a program, which does not wait for long."""
    return partial(share, folder / "stress.pt")


def one_killed(bench: Bench, chance: Random) -> Trial:
    """One of the processes that share `lsml solve` is killed: all end, none well."""
    reference, folder = bench.alone(solved), bench.fresh()
    trial, ends = lose(signal.SIGKILL, solved(folder), reference.seconds, chance)
    trial.must(*told(results_or_nothing(folder, reference.folder)))
    # Those that need nothing more of the lost one may end well.
    done = (folder / "result.h5").exists()
    trial.must(done or all(end.status for end in ends), f"ends with {ends}")
    trial.must(not any("Traceback" in end.said for end in ends), f"{ends}")
    if chance.random() < 1 / 3:
        again = Crew(RANKS, solved(folder)).ends(LIMIT)
        trial.must(not any(end.status for end in again), f"{again}")
        trial.must(*told(same_result(folder, reference.folder)))
    return trial


def one_hangs(bench: Bench, chance: Random) -> Trial:
    """One of the processes that share a cell stops: the others give it up."""
    reference, folder = bench.alone(shared), bench.fresh()
    trial, ends = lose(signal.SIGSTOP, shared(folder), reference.seconds, chance)
    done = (folder / "stress.pt").exists()
    trial.must(done or all(end.status for end in ends), f"ends with {ends}")
    return trial


def lose(
    number: signal.Signals, work: Callable[[], None], seconds: float, chance: Random
) -> tuple[Trial, list[Ended]]:
    """One of several processes, at a random moment of so many seconds; its peers' ends.

    Before all have joined, and where it only stops, they wait for it.
    """
    trial, ends = Trial(), list[Ended]()
    while not trial.kills:
        crew = Crew(RANKS, work, impatient)
        moment = chance.uniform(0, seconds)
        lost = crew.ranks.pop(chance.randrange(RANKS))
        if not lost.pause(moment):
            crew.ends(LIMIT)
            continue
        lost.send(number)
        trial.hit("process", moment / seconds)
        began = time.monotonic()
        try:
            ends = crew.ends(2 * PATIENCE + JOINS + MARGIN / 2)
        except HangError as hung:
            trial.must(False, f"a peer hangs: {hung}")
        trial.ended = time.monotonic() - began
        for rank in (lost, *crew.ranks):
            rank.kill_all()
    return trial, ends


def impatient() -> None:
    """Wait for seconds where lsml waits for minutes."""
    from lsml.distributed import join

    join.__defaults__ = (None, PATIENCE)
    with suppress(ImportError):
        import lsml.workers.processes

        lsml.workers.processes.BEGIN = HANGS


def torchrun(bench: Bench, chance: Random) -> Trial:
    """One of two processes that torchrun has started is killed."""
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [w.format(bench.fresh()) for w in WORKS["solve"].words]
    trial = Trial()
    assert bench.data.exists()
    run = subprocess.Popen(
        [sys.executable, *words, "-m", "lsml", *command],
        env=os.environ | {"PYTHONPATH": str(Path(lsml.__file__).parents[1])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    agent = psutil.Process(run.pid)
    while run.poll() is None and len(agent.children()) < 2:
        time.sleep(0.02)
    moment = chance.uniform(0, 8)
    time.sleep(moment)
    ranks = agent.children()
    if run.poll() is None and ranks:
        hit(chance.choice(ranks), signal.SIGKILL)
        trial.hit("rank SIGKILL", moment)
        began = time.monotonic()
        try:
            trial.must(run.wait(JOINS + MARGIN) != 0, "torchrun ended with 0")
        except subprocess.TimeoutExpired:
            run.kill()
            trial.must(False, "torchrun hangs")
        trial.ended = time.monotonic() - began
        trial.must(gone(ranks, ENDS), "ranks outlive torchrun")
    run.wait(LIMIT)
    return trial
