"""Datasets: what is in them, and that nothing but the recipe decides it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import h5py
import numpy as np
import psutil
import pytest
import torch

import lsml
from lsml.data import (
    LocalizationDataset,
    SampleError,
    generate,
    latin_hypercube,
    microstructures,
)
from lsml.data.parts import Parts, claimed, folder_beside
from lsml.data.recipe import Recipe, assign
from lsml.data.shards import fuses

pytest.importorskip("pymks", reason='needs pip install "lsml[data]"')

TINY = {"n": 3, "realizations": 2, "shape": (5, 4, 6), "batch": 2, "seed": 3}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "train.h5"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Bytes of the tiny dataset, made without interruption."""
    return generate(tmp_path_factory.mktemp("whole") / "a.h5", **TINY).read_bytes()


def recipe(**given):
    """A recipe of small squares, with some of it replaced."""
    options = {
        "n": 1,
        "realizations": 1,
        "shape": (4, 4),
        "contrast": 2.0,
        "seed": 0,
        "tol": 1e-6,
        "discretization": "hex8",
        "split": "design",
        "components": ("11",),
        "load": "11",
        "batch": 8,
    }
    return Recipe(**(options | given))


def alone(path):
    """Whether nothing else is left beside the file."""
    return [p.name for p in path.parent.iterdir()] == [path.name]


# Options, the mean strain in units of 10⁻³, and places of the stored components.
CASES = {
    "3d-shear": (
        {"shape": (7, 5, 6), "components": ("33", "12", "11"), "load": "12"},
        (0, 0, 0, 0, 0, 1),
        (2, 5, 0),
    ),
    "2d": (
        {"shape": (9, 8), "components": ("22", "11"), "load": "22"},
        (0, 1, 0),
        (1, 0),
    ),
    "fourier": (
        {"shape": (7, 5, 6), "discretization": "fourier"},
        (1, 0, 0, 0, 0, 0),
        (0,),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_sample_is_the_solution_of_its_own_design_point(path, case):
    """Drawn all at once and solved one at a time, in another form, and closer."""
    given, mean, kept = CASES[case]
    options = {"n": 3, "realizations": 2, "contrast": 20.0, "seed": 5, "batch": 4}
    generate(path, **(options | given))
    shape, point = given["shape"], [0, 0, 1, 1, 2, 2]
    design = latin_hypercube(3, shape, 5)
    grains, fractions = design.grain_size[point], design.volume_fraction[point]
    expected = microstructures(6, shape, grains, fractions, seed=5)
    scheme = given.get("discretization", "hex8-bbar")
    load = lsml.load(strain=[1e-3 * e for e in mean])
    with h5py.File(path) as file:
        assert np.array_equal(file["labels"], expected)
        assert file["design_point"][()].tolist() == point
        assert np.array_equal(file["grain_size"], grains)
        assert np.array_equal(file["volume_fraction"], fractions)
        assert np.all((file["error"][()] >= 0) & (file["error"][()] <= 1e-6))
        for labels, found in zip(expected, file["strain"], strict=True):
            solution = lsml.solve(
                labels[None],
                contrast=20.0,
                load=load,
                discretization=scheme,
                tol=1e-9,
                form="strain",
            )
            exact = solution.strain[0, list(kept)].numpy()
            # 10⁻⁶ of the mean strain times the contrast; measured: 8e-9.
            np.testing.assert_allclose(found, exact, rtol=0, atol=2e-8)


def test_a_part_draws_what_the_whole_draws():
    """Samples seeded by their place in the part would repeat in every part."""
    all_at_once = microstructures(7, (6, 5), 2, 0.4, seed=9)
    later = microstructures(3, (6, 5), 2, 0.4, seed=9, start=4)
    assert np.array_equal(later, all_at_once[4:])
    with pytest.raises(ValueError, match="start is -1; expected a non-negative"):
        microstructures(1, (6, 5), 2, start=-1)


def test_samples_are_relative_to_the_mean_strain(path):
    dataset = LocalizationDataset(
        generate(path, **TINY, load="12", components=("11", "12")), "all"
    )
    for sample in dataset:
        means = sample.strain.double().mean(dim=(1, 2, 3))
        expected = torch.tensor([0.0, 1.0], dtype=torch.float64)
        torch.testing.assert_close(means, expected, rtol=0, atol=1e-6)
    assert dataset.error.max() <= 1e-6


def test_the_file_describes_itself(path):
    generate(path, **TINY, contrast=50, components=("11", "23"))
    with h5py.File(path) as file:
        attributes = dict(file.attrs)
        assert attributes["format"] == "lsml dataset 1"
        assert attributes["lsml"] == lsml.__version__
        assert attributes["contrast"] == 50
        assert (attributes["nu"], attributes["mean_strain"]) == (0.3, 1e-3)
        assert list(attributes["components"]) == ["11", "23"]
        assert attributes["load"] == "11"
        assert "Mandel" in attributes["conventions"]
        recipe = json.loads(attributes["recipe"])
        assert recipe["seed"] == TINY["seed"]
        assert recipe["shape"] == list(TINY["shape"])
        assert list(file["split"].attrs["codes"]) == [
            "0 train",
            "1 validation",
            "2 test",
        ]
        for name in ("labels", "strain"):
            field = file[name]
            assert field.chunks == (1, *field.shape[1:])  # a sample is read alone
            assert field.compression == "gzip"
        assert file["labels"].dtype == np.uint8
        assert file["strain"].dtype == np.float32
        assert file["strain"].shape == (6, 2, 5, 4, 6)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 100, 4096])
