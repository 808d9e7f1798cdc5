"""Independent pieces of work on the threads that torch may use.

torch's own threads wait for their next work in a busy loop, and so take the cores away
from any others: what follows one kernel closely must be done on these threads too.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="lsml")


def spread(work: Callable[[int, int], None], pieces: int, threads: int) -> None:
    """Do ``work(piece, thread)`` for every piece; it must release the GIL itself."""
    threads = min(threads, pieces)

    def share(thread: int) -> None:
        for piece in range(thread, pieces, threads):
            work(piece, thread)

    if threads <= 1:
        share(0)
        return
    others = [_pool(threads - 1).submit(share, t) for t in range(1, threads)]
    share(0)
    for each in others:
        each.result()


def blocks(length: int, count: int) -> list[slice]:
    """A range in ``count`` parts of about the same length, or fewer if it is short."""
    count = min(count, length)
    ends = [k * length // count for k in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(ends)]
