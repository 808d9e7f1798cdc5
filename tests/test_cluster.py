"""Workers of Dask: what they answer is what one process answers, whatever happens."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from working import answer, answers

import lsml
from lsml.data import generate
from lsml.data.parts import Parts
from lsml.volumes import Settings, homogenize_all
from lsml.workers import Task, WorkerLostError, workers_for
from lsml.workers.gpus import VISIBLE, environments
from lsml.workers.on_worker import check_worker
from lsml.workers.schedulers import workers_of

distributed = pytest.importorskip("distributed", reason='pip install "lsml[cluster]"')
pytestmark = pytest.mark.slow  # a cluster takes seconds to start

TINY = {"n": 3, "realizations": 2, "shape": (5, 4, 6), "batch": 2, "seed": 3}


@pytest.fixture(scope="module", autouse=True)
def _found():
    """Workers import the tests where this process does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        paths = os.pathsep.join(path for path in sys.path if path)
        patch.setenv("PYTHONPATH", paths)
        yield


@pytest.fixture(scope="module")
def cluster(_found):
    """Two workers, below nannies that follow them with others.

    It gives up what was on a worker that ends, so that it is up to lsml to find out
    what was to blame.
    """
    dask = pytest.importorskip("dask")
    once = dask.config.set({"distributed.scheduler.allowed-failures": 0})
    with (
        once,
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            host="127.0.0.1",
            silence_logs=50,
            memory_limit=0,
        ) as started,
    ):
        yield started


@pytest.fixture
def workers(cluster):
    with workers_for(1, cluster.scheduler_address) as found:
        yield found


def test_every_item_is_answered_once(workers, tmp_path):
    """By threads of their own; one whose worker is killed is done again elsewhere."""
    plain = [("plain", k) for k in range(7)]
    rest = [("raise", "value"), ("raise", "odd"), ("once", str(tmp_path / "mark"))]
    found = answers(workers, [*plain, *rest], Task(answer, "number"))
    assert set(found) == {*plain, *rest}
    made = [found[item].take() for item in plain]
    assert {threads for _, _, threads in made} == {"1"}
    assert os.getpid() not in {process for _, process, _ in made}
    assert str(found["raise", "value"].failure) == "as told"
    assert "OddError: as told" in str(found["raise", "odd"].failure)
    assert found["once", str(tmp_path / "mark")].take()[0] == "once"


