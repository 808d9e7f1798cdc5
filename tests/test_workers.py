"""Processes that do the work: every item is answered, whatever becomes of them."""

import os
import pickle
import sys
from pathlib import Path

import psutil
import pytest
from working import OddError, answer, answers

from lsml.workers import Task, WorkerLostError, workers_for
from lsml.workers.gpus import VISIBLE, environments, gpus_here
from lsml.workers.task import ATTEMPTS, attempt

TASK = Task(answer, "number", limit=1.0)


@pytest.fixture(autouse=True)
def _found(monkeypatch):
    """Workers import this module."""
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parent), *sys.path])


@pytest.mark.slow
def test_every_item_is_answered_once_by_processes_of_one_thread(tmp_path, capfd):
    """Killed, hanging and failing ones too; and it says what went wrong with each."""
    hung, mark = tmp_path / "hung", tmp_path / "mark"
    plain = [("plain", k) for k in range(5)]
    odd = [("raise", "value"), ("raise", "odd"), ("once", str(mark))]
    bad = [("die",), ("hang", str(hung))]
    with workers_for(2) as workers:
        found = answers(workers, [*plain, *odd, *bad], TASK)
    assert set(found) == {*plain, *odd, *bad}
    assert capfd.readouterr().out == ""  # it did not get between the answers either
    made = [found[item].take() for item in plain]
    assert {threads for _, _, threads in made} == {"1"}
    assert os.getpid() not in {process for _, process, _ in made}
    with pytest.raises(ValueError, match="as told"):
        found["raise", "value"].take()
    told = str(found["raise", "odd"].failure)
    assert "number ('raise', 'odd') failed in a worker process" in told
    assert "OddError: as told" in told
    assert found["once", str(mark)].take()[0] == "once"
    assert isinstance(found[("die",)].failure, WorkerLostError)
    assert str(found[("die",)].failure) == (
        "number ('die',) is given up: a worker process ended with status -9, 3 times "
        "in a row; what is done is kept"
    )
    assert "did not answer within 1 s, 3 times" in str(found[bad[1]].failure)
    tried = [int(line) for line in hung.read_text().split()]
    assert len(set(tried)) == len(tried) == ATTEMPTS
    assert not any(psutil.pid_exists(process) for process in tried)


@pytest.mark.slow
def test_no_process_is_left_when_nobody_wants_the_answers_any_more(tmp_path):
    """Also none that is stopped, and would not notice that its input ends."""
    before = set(psutil.Process().children())
    with workers_for(2) as workers:
        found = workers.answers(TASK, [("plain", 1), *[("stop", k) for k in range(9)]])
        next(found)
        found.close()
    assert set(psutil.Process().children()) == before


def test_one_worker_is_this_process():
    with workers_for(1) as workers:
        found = answers(workers, [("plain", 1), ("raise", "value")], TASK)
        assert found["plain", 1].take()[1] == os.getpid()
        assert isinstance(found["raise", "value"].failure, ValueError)
        with pytest.raises(OddError):
            answers(workers, [("raise", "odd")], TASK)


def test_an_expected_error_is_an_answer():
    expecting = Task(answer, "number", expected=(OddError,))
    found = attempt(expecting, ("raise", "odd"))
    assert isinstance(found.failure, OddError)
    assert isinstance(pickle.loads(pickle.dumps(expecting)), Task)


@pytest.mark.parametrize("count", [-1, True])
def test_a_number_of_workers_is_whole(count):
    message = "expected a whole number from 0"
    with pytest.raises(ValueError, match=message), workers_for(count):
        pass


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    """Catches two processes that fill the memory of the same one."""
    assert environments(2, "cpu", []) == [{}, {}]
    given = environments(2, "cuda", ["5", "GPU-7", "2"])
    assert given == [{VISIBLE: "5"}, {VISIBLE: "GPU-7"}]
    with pytest.raises(ValueError, match="3 workers on 2 GPUs: each needs one of its"):
        environments(3, "cuda", ["0", "1"])
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv(VISIBLE, raising=False)
    assert gpus_here() == ["0", "1"]
    monkeypatch.setenv(VISIBLE, "3,GPU-5")  # of a job that may use these two
    assert gpus_here() == ["3", "GPU-5"]
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="device 'cuda': PyTorch finds no GPU here"):
        gpus_here()


def seen(_):
    return os.environ.get(VISIBLE)


@pytest.mark.slow
def test_processes_see_the_gpu_that_is_theirs(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv(VISIBLE, "3,GPU-5")
    with workers_for(2, device="cuda") as workers:
        found = answers(workers, range(2), Task(seen, "number"))
    assert {found[k].take() for k in range(2)} == {"3", "GPU-5"}