def test_splits_are_40_20_40_to_within_one(count):
    found = Counter(assign(count, seed=1).tolist())
    for code, share in enumerate((0.4, 0.2, 0.4)):
        assert abs(found[code] - share * count) < 1
    assert found[0] >= 1  # something to train on
    assert not np.array_equal(assign(4096, 1), assign(4096, 2))


@pytest.mark.parametrize("n", [5, 41])
def test_realizations_of_a_design_point_share_its_split(n):
    """Twins in training and test would let a network look up the answer."""
    by_design = recipe(n=n, realizations=5)
    splits = by_design.splits().reshape(n, 5)
    assert np.all(splits == splits[:, :1])
    assert np.array_equal(splits[:, 0], assign(n, 0))
    straddling = recipe(n=n, realizations=5, split="random").splits().reshape(n, 5)
    assert np.any(straddling != straddling[:, :1])
    assert Counter(straddling.ravel().tolist())[0] == 2 * n


def test_equal_recipes_make_equal_files(path, whole):
    """Also on another number of threads, whose sums round otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        generate(path, **TINY)
    finally:
        torch.set_num_threads(threads)
    assert path.read_bytes() == whole
    assert alone(path)
    generate(path, **(TINY | {"seed": 4}), overwrite=True)
    assert path.read_bytes() != whole


@pytest.mark.parametrize("shape", [(5, 4, 6), (8, 6)])
def test_large_datasets_are_solved_by_fused_kernels(path, whole, monkeypatch, shape):
    """From the first part to the last, and with the same bytes on any threads."""
    pytest.importorskip("numba", reason='needs pip install "lsml[fast]"')
    options = TINY | {"shape": shape}
    other = generate(path.with_name("other.h5"), **options)
    monkeypatch.setattr("lsml.data.shards.FUSED", 0)
    assert fuses(recipe())
    assert not fuses(recipe(discretization="fourier"))
    one = generate(path, **options).read_bytes()
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert generate(path, **options, overwrite=True).read_bytes() == one
    finally:
        torch.set_num_threads(threads)
    with h5py.File(path) as fused, h5py.File(other) as plain:
        assert np.array_equal(fused["labels"], plain["labels"])
        # The iterates are the same up to rounding, of which float32 shows one digit.
        np.testing.assert_allclose(fused["strain"], plain["strain"], atol=1e-9)


def stop_after(monkeypatch, parts, error):
    """Let some parts be made, then fail."""
    keep, made = Parts.keep, []

    def limited(self, k, packed):
        if len(made) == parts:
            raise error
        made.append(k)
        keep(self, k, packed)

    monkeypatch.setattr(Parts, "keep", limited)
    return made


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left")])
def test_goes_on_after_an_interruption_without_doing_work_twice(
    path, whole, monkeypatch, error
):
    with monkeypatch.context() as patch:
        first = stop_after(patch, 2, error)
        with pytest.raises(type(error)):
            generate(path, **TINY)
    assert not path.exists()
    with monkeypatch.context() as patch:
        second = stop_after(patch, 99, error)
        generate(path, **TINY)
    assert sorted(first + second) == [0, 1, 2]
    assert path.read_bytes() == whole
    assert alone(path)


def test_an_interruption_before_the_first_part_leaves_nothing(path, monkeypatch):
    stop_after(monkeypatch, 0, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        generate(path, **TINY)
    assert list(path.parent.iterdir()) == []


def test_what_killed_processes_leave_is_removed(path, whole, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            generate(path, **TINY)
    folder = folder_beside(path)
    (folder / ".000002.0badcafe.h5").write_bytes(b"half")
    (folder / "whole.h5").write_bytes(b"half")
    (folder / "000001.h5").write_bytes(b"cut by a crash of the machine")
    generate(path, **TINY)
    assert path.read_bytes() == whole
    assert alone(path)


def test_parts_of_another_recipe_are_not_mixed_in(path, whole, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 1, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            generate(path, **(TINY | {"seed": 4}), contrast=20)
    folder = folder_beside(path)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    message = "contrast is 20.0 there and 10.0 here, seed is 4 there and 3 here; resume"
    with pytest.raises(ValueError, match=message):
        generate(path, **TINY)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    generate(path, **TINY, resume=False)
    assert path.read_bytes() == whole
    assert alone(path)


def test_a_complete_file_is_left_alone(path, whole, monkeypatch):
    generate(path, **TINY)
    with monkeypatch.context() as patch:
        stop_after(patch, 0, AssertionError("no work"))
        assert generate(path, **TINY) == path  # the very same: nothing to do
        with pytest.raises(ValueError, match="exists already; overwrite=True"):
            generate(path, **TINY, resume=False)
        message = "train.h5 exists already, and its tol is 1e-06 there and 1e-05 here"
        with pytest.raises(ValueError, match=message):
            generate(path, **TINY, tol=1e-5)
    assert path.read_bytes() == whole
    assert alone(path)
    path.write_text("mine")
    with pytest.raises(ValueError, match="exists already; overwrite=True"):
        generate(path, **TINY)
    assert path.read_text() == "mine"
    generate(path, **TINY, overwrite=True)
    assert path.read_bytes() == whole


def test_an_overwritten_file_stays_until_the_new_one_is_complete(path, monkeypatch):
    path.write_text("mine")
    stop_after(monkeypatch, 2, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        generate(path, **TINY, overwrite=True)
    assert path.read_text() == "mine"


def test_a_sample_that_does_not_converge_is_named(path, monkeypatch):
    monkeypatch.setattr("lsml.data.shards.MAX_ITER", 1)
    message = (
        r"sample 0 \(design point 0, realization 0\) ended MAX_ITER after 1 iterations "
        r"at error \d.*: ran out of iterations"
    )
    with pytest.raises(SampleError, match=message):
        generate(path, **TINY)
    assert list(path.parent.iterdir()) == []


def test_a_strain_that_is_not_finite_is_not_stored(path, monkeypatch):
    """Whatever status its solve has ended with."""
    solve = lsml.data.shards.solve

    def poisoned(labels, *rest, **options):
        solution = solve(labels, *rest, **options)
        solution.strain[1, 0, 2, 3, 4] = np.nan
        return solution

    monkeypatch.setattr("lsml.data.shards.solve", poisoned)
    message = r"sample 1 \(design point 0, realization 1\) has a strain that is not fin"
    with pytest.raises(SampleError, match=message):
        generate(path, **TINY)
    assert list(path.parent.iterdir()) == []


def test_a_part_of_which_a_bit_has_turned_is_made_again(path, whole, monkeypatch):
    """Chunks are copied without being unpacked: nobody would look at them again."""
    with monkeypatch.context() as patch:
        stop_after(patch, 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            generate(path, **TINY)
    part = folder_beside(path) / "000001.h5"
    with h5py.File(part) as file:
        chunk = file["strain"].id.get_chunk_info(1)
    data = bytearray(part.read_bytes())
    data[chunk.byte_offset + chunk.size // 2] ^= 4
    part.write_bytes(data)
    made = stop_after(monkeypatch, 99, KeyboardInterrupt())
    generate(path, **TINY)
    assert sorted(made) == [1, 2]
    assert path.read_bytes() == whole


def test_two_processes_do_not_make_the_same_file(path):
    message = r"another process is at work in .*\.train\.h5\.parts"
    with claimed(folder_beside(path)), pytest.raises(ValueError, match=message):
        generate(path, **TINY)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("part", [True, False])
def test_a_full_disk_is_told_and_what_is_done_is_kept(path, whole, part):
    """In a part, and where the parts are put together; by a real limit."""
    resource = pytest.importorskip("resource", reason="needs a POSIX system")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = 2000 if part else len(whole) - 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(OSError, match=r"cannot write .*h5: File too large$"):
            generate(path, **TINY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    kept = [file.name for file in path.parent.rglob("*.h5")]
    assert sorted(kept) == ([] if part else ["000000.h5", "000001.h5", "000002.h5"])
    generate(path, **TINY)
    assert path.read_bytes() == whole
    assert alone(path)


BAD = {
    "n": ({"n": 0}, "n is 0; expected a whole number from 1"),
    "realizations": ({"realizations": 0}, "realizations is 0; expected a whole"),
    "batch": ({"batch": 0}, "batch is 0; expected a whole number from 1"),
    "seed": ({"seed": -1}, "seed is -1; expected a whole number from 0"),
    "shape": ({"shape": (4,)}, r"shape is \(4,\); expected 2 or 3 positive"),
    "contrast": ({"contrast": -2.0}, "contrast = -2.0 must be a number, finite and"),
    "infinite": ({"contrast": np.inf}, "contrast = inf must be a number, finite"),
    "tol": ({"tol": 0.0}, "tol = 0.0 must be positive and finite"),
    "scheme": ({"discretization": "fem"}, "discretization 'fem' is unknown; choose"),
    "split": ({"split": "train"}, "split 'train' is unknown; choose one of design, ra"),
    "load": ({"load": "44"}, "load '44' is unknown; choose one of 11, 22, 33, 23, 13"),
    "2d-load": ({"load": "33", "shape": (4, 4)}, "choose one of 11, 22, 12"),
    "component": ({"components": ("11", "xx")}, "component 'xx' is unknown; choose"),
    "twice": ({"components": ("11", "11")}, "components 11, 11 name one twice"),
    "none": ({"components": ()}, "components are empty; choose some of 11"),
    "workers": ({"workers": -1}, "workers is -1; expected a whole number from 0"),
    "device": ({"device": "gpu"}, "device 'gpu' is unknown; choose one of cpu, cuda"),
    "limit": ({"limit": 0}, "limit = 0 must be a positive number of seconds"),
    "nan": ({"limit": np.nan}, "limit = nan must be a positive number of seconds"),
    "pores": ({"contrast": 0.0, "discretization": "fourier"}, "phase 1 has zero stif"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_argument_is_named_before_any_work(path, case):
    given, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        generate(path, **(TINY | given))
    assert list(path.parent.iterdir()) == []


def test_missing_folder_and_missing_generator(path, monkeypatch):
    with pytest.raises(ValueError, match=r"the folder .*none does not exist"):
        generate(path.parent / "none" / "train.h5", **TINY)
    monkeypatch.setitem(sys.modules, "pymks", None)
    monkeypatch.setitem(sys.modules, "pymks.datasets", None)
    with pytest.raises(ImportError, match=r'pip install "lsml\[data\]"'):
        generate(path, **TINY)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_on_a_terminal_only(path, capsys, monkeypatch, terminal):
    monkeypatch.setattr("lsml.progress.DELAY", 0.0)
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    generate(path, **TINY, progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert ("6/6" in shown.err) is terminal


@pytest.mark.slow
def test_processes_make_what_one_process_makes(path, whole):
    generate(path, **TINY, workers=2)
    assert path.read_bytes() == whole
    assert alone(path)


@pytest.mark.slow
def test_a_killed_worker_is_followed_by_another(path, whole):
    """Its part is made again, by a fresh process, and the file is the same."""
    options = TINY | {"workers": 2}
    killed = []

    def kill(self, k, packed, keep=Parts.keep):
        for child in psutil.Process().children():
            if not killed:
                child.kill()
                killed.append(k)
        keep(self, k, packed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Parts, "keep", kill)
        generate(path, **options)
    assert len(killed) == 1
    assert path.read_bytes() == whole
    assert alone(path)


def test_a_part_of_another_recipe_among_the_others_is_refused(path, whole, monkeypatch):
    """Catches shards of two datasets put together into a file of neither."""
    other = path.with_name("other.h5")
    for target, seed in ((path, 3), (other, 4)):
        with monkeypatch.context() as patch:
            stop_after(patch, 2, KeyboardInterrupt())
            with pytest.raises(KeyboardInterrupt):
                generate(target, **(TINY | {"seed": seed}))
    foreign = folder_beside(other) / "000001.h5"
    mine = folder_beside(path) / "000001.h5"
    mine.write_bytes(foreign.read_bytes())
    message = r"000001\.h5 is a part of another dataset: its seed is 4 there and 3 here"
    with pytest.raises(ValueError, match=message):
        generate(path, **TINY)
    assert mine.read_bytes() == foreign.read_bytes()
    mine.unlink()
    generate(path, **TINY)
    assert path.read_bytes() == whole


# Forks children that make a dataset and kills them: at every file operation in turn,
# or after random times. Prints how many were killed before they were done.
KILLER = """
import os, random, signal, sys, time
from pathlib import Path
from lsml.data import generate
from lsml.data.microstructures import _make_microstructure

