"""Training in several processes is training in one: weights, curve, files, failures."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from team_runs import COARSE, FINE, HALF, deep, dropping, learned, predicted, smooth
from test_training import samples
from torch.distributed import TCPStore

from lsml.learned import train

HERE = Path(__file__).parent
COUNT = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the processes find what one process has begun."""
    folder = tmp_path_factory.mktemp("team")
    learned(dropping(), HALF, folder / "from-one", stop=6)
    train(smooth(), samples(7), None, folder / "newer", COARSE, seconds=0.0)
    last = folder / "newer" / "last.ckpt"
    torch.save(torch.load(last, weights_only=True) | {"format": 2}, last)
    return folder


@pytest.fixture(scope="module")
def seen(folder):
    """What each of the processes has seen, and how they ended."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    numbers = {
        "WORLD_SIZE": COUNT,
        "LOCAL_WORLD_SIZE": COUNT,
        "MASTER_PORT": store.port,
    }
    common = {name: str(number) for name, number in numbers.items()}
    common |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    running = [
        subprocess.Popen(
            [sys.executable, str(HERE / "team_runs.py"), str(folder)],
            env=os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(COUNT)
    ]
    assert [each.wait(timeout=400) for each in running] == [0, -9]
    return [torch.load(folder / f"seen-{r}.pt", weights_only=False) for r in (0, 1)]


def apart(a, b):
    return float((a - b).norm() / b.norm())


def check_rows(rows, wanted, rel):
    for row, want in zip(rows, wanted, strict=True):
        assert row == pytest.approx(want, rel=rel)


def test_in_float64_a_step_is_that_of_one_process(seen):
    """Batches of 3, 3 and 1 samples; a loss that is no sum over samples; dropout.

    Catches a mean of means, a process without samples that leaves out a step, draws
    that depend on the process, and other weights in each of them.
    """
    weights, rows = learned(dropping(), FINE)
    for each in seen:
        assert apart(each["fine"][0], weights) <= 1e-12
        check_rows(each["fine"][1], rows, 1e-6)  # losses are in float32
    assert torch.equal(seen[0]["fine"][0], seen[1]["fine"][0])


def test_in_float32_it_is_so_up_to_rounding(seen):
    weights, rows = learned(smooth(), COARSE)
    for each in seen:
        assert apart(each["coarse"][0], weights) <= 1e-6
        check_rows(each["coarse"][1], rows, 1e-6)


def test_a_network_of_lsml_predicts_the_same(seen):
    """Its dropout too draws for the batch, on axes of its own."""
    rule = deep()
    _, rows = learned(rule, FINE)
    for each in seen:
        assert apart(each["deep"][1], predicted(rule)) <= 1e-9
        check_rows(each["deep"][0], rows, 1e-6)


def test_a_run_goes_on_with_another_number_of_processes(seen, folder):
    """Begun with one and ended with two, and the other way, in the second epoch.

    Catches checkpoints of one part, or with the random numbers of one process.
    """
    weights, rows = learned(dropping(), HALF)
    for each in seen:
        assert len(each["half"][1]) == 1
        assert apart(each["rest"][0], weights) <= 1e-12
        check_rows(each["rest"][1], rows, 1e-6)
    again, told = learned(dropping(3), HALF, folder / "from-two")
    assert apart(again, weights) <= 1e-12
    check_rows(told, rows, 1e-6)
    assert seen[0]["log"].count("\n") == 3


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("torn", "ValueError: sample 4 of torn.h5 cannot be read"),
        ("newer", "has format 2 of checkpoints; lsml"),
        ("unlike", "ValueError: one of the processes trains with samples = 8, the"),
        (
            "infinite",
            "FloatingPointError: the loss is nan in batch 0 of epoch 0:",
        ),
        ("mixing", "ValueError: a network with BatchNorm depends on how a batch is"),
    ],
)
def test_what_one_process_refuses_all_refuse(seen, case, sentence):
    """In the same words; catches a process that waits for one that has given up."""
    assert sentence in seen[0][case]
    assert seen[1][case] == seen[0][case]


def test_a_killed_process_ends_the_others(seen, folder):
    """Within ten seconds; and its run goes on from what was kept, in one process."""
    said = "another of the 2 processes has ended or does not answer"
    assert seen[0]["lost"] == said
    assert seen[0]["seconds"] < 10
    rule, other = smooth(4), smooth()
    train(rule, samples(7), None, folder / "killed", COARSE)
    train(other, samples(7), None, None, COARSE)
    for name, tensor in other.state_dict().items():
        torch.testing.assert_close(
            rule.state_dict()[name], tensor, rtol=1e-5, atol=1e-6
        )


def test_one_process_reads_a_newer_checkpoint_no_more_than_two(folder):
    with pytest.raises(ValueError, match=r"last\.ckpt has format 2 of checkpoints"):
        train(smooth(), samples(7), None, folder / "newer", COARSE)


def test_checkpoints_without_a_format_are_of_the_first(tmp_path):
    """Those that were written before it had a number."""
    train(smooth(), samples(7), None, tmp_path / "run", COARSE, seconds=0.0)
    last = tmp_path / "run" / "last.ckpt"
    state = torch.load(last, weights_only=True)
    del state["format"]
    torch.save(state, last)
    assert len(train(smooth(), samples(7), None, tmp_path / "run", COARSE)) == 3