def test_what_kills_every_worker_is_named_and_nothing_else_is(workers, tmp_path):
    """Catches innocent items that are given up for having waited behind it."""
    plain = [("plain", k) for k in range(4)]
    hang = ("hang", str(tmp_path / "hung"))
    found = answers(workers, [hang, *plain], Task(answer, "number", limit=0.5))
    assert all(found[item].failure is None for item in plain)
    assert isinstance(found[hang].failure, WorkerLostError)
    told = str(found[hang].failure)
    assert told.startswith("number ('hang',")
    assert "longer than 0.5 s" in told
    tried = [int(line) for line in Path(hang[1]).read_text().split()]
    assert len(set(tried)) == len(tried) == 2
    ending = [each for each in psutil.process_iter() if each.pid in tried]
    assert psutil.wait_procs(ending, timeout=60)[1] == []


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Bytes of the tiny dataset, made by one process."""
    pytest.importorskip("pymks", reason='needs pip install "lsml[data]"')
    return generate(tmp_path_factory.mktemp("whole") / "a.h5", **TINY).read_bytes()


def test_a_dataset_is_that_of_one_process(cluster, whole, tmp_path):
    """Bytes, and a worker is killed while it is made."""
    keep, killed = Parts.keep, []

    def kill(self, k, packed):
        if not killed:
            killed.append(k)
            worker = next(iter(cluster.workers.values()))
            os.kill(worker.pid, signal.SIGKILL)
        keep(self, k, packed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Parts, "keep", kill)
        path = generate(tmp_path / "b.h5", **TINY, scheduler=cluster.scheduler_address)
    assert killed
    assert path.read_bytes() == whole


def test_a_stack_of_images_is_that_of_one_process(cluster, tmp_path):
    stack = np.random.default_rng(5).integers(0, 2, (3, 5, 4, 3)).astype(np.uint8)
    np.save(tmp_path / "s.npy", stack)
    settings = Settings(contrast=5.0, tol=1e-8)
    here, there = (
        homogenize_all(
            [tmp_path / "s.npy"], tmp_path / f"{k}.jsonl", settings, scheduler=scheduler
        )
        for k, scheduler in enumerate((None, cluster.scheduler_address))
    )
    assert [row.image for row in there] == [row.image for row in here]
    a, b = (np.array([row.stiffness for row in rows]) for rows in (here, there))
    np.testing.assert_allclose(b, a, rtol=1e-12)


def start(*words):
    return psutil.Popen(
        [sys.executable, "-m", f"distributed.cli.dask_{words[0]}", *words[1:]],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def test_a_scheduler_that_dies_is_an_error_and_a_worker_of_two_threads_is_refused(
    tmp_path,
):
    """Within seconds: nobody waits for answers that will not come."""
    file = tmp_path / "scheduler.json"
    scheduler = start(
        *("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"),
        *("--scheduler-file", str(file)),
    )
    address, worker = waited(file), None
    try:
        words = ("worker", address, "--no-dashboard", "--no-nanny", "--nthreads")
        worker = start(*words, "2")
        task = Task(answer, "number")
        refused = pytest.raises(ValueError, match="has 2 threads; start workers with")
        with workers_for(1, address) as workers, refused:
            answers(workers, [("plain", 0)], task)
        worker.kill()
        worker.wait()
        worker = start(*words, "1")
        with workers_for(1, address) as workers:
            found = workers.answers(task, [("plain", k) for k in range(1000)])
            assert next(found).failure is None
            scheduler.kill()
            before = time.monotonic()
            with pytest.raises(OSError, match="the scheduler has gone; what is"):
                list(found)
            assert time.monotonic() - before < 60
    finally:
        for process in (scheduler, worker):
            if process is not None and process.is_running():
                process.kill()
                process.wait()


def waited(file):
    deadline = time.monotonic() + 60
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    for _ in range(100):
        try:
            return json.loads(file.read_text())["address"]
        except ValueError:
            time.sleep(0.1)
    raise AssertionError("no scheduler was started")


def test_a_scheduler_of_its_own_ends_with_the_work(whole, tmp_path):
    before = set(psutil.Process().children(recursive=True))
    path = generate(tmp_path / "b.h5", **TINY, workers=2, scheduler="local")
    assert path.read_bytes() == whole
    left = set(psutil.Process().children(recursive=True)) - before
    assert not [p for p in left if "resource_tracker" not in " ".join(p.cmdline())]


def test_workers_are_refused_that_would_make_other_numbers():
    check_worker("tcp://a:1", 1, lsml.__version__)
    with pytest.raises(ValueError, match=r"the worker tcp://a:1 has 4 threads; start"):
        check_worker("tcp://a:1", 4, "0.1.0")
    with pytest.raises(ValueError, match=r"a:1 has lsml .*, and this is 99"):
        check_worker("tcp://a:1", 1, "99")


def test_each_worker_of_a_local_scheduler_has_a_gpu_of_its_own():
    spec = workers_of(environments(2, "cuda", ["3", "5"]), "cuda")
    assert [each["options"]["env"] for each in spec.values()] == [
        {VISIBLE: "3"},
        {VISIBLE: "5"},
    ]
    assert all(each["options"]["resources"] == {"GPU": 1} for each in spec.values())
    assert all(each["options"]["nthreads"] == 1 for each in spec.values())


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("tcp://127.0.0.1:9", "no scheduler of Dask answers at tcp://127.0.0.1:9 with"),
        ("127.0.0.1:9", "no scheduler of Dask answers at 127.0.0.1:9 within 5 s"),
        ("tcp://no.such.host.invalid:8786", "no scheduler of Dask answers at tcp://no"),
        ("host", "scheduler 'host' is no address; expected such as tcp://host:8786"),
        ("http://host:80/x", "scheduler 'http://host:80/x' is no address"),
    ],
)
def test_a_scheduler_that_is_not_there_is_one_sentence_within_seconds(
    address, message, tmp_path
):
    before = time.monotonic()
    with pytest.raises(ValueError, match=message):
        generate(tmp_path / "a.h5", **TINY, scheduler=address)
    assert time.monotonic() - before < 30  # 5 s, and the import of Dask
    assert list(tmp_path.iterdir()) == []