_make_microstructure()
how, kills, folder, options = sys.argv[1], int(sys.argv[2]), *map(eval, sys.argv[3:])
path = Path(folder) / "train.h5"
EVENTS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.listdir"}

def run(arm=lambda: None, wait=None):
    child = os.fork()
    if child == 0:
        arm()
        generate(path, **options)
        os._exit(0)
    if wait is not None:
        time.sleep(wait)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), status
    return status == signal.SIGKILL

def at_operation(k):
    left = [k]
    def watch(event, arguments):
        if event in EVENTS and folder in str(arguments[0]):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
    return lambda: sys.addaudithook(watch)

started = time.perf_counter()
run()
took = time.perf_counter() - started
whole = path.read_bytes()
path.unlink()
chance, killed, assembling, finished = random.Random(1), 0, 0, False
while killed < kills and not finished:
    if how == "operation":
        finished = not run(at_operation(killed))
        killed += not finished
        done = False
    else:
        done = not run(wait=chance.uniform(0, took / 2))
        killed += not done
    assembling += any(path.parent.glob(".*/.whole*"))
    if how == "operation" or done or killed == kills:
        run()
        assert path.read_bytes() == whole
        assert [p.name for p in path.parent.iterdir()] == [path.name]
        path.unlink()
print(killed, assembling)
"""


def killed(how, kills, folder, options):
    command = [sys.executable, "-c", KILLER, how, str(kills), repr(str(folder))]
    done = subprocess.run(
        [*command, repr(options)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [int(k) for k in done.stdout.split()]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a POSIX system")
def test_killed_at_every_file_operation_and_resumed(tmp_path):
    """Also while the parts are put together, renamed and removed."""
    options = TINY | {"shape": (4, 3)}  # the operations are those of any shape
    kills, assembling = killed("operation", 1000, tmp_path, options)
    assert kills >= 25
    assert assembling >= 1


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a POSIX system")
def test_killed_at_random_moments_and_resumed(tmp_path):
    options = TINY | {"n": 4, "realizations": 3, "shape": (6, 6, 6), "batch": 1}
    kills, _ = killed("moment", 20, tmp_path, options)
    assert kills == 20


ORPHANS = """
import sys
from lsml.data import generate
generate(sys.argv[1], n=400, shape=(8, 8, 8), batch=4, workers=2)
"""


@pytest.mark.slow
def test_workers_do_not_outlive_a_killed_process(path):
    main = psutil.Popen([sys.executable, "-c", ORPHANS, str(path)])
    folder = folder_beside(path)
    deadline = time.monotonic() + 120
    while not list(folder.glob("0*.h5")) and time.monotonic() < deadline:
        time.sleep(0.1)
    workers = main.children()
    main.kill()
    main.wait()
    assert len(workers) == 2
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []
    assert list(folder.glob("0*.h5"))  # what is done is kept


@pytest.mark.slow
def test_ctrl_c_ends_workers_and_keeps_parts(path):
    command = [sys.executable, "-c", ORPHANS, str(path)]
    # A job in the background of a shell ignores Ctrl-C, and so would its children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    main = psutil.Popen(command, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    folder = folder_beside(path)
    deadline = time.monotonic() + 120
    while not list(folder.glob("0*.h5")) and time.monotonic() < deadline:
        time.sleep(0.1)
    workers = main.children()
    main.send_signal(signal.SIGINT)
    _, told = main.communicate(timeout=30)
    assert told.rstrip().endswith("KeyboardInterrupt")
    assert psutil.wait_procs(workers, timeout=1)[1] == []
    assert list(folder.glob("0*.h5"))
    assert not list(folder.glob(".*.h5"))
