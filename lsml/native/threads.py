"""Independent pieces of work on the threads that torch may use.

torch's own threads wait for their next work in a busy loop, and so take the cores away
from any others: what follows one kernel closely must be done on these threads too.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from itertools import pairwise
from os import getpid
from typing import TypeAlias

Work: TypeAlias = Callable[[int, int], None]


@lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """One pool a process: threads do not survive a fork."""
    return ThreadPoolExecutor(threads, thread_name_prefix="lsml")


def spread(work: Work, pieces: int, threads: int) -> None:
    """Do ``work(piece, thread)`` for every piece; it must release the GIL itself."""
    threads = max(1, min(threads, pieces))
    others = range(1, threads)
    share = partial(_share, work, pieces, threads)
    jobs = [_pool(threads - 1, getpid()).submit(share, t) for t in others]
    share(0)
    for job in jobs:
        job.result()


def _share(work: Work, pieces: int, threads: int, thread: int) -> None:
    for piece in range(thread, pieces, threads):
        work(piece, thread)


def blocks(length: int, count: int) -> list[slice]:
    """A range in ``count`` parts of about the same length, or fewer if it is short."""
    count = min(count, length)
    ends = [k * length // count for k in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(ends)]
