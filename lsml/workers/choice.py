"""Which engine does the work: this process, processes of its own, or a scheduler's."""

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral

from lsml.workers.gpus import CPU, check_device, environments, gpus_here
from lsml.workers.here import Here
from lsml.workers.processes import Processes
from lsml.workers.task import Workers

LOCAL = "local"  # in the place of an address


@contextmanager
def workers_for(
    count: int, scheduler: str | None = None, device: str = CPU
) -> Iterator[Workers]:
    """Those who do the work, while it lasts.

    Parameters
    ----------
    count : processes; 0 or 1 is this one. A scheduler at an address has its own.
    scheduler : address of one of Dask, or ``"local"`` for one that is started here and
        ends with the work; None takes processes without a scheduler.
    device : ``"cpu"``, or ``"cuda"`` for a GPU to each process.

    Raises
    ------
    ValueError
        Bad numbers, more processes than GPUs, or no scheduler answers.
    ImportError
        Dask is missing; the message names the extra.
    """
    check_device(device)
    if not isinstance(count, Integral) or isinstance(count, bool) or count < 0:
        raise ValueError(f"workers is {count!r}; expected a whole number from 0")
    if scheduler is None and count <= 1:
        if device != CPU:
            gpus_here()
        yield Here()
    elif scheduler is None:
        yield Processes(_environments(count, device))
    else:
        from lsml.workers.schedulers import at, local

        if scheduler == LOCAL:
            opened = local(_environments(max(count, 1), device), device)
        else:
            opened = at(scheduler, device)
        with opened as cluster:
            yield cluster


def _environments(count: int, device: str) -> list[dict[str, str]]:
    gpus = [] if device == CPU else gpus_here()
    return [dict(each) for each in environments(count, device, gpus)]
