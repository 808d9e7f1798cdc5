"""The scheduler of Dask: one that runs already, or one that is started for the work."""

import logging
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lsml.extras import needed
from lsml.workers.cluster import GPU, Cluster
from lsml.workers.gpus import CPU
from lsml.workers.task import ATTEMPTS

if TYPE_CHECKING:
    from distributed import Client, SpecCluster

CONNECT = 5.0  # seconds in which a scheduler must answer
ADDRESS = re.compile(r"(?:(?:tcp|tls)://)?\[?(?P<host>[^\[\]/]+?)\]?:(?P<port>\d+)")
# Images are sent with their tasks.
SETTINGS = {"distributed.admin.large-graph-warning-threshold": "1TB"}
# Ctrl-C in a terminal is for the process that wants the work, which ends the others.
DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"


@contextmanager
def at(address: str, device: str) -> Iterator[Cluster]:
    """Those of a scheduler that runs already.

    Raises
    ------
    ValueError
        None answers there.
    ImportError
        Dask is missing.
    """
    with _quiet(), _connected(address) as client:
        yield Cluster(client, device)


@contextmanager
def local(environments: Sequence[Mapping[str, str]], device: str) -> Iterator[Cluster]:
    """Those of a scheduler in this process, with a worker for each environment.

    As with all of `multiprocessing`, a script that does this must stand below
    ``if __name__ == "__main__":``.

    Raises
    ------
    ImportError
        Dask is missing.
    """
    with _quiet():
        from distributed import SpecCluster

        spec = workers_of(environments, device)
        with (
            SpecCluster(spec, scheduler=scheduler_of(), silence_logs=False) as started,
            _connected(started) as client,
        ):
            yield Cluster(client, device)


def scheduler_of() -> dict[str, object]:
    """A scheduler on this machine only, without pages for a browser."""
    return {
        "cls": "distributed.Scheduler",
        "options": {
            "host": "127.0.0.1",
            "port": 0,
            "dashboard": False,
            "dashboard_address": "127.0.0.1:0",
        },
    }


def workers_of(
    environments: Sequence[Mapping[str, str]], device: str
) -> dict[int, dict[str, object]]:
    """Workers of one thread, each below a nanny that follows it with another."""
    options: dict[str, object] = {
        "nthreads": 1,
        "host": "127.0.0.1",
        "dashboard": False,
        "memory_limit": 0,
        "preload": [DEAF],
        "silence_logs": logging.CRITICAL,
        "resources": {} if device == CPU else {GPU: 1},
    }
    return {
        k: {
            "cls": "distributed.Nanny",
            "options": {**options, "env": dict(environment)},
        }
        for k, environment in enumerate(environments)
    }


@contextmanager
def _connected(where: "str | SpecCluster") -> Iterator["Client"]:
    from distributed import Client

    if isinstance(where, str):
        _reach(where)
    try:
        client = Client(where, timeout=CONNECT, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(_nobody(where, reason)) from None
    with client:
        yield client


def _reach(address: str) -> None:
    """Refuse an address where nobody listens, before Dask tries again and again."""
    found = ADDRESS.fullmatch(address)
    if found is None:
        raise ValueError(
            f"scheduler {address!r} is no address; expected such as tcp://host:8786, "
            "or local"
        )
    try:
        socket.create_connection((found["host"], int(found["port"])), CONNECT).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(_nobody(address, reason)) from None


def _nobody(where: object, reason: str) -> str:
    return (
        f"no scheduler of Dask answers at {where} within {CONNECT:g} s "
        f"({reason.lower()}): start one with dask scheduler"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Dask without its own log, for it says here what becomes an error there."""
    with needed("a scheduler needs Dask's distributed", "cluster"):
        import dask
        from distributed.utils import silence_logging_cmgr
    allowed = {"distributed.scheduler.allowed-failures": ATTEMPTS - 1}
    with silence_logging_cmgr(logging.CRITICAL), dask.config.set(SETTINGS | allowed):
        yield
